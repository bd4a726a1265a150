-- SPDX-License-Identifier: MIT
-- Copying: Lua functions, their upvalues, `_ENV` wherever it stands, the globals that they name, and what else a
-- function finds in the state where it arrives.
--
-- What is about globals is given as source text: the child's globals are then the script's alone, and the same text
-- runs once as the main script and once as a goroutine, whose globals are those of that goroutine.
-- luacheck: ignore 431

local helper = require "spec.helper"
local script_anywhere = require "spec.copy_helper".script_anywhere

local passes, passes_anywhere, ended_well = helper.passes, helper.passes_anywhere, helper.ended_well

describe("copying a function", function()
  it("brings code and upvalues, by every way", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local n, s, t = 1, "s", { 2 }
      local f = function(x) return n + x, s, t[1] end
      for _, way in ipairs(kit.ways) do
        local g = way.through(f)
        assert(g ~= f, way.name)
        kit.eq_list(table.pack(f(10)), table.pack(g(10)))
      end
      for _, way in ipairs(kit.ways) do
        kit.eq(42, way.through(function() return 42 end)(), way.name)
      end
    end)
  end)

  it("copies upvalues: each side has its own", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 1
      local function inc()
        n = n + 1
        return n
      end
      assert(goro.run(function() return inc() + inc() end) == 5 and n == 1)
      local back = goro.run(function()
        inc()
        return inc
      end)
      n = 100
      assert(back() == 3 and back() == 4 and inc() == 101)
    end)
  end)

  it("keeps upvalues shared that functions of one message share", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 0
      local function inc() n = n + 1 end
      local function get() return n end
      local other = function() n = n + 10 return inc, get end
      assert(goro.run(function(i, g)
        i()
        i()
        return g()
      end, inc, get) == 2)
      assert(goro.run(function(t)
        t.inc()
        t[other]()
        local i, g = t[other]()
        i()
        return g() == 22 and t.get() == 22 and g == t.get
      end, { inc = inc, get = get, [other] = other }))
      -- Among the function itself, its upvalues and its arguments.
      assert(goro.run(function(i)
        n = n + 5
        i()
        inc()
        return get()
      end, inc) == 7)
      assert(n == 0)
      local x, y = goro.run(function()
        local m = 0
        return function() m = m + 1 end, function() return m end
      end)
      x()
      x()
      assert(y() == 2)
      -- In two messages they are apart.
      local c = goro.chan(2)
      c:send(inc)
      c:send(get)
      local i, g = c:recv(0), c:recv(0)
      i()
      assert(g() == 0 and n == 0)
    end)
  end)

  it("keeps two upvalues apart that are equal", function()
    passes_anywhere(function()
      local goro = require "goro"
      local shared = {}
      local a, b = shared, shared
      local i, j = 0, 0
      assert(goro.run(function()
        a = nil
        i = i + 1
        return b ~= nil and j == 0 and a == nil
      end))
      assert(a == b and i == j)
    end)
  end)

  it("keeps recursion, alone and mutual", function()
    passes_anywhere(function()
      local goro = require "goro"
      local function factorial(n) return n == 0 and 1 or n * factorial(n - 1) end
      assert(goro.run(factorial, 20) == 2432902008176640000)
      local odd
      local function even(n)
        if n == 0 then return true end
        return odd(n - 1)
      end
      function odd(n)
        if n == 0 then return false end
        return even(n - 1)
      end
      assert(goro.run(even, 1000) and goro.run(odd, 1001) and not goro.run(odd, 10))
      local t = {}
      function t.self() return t end
      assert(goro.run(function(f) return f().self == f and f() == f() end, t.self))
    end)
  end)

  it("is one function for all references in a message", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 0
      local f = function() n = n + 1 return n end
      assert(goro.run(function(a, t) return a == t[1] and t[a] == 5 and a() == 1 and t[1]() == 2 end, f, { f, [f] = 5 }))
    end)
  end)

  it("keeps nested closures, varargs, many parameters and results", function()
    passes_anywhere(function()
      local goro = require "goro"
      local base = 100
      local function outer(a, ...)
        local rest = { ... }
        return function(b, ...)
          local more = select("#", ...)
          return function() return base + a + b + #rest + more end
        end
      end
      assert(goro.run(outer, 1, "x", "y")(2, nil, nil)() == 107)
      assert(goro.run(function() return outer(1, "x")(2)() end) == 104)
      assert(goro.run(function(...) return select("#", ...) end, nil, nil, nil) == 3)
    end)
  end)

  it("takes 255 upvalues, and large code", function()
    passes_anywhere(function()
      local goro = require "goro"
      -- A function may have 200 locals, so the 255 are from two levels.
      local outer, inner, use = {}, {}, {}
      for i = 1, 128 do
        outer[#outer + 1] = ("local a%d = %d "):format(i, i)
        use[#use + 1] = "a" .. i
      end
      for i = 129, 255 do
        inner[#inner + 1] = ("local a%d = %d "):format(i, i)
        use[#use + 1] = "a" .. i
      end
      local source = table.concat(outer) .. "return (function() " .. table.concat(inner)
        .. "return function() return " .. table.concat(use, "+") .. " end end)()"
      local f = assert(load(source))()
      assert(debug.getinfo(f, "u").nups == 255)
      assert(goro.run(f) == 255 * 128)

      local lines = { "local x = 0" }
      for i = 1, 20000 do lines[#lines + 1] = ("x = x + %d + #%q"):format(i, "s" .. i % 1000) end
      lines[#lines + 1] = "return x"
      local g = assert(load(table.concat(lines, "\n")))
      assert(goro.run(g) == g())
    end)
  end)

  it("reaches 30,000 closures deep, each the upvalue of the next", function()
    passes(function()
      local goro = require "goro"
      local f = function() return nil, 0 end
      for i = 1, 30000 do
        local inner = f
        f = function() return inner, i end
      end
      local back = goro.run(function()
        local g, depth = f, 0
        while g do
          local n
          g, n = g()
          if n ~= 30000 - depth then return end
          depth = depth + 1
        end
        return f, depth
      end)
      local depth = 0
      while back do
        local n
        back, n = back()
        assert(n == 30000 - depth)
        depth = depth + 1
      end
      assert(depth == 30001)
    end)
  end)

  it("keeps the debug information", function()
    passes_anywhere(function()
      local kit = require "spec.copy_helper"
      local upvalue = nil -- luacheck: ignore 311
      local function f(parameter, ...) -- luacheck: ignore 212
        local variable = parameter
        return variable.x, upvalue
      end
      local function tell(g)
        local info = debug.getinfo(g, "SLu")
        local lines = {}
        for line in pairs(info.activelines) do lines[#lines + 1] = line end
        table.sort(lines)
        local _, err = pcall(g, nil)
        return table.concat({
          info.source, info.short_src, info.linedefined, info.lastlinedefined, info.what, info.nparams, tostring(info.isvararg),
          table.concat(lines, ","), debug.getupvalue(g, 1), debug.getlocal(g, 1), err, #string.dump(g),
        }, "\n")
      end
      local here = tell(f)
      assert(here:find("local 'variable'", 1, true) and here:find("copy_function_spec", 1, true))
      for _, way in ipairs(kit.ways) do kit.eq(here, tell(way.through(f)), way.name) end
      kit.eq(here, (require "goro".run(tell, f)))
    end)
  end)

  it("gives errors and tracebacks their lines", function()
    local r = helper.run_script [[
local goro = require "goro"
local function thrower(t)
  return t.field.x
end
local function caller(t) return (thrower(t)) end
print(pcall(goro.run, caller, {}))
print(pcall(goro.run, function()
  error "here"
end))
local _, traceback = pcall(goro.run, function()
  local _, tb = xpcall(caller, debug.traceback, {})
  error(tb, 0)
end)
print(traceback:match "%S+:3: in upvalue 'thrower'" or traceback)
print(traceback:match "%S+:5: in function <%S+:5>" or traceback)
]]
    assert.equal([[
false	job.lua:3: attempt to index a nil value (field 'field')
false	job.lua:8: here
job.lua:3: in upvalue 'thrower'
job.lua:5: in function <job.lua:5>
]], ended_well(r))
  end)

  it("keeps a chunk name that was given to load", function()
    passes_anywhere(function()
      local goro = require "goro"
      local f = assert(load("local x = nil\nreturn x.y", "=my chunk"))
      local ok, e = pcall(goro.run, f)
      assert(not ok and e == "my chunk:2: attempt to index a nil value (local 'x')", e)
      local g = assert(load("return function() error 'here' end", "@dir/file.lua"))()
      ok, e = pcall(goro.run, g)
      assert(not ok and e == "dir/file.lua:1: here", e)
    end)
  end)

  it("keeps to-be-closed and constant variables", function()
    passes_anywhere(function()
      local goro = require "goro"
      local limit <const> = 5
      local table_constant <const> = { 7 }
      assert(goro.run(function()
        local n = 0
        do
          local _ <close> = setmetatable({}, { __close = function() n = n + limit end })
        end
        return n + table_constant[1]
      end) == 12)
    end)
  end)

  it("works for one that was dumped and loaded here", function()
    passes_anywhere(function()
      local goro = require "goro"
      local f = assert(load(string.dump(function(a) return type(a) end)))
      assert(goro.run(f, 1) == "number")
    end)
  end)
end)

describe("_ENV of a function that is sent", function()
  it("is the receiver's globals, as first upvalue, as second, and in nested functions", function()
    script_anywhere [[
      local goro = require "goro"
      local x = 1
      local first = function() local t = type; return t(x), _ENV end
      local second = function() local a = x; return type(a), _ENV end
      assert(debug.getupvalue(first, 1) == "_ENV" and debug.getupvalue(second, 1) == "x")
      local nested = function() return function() return function() return type(x), _ENV end end end
      local only_inner = function() return function() new_global = 1; return _ENV end end
      assert(goro.run(function(a, b, c, d)
        local _, e1 = a()
        local _, e2 = b()
        local _, e3 = c()()()
        return e1 == _G and e2 == _G and e3 == _G and d()() == _G and _G.new_global == 1 and _ENV == _G
      end, first, second, nested, only_inner))
      assert(new_global == nil)
    ]]
  end)

  it("comes home as the globals of this state", function()
    script_anywhere [[
      local goro = require "goro"
      local f = goro.run(function()
        return function(name) return _ENV, _ENV[name] end
      end)
      mine = "mine"
      local env, value = f "mine"
      assert(env == _ENV and value == "mine")
      local set = goro.run(function() return function(v) from_there = v end end)
      set(5)
      assert(from_there == 5)
    ]]
  end)

  it("is found by identity where names are stripped", function()
    script_anywhere [[
      local goro = require "goro"
      local x = { 5 }
      local function first() return type(print), _ENV end
      local function second() local a = x; return a[1], type(print), _ENV end
      local function strip(f)
        local g = assert(load(string.dump(f, true)))
        for i = 1, debug.getinfo(f, "u").nups do debug.upvaluejoin(g, i, f, i) end
        assert(debug.getupvalue(g, 1) == "(no name)")
        return g
      end
      local a, b = strip(first), strip(second)
      assert(goro.run(function()
        local t, env = a()
        local n, u, env2 = b()
        return t == "function" and env == _G and n == 5 and u == "function" and env2 == _G
      end))
      local back = goro.run(function(f) return f end, b)
      local n, t, env = back()
      assert(n == 5 and t == "function" and env == _ENV)
    ]]
  end)

  it("carries the globals that a stripped function names", function()
    script_anywhere [[
      local goro = require "goro"
      function helper() return "helped" end
      local f = assert(load(string.dump(function() return helper() end, true)))
      assert(goro.run(f) == "helped")
    ]]
  end)

  it("is the receiver's globals also when it was another table", function()
    script_anywhere [[
      local goro = require "goro"
      local function sandboxed()
        local _ENV = { own = "own", type = type, list = { 1, 2 }, unused = "unused" }
        return function() return own, type(list), #list, _ENV end
      end
      local env = goro.run(function(f)
        local own, t, n, env = f()
        assert(own == "own" and t == "table" and n == 2)
        assert(rawget(_G, "own") == "own" and rawget(_G, "unused") == nil)
        return env == _G and _ENV == _G
      end, sandboxed())
      assert(env == true)
      -- As go's own function.
      assert(goro.run(sandboxed()) == "own")
      assert(rawget(_G, "own") == nil)
    ]]
  end)

  it("looks names up in the function's own table, through its metatable", function()
    script_anywhere [[
      local goro = require "goro"
      value = "of the script"
      shared = "seen through"
      local env = setmetatable({ value = "of the table" }, { __index = _G })
      local f = assert(load("return value, shared, type(print)", "=f", "t", env))
      local value, shared, t = goro.run(f)
      assert(value == "of the table" and shared == "seen through" and t == "function")
      local g = assert(load("return value", "=g", "t", {}))
      assert(goro.run(g) == nil)
    ]]
  end)

  it("is nothing special as a local or a parameter", function()
    script_anywhere [[
      local goro = require "goro"
      local function parameter(_ENV) return x end
      local function inner() local _ENV <const> = { x = 6 }; return x end
      assert(goro.run(parameter, { x = 5 }) == 5)
      assert(goro.run(inner) == 6)
    ]]
  end)

  it("is not needed", function()
    script_anywhere [[
      local goro = require "goro"
      local f = function(a, b) return a + b end
      assert(debug.getupvalue(f, 1) == nil)
      assert(goro.run(f, 1, 2) == 3)
      local g = assert(load(string.dump(f, true)))
      assert(goro.run(g, 3, 4) == 7)
    ]]
  end)
end)

describe("globals that a function names", function()
  it("are carried: functions that call each other, themselves, and use tables", function()
    script_anywhere [[
      local goro = require "goro"
      config = { name = "config", deep = { 1, 2, 3 } }
      limit = 10
      function helper(x) return helper2(x) + limit end
      function helper2(x) return #config.deep + x end
      function factorial(n) return n <= 1 and 1 or n * factorial(n - 1) end
      function even(n) if n == 0 then return true end return odd(n - 1) end
      function odd(n) if n == 0 then return false end return even(n - 1) end
      assert(goro.run(function() return helper(1) end) == 14)
      assert(goro.run(helper, 2) == 15)
      assert(goro.run(factorial, 10) == 3628800)
      assert(goro.run(even, 100) == true)
      local c = goro.chan()
      goro.go(function() c:send(helper(3)) end)
      assert(c:recv(20) == 16)
    ]]
  end)

  it("are copies", function()
    script_anywhere [[
      local goro = require "goro"
      count, list = 1, {}
      goro.run(function() count = count + 1; list[1] = "there"; fresh = 1 end)
      assert(count == 1 and list[1] == nil and fresh == nil)
      local c = goro.chan()
      goro.go(function() c:recv(20); c:send(count) end)
      count = 50
      c:try_send(true, 20)
      assert(c:recv(20) == 1)
    ]]
  end)

  it("are found in nested functions, in captured ones, and in those within tables and arguments", function()
    script_anywhere [[
      local goro = require "goro"
      function named() return "named" end
      local nested = function() return (function() return (function() return named() end)() end)() end
      assert(goro.run(nested) == "named")
      local captured = function() return named() end
      assert(goro.run(function() return captured() end) == "named")
      local t = { deep = { f = function() return named() end } }
      assert(goro.run(function() return t.deep.f() end) == "named")
      assert(goro.run(function(f) return f() end, captured) == "named")
      assert(goro.run(function(x) return x.deep.f() end, t) == "named")
      local class = { __index = { m = function() return named() end } }
      assert(goro.run(function(o) return o.m() end, setmetatable({}, class)) == "named")
      through_global = { f = function() return named() end }
      assert(goro.run(function() return through_global.f() end) == "named")
    ]]
  end)

  it("are found however the code names them", function()
    script_anywhere [[
      local goro = require "goro"
      local long = "a_global_whose_name_is_longer_than_forty_characters_is_no_short_string"
      _ENV[long] = "long"
      assert(goro.run(assert(load("return " .. long))) == "long")
      through_env = "env"
      assert(goro.run(function() return _ENV.through_env end) == "env")
      -- With more than 255 constants before it, a name is no operand of an instruction any more.
      late_name = "late"
      function late_function() return late_name end
      local lines = { "local t = {}" }
      for i = 1, 400 do lines[#lines + 1] = ("t[%d] = %q"):format(i, "constant " .. i) end
      lines[#lines + 1] = "return late_function(), late_name, #t"
      local f, n, size = goro.run(assert(load(table.concat(lines, "\n"))))
      assert(f == "late" and n == "late" and size == 400)
      -- Called as a method's object, assigned in part, used as an argument.
      object = { method = function(self) return self.field end, field = 1 }
      assert(goro.run(function() return object:method() end) == 1)
      assert(goro.run(function() object.field = 7; return object end).field == 7)
      assert(goro.run(function() return select(2, nil, late_name) end) == "late")
    ]]
  end)

  it("share references with the rest of the message", function()
    script_anywhere [[
      local goro = require "goro"
      shared = {}
      local n = 0
      function inc() n = n + 1; return n end
      local same = shared
      assert(goro.run(function(t) return t == shared and same == shared end, shared))
      assert(goro.run(function(f) f(); n = n + 1; return inc() end, inc) == 3)
    ]]
  end)

  it("are placeholders when they cannot be sent (placeholder_spec), and absent when nobody names them", function()
    script_anywhere [[
      local goro = require "goro"
      co = coroutine.create(print)
      file = io.tmpfile()
      iterator = string.gmatch("a", "a")
      holder = { co = co }
      user = function() return co end
      fine, unnamed = "fine", "unnamed"
      assert(goro.run(function()
        for _, v in ipairs { co, file, iterator, holder.co } do assert(type(v) == "userdata") end
        return co == holder.co and fine == "fine"
      end))
      assert(goro.run(function() return user() == co and user ~= nil end))
      assert(goro.run(function() return rawget(_G, "un" .. "named") == nil end))
    ]]
  end)

  it("are not carried when they have the standard value", function()
    script_anywhere [[
      local goro = require "goro"
      local c, back = goro.chan(), goro.chan()
      goro.go(function()
        rawset(_G, "tonumber", nil)
        rawset(_G, "utf8", nil)
        local f = c:recv(20)
        local a, b = f()
        back:try_send({ a == nil, b == nil }, 20)
      end)
      assert(c:try_send(function() return tonumber, utf8 end, 20))
      local t = back:recv(20)
      assert(t[1] and t[2])
      assert(goro.run(function()
        return string == package.loaded.string and print == _G.print and package.loaded._G == _G and _G == _ENV
      end))
    ]]
  end)

  it("are carried where a standard one has been replaced", function()
    script_anywhere [[
      local goro = require "goro"
      local stock = assert
      local function check(v, what) return stock(v, what) end
      local calls = 0
      function assert(...) calls = calls + 1; return ... end
      function tostring() return "replaced" end
      local n, s, v = goro.run(function()
        local x = assert(nil, "no error")
        return calls, tostring(1), x
      end)
      check(n == 1 and s == "replaced" and v == nil and calls == 0)
      -- By functions that name them, not in others.
      check(goro.run(function() return _G["to" .. "string"](1) end) == "1")
      -- A callable table, as test frameworks have it.
      assert = setmetatable({ equal = function(a, b) return a == b end }, { __call = function(_, v) return v and "called" end })
      check(goro.run(function() return assert(true) == "called" and assert.equal(1, 1) end))
      -- A library's place.
      string = { mine = true }
      check(goro.run(function() return string.mine end))
    ]]
  end)

  it("include the assert of this test framework, whose functions have an _ENV of their own", function()
    local goro = require "goro"
    local expected = 5
    assert.equal(7, goro.run(function(n)
      assert.equal(expected, n)
      assert.is_true(n == 5)
      return n + 2
    end, 5))
    local ok, e = pcall(goro.run, function() assert.equal(expected, 6) end)
    assert.is_false(ok)
    assert.is_truthy(tostring(e):find("Expected objects to be", 1, true))
  end)

  it("reach the goroutine that the goroutine starts", function()
    script_anywhere [[
      local goro = require "goro"
      function helper() return "helped" end
      assert(goro.run(function()
        return goro.run(function() return goro.run(function() return helper() end) end)
      end) == "helped")
    ]]
  end)

  it("are set in a new goroutine, and in a message only where absent", function()
    script_anywhere [[
      local goro = require "goro"
      name, other, flag = "sender's", "sender's other", true
      function tell() return name, other, flag end
      local c, back, ready = goro.chan(), goro.chan(), goro.chan()
      goro.go(function()
        rawset(_G, "name", "receiver's")
        rawset(_G, "flag", false)
        ready:try_send(true, 20)
        local f = c:recv(20)
        back:try_send({ f() }, 20)
        back:try_send({ _G["na" .. "me"], _G["oth" .. "er"] }, 20)
      end)
      ready:recv(20)
      assert(c:try_send(tell, 20))
      local t = back:recv(20)
      assert(t[1] == "receiver's" and t[2] == "sender's other" and t[3] == false)
      t = back:recv(20)
      assert(t[1] == "receiver's" and t[2] == "sender's other")
    ]]
  end)

  it("of a message do not replace standard ones in the receiver", function()
    script_anywhere [[
      local goro = require "goro"
      function tostring() return "replaced" end
      local f = function() return tostring(1) end
      local c, back = goro.chan(), goro.chan()
      goro.go(function() back:send((c:recv(20))()) end)
      assert(c:try_send(f, 20))
      assert(back:recv(20) == "1")
    ]]
  end)

  it("come with results and errors too, set where absent", function()
    script_anywhere [[
      local goro = require "goro"
      here = "main's"
      local f = goro.run(function()
        rawset(_G, "here", "goroutine's")
        rawset(_G, "there", "goroutine's")
        return function() return here, there end
      end)
      local a, b = f()
      assert(a == "main's" and b == "goroutine's" and there == "goroutine's")
      local ok, e = pcall(goro.run, function()
        rawset(_G, "thrown", "goroutine's")
        error { f = function() return thrown end }
      end)
      assert(not ok and e.f() == "goroutine's")
    ]]
  end)

  it("keep false apart from absent", function()
    script_anywhere [[
      local goro = require "goro"
      flag = false
      assert(goro.run(function() return flag end) == false)
      assert(goro.run(function() return nothing end) == nil)
    ]]
  end)

  it("that are modules arrive by name", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules { mylib = [[return { f = function() return "f" end }]] }
      _G.mylib = require "mylib"
      _G.parse = _G.mylib.f
      local f = assert(load [[return mylib == require "mylib" and parse == mylib.f and parse()]])
      assert(goro.run(f) == "f")
    end)
  end)

  it("have upvalues of their own", function()
    script_anywhere [[
      local goro = require "goro"
      local n, step = 10, { size = 5 }
      function counter() n = n + step.size; return n end
      assert(goro.run(function() counter(); return counter() end) == 20)
      assert(counter() == 15)
    ]]
  end)

  it("never call metamethods of the values", function()
    script_anywhere [[
      local goro = require "goro"
      local function no() error "called" end
      thing = setmetatable({ x = 1 }, { __index = no, __eq = no, __len = no, __pairs = no, __call = no, __newindex = no })
      assert(goro.run(function() return rawget(thing, "x") end) == 1)
    ]]
  end)
end)

describe("every goroutine", function()
  it("has the standard library, complete", function()
    script_anywhere [[
      local goro = require "goro"
      local function survey()
        local lines = {}
        for name, v in pairs(_G) do
          lines[#lines + 1] = name .. " " .. type(v)
          if type(v) == "table" and package.loaded[name] == v and v ~= _G then
            for k, f in pairs(v) do lines[#lines + 1] = name .. "." .. tostring(k) .. " " .. type(f) end
          end
        end
        for name in pairs(package.loaded) do
          if not name:find "^goro%." then lines[#lines + 1] = "loaded " .. name end
        end
        table.sort(lines)
        return table.concat(lines, "\n")
      end
      local here = survey()
      assert(#here > 2000)
      local there = goro.run(survey)
      assert(there == here, there)
      assert(goro.run(function() return goro.run(survey) end) == here)
    ]]
  end)

  it("has it in working order", function()
    passes_anywhere(function()
      local goro = require "goro"
      goro.run(function()
        assert(_G == _ENV and _G._G == _G and package.loaded._G == _G and getmetatable(_G) == nil)
        assert(_VERSION == "Lua 5.4")
        assert(getmetatable("").__index == string and ("x"):rep(3) == "xxx" and ("%d"):format(5) == "5" and "10" + 1 == 11)
        assert(load "return 1 + 1"() == 2 and load("return x", "=x", "t", { x = 5 })() == 5)
        assert(select("#", load "new_global = 1; return new_global"()) == 1 and rawget(_G, "new_global") == 1)
        assert(debug.getinfo(1, "l").currentline > 0 and debug.traceback "x":find "^x\nstack traceback:")
        assert(utf8.char(228) == "\u{e4}" and table.concat({ 1, 2 }, ",") == "1,2" and math.type(1) == "integer")
        local name = os.tmpname()
        local file = assert(io.open(name, "w"))
        file:write("a\nb\n")
        file:close()
        local lines = {}
        for line in io.lines(name) do lines[#lines + 1] = line end
        os.remove(name)
        assert(#lines == 2 and lines[2] == "b")
        local co = coroutine.wrap(function(...)
          local x = coroutine.yield(...)
          return x * 2
        end)
        assert(select(2, co(1, 2)) == 2 and co(21) == 42)
        local thread, main = coroutine.running()
        assert(type(thread) == "thread" and main == true and not coroutine.isyieldable())
        assert(os.time() > 0 and os.clock() >= 0 and os.getenv "PATH" ~= nil)
        local t = {}
        for w in ("a b c"):gmatch "%a" do t[#t + 1] = w end
        table.sort(t, function(a, b) return a > b end)
        assert(table.concat(t) == "cba" and next({}) == nil and table.pack(1, nil, 3).n == 3)
      end)
    end)
  end)

  it("has arg of the script", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      assert(arg[1] == "one" and arg[2] == "two words")
      local there = goro.run(function() return arg end)
      assert(there ~= arg and kit.count(there) == kit.count(arg))
      for k, v in pairs(arg) do kit.eq(v, there[k]) end
      assert(goro.run(function() return goro.run(function() return arg[0] .. arg[2] end) end) == arg[0] .. "two words")
    end, { args = { "one", "two words" } })
  end)

  it("has package.path, cpath and preload of its parent, as they are when it starts", function()
    passes_anywhere(function()
      local goro = require "goro"
      package.path, package.cpath = package.path .. ";/added/?.lua", package.cpath .. ";/added/?.so"
      package.preload.added = function(...) return { "preloaded", ... } end
      local path, cpath = package.path, package.cpath
      local function same()
        local added = require "added"
        return package.path == path and package.cpath == cpath and added[1] == "preloaded" and added[2] == "added"
      end
      assert(goro.run(same))
      assert(goro.run(function() return goro.run(same) end))
      -- A goroutine is the parent of those that it starts; its changes are not seen elsewhere.
      assert(goro.run(function()
        package.path = "/mine/?.lua;" .. package.path
        package.preload.mine = function() return { "mine" } end
        return goro.run(function() return package.path:match "^/mine/%?%.lua" ~= nil and require "mine"[1] == "mine" end)
      end))
      assert(package.path == path and package.preload.mine == nil)
      assert(goro.run(function() return package.preload.mine == nil and package.config end) == package.config)
    end)
  end)

  it("has the added searchers of its parent, in their places", function()
    passes_anywhere(function()
      local goro = require "goro"
      local prefix = "found "
      local function first(name)
        if name:find "^virtual" then return function(n, extra) return { prefix .. n, extra } end, "extra" end
        return "\n\tnot virtual"
      end
      table.insert(package.searchers, 1, first)
      local count = #package.searchers
      local function check()
        local m = require "virtual.one"
        local ok, err = pcall(require, "no.such.module")
        return #package.searchers == count and m[1] == "found virtual.one" and m[2] == "extra"
          and not ok and err:find "not virtual.*no field package.preload" ~= nil
      end
      assert(check())
      assert(goro.run(check))
      assert(goro.run(function() return goro.run(check) end))
    end)
  end)

  it("requires its own copy of a module", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules { counter = [[local n = 0 return { next = function() n = n + 1 return n end }]] }
      local function twice()
        local counter = require "counter"
        counter.next()
        return counter.next()
      end
      assert(twice() == 2 and goro.run(twice) == 2 and goro.run(twice) == 2 and twice() == 4)
    end)
  end)

  it("has globals of its own", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan()
      for i = 1, 8 do
        goro.go(function()
          rawset(_G, "mine", i)
          rawset(string, "mine", i)
          goro.gosched()
          c:send(rawget(_G, "mine") == i and rawget(string, "mine") == i)
        end)
      end
      for _ = 1, 8 do assert(c:recv(20) == true) end
      assert(rawget(_G, "mine") == nil and rawget(string, "mine") == nil)
    end)
  end)

  it("has its own random seed", function()
    passes_anywhere(function()
      local goro = require "goro"
      local seen = {}
      math.randomseed(42)
      for _ = 1, 200 do
        local n = goro.run(function() return math.random(0) end)
        assert(not seen[n])
        seen[n] = true
      end
      local expected = math.random(0)
      math.randomseed(42)
      goro.run(function() math.randomseed(7) end)
      assert(math.random(0) == expected)
      assert(goro.run(function() math.randomseed(7) return math.random(0) end)
        == goro.run(function() math.randomseed(7) return math.random(0) end))
    end)
  end)

  it("has its own garbage collector", function()
    passes_anywhere(function()
      local goro = require "goro"
      assert(goro.run(function()
        collectgarbage "stop"
        return not collectgarbage "isrunning"
      end))
      assert(collectgarbage "isrunning")
      collectgarbage "stop"
      assert(goro.run(function() return collectgarbage "isrunning" end))
      collectgarbage "restart"
      local mine = collectgarbage "count"
      local there, with = goro.run(function()
        local before = collectgarbage "count"
        local s = ("x"):rep(8 * 1024 * 1024)
        return before, collectgarbage "count" - before, #s
      end)
      assert(there < 2000 and with > 8000 and collectgarbage "count" < mine + 4000)
    end)
  end)

  it("prints each call as a whole", function()
    for _, pipe in ipairs { false, true } do
      local r = helper.run_function(function()
        local goro = require "goro"
        local done = goro.chan()
        for i = 1, 8 do
          goro.go(function()
            local long = tostring(i):rep(3000)
            for j = 1, 20 do
              if j % 2 == 0 then
                print(i, long, j, "end")
              else
                io.stdout:write(i, "\t", long, "\t", j, "\tend\n")
              end
            end
            done:send(true)
          end)
        end
        for _ = 1, 8 do done:recv(60) end
      end, { pipe = pipe })
      local next_of = {}
      for line in ended_well(r):gmatch "([^\n]*)\n" do
        local i, long, j = line:match "^(%d)\t(%d+)\t(%d+)\tend$"
        assert.equal(i and i:rep(3000), long)
        assert.equal((next_of[i] or 0) + 1, tonumber(j))
        next_of[i] = tonumber(j)
      end
      for i = 1, 8 do assert.equal(20, next_of[tostring(i)]) end
    end
  end)
end)
