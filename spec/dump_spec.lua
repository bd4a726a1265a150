-- SPDX-License-Identifier: MIT
-- goro.runtime.dump and SIGQUIT: what every goroutine does, with its traceback, also of those that run.

local helper = require "spec.helper"
local it = helper.interrupting(it, pending)

local build = os.getenv "GORO_BUILD_DIR" or "build"
local env = { LUA_CPATH = build .. "/embed/?.so;" .. os.getenv "LUA_CPATH", GOROMAXPROCS = 4 }

local goroutines = [[
local goro = require "goro"
local ch = goro.chan()
local function receiver()
  ch:recv() -- line 4
end
goro.go(function() receiver() end)
goro.go(function() goro.sleep(1000) end) -- line 7
goro.go(function() goro.select { { recv = ch }, { recv = goro.chan() } } end) -- line 8
goro.go(function() while true do end end) -- line 9
goro.go(function() coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)() end) -- line 10
goro.go(function() os.execute "sleep 2" end) -- line 11
goro.go(function() require "ctest".sleep(2) end) -- line 12
goro.go(function() table.sort({ 1, 2 }, function() ch:recv() end) end) -- line 13
goro.go(function() local function f(n) if n == 0 then ch:recv() end f(n - 1) return 1 end f(1000) end) -- line 14
goro.sleep(0.2)
]]

local function entries(text)
  local list = {}
  for head, body in text:gmatch "(%a[^\n]*):\n(.-)\n\n" do list[#list + 1] = { head = head, body = body } end
  return list
end

local function find(list, head, body)
  for _, e in ipairs(list) do
    if e.head:find(head) and e.body:find(body, 1, true) then return e end
  end
  error(("no entry with head '%s' and '%s' in:\n%s"):format(head, body, table.concat((function()
    local all = {}
    for i, e in ipairs(list) do all[i] = e.head .. "\n" .. e.body end
    return all
  end)(), "\n")), 2)
end

local function check(list)
  local waits = find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:4: in ")
  assert.is_truthy(waits.body:find("job.lua:6: in function <job.lua:6>", 1, true), waits.body)
  assert.is_truthy(waits.body:find("created by goro.go at job.lua:6", 1, true), waits.body)
  find(list, "^goroutine, sleep, %d+%.%d s$", "job.lua:7: in ")
  find(list, "^goroutine, select, %d+%.%d s$", "job.lua:8: in ")
  find(list, "^goroutine, run", "job.lua:9: in ")
  local nested = find(list, "^goroutine, run", "job.lua:10: in ")
  assert.is_truthy(nested.body:find("created by goro.go at job.lua:10", 1, true), nested.body)
  find(list, "^goroutine, system call, %d+%.%d s$", "job.lua:11: in ")
  find(list, "^goroutine, running$", "(in C code") -- line 12: nobody may look at it
  find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:13: in ")
  local deep = find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:14: in ")
  assert.is_truthy(deep.body:find("skipping 98%d levels"), deep.body)
  assert.equal(10, #list)
end

describe("the dump", function()
  it("tells of every goroutine", function()
    local r = helper.run_script(goroutines .. "print(goro.runtime.dump())", { env = env, timeout = 30 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    local list = entries(r.stdout)
    check(list)
    find(list, "^main goroutine, running$", "job.lua:16: in main chunk")
  end)

  it("can be made by a goroutine", function()
    local r = helper.run_script(goroutines:gsub("\ngoro%.sleep%(0%.2%)\n", "\n")
      .. "print(goro.run(function() goro.sleep(0.2) return (goro.runtime.dump()) end))", { env = env, timeout = 30 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    local list = entries(r.stdout)
    find(list, "^goroutine, running$", "created by goro.run at job.lua:15")
    find(list, "^main goroutine, goro.run, %d+%.%d s$", "job.lua:15: in main chunk")
  end)

  it("is printed at SIGQUIT, and the program goes on", function()
    for _, main in ipairs { "goro.sleep(0.5)", "local now = require 'ctest'.now local start = now() while now() - start < 0.5 do end" } do
      local r = helper.run_script(goroutines .. "goro.go(function() goro.sleep(0.1) require 'ctest'.kill(3) end) " .. main .. " print 'went on'",
        { env = env, timeout = 30 })
      assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
      local list = entries(r.stderr)
      check((function()
        local rest = {}
        for _, e in ipairs(list) do -- but the one that sends the signal
          if not e.body:find("job.lua:16: in function <job.lua:16>", 1, true) then rest[#rest + 1] = e end
        end
        if #rest == 10 then return rest end
        return list
      end)())
      find(list, "^main goroutine", "job.lua:16: in main chunk")
    end
  end)

  it("may be made while thousands of goroutines come, go and wait", function()
    helper.passes(function(rounds)
      local goro = require "goro"
      local done, ch = goro.chan(100), goro.chan()
      for _ = 1, 1000 do goro.go(function() done:send(1) ch:recv() end) end
      for _ = 1, 1000 do done:recv() end
      goro.sleep(0.1)
      goro.go(function() while true do goro.go(function() goro.gosched() done:send(1, 0) end) goro.gosched() end end)
      goro.go(function() while true do done:recv() end end)
      for _ = 1, tonumber(rounds) do
        local _, n = goro.runtime.dump():gsub("chan receive", "")
        assert(n >= 1000, n)
      end
      ch:close()
    end, { args = { helper.rounds(30) }, env = env, timeout = 120 })
  end)
end)
