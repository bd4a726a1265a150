-- SPDX-License-Identifier: MIT
-- Copying: the second message with a class does not carry it again, and nobody sees the difference.
--
-- goro.testing.weigh packs a value as for a message, which counts as sending it, and tells how many classes went along and how many were linked to.

local helper = require "spec.helper"
local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("a class that is sent again", function()
  it("is not carried from the second message on, and weighs nothing then", function()
    passes_anywhere(function()
      local _, testing = require "goro", require "goro.testing"
      local Account, Base, fee = {}, { kind = "base" }, 3
      Base.__index, Account.__index = Base, Account
      setmetatable(Account, Base)
      for i = 1, 50 do Account["method" .. i] = function(self) return Account, self, fee, i, print(i) end end
      local object = setmetatable({ 1 }, Account)
      local plain = testing.weigh { 1 }
      local first, _, carried, linked = testing.weigh(object)
      assert(carried == 2 and linked == 0 and first > 5000)
      for _ = 1, 5 do
        local bytes
        bytes, _, carried, linked = testing.weigh(object)
        assert(carried == 0 and linked == 1 and bytes < plain + 100, bytes)
      end
    end)
  end)

  it("arrives whole wherever it is met for the first time, and is one class everywhere", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Base, Account, made = { kind = "base" }, {}, 0
      Base.__index, Account.__index = Base, Account
      setmetatable(Account, Base)
      function Account.new(n)
        made = made + 1
        return setmetatable({ n = n }, Account)
      end
      function Account.made() return made end
      function Account:get() return string.format("%d %s", self.n, self.kind) end
      local c, back = goro.chan(20), goro.chan()
      local objects = {}
      for i = 1, 12 do objects[i] = Account.new(i) end
      for _, o in ipairs(objects) do c:send(o) end
      local here = c:recv(0)
      assert(rawequal(getmetatable(here), Account))
      -- Two that share a record, neither of which has seen the class carried; then each once more.
      for i = 2, 12 do
        goro.go(function()
          local o = c:recv(20)
          local another = o.new(o.n + 1)
          local fine = o:get() == ("%d base"):format(o.n) and rawequal(getmetatable(o), getmetatable(another)) and o.made() == 13
          back:try_send({ fine, o, another }, 20)
        end)
        local r = back:recv(20)
        assert(r[1] == true and rawequal(getmetatable(r[2]), Account) and r[3].n == i + 1 and r[2]:get() == i .. " base")
      end
      assert(made == 12)
    end)
  end)

  it("is the receiver's own for a receiver that has met it, by whatever way", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Class = { data = { 1 } }
      Class.__index = Class
      local c, back = goro.chan(), goro.chan()
      goro.go(function(argument)
        local class = getmetatable(argument)
        class.mine = true
        for _ = 1, 5 do
          local o = c:recv(20)
          back:try_send(rawequal(getmetatable(o), class) and o.mine and rawequal(o.data, argument.data) and rawequal(class, Class), 20)
          back:try_send(o, 20) -- and back to its owner
        end
      end, setmetatable({}, Class))
      for _ = 1, 5 do
        c:try_send(setmetatable({}, Class), 20)
        assert(back:recv(20) == true)
        local o = back:recv(20)
        assert(rawequal(getmetatable(o), Class) and not o.mine)
      end
    end)
  end)

  it("is received after its sender has ended", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(10)
      goro.run(function()
        local up = 5
        local Class = { get = function(self) return self[1] + up end }
        Class.__index = Class
        for i = 1, 10 do c:send(setmetatable({ i }, Class)) end
      end)
      collectgarbage()
      c:recv(0)
      assert(goro.run(function() return c:recv(0):get() end) == 7)
      local class = getmetatable((c:recv(0)))
      for i = 4, 10 do
        local o = c:recv(0)
        assert(rawequal(getmetatable(o), class) and o:get() == i + 5)
      end
    end)
  end)
end)

describe("a class that has changed since", function()
  local CHANGES = {
    ["a field"] = "C.field = 2",
    ["a new field"] = "C.new = 2",
    ["a field that is gone"] = "C.field = nil",
    ["a method"] = "C.get = function() return 2 end",
    ["a captured variable"] = "C.set(2)",
    ["a captured variable's variable"] = "debug.upvaluejoin(C.get, 1, function() return other end, 1)",
    ["a field of a table in it"] = "C.t.deep.x = 2",
    ["a key of a table in it"] = "C.t.deep[{}] = 2",
    ["an integer that becomes a float"] = "C.number = 1.0",
    ["the sign of a zero"] = "C.zero = -0.0",
    ["its metatable"] = "setmetatable(C, { __index = { inherited = 2 } })",
    ["a field of its metatable"] = "B.inherited = 2",
    ["a global that it names"] = "helper = function() return 2 end",
    ["a global that was not there"] = "late = 2",
    ["a standard global"] = "assert = function() return 2 end",
    ["a function that a module owns no more"] = "require 'kept'.f = nil",
  }
  local body = [[
    local goro, kit = require "goro", require "spec.copy_helper"
    local _ <close> = kit.modules { kept = "return { f = function() return 1 end }" }
    local n, other = 1, 2
    B = { inherited = 1 }
    B.__index = B
    C = setmetatable({ field = 1, number = 1, zero = 0.0, t = { deep = { x = 1 } }, kept = require "kept".f }, B)
    C.__index = C
    function C.get() return n end
    function C.set(x) n = x end
    function C.call() return helper(), late, select("#", assert(true)), rawequal(assert, rawget(_G, "assert")) end
    function helper() return 1 end
    local function describe(o)
      local count = 0
      for _ in pairs(o.t.deep) do count = count + 1 end
      local a, b, c = o.call()
      return table.concat({ tostring(o.field), tostring(o.new), o.get(), tostring(o.number), tostring(o.zero), tostring(o.t.deep.x), count,
        tostring(o.inherited), a, tostring(b), c, tostring(o.kept and o.kept()) }, " ")
    end
    local c = goro.chan(10)
    local function there() return goro.run(function() return describe((c:recv(0))) end) end
    for _ = 1, 3 do c:send(setmetatable({}, C)) end
    local before = describe(setmetatable({}, C))
    for _ = 1, 3 do kit.eq(before, there()) end
    %s
    local after = describe(setmetatable({}, C))
    c:send(setmetatable({}, C))
    kit.eq(after, there())
    c:send(setmetatable({}, C))
    kit.eq(after, there())
    assert(%s)
  ]]
  for what, change in pairs(CHANGES) do
    it("goes as it is now: " .. what, function()
      helper.passes_script(body:format(change, what:find "module" and "true" or "before ~= after"))
    end)
  end

  it("is carried in every message when it changes all the time, and no more when that ends", function()
    passes_anywhere(function()
      local goro, testing = require "goro", require "goro.testing"
      local Class = { n = 0 }
      Class.__index = Class
      for i = 1, 50 do Class["method" .. i] = function() return i end end
      local c = goro.chan(1)
      for i = 1, 100 do
        Class.n = i
        c:send(setmetatable({}, Class))
        if i % 10 == 0 then assert(goro.run(function() return c:recv(0).n end) == i) else c:recv(0) end
      end
      local carried, linked = 0, 0
      for _ = 1, 10000 do
        local _, _, more, links = testing.weigh(setmetatable({}, Class))
        carried, linked = carried + more, linked + links
      end
      assert(carried + linked == 10000 and linked > 5000, linked)
    end)
  end)
end)

describe("what a message shares with a class", function()
  it("is one thing in the receiver: tables, functions, variables", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n, part = 0, { x = 1 }
      local C = { part = part, list = {} }
      C.__index = C
      function C.count() n = n + 1 return n end
      local function reset() n = 100 end
      local c = goro.chan(10)
      local function fine(m)
        local o, class = m[1], getmetatable(m[1])
        m.reset()
        return rawequal(o.part, m.part) and rawequal(class.count, m.count) and o.count() == 101 and rawequal(m.class(), class)
      end
      for _ = 1, 5 do c:send(setmetatable({}, C)) end
      for i = 1, 3 do
        c:send { setmetatable({}, C), part = part, count = C.count, reset = reset, class = function() return C end }
        if i == 1 then for _ = 1, 5 do c:recv(0) end end
        assert(goro.run(function() return fine((c:recv(0))) end))
      end
      -- One of them alone, and before the object.
      for _, v in ipairs { part, C.count, reset, C } do
        c:send { v, setmetatable({}, C) }
        assert(goro.run(function()
          local m = c:recv(0)
          local x, class = m[1], getmetatable(m[2])
          if type(x) == "table" then return rawequal(x, class) or rawequal(x, class.part) end
          x()
          return rawequal(x, class.count) and class.count() == n + 2 or class.count() == 101
        end))
      end
      -- An object that its class lists.
      local o = setmetatable({}, C)
      C.list[1] = o
      for _ = 1, 3 do
        c:send(o)
        assert(goro.run(function()
          local x = c:recv(0)
          return rawequal(getmetatable(x).list[1], x)
        end))
      end
    end)
  end)

  it("comes with a global that both name", function()
    passes_anywhere(function()
      local goro = require "goro"
      local C = {}
      C.__index = C
      state = { 1 } -- luacheck: ignore
      function C.get() return state end -- luacheck: ignore
      local function get() return state end -- luacheck: ignore
      local c = goro.chan(10)
      for _ = 1, 3 do
        c:send { setmetatable({}, C), get }
        c:send(setmetatable({}, C))
      end
      for _ = 1, 3 do
        assert(goro.run(function()
          local m = c:recv(0)
          return rawequal(m[1].get(), m[2]()) and m[2]()[1] == 1
        end))
        assert(goro.run(function() return c:recv(0).get()[1] == 1 end))
      end
    end)
  end)

  it("is one thing for two classes too, which get one record", function()
    passes_anywhere(function()
      local goro, testing = require "goro", require "goro.testing"
      local Shape, shared, n = { area = function() return 0 end }, { 1 }, 0
      Shape.__index = Shape
      local classes = {}
      for i = 1, 8 do
        local Class = setmetatable({ shared = shared, id = i }, Shape)
        Class.__index = Class
        function Class.count() n = n + 1 return n end
        classes[i] = Class
      end
      local function objects()
        local list = {}
        for i, Class in ipairs(classes) do list[i] = setmetatable({}, Class) end
        return list
      end
      for _, o in ipairs(objects()) do
        testing.weigh(o)
        local _, _, carried, linked = testing.weigh(o)
        assert(carried == 0 and linked == 1)
      end
      local c = goro.chan(1)
      for i = 1, 5 do
        local _, _, carried, linked = testing.weigh(objects())
        assert(carried == 0 and linked == #classes, linked)
        if i > 3 then shared[1] = i end
        c:send(objects())
        assert(goro.run(function()
          local list = c:recv(0)
          local first = list[1]
          for j, o in ipairs(list) do
            assert(o.id == j and rawequal(o.shared, first.shared) and o.count() == j and o.area() == 0)
          end
          return first.shared[1]
        end) == (i > 3 and i or 1))
      end
      n = 50
      c:send(objects()[3])
      assert(goro.run(function() return c:recv(0).count() end) == 51)
    end)
  end)

  it("is one thing for more classes than can have one record", function()
    passes_anywhere(function()
      local goro, testing = require "goro", require "goro.testing"
      local base, list = { __index = { hello = function() return "hello" end } }, {}
      base.shared = base.__index
      for i = 1, 100 do list[i] = setmetatable({ i }, { __index = base.__index }) end
      local c = goro.chan(1)
      for _ = 1, 4 do
        c:send(list)
        assert(goro.run(function()
          local l = c:recv(0)
          for i, o in ipairs(l) do
            if o[1] ~= i or not rawequal(getmetatable(o).__index, getmetatable(l[1]).__index) or o.hello() ~= "hello" then return i end
          end
          return true
        end) == true)
      end
      testing.weigh(list)
    end)
  end)
end)

describe("what cannot be recorded", function()
  it("goes along: weak tables, what has __goro, globals that an __index makes up", function()
    passes(function()
      local goro, testing = require "goro", require "goro.testing"
      local weak = { list = setmetatable({}, { __mode = "k" }) }
      local calls = 0
      local made = { one = setmetatable({}, { __goro = function()
        calls = calls + 1
        return function() return "made" end
      end }) }
      for i, C in ipairs { weak, made } do
        C.__index = C
        local c = goro.chan(10)
        for _ = 1, 5 do c:send(setmetatable({}, C)) end
        for _ = 1, 5 do
          assert(goro.run(function()
            local o = c:recv(0)
            return i == 1 and type(o.list) == "table" or o.one == "made"
          end))
        end
        local _, _, carried, linked = testing.weigh(setmetatable({}, C))
        assert(carried == 1 and linked == 2 - i) -- { __mode = "k" } is a class too
      end
      assert(calls == 6)
      local key = {}
      weak.list[key] = 1
      testing.weigh(setmetatable({}, weak))
      key = nil -- luacheck: ignore
      collectgarbage()
      assert(next(weak.list) == nil)
      local C = { get = function() return made_up end } -- luacheck: ignore
      C.__index = C
      setmetatable(_G, { __index = function(_, name) return name == "made_up" and "made up" or nil end })
      local c = goro.chan(10)
      for _ = 1, 5 do c:send(setmetatable({}, C)) end
      for _ = 1, 5 do assert(goro.run(function() return c:recv(0).get() end) == "made up") end
    end)
  end)

  it("is told with its path, as ever", function()
    passes_anywhere(function()
      local _, testing = require "goro", require "goro.testing"
      local C = { ok = true }
      C.__index = C
      for _ = 1, 3 do testing.weigh(setmetatable({}, C)) end
      C.co = coroutine.create(print)
      for _ = 1, 5 do
        local ok, e = pcall(testing.weigh, { a = setmetatable({}, C) })
        assert(not ok and e:find("cannot send message.a.<metatable>.co (thread)", 1, true), e)
      end
      C.co = nil
      testing.weigh(setmetatable({}, C))
    end)
  end)
end)

describe("memory", function()
  it("of records goes with their classes, however many there are", function()
    passes(function()
      local kit, goro, testing = require "spec.copy_helper", require "goro", require "goro.testing"
      local c = goro.chan(1)
      local proto = { __index = { text = ("x"):rep(1000) } }
      local function sent(n)
        for i = 1, n do
          local class = { ("x"):rep(1000), i, get = function() return i end }
          class.__index = class
          setmetatable(class, proto)
          for _ = 1, 4 do
            c:send { setmetatable({}, class), setmetatable({}, proto) }
            local o = c:recv(0)[1]
            assert(o[2] == i and o.get() == i)
          end
        end
        for _ = 1, 4 do collectgarbage() end
        return testing.live()
      end
      sent(kit.rounds(300))
      local before = sent(kit.rounds(300))
      local after = sent(kit.rounds(3000))
      assert(after < before + 200, ("%d blocks, then %d"):format(before, after))
    end)
  end)

  it("that runs out anywhere leaves all as it was", function()
    passes(function()
      local _, testing = require "goro", require "goro.testing"
      local function class(base)
        local C = setmetatable({ get = function() return base end }, base)
        C.__index = C
        return C
      end
      local function round(at)
        local A = class()
        local B, D = class(A), class(A)
        local mixed = { setmetatable({}, B), setmetatable({}, D) }
        testing.fail_at(at)
        for _ = 1, 4 do pcall(testing.weigh, mixed[1]) pcall(testing.weigh, mixed[2]) pcall(testing.weigh, mixed) end
        local n = testing.fail_at(0)
        local _, _, carried, linked = testing.weigh(mixed)
        assert(carried + linked >= 2)
        return n
      end
      local n = round(0)
      for at = 1, n do round(at) end
      for _ = 1, 4 do collectgarbage() end
      local before = testing.live()
      for at = 1, n do round(at) end
      for _ = 1, 4 do collectgarbage() end
      assert(testing.live() <= before + 20, ("%d blocks, then %d"):format(before, testing.live()))
    end)
  end)

  it("is shared by receivers on other threads, which come and go", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      goro.maxprocs(4)
      local c, done = goro.chan(8), goro.chan(8)
      local Class, n = {}, 0
      Class.__index = Class
      for i = 1, 20 do Class["method" .. i] = function(self) n = n + 1 return self[1] + i end end
      local rounds = kit.rounds(400)
      for _ = 1, rounds do
        goro.go(function()
          local a, b = c:recv(60), c:recv(60)
          done:try_send({ a:method1() - 1 + b:method2() - 2, a, rawequal(getmetatable(a), getmetatable(b)) }, 60)
        end)
      end
      goro.go(function()
        for i = 1, 2 * rounds do
          if i % 50 == 0 then Class.version = i end
          c:try_send(setmetatable({ i }, Class), 60)
        end
      end)
      local sum = 0
      for _ = 1, rounds do
        local m = done:recv(60)
        assert(m[3] and rawequal(getmetatable(m[2]), Class))
        sum = sum + m[1]
      end
      assert(sum == rounds * (2 * rounds + 1))
    end)
  end)
end)
