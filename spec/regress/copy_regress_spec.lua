-- SPDX-License-Identifier: MIT
-- What was wrong with copying: classes, reloaded modules, __goro values, and globals when memory is short.

local helper = require "spec.helper"

local function passes(body)
  local r = helper.run_script('local goro = require "goro"\n' .. body .. '\nio.stdout:write "done"', { timeout = helper.limit(30) })
  assert.equal("done", r.stdout, helper.describe(r))
end

describe("copying, once wrong:", function()
  it("a metatable that comes as a value first is kept like any other", function()
    passes [[
      local tag, c = {}, goro.chan(1)
      c:send { tag, setmetatable({}, tag) }
      goro.run(function()
        local first = c:recv()
        assert(getmetatable(first[2]) == first[1])
        c:send(first[2])
      end)
      assert(getmetatable(c:recv()) == tag)
    ]]
  end)

  it("a class that an error left half made is made anew", function()
    passes [[
      local class, c = {}, goro.chan(2)
      class.__index = class
      for i = 1, 20 do class["m" .. i] = function() return i end end
      local bad = setmetatable({}, { __goro = function() return function() error "no" end end })
      c:send(setmetatable({ x = bad }, class))
      c:send(setmetatable({}, class))
      goro.run(function()
        collectgarbage "stop"
        assert(not pcall(c.recv, c))
        local object = c:recv()
        for i = 1, 20 do assert(object["m" .. i]() == i) end
      end)
    ]]
  end)

  it("a class is whole when a __goro function in the same message uses it", function()
    passes [[
      local class = {}
      class.__index = class
      function class:get() return self.v end
      local made = setmetatable({}, { __goro = function()
        return function(o) return o:get() end, setmetatable({ v = 7 }, class)
      end })
      goro.run(function(t) assert(t[3] == 7) end, { setmetatable({}, class), class, made })
    ]]
  end)

  it("a value of which its own class has a reference is built once", function()
    passes [[
      local C = {}
      C.__index = C
      local calls = goro.chan(10)
      function C.__goro(o)
        return function(n)
          calls:send(n)
          return { built = n }
        end, o.n
      end
      C.instance = setmetatable({ n = 5 }, C)
      assert(goro.run(function(t) return t[2] == t[1].instance and t[2].built == 5 end, { C, C.instance }))
      assert(goro.run(function(t) return t[1] == t[2].instance and t[1].built == 5 end, { C.instance, C }))
      assert(calls:len() == 2)
    ]]
  end)

  it("a __goro function may give nil for two references", function()
    passes [[
      local none = setmetatable({}, { __goro = function() return function() end end })
      goro.run(function(t) assert(t.a == nil and t.b == nil and t.c == 1) end, { a = none, b = none, c = 1 })
    ]]
  end)

  it("a module that was loaded again is the module", function()
    passes [[
      package.preload.again = function() return { name = function() return "module" end } end
      require "again"
      local c = goro.chan(1)
      c:send {}
      c:recv()
      package.loaded.again = nil
      local again = require "again"
      goro.run(function(m) assert(m == require "again") end, again)
    ]]
  end)

  it("an error far below is told in time that grows with the way, not with its square", function()
    passes(([[
      local top = {}
      local t = top
      for _ = 1, 200000 do t.next = {} t = t.next end
      t.co = coroutine.create(print)
      local c, start = goro.chan(1), os.clock()
      local _, err = pcall(c.send, c, top)
      assert(err:sub(-17) == ".next.co (thread)")
      assert(os.clock() - start < %g)
    ]]):format(helper.limit(3)))
  end)

  it("a global is not left behind when there is no memory to look for it", function()
    passes [[
      local testing = require "goro.testing"
      function needed() return 1 end
      local c, n = goro.chan(1), 0
      local function f() return needed() end
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok = pcall(c.send, c, f)
        local made = testing.fail_at(0)
        if ok then
          local there = goro.run(function() return c:recv()() end)
          assert(there == 1)
        end
      until made < n
    ]]
  end)

  it("an object that a finalizer makes while its state is closed is let go", function()
    passes [[
      local testing = require "goro.testing"
      local function one()
        goro.run(function()
          setmetatable({}, { __gc = function() goro.chan(1):send { goro.chan() } end })
        end)
      end
      for _ = 1, 3 do one() end
      goro.sleep(0.05)
      collectgarbage()
      local before = testing.live()
      for _ = 1, 20 do one() end
      goro.sleep(0.05)
      collectgarbage()
      assert(testing.live() - before < 20, testing.live() - before)
    ]]
  end)
end)
