-- SPDX-License-Identifier: MIT
-- Copying: metatables and classes, by module or kept once in each state, and values with a `__goro` metamethod.
--
-- A class of a module is the receiver's own, by `require`. Any other class crosses once to each state and is the
-- same table there ever after, also when it comes back. The tests ask both with rawequal, after each kind of journey.
-- luacheck: ignore 431

local helper = require "spec.helper"
local script_anywhere = require "spec.copy_helper".script_anywhere

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("a metatable that a module owns", function()
  it("is the receiver's own: the module itself, or a field of it", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        account = [[
          local Account = {}
          Account.__index = Account
          function Account.new(n) return setmetatable({ balance = n }, Account) end
          function Account:get() return self.balance end
          function Account.__eq(a, b) return a.balance == b.balance end
          function Account.__lt(a, b) return a.balance < b.balance end
          return Account
        ]],
        shapes = [[
          local M = { Point = { __tostring = function(p) return "point " .. p.x end } }
          M.Point.__index = M.Point
          function M.Point:double() return self.x * 2 end
          return M
        ]],
      }
      local Account, shapes = require "account", require "shapes"
      local a = Account.new(5)
      local p = setmetatable({ x = 3 }, shapes.Point)
      assert(goro.run(function(o)
        local class = require "account"
        local mine = class.new(5)
        return rawequal(getmetatable(o), class) and rawequal(o.get, class.get) and o:get() == 5
          and o == mine and not rawequal(o, mine) and o < class.new(6)
      end, a))
      assert(goro.run(function(o)
        local class = require "shapes".Point
        return rawequal(getmetatable(o), class) and rawequal(o.double, class.double) and o:double() == 6
          and tostring(o) == "point 3"
      end, p))
      for _, way in ipairs(kit.ways) do
        kit.eq(Account, getmetatable(way.through(a)), way.name)
        kit.eq(shapes.Point, getmetatable(way.through(p)), way.name)
        kit.eq(shapes.Point, way.through(shapes.Point), way.name .. ", the class itself")
      end
    end)
  end)

  it("is required on demand by whoever receives an object", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules { account = [[local A = {} A.__index = A return A]] }
      local object = setmetatable({}, require "account")
      local there, back = goro.chan(), goro.chan()
      goro.go(function()
        local before = package.loaded.account
        local o = there:recv(20)[1][1]
        back:send(before == nil and getmetatable(o) == package.loaded.account)
      end)
      assert(there:try_send({ { object } }, 20) and back:recv(20) == true)
    end)
  end)

  it("leaves behind changes made to the class at run time", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        account = [[local A = {} A.__index = A function A.name() return "original" end return A]],
      }
      local Account = require "account"
      function Account.name() return "changed" end
      function Account.extra() end
      local o = setmetatable({}, Account)
      assert(goro.run(function(x) return x.name() == "original" and x.extra == nil end, o))
      assert(o.name() == "changed")
    end)
  end)

  it("works for classes that inherit across modules", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        base = [[local B = {} B.__index = B function B:hello() return "hello " .. self.name end return B]],
        sub = [[
          local S = setmetatable({}, { __index = require "base" })
          S.__index = S
          function S.new(name) return setmetatable({ name = name }, S) end
          return S
        ]],
      }
      local o = require "sub".new "you"
      assert(goro.run(function(x)
        return x:hello() == "hello you" and x.hello == require "base".hello and getmetatable(x) == require "sub"
      end, o))
    end)
  end)

  it("is copied when the module was put into package.loaded by hand", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Account = { name = "by hand" }
      Account.__index = Account
      package.loaded["account.by.hand"] = Account
      local o = setmetatable({}, Account)
      local back = goro.run(function(x, y)
        assert(x.name == "by hand" and getmetatable(x) == getmetatable(y))
        return x
      end, o, setmetatable({}, Account))
      assert(rawequal(getmetatable(back), Account))
    end)
  end)
end)

describe("any other metatable", function()
  it("arrives, and comes back as the very same, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local plain, indexed = {}, { __index = { x = 1 } }
      for _, mt in ipairs { plain, indexed } do
        for _, way in ipairs(kit.ways) do
          local o = setmetatable({ 1 }, mt)
          local back = way.through(o)
          assert(not rawequal(o, back) and back[1] == 1, way.name)
          kit.eq(mt, getmetatable(back), way.name)
        end
      end
    end)
  end)

  it("is equal to a captured class, for arguments, upvalues and messages", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Account = {}
      Account.__index = Account
      function Account.new(n) return setmetatable({ balance = n }, Account) end
      function Account:get() return self.balance end

      local c, back = goro.chan(1), goro.chan()
      local captured = Account.new(1)
      c:send { Account.new(3), Account }
      goro.go(function(argument)
        local message = c:recv(20)
        local mine = Account.new(4)
        local same = true
        for i, o in ipairs { captured, argument, message[1], mine } do
          same = same and rawequal(getmetatable(o), Account) and o:get() == i and rawequal(o.get, Account.get)
        end
        back:send(same and rawequal(message[2], Account))
        back:send(mine)
      end, Account.new(2))
      assert(back:recv(20) == true)
      local mine = back:recv(20)
      assert(rawequal(getmetatable(mine), Account) and mine:get() == 4)
    end)
  end)

  it("is one table in a state for messages from several senders, long after each other", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Account = { kind = "account" }
      Account.__index = Account
      local c, go_on, result = goro.chan(), goro.chan(), goro.chan()
      goro.go(function()
        local first = getmetatable((c:recv(20)))
        local same = first.kind == "account"
        for _ = 1, 5 do
          go_on:try_send(true, 20)
          collectgarbage()
          same = same and rawequal(getmetatable((c:recv(20))), first)
        end
        result:send(same)
      end)
      assert(c:try_send(setmetatable({}, Account), 20))
      for i = 1, 5 do
        go_on:recv(20)
        if i % 2 == 0 then
          assert(c:try_send(setmetatable({}, Account), 20))
        else
          goro.go(function(o)
            -- Two states away from where it was made.
            require "goro".go(function() c:try_send(o, 20) end)
          end, setmetatable({}, Account))
        end
      end
      assert(result:recv(20) == true)
    end)
  end)

  it("keeps the identity of a class made in a goroutine, in every other state", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        local Class = { kind = "inner" }
        Class.__index = Class
        for _ = 1, 3 do c:try_send(setmetatable({}, Class), 20) end
        c:try_send(Class, 20)
      end)
      local a, b = c:recv(20), c:recv(20)
      assert(a.kind == "inner" and rawequal(getmetatable(a), getmetatable(b)))
      -- A third state gets one by way of this one, one straight from its maker.
      assert(goro.run(function(x) return rawequal(getmetatable((c:recv(20))), getmetatable(x)) end, a))
      assert(rawequal(c:recv(20), getmetatable(a)))
    end)
  end)

  it("makes objects that arrived apart equal and comparable", function()
    passes_anywhere(function()
      local goro = require "goro"
      local V = {}
      V.__index = V
      function V.new(n) return setmetatable({ n = n }, V) end
      function V.__eq(a, b) return rawequal(getmetatable(a), getmetatable(b)) and a.n == b.n end
      function V.__lt(a, b) return a.n < b.n end
      function V.__le(a, b) return a.n <= b.n end
      function V.__add(a, b) return V.new(a.n + b.n) end
      function V.__concat(a, b) return a.n .. "," .. b.n end
      function V.__call(self, x) return self.n + x end
      function V.__len(self) return self.n end
      function V.__unm(self) return V.new(-self.n) end
      function V:__tostring() return "V" .. self.n end
      local c, back = goro.chan(3), goro.chan()
      c:send(V.new(1))
      c:send(V.new(1))
      c:send(V.new(2))
      goro.go(function()
        local a, b, d = c:recv(20), c:recv(20), c:recv(20)
        local fine = a == b and a ~= d and a < d and a <= b and (a + d).n == 3 and a .. d == "1,2" and a(5) == 6
          and #d == 2 and (-d).n == -2 and tostring(d) == "V2"
        back:send { fine, a + d }
      end)
      local r = back:recv(20)
      assert(r[1] == true and r[2] == V.new(3) and getmetatable(r[2]) == V)
    end)
  end)

  it("keeps inheritance chains", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Base = { level = "base" }
      function Base:hello() return "hello " .. self.name end
      local Sub = setmetatable({}, { __index = Base })
      Sub.__index = Sub
      local SubSub = setmetatable({}, Sub)
      SubSub.__index = SubSub
      function SubSub:name_of() return self.name .. self.level end
      local o = setmetatable({ name = "x" }, SubSub)
      local back = goro.run(function(x)
        assert(x:hello() == "hello x" and x:name_of() == "xbase")
        local class = getmetatable(x)
        assert(class == SubSub and getmetatable(class) == Sub and getmetatable(Sub).__index == Base)
        x.name = "y"
        return x
      end, o)
      assert(back:hello() == "hello y" and rawequal(getmetatable(back), SubSub) and o.name == "x")
      assert(getmetatable(SubSub) == Sub and getmetatable(Sub).__index == Base)
    end)
  end)

  it("leaves later changes to its fields behind, in both directions", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Class = { version = 1 }
      Class.__index = Class
      local function new() return setmetatable({}, Class) end
      local c, seen = goro.chan(), goro.chan()
      goro.go(function()
        local a = c:recv(20)
        seen:try_send(a.version, 20)
        local b = c:recv(20)
        seen:try_send(b.version == 1 and b.extra == nil and rawequal(getmetatable(a), getmetatable(b)), 20)
        getmetatable(b).version = 3
        seen:try_send(b, 20)
      end)
      assert(c:try_send(new(), 20) and seen:recv(20) == 1)
      Class.version, Class.extra = 2, true
      assert(c:try_send(new(), 20) and seen:recv(20) == true)
      local back = seen:recv(20)
      assert(rawequal(getmetatable(back), Class) and back.version == 2 and Class.version == 2)
    end)
  end)

  it("keeps what the class holds, upvalues that methods share and the class itself among them", function()
    passes_anywhere(function()
      local goro = require "goro"
      local Counter, made = {}, 0
      Counter.__index = Counter
      Counter.defaults = { step = 2, list = { Counter } }
      function Counter.new()
        made = made + 1
        return setmetatable({ n = 0 }, Counter)
      end
      function Counter.made() return made end
      function Counter:step() self.n = self.n + self.defaults.step return self.n end
      local o = Counter.new()
      assert(goro.run(function(x)
        local class = getmetatable(x)
        local another = class.new()
        return class.made() == 2 and getmetatable(another) == class and another:step() == 2 and x:step() == 2
          and class.defaults.list[1] == class
      end, o))
      assert(Counter.made() == 1)
    end)
  end)

  it("is taken raw: a protected one too, and a weak one", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local locked = setmetatable({}, { __metatable = "locked", __index = { x = 1 } })
      assert(goro.run(function(t) return getmetatable(t) == "locked" and t.x == 1 and not pcall(setmetatable, t, {}) end, locked))
      local weak = setmetatable({}, { __mode = "k" })
      local key = {}
      weak[key] = 1
      assert(goro.run(function(t, k)
        collectgarbage()
        return getmetatable(t).__mode == "k" and t[k] == 1
      end, weak, key))
      kit.eq(1, kit.count(weak))
    end)
  end)

  it("loses entries of weak tables in the receiver as anywhere", function()
    passes_anywhere(function()
      local goro = require "goro"
      collectgarbage "stop"
      local weak = setmetatable({ {}, {}, [{}] = 1 }, { __mode = "kv" })
      local strong = { weak[1] }
      assert(goro.run(function(w, s)
        collectgarbage()
        local n = 0
        for _ in pairs(w) do n = n + 1 end
        return n == 1 and w[1] == s[1]
      end, weak, strong))
    end)
  end)

  it("survives in a full state: many classes, each once", function()
    passes(function()
      local goro = require "goro"
      local classes, objects = {}, {}
      for i = 1, 2000 do
        local class = { id = i }
        class.__index = class
        classes[i], objects[i] = class, setmetatable({}, class)
      end
      local back = goro.run(function(list)
        for i, o in ipairs(list) do
          assert(o.id == i and getmetatable(o) == classes[i])
          list[i] = setmetatable({ again = true }, getmetatable(o))
        end
        collectgarbage()
        return list
      end, objects)
      for i, o in ipairs(back) do assert(o.again and rawequal(getmetatable(o), classes[i])) end
    end)
  end)

  it("is forgotten with its last object: sending new classes for ever takes no memory", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan(1)
      local function sent(n)
        for i = 1, n do
          c:send(setmetatable({}, { __index = { ("x"):rep(1000), i } }))
          assert(c:recv(0)[2] == i)
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      local before = sent(500)
      local after = sent(kit.rounds(20000))
      assert(after < before + 2000, ("%.0f KB, then %.0f KB"):format(before, after))
    end)
  end)
end)

describe("a class sent as a value", function()
  local EVENTS = {
    "__index", "__newindex", "__call", "__tostring", "__eq", "__lt", "__le", "__len", "__concat", "__close",
    "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__idiv", "__band", "__bor", "__bxor", "__shl",
    "__shr", "__bnot",
  }

  for _, event in ipairs(EVENTS) do
    it("is known by " .. event .. " and keeps its identity", function()
      helper.passes_script(([[
        local kit, goro = require "spec.copy_helper", require "goro"
        local class = { %s = function() return 7 end, data = { 1 } }
        for _, way in ipairs(kit.ways) do kit.eq(class, way.through(class), way.name) end
        local c, back = goro.chan(), goro.chan()
        goro.go(function()
          local a, b = c:recv(20), c:recv(20)
          back:send(rawequal(a, b) and a.%s() == 7 and a.data[1] == 1)
        end)
        assert(c:try_send(class, 20) and c:try_send(class, 20) and back:recv(20) == true)
      ]]):format(event, event))
    end)
  end

  it("is one with the metatable of objects sent before or after it", function()
    passes_anywhere(function()
      local goro = require "goro"
      local function class()
        local C = {}
        C.__index = C
        return C
      end
      local A, B = class(), class()
      local c = goro.chan(4)
      c:send(setmetatable({}, A))
      c:send(A)
      c:send(B)
      c:send { setmetatable({}, B), [B] = true }
      assert(goro.run(function()
        local a, class_a, class_b, t = c:recv(20), c:recv(20), c:recv(20), c:recv(20)
        return getmetatable(a) == class_a and getmetatable(t[1]) == class_b and t[class_b]
      end))
    end)
  end)

  it("may have __gc: only its objects are refused", function()
    passes_anywhere(function()
      local goro = require "goro"
      local closed = goro.chan(8)
      local File = {}
      File.__index = File
      File.__gc = function(self) closed:send(self.name) end
      local back = goro.run(function(class)
        setmetatable({ name = "inner" }, class)
        setmetatable({ name = "captured" }, File)
        collectgarbage()
        return class
      end, File)
      assert(rawequal(back, File))
      local a, b = closed:recv(20), closed:recv(20)
      assert((a == "inner" and b == "captured") or (a == "captured" and b == "inner"))
    end)
  end)

  it("tells tables without metamethods apart: they are copied each time", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, t = goro.chan(2), { index = 1, _index = 2, __private = 3, ["__in dex"] = 4 }
      c:send(t)
      c:send(t)
      local a, b = c:recv(0), c:recv(0)
      assert(a ~= t and b ~= t and a ~= b and a.__private == 3)
    end)
  end)
end)

describe("__goro", function()
  it("builds the value in the receiver, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local Handle = {}
      Handle.__index = Handle
      function Handle.open(name, mode, ...)
        return setmetatable({ name = name, mode = mode, extra = select("#", ...), cache = {} }, Handle)
      end
      function Handle.__goro(h) return Handle.open, h.name, h.mode, nil, nil end
      for _, way in ipairs(kit.ways) do
        local h = Handle.open("a", "r")
        h.cache.big, h.private = true, coroutine.create(print)
        local x = way.through(h)
        assert(x.name == "a" and x.mode == "r" and x.private == nil and next(x.cache) == nil, way.name)
        assert(x.extra == 2, way.name)
        kit.eq(Handle, getmetatable(x), way.name)
      end
    end)
  end)

  it("is called by the sender with the value, its function by the receiver", function()
    script_anywhere [[
      local goro = require "goro"
      place = "sender"
      local asked
      local mt = { __goro = function(v)
        asked = place .. v.n
        return function(n) return { n = n, built = rawget(_G, "place") } end, v.n
      end }
      local back = goro.chan()
      local there = goro.chan()
      goro.go(function()
        rawset(_G, "place", "receiver")
        local x = there:recv(20)
        back:send { x.n, x.built }
      end)
      assert(there:try_send(setmetatable({ n = 5 }, mt), 20))
      local r = back:recv(20)
      assert(asked == "sender5" and r[1] == 5 and r[2] == "receiver")
    ]]
  end)

  it("takes functions of modules by name", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        db = [[
          local DB = {}
          DB.__index = DB
          function DB.connect(dsn) return setmetatable({ dsn = dsn, id = {} }, DB) end
          function DB.__goro(db) return DB.connect, db.dsn end
          function DB.__gc() end
          return DB
        ]],
      }
      local DB = require "db"
      local x = goro.run(function(db)
        local own = require "db"
        assert(getmetatable(db) == own and db.dsn == "host=a")
        return db
      end, DB.connect "host=a")
      assert(getmetatable(x) == DB and x.dsn == "host=a")
    end)
  end)

  it("may build anything: another type, nil, the first of several values", function()
    passes_anywhere(function()
      local goro = require "goro"
      local function object(...)
        local values = table.pack(...)
        return setmetatable({}, { __goro = function() return function() return table.unpack(values, 1, values.n) end end })
      end
      assert(goro.run(function(x) return x end, object(5, 6)) == 5)
      assert(goro.run(function(x) return x end, object "s") == "s")
      assert(goro.run(function(...) return select("#", ...) == 2 and (...) == nil end, object(nil), 1))
      assert(goro.run(function(t) return t.a == false and t.b[1] == 1 and t.c == 3 end,
        { a = object(false), b = object { 1 }, c = 3 }))
    end)
  end)

  it("builds one value for all references in a message", function()
    passes_anywhere(function()
      local goro = require "goro"
      local o = setmetatable({}, { __goro = function() return function() return {} end end })
      local p = setmetatable({}, getmetatable(o))
      assert(goro.run(function(t, x) return t[1] == t[2] and t[1] == x and t[3] ~= x and t[x] == 1 end, { o, o, p, [o] = 1 }, o))
    end)
  end)

  it("is nested: arguments and upvalues of the builder may have it too", function()
    passes_anywhere(function()
      local goro = require "goro"
      local mt = {}
      local function node(name, child) return setmetatable({ name = name, child = child }, mt) end
      function mt.__goro(v) return function(name, child) return { built = name, child = child } end, v.name, v.child end
      local inner = node("inner")
      local captured = setmetatable({}, { __goro = function()
        return function() return { inner } end
      end })
      local x = goro.run(function(a) return a end, node("outer", node("middle", inner)))
      assert(x.built == "outer" and x.child.built == "middle" and x.child.child.built == "inner" and not x.child.child.child)
      assert(goro.run(function(a) return a[1].built end, captured) == "inner")
    end)
  end)

  it("is nested deep: right, or an error", function()
    passes(function()
      local goro = require "goro"
      local mt = {}
      function mt.__goro(v) return function(child) return { child } end, v.child end
      local function nested(depth)
        local v = "end"
        for _ = 1, depth do v = setmetatable({ child = v }, mt) end
        return v
      end
      local function measure(v)
        local n = 0
        while type(v) == "table" do
          v, n = v[1], n + 1
        end
        return v == "end" and n
      end
      assert(goro.run(measure, nested(20)) == 20)
      for _, depth in ipairs { 100, 150, 180, 190, 200, 1000, 100000 } do
        local ok, n = pcall(goro.run, measure, nested(depth))
        assert(ok and n == depth or not ok and n:find "overflow", n)
      end
      assert(goro.run(measure, nested(20)) == 20)
    end)
  end)

  it("comes to an end when a value is an argument of its own builder", function()
    passes(function()
      local goro = require "goro"
      local calls = 0
      local o = setmetatable({}, { __goro = function(v)
        calls = calls + 1
        return function(x) return { x } end, v
      end })
      -- It cannot be built before it is built; whatever comes of it, it comes soon.
      pcall(goro.run, function(x) return x[1] end, o)
      assert(calls >= 1 and calls < 1000)
    end)
  end)

  it("works for userdata that has it", function()
    passes_anywhere(function()
      local goro = require "goro"
      local name = os.tmpname()
      local file = assert(io.open(name, "w+"))
      file:write "content"
      file:flush()
      local mt = getmetatable(file)
      mt.__goro = function(f) return io.open, f == file and name or "/nonexistent", "r" end
      local content = goro.run(function(f) return io.type(f) == "file" and f:read "a" end, file)
      os.remove(name)
      mt.__goro = nil
      assert(content == "content")
    end)
  end)

  it("allows what __gc alone would refuse", function()
    passes_anywhere(function()
      local goro = require "goro"
      local mt = { __gc = function() end }
      local o = setmetatable({ n = 1 }, mt)
      assert(not pcall(goro.run, function() end, o))
      mt.__goro = function(v) return function(n) return { n = n } end, v.n end
      assert(goro.run(function(x) return x.n end, o) == 1)
    end)
  end)

  it("may block, in the sender and in the receiver", function()
    passes_anywhere(function()
      local goro = require "goro"
      local o = setmetatable({}, { __goro = function()
        goro.sleep(0.001)
        return function()
          goro.sleep(0.001)
          return "built"
        end
      end })
      assert(goro.run(function(x) return x end, o) == "built")
      local c = goro.chan(1)
      c:send(o)
      assert(c:recv(20) == "built")
      assert(goro.run(function()
        c:send(o)
        return (c:recv(20))
      end) == "built")
    end)
  end)
end)
