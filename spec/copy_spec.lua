-- SPDX-License-Identifier: MIT
-- Copying: scalars, pointers, tables, modules by name, goro's objects and the standard files.
--
-- Everything runs in children, as the main script and as a goroutine (see spec/helper.lua), so that a wrong copy
-- that crashes or hangs is one failed test. spec/copy_helper.lua has the ways in which a value travels.
-- luacheck: ignore 431

local helper = require "spec.helper"
local copy_helper = require "spec.copy_helper"

local passes, passes_anywhere, ended_well = helper.passes, helper.passes_anywhere, helper.ended_well
local script_anywhere = copy_helper.script_anywhere

describe("copying a scalar", function()
  it("keeps value and subtype, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local values = {
        true, false, 0, 1, -1, 255, 256, -129, 2 ^ 31 | 0, 2 ^ 53 | 0, (2 ^ 53 | 0) + 1,
        math.maxinteger, math.mininteger,
        0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 2.0 ^ 53, 2.0 ^ 63, -2.0 ^ 63, 5e-324, 1.7976931348623157e308,
        1 / 0, -1 / 0, 0 / 0, -(0 / 0), math.pi,
      }
      for _, way in ipairs(kit.ways) do
        kit.eq(nil, way.through(nil), way.name)
        for _, v in ipairs(values) do kit.eq(v, way.through(v), way.name) end
      end
    end)
  end)

  it("keeps strings of every length and byte", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local bytes = {}
      for i = 0, 255 do bytes[i + 1] = string.char(i) end
      local all = table.concat(bytes)
      local strings = { "", "\0", "\0\0", "a\0b", "a\0", "\xff\xfe\xc0", all, all:rep(4096), "1", "0x10", "nil" }
      for _, n in ipairs { 1, 7, 8, 15, 16, 31, 32, 39, 40, 41, 63, 64, 127, 128, 255, 256, 257, 65535, 65536 } do
        strings[#strings + 1] = all:rep(n // 256 + 1):sub(1, n)
      end
      for _, way in ipairs(kit.ways) do
        for _, s in ipairs(strings) do kit.eq(s, way.through(s), way.name) end
      end
    end)
  end)

  it("keeps nils among arguments and results, at the end too", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local echo = function(...) return ... end
      kit.eq_list(table.pack(), table.pack(goro.run(echo)))
      kit.eq_list(table.pack(nil), table.pack(goro.run(echo, nil)))
      kit.eq_list(table.pack(nil, 1, nil, nil), table.pack(goro.run(echo, nil, 1, nil, nil)))
      kit.eq_list(table.pack(false, "", 0.0, -0.0, nil), table.pack(goro.run(echo, false, "", 0.0, -0.0, nil)))
    end)
  end)

  it("works for ten thousand arguments and results", function()
    passes_anywhere(function()
      local goro = require "goro"
      local t = {}
      for i = 1, 10000 do t[i] = i end
      local back = table.pack(goro.run(function(...)
        assert(select("#", ...) == 10000 and (select(9999, ...)) == 9999)
        return ...
      end, table.unpack(t)))
      assert(back.n == 10000)
      for i = 1, 10000 do assert(back[i] == i) end
    end)
  end)

  it("keeps a string of 64 MB, also within tables and as a key", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local piece = ("0123456789abcde\0"):rep(65536)
      local s = piece:rep(kit.rounds(64))
      local back = goro.run(function(x, n)
        assert(#x == n)
        assert(x:sub(-16) == "0123456789abcde\0")
        return x
      end, s, #s)
      assert(back == s)
      back = nil -- luacheck: ignore 311
      local c = goro.chan(1)
      c:send { s, s }
      local t = c:recv(0)
      assert(t[1] == s and t[2] == s)
      t = goro.run(function(x) return { [next(x)] = 1 } end, { [piece] = true })
      assert(next(t) == piece)
    end, { timeout = 120 })
  end)
end)

describe("copying a pointer", function()
  it("keeps light userdata, as a value and as a key", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local a, b = 1, 2
      local f = function() return a, b end
      local p, q = debug.upvalueid(f, 1), debug.upvalueid(f, 2)
      assert(type(p) == "userdata" and p ~= q)
      for _, way in ipairs(kit.ways) do kit.eq(p, way.through(p), way.name) end
      assert(goro.run(function(x, y, t) return x ~= y and t[x] == 1 and t[y] == 2 end, p, q, { [p] = 1, [q] = 2 }))
      kit.eq(("%p"):format(p), goro.run(function(x) return ("%p"):format(x) end, p))
    end)
  end)

  it("keeps light C functions that no module has", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local step = ipairs {}                                  -- the function that ipairs iterates with
      local tell = getmetatable(io.stdout).__tostring
      for _, f in ipairs { step, tell } do
        for _, way in ipairs(kit.ways) do kit.eq(f, way.through(f), way.name) end
        kit.eq(("%p"):format(f), goro.run(function(x) return ("%p"):format(x) end, f))
      end
      assert(goro.run(function(f) return rawequal(f, (ipairs {})) end, step))
      assert(goro.run(function(t) return t[(ipairs {})] end, { [step] = 7 }) == 7)
    end)
  end)
end)

describe("copying a table", function()
  it("copies deeply, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local t = { 1, "two", { three = { 4, false } }, x = { y = { z = "deep" } } }
      local shape = kit.describe(t)
      for _, way in ipairs(kit.ways) do
        local copy = way.through(t)
        assert(copy ~= t and copy[3] ~= t[3] and copy.x.y ~= t.x.y, way.name)
        kit.eq_graphs(shape, kit.describe(copy), way.name)
      end
    end)
  end)

  it("copies the empty table", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      for _, way in ipairs(kit.ways) do
        local copy = way.through {}
        assert(type(copy) == "table" and next(copy) == nil and getmetatable(copy) == nil, way.name)
      end
    end)
  end)

  it("is not seen by later changes, on either side", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, t = goro.chan(2), { n = 1, sub = { n = 1 } }
      c:send(t)
      t.n, t.sub.n, t.new = 2, 2, true
      local copy = c:recv(0)
      assert(copy.n == 1 and copy.sub.n == 1 and copy.new == nil)
      copy.n = 3
      assert(t.n == 2)
      goro.run(function(x) x.n, x.sub.n = 9, 9 end, t)
      assert(t.n == 2 and t.sub.n == 2)
    end)
  end)

  it("keeps cycles, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local t = { name = "root" }
      t.self, t.child = t, { parent = t }
      t.child.sibling = { back = t.child, up = t }
      t[t] = t.child
      for _, way in ipairs(kit.ways) do
        local x = way.through(t)
        assert(x ~= t and x.self == x and x.child.parent == x, way.name)
        assert(x.child.sibling.back == x.child and x.child.sibling.up == x and x[x] == x.child, way.name)
        kit.eq(4, kit.count(x), way.name)
      end
    end)
  end)

  it("keeps references that one message shares, and shares nothing between two", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, t = goro.chan(2), { "shared" }
      c:send { t, t, { t }, [t] = t }
      local x = c:recv(0)
      assert(x[1] == x[2] and x[3][1] == x[1] and x[x[1]] == x[1] and x[1] ~= t)
      c:send(t)
      c:send(t)
      assert(c:recv(0) ~= c:recv(0))
    end)
  end)

  it("shares references among function, upvalues and arguments of a call, and among results", function()
    passes_anywhere(function()
      local goro = require "goro"
      local t = { inner = {} }
      assert(goro.run(function(a, b, c, d) return a == b and a.inner == c and d[1] == a end, t, t, t.inner, { t }))
      assert(goro.run(function(a) return a == t and a.inner == t.inner end, t))
      local f = function() return t end
      assert(goro.run(function(g, a) return g() == a and f == g and f() == t end, f, t))
      local back = goro.chan()
      goro.go(function(a, b) back:send(a == b and a == t) end, t, t)
      assert(back:recv(20) == true)
      local x, y, z = goro.run(function()
        local r = {}
        return r, { r }, r
      end)
      assert(x == z and y[1] == x)
    end)
  end)

  it("keeps nil holes and indices of every size", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local t = { 1, nil, 3, nil, nil, 6, nil, [0] = 0, [-1] = -1, [100] = 100, [1000000] = 1000000 }
      t[2 ^ 40 | 0], t[math.maxinteger], t[math.mininteger] = "2^40", "max", "min"
      local shape = kit.describe(t)
      for _, way in ipairs(kit.ways) do kit.eq_graphs(shape, kit.describe(way.through(t)), way.name) end
      local u = { 1, 2, 3, 4 }
      u[1], u[4] = nil, nil
      kit.eq_graphs(kit.describe(u), kit.describe((goro.run(function(x) return x end, u))), "holes at both ends")
      kit.eq(5, goro.run(function(x) return #x end, { 1, 2, 3, 4, 5 }))
    end)
  end)

  it("keeps keys of any type that may be sent", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local mark = "a function"
      local key_table, key_function = { mark = "a table" }, function() return mark end
      local c = goro.chan()
      local t = {
        [true] = 1, [false] = 2, [1.5] = 3, [-0.25] = 4, [1 / 0] = 5, [-1 / 0] = 6, [2.0 ^ 70] = 7,
        [""] = 8, ["a\0b"] = 9, [("k"):rep(100)] = 10, [key_table] = 11, [key_function] = 12, [string.format] = 13,
        [table] = 14, [io.stdout] = 15, [c] = 16, [3] = 17,
      }
      local known = { [c] = "the channel" }
      local shape = kit.describe(t, known)
      for _, way in ipairs(kit.ways) do kit.eq_graphs(shape, kit.describe(way.through(t), known), way.name) end
      assert(goro.run(function(x)
        return x[string.format] == 13 and x[table] == 14 and x[io.stdout] == 15 and x[c] == 16
      end, t))
    end)
  end)

  it("keeps the subtype of number keys", function()
    passes_anywhere(function()
      local goro = require "goro"
      assert(goro.run(function(t) return math.type(next(t)) end, { [2 ^ 53] = 1 }) == "integer")
      assert(goro.run(function(t) return math.type(next(t)) end, { [1.5] = 1 }) == "float")
      assert(goro.run(function(t) return t[1] == "a" and t[1.0] == "a" end, { [1] = "a" }))
    end)
  end)

  it("reads and writes it raw", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local mt = {}
      for _, event in ipairs { "__index", "__newindex", "__pairs", "__len", "__eq", "__call", "__tostring" } do
        mt[event] = function() error(event .. " was called") end
      end
      local t = setmetatable({ a = 1, 2, 3 }, mt)
      for _, way in ipairs(kit.ways) do
        if way.name ~= "error value" then
          local x = way.through(t)
          assert(rawget(x, "a") == 1 and rawlen(x) == 2 and rawget(x, 2) == 3, way.name)
        end
      end
    end)
  end)

  it("goes 100,000 tables deep, through values", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local depth = 100000
      local function build(key)
        local top = {}
        local t = top
        for i = 1, depth do
          t[key] = { n = i }
          t = t[key]
        end
        return top
      end
      local function check(t, key)
        for i = 1, depth do
          t = t[key]
          if t.n ~= i then return false end
        end
        return next(t, next(t)) == nil
      end
      for _, key in ipairs { "next", 1 } do
        local back = goro.run(function(t)
          assert(check(t, key))
          return t
        end, build(key))
        assert(check(back, key))
        local c = goro.chan(1)
        c:send(build(key))
        assert(check(c:recv(0), key))
      end
      local cause = build "next"
      local ok, e = pcall(goro.run, function() error(cause) end)
      assert(not ok and check(e, "next"))
      kit.eq(true, goro.run(function() return check(cause, "next") end))
    end)
  end)

  it("goes 100,000 tables deep, through keys and metatables", function()
    passes(function()
      local goro = require "goro"
      local depth = 100000
      local top = { bottom = true }
      for _ = 1, depth do top = { [top] = true } end
      local function count(t)
        local n = 0
        while type(next(t)) == "table" do
          t = next(t)
          n = n + 1
        end
        return t.bottom and n
      end
      local back = goro.run(function(t)
        assert(count(t) == depth)
        return t
      end, top)
      assert(count(back) == depth)

      depth = 30000
      local object = { bottom = true }
      for _ = 1, depth do object = setmetatable({}, object) end
      local function measure(t)
        local n = 0
        while getmetatable(t) do
          t = getmetatable(t)
          n = n + 1
        end
        return t.bottom and n
      end
      back = goro.run(function(t)
        assert(measure(t) == depth)
        return t
      end, object)
      assert(measure(back) == depth)
    end)
  end)

  it("has room for a million elements", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(1000000)
      local array, map = {}, {}
      for i = 1, n do array[i] = i end
      local back = goro.run(function(t)
        assert(#t == n)
        for i = 1, n do assert(t[i] == i) end
        return t
      end, array)
      assert(#back == n)
      for i = 1, n do assert(back[i] == i) end
      array, back = nil, nil -- luacheck: ignore 311
      for i = 1, n do map["key" .. i] = i + 0.5 end
      local c = goro.chan(1)
      c:send(map)
      back = c:recv(0)
      assert(kit.count(back) == n)
      for i = 1, n do assert(back["key" .. i] == i + 0.5) end
    end, { timeout = 120 })
  end)

  it("has room for a million tables and a million references to one", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(1000000)
      local one, t = {}, {}
      for i = 1, n do t[i] = one end
      local back = goro.run(function(x) return x end, t)
      assert(#back == n and back[1] ~= one)
      for i = 1, n do assert(back[i] == back[1]) end
      for i = 1, n // 4 do t[i] = { i } end
      back = goro.run(function(x) return x end, t)
      for i = 1, n // 4 do assert(back[i][1] == i) end
      assert(back[n] ~= back[1] and next(back[n]) == nil)
    end, { timeout = 120 })
  end)
end)

describe("copying a loaded module", function()
  it("gives the receiver's own standard libraries and each of their functions", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local fields = {}
      for _, m in ipairs { "string", "table", "math", "io", "os", "utf8", "coroutine", "debug" } do
        local lib = package.loaded[m]
        assert(goro.run(function(x) return rawequal(x, package.loaded[m]) end, lib), m)
        for _, way in ipairs(kit.ways) do kit.eq(lib, way.through(lib), m) end
        for k, f in pairs(lib) do
          if type(f) == "function" then fields[#fields + 1] = { m = m, k = k, f = f } end
        end
      end
      assert(#fields > 100)
      local wrong, back = goro.run(function(list)
        for _, e in ipairs(list) do
          if not rawequal(e.f, package.loaded[e.m][e.k]) then return e.m .. "." .. e.k end
        end
        return nil, list
      end, fields)
      assert(wrong == nil, wrong)
      for i, e in ipairs(fields) do kit.eq(e.f, back[i].f, e.m .. "." .. e.k) end
    end)
  end)

  it("gives the receiver's own basic functions", function()
    passes_anywhere(function()
      local goro = require "goro"
      local sent = {}
      for k, v in pairs(_G) do
        -- require, a closure over its package table, has a test of its own.
        if type(v) == "function" and k ~= "require" then sent[k] = v end
      end
      local wrong = goro.run(function(t)
        for k, v in pairs(t) do
          if not rawequal(v, _G[k]) then return k end
        end
      end, sent)
      assert(wrong == nil, wrong)
    end)
  end)

  it("gives the receiver's own require and package to those who keep them in locals", function()
    passes_anywhere(function()
      local goro = require "goro"
      local require, package = require, package
      assert(goro.run(function() return rawequal(package, _G.package) end))
      assert(goro.run(function() return rawequal(require, _G.require) and require "string" == string end))
    end)
  end)

  it("gives goro and its functions", function()
    passes_anywhere(function()
      local goro = require "goro"
      assert(goro.run(function(g) return rawequal(g, package.loaded.goro) and rawequal(g, goro) end, goro))
      assert(goro.run(function(f) return rawequal(f, require "goro".chan) end, goro.chan))
    end)
  end)

  it("requires the receiver's own on demand, by every way, and functions of it too", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        mylib = [[
          local M = { state = {} }
          LOADED = (LOADED or 0) + 1
          local calls = 0
          function M.parse(s) calls = calls + 1 return s .. "!" .. calls end
          return M
        ]],
        ["deep.inner.lib"] = [[return { name = ..., f = function() return "inner" end }]],
        callable = [[return function(x) return x * 2 end]],
      }
      local mylib, inner, callable = require "mylib", require "deep.inner.lib", require "callable"
      assert(mylib.parse "a" == "a!1" and mylib.parse "a" == "a!2")
      for _, v in ipairs { mylib, mylib.parse, inner, inner.f, callable } do
        for _, way in ipairs(kit.ways) do kit.eq(v, way.through(v), way.name) end
      end
      assert(goro.run(function() return package.loaded.mylib == nil and _G.LOADED == nil end))
      -- The receiver's own: its counter starts anew, and it was loaded once.
      assert(goro.run(function(p, m)
        return p("a") == "a!1" and p == require "mylib".parse and m == package.loaded.mylib and _G.LOADED == 1
      end, mylib.parse, mylib))
      assert(goro.run(function(f)
        local lib = require "deep.inner.lib"
        return f == lib.f and lib.name == "deep.inner.lib"
      end, inner.f))
      assert(goro.run(function() return callable(4) == 8 and callable == package.loaded.callable end))
      -- In a message: loaded when the message is received.
      local c, back = goro.chan(), goro.chan()
      goro.go(function()
        local before = package.loaded.mylib
        local f = c:recv(20)
        back:send(before == nil and f == package.loaded.mylib.parse)
      end)
      assert(c:try_send(mylib.parse, 20))
      assert(back:recv(20) == true)
    end)
  end)

  it("leaves behind the changes made to its fields at run time", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        mylib = [[return { version = function() return 1 end, limit = 10, list = { 1 } }]],
      }
      local mylib = require "mylib"
      local first = mylib.version
      mylib.version = function() return 2 end
      mylib.limit, mylib.extra, mylib.list[2] = 20, true, 2
      local version, limit, extra, length = goro.run(function(m)
        return m.version(), m.limit, m.extra, #m.list
      end, mylib)
      assert(version == 1 and limit == 10 and extra == nil and length == 1)
      -- By name: the function that is now the field is the receiver's field of that name.
      assert(goro.run(function(f) return f() == 1 and f == require "mylib".version end, mylib.version))
      assert(mylib.version() == 2 and mylib.limit == 20)
      -- The one that is no field any more is a function like others.
      assert(goro.run(function(f) return f() == 1 and f ~= require "mylib".version end, first))
    end)
  end)

  it("is whole when it is loaded under two names, as luassert is", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        ["lib.core"] = [[return { words = {}, f = function() end, Class = { __index = {} } }]],
        lib = [[
          local core = require "lib.core"
          core.words.added, core.Class.added = true, true
          return core
        ]],
      }
      local lib = require "lib"
      assert(goro.run(function() return lib.words.added end), "the module")
      assert(goro.run(function(f) return f == require "lib".f end, lib.f), "its function")
      assert(goro.run(function(o) return getmetatable(o).added end, setmetatable({}, lib.Class)), "its class")
    end)
  end)

  it("keeps a module's own metatable, which is the receiver's", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        point = [[return setmetatable({}, { __call = function(_, x) return { x = x } end })]],
      }
      local point = require "point"
      assert(goro.run(function() return point(5).x == 5 and getmetatable(point) == getmetatable(require "point") end))
    end)
  end)

  it("finds modules that preload and added searchers provide", function()
    passes_anywhere(function()
      local goro = require "goro"
      package.preload["pre.lib"] = function(name) return { name = name, f = function() return "pre" end } end
      table.insert(package.searchers, 2, function(name)
        local what = name:match "^magic%.(.*)"
        if not what then return "\n\tno magic for " .. name end
        return function() return { what = what, f = function() return what end } end
      end)
      local pre, magic = require "pre.lib", require "magic.hat"
      assert(goro.run(function() return pre == require "pre.lib" and pre.name == "pre.lib" end))
      assert(goro.run(function(f) return f == require "pre.lib".f and f() == "pre" end, pre.f))
      assert(goro.run(function() return magic == require "magic.hat" and magic.what == "hat" end))
      assert(goro.run(function(f) return f == require "magic.hat".f and f() == "hat" end, magic.f))
    end)
  end)

  it("copies what was put into package.loaded by hand and require could not find", function()
    passes_anywhere(function()
      local goro = require "goro"
      local hand = { list = { 1, 2 }, n = 1 }
      function hand.get() return hand.n end
      package.loaded["made.by.hand"] = hand
      hand.n, hand.later = 2, "too"
      local ok, back = goro.run(function(m)
        local same = m.n == 2 and m.later == "too" and m.list[2] == 2 and m.get() == 2
        return same and package.loaded["made.by.hand"] == nil, m
      end, hand)
      assert(ok and back ~= hand and back.n == 2 and back.get() == 2)
      assert(goro.run(hand.get) == 2)
    end)
  end)

  it("does not take _G for a module", function()
    script_anywhere [[
      local goro = require "goro"
      local n = 3
      function counted() return n end
      list = { 1, 2 }
      local f, l = counted, list
      counted, list = nil, nil
      assert(goro.run(function() return f() == 3 and l[2] == 2 end))
      counted, list = f, l
      assert(goro.run(f) == 3)
      assert(goro.run(function(g, t) return g() == 3 and t[2] == 2 end, f, l))
    ]]
  end)

  it("counts only the stock fields of the standard libraries", function()
    script_anywhere [[
      local goro = require "goro"
      function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
      math.constants = { tau = 2 * math.pi }
      local trim, constants = string.trim, math.constants
      assert(goro.run(function() return trim "  a " == "a" and string.trim == nil and math.constants == nil end))
      assert(goro.run(function(f) return f "  b " end, string.trim) == "b")
      assert(goro.run(function() return constants.tau end) == 2 * math.pi)
    ]]
  end)

  it("copies the function that stands in a stock field's place, and finds the replaced one", function()
    script_anywhere [[
      local goro = require "goro"
      local upper = string.upper
      function string.upper(s) return "<" .. upper(s) .. ">" end
      local patched = string.upper
      assert(goro.run(function(f) return f "a" end, patched) == "<A>")
      assert(goro.run(function() return patched "a" end) == "<A>")
      assert(goro.run(function() return rawequal(upper, string.upper) and string.upper "a" == "A" end))
    ]]
  end)

  it("takes the globals for the receiver's, kept in a local or not", function()
    script_anywhere [[
      local goro = require "goro"
      local _G, globals = _G, _ENV
      assert(goro.run(function() return _G == _ENV and _ENV == globals and _G._G == globals end))
    ]]
  end)
end)

describe("copying goro's objects", function()
  it("gives the same channel by reference, the same userdata within a state", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan(8)
      for _, way in ipairs(kit.ways) do
        local back = way.through(c)
        kit.eq(c, back, way.name)
        assert(back == c, way.name)
      end
      local t = { c = c, list = { c, c }, [c] = "key" }
      local back = goro.run(function(x)
        assert(rawequal(x.c, x.list[1]) and rawequal(x.c, x.list[2]) and x[x.c] == "key" and rawequal(x.c, c))
        x.c:send "from inside"
        return x
      end, t)
      kit.eq(c, back.c)
      assert(back[c] == "key" and c:recv(0) == "from inside")
    end)
  end)

  it("keeps views of one direction what they are", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan(1)
      local out, inp = c:sender(), c:receiver()
      for _, way in ipairs(kit.ways) do
        local o, i = way.through(out), way.through(inp)
        assert(o == out and i == inp and o ~= c and i ~= c and o ~= i, way.name)
        kit.eq(out, o, way.name)
        kit.eq(inp, i, way.name)
      end
      assert(goro.run(function(o, i, whole)
        assert(o == whole:sender() and i == whole:receiver() and o ~= whole)
        assert(not pcall(o.recv, o, 0) and not pcall(i.try_send, i, 1, 0))
        o:send(5)
        return true
      end, out, inp, c))
      assert(inp:recv(0) == 5)
    end)
  end)

  it("is the same object also by different routes", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, route = goro.chan(1), goro.chan(2)
      route:send(c)
      route:send { c }
      assert(goro.run(function(a)
        local b, t = route:recv(20), route:recv(20)
        return rawequal(a, b) and rawequal(b, t[1]) and rawequal(c, a)
      end, c))
    end)
  end)

  it("sends channels of other kinds", function()
    passes_anywhere(function()
      local goro = require "goro"
      local t = goro.after(0.001)
      assert(math.type(goro.run(function(x) return (x:recv(20)) end, t)) == "float")
    end)
  end)
end)

describe("copying the standard files", function()
  it("gives the receiver's own", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      for _, name in ipairs { "stdin", "stdout", "stderr" } do
        local file = io[name]
        for _, way in ipairs(kit.ways) do kit.eq(file, way.through(file), way.name .. ", " .. name) end
        assert(goro.run(function(f) return rawequal(f, io[name]) and io.type(f) == "file" end, file))
      end
      assert(goro.run(function(t)
        return t.out == io.stdout and t[io.stderr]
      end, { out = io.stdout, [io.stderr] = true }))
    end)
  end)

  it("writes through them from a function that captured them", function()
    local r = helper.run_function(function()
      local out, err = io.stdout, io.stderr
      require "goro".run(function()
        out:write "to stdout\n"
        err:write "to stderr\n"
      end)
    end)
    assert.equal("to stdout\n", r.stdout)
    assert.equal("to stderr\n", r.stderr)
    assert.equal(0, r.code)
  end)

  it("reads the same standard input", function()
    local r = helper.run_function(function()
      local inp = io.stdin
      print(require "goro".run(function() return inp:read "l" end))
    end, { stdin = "first line\nsecond\n" })
    assert.equal("first line\n", ended_well(r))
  end)
end)
