-- SPDX-License-Identifier: MIT
-- What a thread keeps while its goroutine sits in foreign C: beside the goroutine's own state at most 100 KB. Measured by resident memory
-- of a process with 400 such goroutines, less that of one with 400 that wait for a channel.

local helper = require "spec.helper"

local _, it_runs = helper.embedding(it, pending, "ctest.so")

local program = [[
local goro, ctest = require "goro", require "ctest"
local how, count, enough = arg[1], 400, tonumber(arg[2])
local function resident()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+)"
    if kilobytes then return tonumber(kilobytes) end
  end
end
local before = resident()
local ready, never = goro.sync.waitgroup(count), goro.chan()
for i = 1, count do
  goro.go(function()
    local ctest, c = require "ctest", goro.chan(4)
    for k = 1, 4 do c:send { k, { k } } end
    for k = 1, 4 do c:recv() end
    goro.run(function() return i end)
    ready:done()
    if how == "blocked" then ctest.sleep(1000) else never:recv() end
  end)
end
ready:wait()
local each
for _ = 1, 400 do                  -- until it is little enough; else ten seconds
  ctest.sleep(0.025)
  each = (resident() - before) / count
  if each <= enough then break end
end
print(each)
os.exit(0)
]]

local function each(how, enough)
  local r = helper.run_script(program, { timeout = 60, args = { how, tostring(enough) }, env = helper.with_ctest {} })
  return assert(tonumber(helper.ended_well(r)))
end

describe("a thread whose goroutine sits in C", function()
  it_runs("keeps at most 100 KB beside the goroutine's state", function()
    if os.getenv "GORO_STOCK_LUA" then
      pending "a sanitizer's build takes its memory from malloc, and has no such caches"
      return
    end
    local parked = each("parked", 0)
    local blocked = each("blocked", parked + 100)
    assert.is_true(blocked - parked <= 100, ("%.0f KB blocked, %.0f KB parked"):format(blocked, parked))
  end)
end)
