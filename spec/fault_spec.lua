-- SPDX-License-Identifier: MIT
-- fault_spec.lua - no memory, at each allocation in turn: a right result or "not enough memory", never a crash, nothing leaked.

local helper = require "spec.helper"

local PRELUDE = [[
  local goro = require "goro"
  local testing = require "goro.testing"
  io.stderr:setvbuf("full")
  local class = setmetatable({}, { __index = {} }) class.__index = class
  local shared = { list = { 1, 2, { ("long"):rep(100) } } }
  local value = setmetatable({ shared, shared, f = function() return shared end, name = "x" }, class)

  local faults = require "spec.faults"
  local settle = faults.settle

  -- Every allocation of `once` fails once; then four in a row, so that Lua's second try fails too.
  local function each_fault(once)
    local _, failures = faults.each(once)
    assert(failures > 0, "nothing ever failed") -- what can be kept for the next time is there by now
    faults.each(once, 4)
  end
]]

describe("without memory", function()
  local function survives(body)
    local r = helper.run_script(PRELUDE .. body .. "\nio.stdout:write('done')", { timeout = 120 })
    assert.equal("done", r.stdout, helper.describe(r))
  end

  it("send and recv raise or work, and lose nothing", function()
    survives [[
      local c = goro.chan(4)
      each_fault(function()
        local before = c:len()
        local ok, err = pcall(c.send, c, value)
        assert(c:len() == (ok and before + 1 or before))
        if not ok then error(err, 0) end
        local got = c:recv(0)
        assert(got[1] == got[2] and got.name == "x")
      end)
    ]]
  end)

  it("select raises or works, and lets go of what it packed", function()
    survives [[
      local c, d = goro.chan(1), goro.chan(1)
      each_fault(function()
        goro.select { { send = c, value = value }, { recv = d }, timeout = 0.001 }
        while c:recv(0) do end
      end)
    ]]
  end)

  it("go and run raise, or the goroutine does", function()
    survives [[
      local c = goro.chan(1)
      each_fault(function()
        goro.go(function(v) c:send(v.name) end, value)
        local got, ok, why = c:recv(0.2)
        assert(got == "x" or why == "timeout")
      end)
      each_fault(function() assert(goro.run(function(v) return v.name end, value) == "x") end)
    ]]
  end)

  it("nothing is leaked by what failed", function()
    survives [[
      local c = goro.chan(1)
      local function once() assert(goro.run(function(v) return v end, value).name == "x") c:send(value) c:recv(0) end
      each_fault(once)
      settle()
      local before = testing.live()
      each_fault(once)
      settle()
      assert(testing.live() <= before + 8, testing.live() - before)
    ]]
  end)

  it("errors of groups are raised or told, and nothing is leaked", function()
    survives [[
      local function is_right(e)
        return type(e) == "table" and e.name == "x" or tostring(e):find("not enough memory", 1, true)
      end
      local function once()
        local seen = goro.chan(1)
        local g = goro.group { on_error = function(e) seen:send(e) end }
        g:go(error, value)
        g:wait()
        local e, told = seen:recv(0)
        assert(not told or is_right(e), e)
        local h = goro.group()
        h:go(error, value)
        local ok, raised = pcall(h.wait, h)
        assert(not ok and is_right(raised), raised)
        goro.group():go(error, value)
        local map_ok, map_raised = pcall(goro.map, { 1 }, function() error(value) end)
        assert(not map_ok and is_right(map_raised), map_raised)
        if type(raised) ~= "table" then error(raised, 0) end
        if type(map_raised) ~= "table" then error(map_raised, 0) end
      end
      each_fault(once)
      settle()
      local before = testing.live()
      each_fault(once)
      settle()
      assert(testing.live() <= before + 8, testing.live() - before)
    ]]
  end)

  it("goro.sync raises or works, and leaves nothing locked", function()
    survives [[
      local sync = require "goro.sync"
      local m, rw = sync.mutex(), sync.rwmutex()
      local free = sync.semaphore(1)
      local function is_free() return m:try_lock() and rw:try_lock() and free:try_acquire() end
      local function give_back() m:unlock() rw:unlock() free:release() end
      each_fault(function()
        local ok, err = pcall(function()
          assert(m:with(function() return #{ m:try_lock(), {} } end) == 2)
          local _ <close> = rw:rguard()
          assert(rw:lock(0.0005) == false and m:lock(0.0005))
          m:unlock()
          local c = sync.cond(m)
          local _ <close> = m:guard()
          local told, why = pcall(c.wait, c, 0.0005)
          assert(not m:try_lock())
          if not told then error(why, 0) end
          free:with_nothing()
        end)
        assert(is_free(), "not given back")
        give_back()
        if not tostring(err):find "with_nothing" then error(err, 0) end
      end)
      each_fault(function()
        local once = sync.once(function() return value end)
        local got = once()
        assert(got.name == "x" and once().name == "x")
      end)
      each_fault(function()
        local once = sync.once(function() error(value) end)
        for _ = 1, 2 do
          local ok, err = pcall(once)
          assert(not ok)
          if type(err) ~= "table" then error((err:gsub("the function of this once did not return", "not enough memory")), 0) end
        end
      end)
      each_fault(function()
        local a = sync.atomic(("long"):rep(100))
        a:store(("longer"):rep(100))
        a:cas(("longer"):rep(100), "short")
        a:swap(("x"):rep(100))
        assert(#a:load() == 100)
      end)
      each_fault(function()
        local wg = sync.waitgroup()
        local ok, err = pcall(wg.go, wg, function() return value end)
        while not wg:wait(1) do error "it is waited for" end
        if not ok then error(err, 0) end
      end)
    ]]
  end)
end)
