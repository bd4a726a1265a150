-- SPDX-License-Identifier: MIT
-- What goro costs a program that has it and does not use it, counted in instructions: nothing; pre-emption leaves no hook behind.

local work = [[
local function work()
  local t, x = {}, 0
  for i = 1, 200000 do t[i % 1000 + 1] = { i } x = (x * 31 + #t) % 1000003 end
  local s = {}
  for i = 1, 10000 do s[#s + 1] = tostring(i):rep(2) end
  local co = coroutine.wrap(function() for i = 1, 10000 do coroutine.yield(i) end end)
  for _ = 1, 10000 do x = x + co() end
  for _ = 1, 10000 do pcall(error, "x") end
  return x, #table.concat(s)
end
]]

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- Instructions of a process that runs this.
local function instructions(source)
  local script = os.tmpname()
  local f = assert(io.open(script, "w"))
  f:write(source)
  f:close()
  local text = capture(("valgrind --tool=callgrind --callgrind-out-file=/dev/null lua5.4 '%s' 2>&1"):format(script))
  os.remove(script)
  return tonumber(text:match "Collected : (%d+)") or error(text)
end

describe("instructions of plain Lua code", function()
  it("are as many with goro loaded as without, within 1 %", function()
    if os.getenv "GORO_STOCK_LUA" then
      pending "a sanitizer's runtime and valgrind do not go together"
      return
    end
    if capture "command -v valgrind" == "" then
      pending "valgrind is not installed (./tools/test installs it)"
      return
    end
    local without = instructions(work .. "work()")
    local with = instructions(work .. "require 'goro' work()")
    local inside = instructions(work .. "require 'goro'.run(work)")
    assert.is_true(math.abs(with / without - 1) < 0.01, ("%d without, %d with"):format(without, with))
    -- Within a goroutine coroutine.* and pcall are ours, and so is the allocator: not more than a little dearer.
    assert.is_true(inside / without < 1.03, ("%d without, %d inside"):format(without, inside))
  end)
end)
