-- SPDX-License-Identifier: MIT
-- Functions: closures, varargs, goto, tail calls, many arguments, deep recursion, variables to be closed.
-- luacheck: ignore

local case = ...
local function err(f, ...) return (select(2, pcall(f, ...))) end
local function closer(log, name) return setmetatable({}, { __close = function(_, e) log[#log + 1] = name .. ":" .. tostring(e) end }) end
local function short(s) return (tostring(s):gsub("^.-:%d+: ", ""):gsub("%s*%(.*", ""):sub(1, 60)) end

-- Closures.
case("closures: counters", function() local function counter() local n = 0 return function() n = n + 1 return n end end local a, b = counter(), counter() return a(), a(), b(), a() end)
case("closures: shared upvalues", function() local n = 0 local function inc() n = n + 1 end local function get() return n end inc() inc() return get(), n end)
case("closures: a loop's fresh locals", function() local f = {} for _, v in ipairs { "a", "b" } do local x = v .. v f[#f + 1] = function() return v, x end end return f[1](), f[2]() end)
case("closures: while loops", function() local f, i = {}, 1 while i <= 3 do local j = i f[i] = function() j = j + 10 return j end i = i + 1 end return f[1](), f[1](), f[3]() end)
case("closures: repeat sees its locals", function() local n = 0 repeat local done = n == 3 n = n + 1 until done return n end)
case("closures: outlive their function", function() local function make(...) local t = { ... } return function() return table.unpack(t) end end return make(1, 2, 3)() end)
case("closures: upvalues of upvalues", function() local a = 1 local function f() return function() return function() a = a + 1 return a end end end return f()()(), a end)
case("closures: recursion by a local function", function() local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end return fact(20), fact(5) end)
case("closures: mutual recursion", function() local odd local function even(n) return n == 0 or odd(n - 1) end function odd(n) return n ~= 0 and even(n - 1) end return even(100), odd(7), even(7) end)
case("closures: 200 upvalues", function() local s = {} for i = 1, 190 do s[#s + 1] = "local a" .. i .. "=" .. i end s[#s + 1] = "return function() return 0" for i = 1, 190 do s[#s + 1] = "+a" .. i end s[#s + 1] = " end" return load(table.concat(s, " "))()() end)
case("closures: in a goto loop", function() local f = {} do local i = 1 ::top:: local x = i f[i] = function() return x end i = i + 1 if i <= 3 then goto top end end return f[1](), f[2](), f[3]() end)
case("closures: memoise", function() local memo = {} local function fib(n) if n < 2 then return n end local m = memo[n] if not m then m = fib(n - 1) + fib(n - 2) memo[n] = m end return m end return fib(80) end)
case("constants: folded", function() local x <const> = 10 local s <const> = "str" return x * 2 + 1, s .. "!", (function() return x end)() end)
case("constants: assignment is a compile error", function() return load "local x <const> = 1 x = 2" end)
case("attributes: unknown", function() return load "local x <foo> = 1" end)
case("attributes: two to close", function() return load "local a <close>, b <close> = 1, 2" end)

-- Varargs.
case("varargs: counts", function() local function f(...) return select("#", ...) end return f(), f(nil), f(nil, nil), f(1, 2, 3), f(f(1)) end)
case("varargs: select", function() return select(2, "a", "b", "c"), select(-1, "a", "b"), select(-2, 1, 2, 3) end)
case("varargs: select out of range", function() return select(-5, 1, 2) end)
case("varargs: select zero", function() return select(0, 1) end)
case("varargs: select of a string", function() return select("2", 1, 5), err(select, "x"), err(select) end)
case("varargs: select float", function() return select(2.0, "a", "b"), err(select, 1.5, 1) end)
case("varargs: adjusted", function() local function f(...) local a, b = ... return a, b, (...) end return f(1, 2, 3), f() end)
case("varargs: in the middle", function() local function f(...) return ..., "end" end return f(1, 2) end)
case("varargs: with fixed parameters", function() local function f(a, b, ...) return a, b, select("#", ...), ... end return f(1), f(1, 2, 3, 4) end)
case("varargs: in a table and call", function() local function f(...) local t = { ..., ... } return #t, select("#", ..., ...) end return f(1, 2, 3) end)
case("varargs: kept for a closure", function() local function f(...) local t = table.pack(...) return function() return table.unpack(t, 1, t.n) end end return select("#", f(nil, nil)()) end)
case("varargs: of a main chunk", function() return load "return select('#', ...), ..."(7, 8) end)
case("varargs: outside of one", function() return load "function f() return ... end" end)
case("varargs: recursion consumes", function() local function sum(a, ...) if not a then return 0 end return a + sum(...) end return sum(1, 2, 3, 4, 5) end)
case("many arguments", function() local t = {} for i = 1, 10000 do t[i] = i end local function f(...) return select("#", ...), (select(10000, ...)) end return f(table.unpack(t)) end)
case("many arguments: to string.char", function() local t = {} for i = 1, 5000 do t[i] = 65 + i % 26 end return #string.char(table.unpack(t)) end)
case("many arguments: to math.max", function() local t = {} for i = 1, 5000 do t[i] = i end return math.max(table.unpack(t)) end)
case("many arguments: through pcall and coroutines", function() local t = {} for i = 1, 5000 do t[i] = i end return select("#", pcall(table.unpack, t)), select("#", coroutine.wrap(function(...) return ... end)(table.unpack(t))) end)
case("many arguments: too many for the stack", function() return short(err(function() return table.unpack({}, 1, 999990) end)) end)
case("many results: from recursion", function() local function r(n) if n > 0 then return n, r(n - 1) end end return select("#", r(150)) end)
case("many parameters", function() local p = {} for i = 1, 150 do p[i] = "p" .. i end return load("return function(" .. table.concat(p, ",") .. ") return p150 end")()(table.unpack(p)) end)

-- Tail calls, deep recursion.
case("tail calls: very many", function() local function loop(n) if n == 0 then return "done" end return loop(n - 1) end return loop(200000) end)
case("tail calls: mutual", function() local b local function a(n) if n == 0 then return "a" end return b(n - 1) end function b(n) if n == 0 then return "b" end return a(n - 1) end return a(100001) end)
case("tail calls: of a C function", function() local function f(s) return string.upper(s) end return f "x" end)
case("tail calls: of a method", function() local o = { n = 5 } function o:down() if self.n == 0 then return "zero" end self.n = self.n - 1 return self:down() end return o:down() end)
case("recursion: deep, not too deep", function() local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(15000), f(100) end)
case("recursion: without end", function()
  local function f() return 1 + f() end
  local function g(n) if n == 0 then return 0 end return 1 + g(n - 1) end
  local ok, e = pcall(f)
  return ok, short(e), g(10000), xpcall(f, function(m) return "handled " .. short(m) end)
end)
case("recursion: of C functions", function() local function f() return pcall(f) end local r = table.pack(f()) return r[1], type(r[r.n]) end)
case("recursion: in __index", function() local t = setmetatable({}, { __index = function(t, k) return t[k .. "x"] end }) return short(err(function() return t.a end)):match "overflow" end)
case("recursion: in tostring", function() local t = setmetatable({}, { __tostring = function(t) return tostring(t) end }) return short(err(tostring, t)):match "overflow" end)
case("recursion: in gsub", function() local function f(s) return (s:gsub(".", f)) end return short(err(f, "x")):match "overflow" end)
case("recursion: in coroutines", function() local function f() return coroutine.wrap(f)() end return short(err(f)):match "overflow" end)
case("recursion: in load", function() local function f() return load(f)() end return type(err(f)) end)
case("recursion: nested parentheses", function() return short(select(2, load("return " .. ("("):rep(300) .. "1" .. (")"):rep(300)))):match "overflow" end)
case("recursion: string patterns", function() return #(("a"):rep(10000)):match(("a?"):rep(100) .. "a*"), short(err(string.find, ("("):rep(250) .. "x", ("%b()"):rep(1))) end)
case("recursion: sort with a recursive comparator", function() local function cmp(a, b) local t = { 2, 1 } if a > 100 then return a < b end table.sort(t, function(x, y) return x < y end) return a < b end local t = { 3, 1, 2 } table.sort(t, cmp) return t end)
case("ackermann", function() local function A(m, n) if m == 0 then return n + 1 elseif n == 0 then return A(m - 1, 1) end return A(m - 1, A(m, n - 1)) end return A(2, 6) end)

-- goto.
case("goto: continue", function() local r = {} for i = 1, 5 do if i % 2 == 0 then goto continue end r[#r + 1] = i ::continue:: end return r end)
case("goto: out of nested loops", function() for i = 1, 3 do for j = 1, 3 do if i * j == 4 then do return i, j end goto out end end end ::out:: return "none" end)
case("goto: backwards", function() local n = 0 ::again:: n = n + 1 if n < 5 then goto again end return n end)
case("goto: into a label at the block's end", function() do goto e local x ::e:: end return "ok" end)
case("goto: errors", function() return select(2, load "goto nowhere"), select(2, load "do ::l:: end goto l"), select(2, load "::a:: ::a::"), select(2, load "goto f local x ::f:: print(x)"), select(2, load "break") end)
case("goto: same label in different functions", function() local function f() ::l:: return 1 end ::l:: return f() end)
case("goto: state machine", function() local s, i, out = "aab", 0, "" ::A:: i = i + 1 if s:sub(i, i) == "a" then out = out .. "A" goto A end ::B:: out = out .. "B" return out end)
case("goto: leaves variables to be closed", function() local log = {} do local n = 0 ::top:: do local c <close> = closer(log, "c" .. n) n = n + 1 if n < 3 then goto top end end end return log end)

-- To be closed.
case("close: reverse order", function() local log = {} do local a <close> = closer(log, "a") local b <close> = closer(log, "b") log[#log + 1] = "body" end return log end)
case("close: nil and false", function() do local a <close> = nil local b <close> = false end return "fine" end)
case("close: not closable", function() local x <close> = {} end)
case("close: not closable number", function() local handle <close> = 42 end)
case("close: on return keeps results", function() local log = {} local function f() local a <close> = closer(log, "a") return 1, 2, 3 end return log, f() end)
case("close: on break", function() local log = {} for i = 1, 3 do local a <close> = closer(log, i) if i == 2 then break end end return log end)
case("close: on error", function() local log = {} local e = err(function() local a <close> = closer(log, "a") local b <close> = closer(log, "b") error("E", 0) end) return e, log end)
case("close: an error object", function() local got local e = err(function() local a <close> = setmetatable({}, { __close = function(_, x) got = x.code end }) error { code = 9 } end) return got, e end)
case("close: errors replace errors", function() local log = {} local function c(n) return setmetatable({}, { __close = function(_, e) log[#log + 1] = tostring(e) error(n, 0) end }) end return err(function() local a <close> = c "a" local b <close> = c "b" error("first", 0) end), log end)
case("close: error without error before", function() return err(function() local a <close> = setmetatable({}, { __close = function() error("in close", 0) end }) return 1 end) end)
case("close: no tail call", function() local log = {} local function g() log[#log + 1] = "g" return 5 end local function f() local a <close> = closer(log, "a") return g() end return f(), log end)
case("close: variable is constant", function() return load "local x <close> = nil x = 1" end)
case("close: in a coroutine that is closed", function() local log = {} local co = coroutine.create(function() local a <close> = closer(log, "a") coroutine.yield() end) coroutine.resume(co) return coroutine.close(co), log end)
case("close: yields inside __close", function() local log = {} local co = coroutine.wrap(function() do local a <close> = setmetatable({}, { __close = function() coroutine.yield "closing" log[1] = "closed" end }) end return "end" end) return co(), co(), log end)
case("close: yields inside __close after an error", function() local co = coroutine.wrap(function() return pcall(function() local a <close> = setmetatable({}, { __close = function(_, e) coroutine.yield(e) end }) error("E", 0) end) end) return co(), co() end)
case("close: metatable without __close at the end", function() local mt = { __close = function() end } return err(function() local x <close> = setmetatable({}, mt) mt.__close = nil end) end)
case("close: a generic for's fourth value", function() local log = {} local function it() return function(_, i) i = (i or 0) + 1 if i <= 2 then return i end end, nil, nil, closer(log, "it") end for i in it() do log[#log + 1] = i end pcall(function() for i in it() do error("x", 0) end end) return log end)
case("close: deep", function() local n = 0 local function f(d) local a <close> = setmetatable({}, { __close = function() n = n + 1 end }) if d > 0 then f(d - 1) end end f(100) return n end)
case("close: many in one function", function() local s = { "local n = 0 local mk = ... do " } for i = 1, 100 do s[#s + 1] = "local c" .. i .. " <close> = mk(function() n = n + 1 end) " end s[#s + 1] = "end return n" return load(table.concat(s))(function(f) return setmetatable({}, { __close = f }) end) end)

-- Syntax and evaluation.
case("logic: short circuits", function() return nil and 1, false or "d", 1 and 2, nil or false, not nil, not 0, false and error(), true or error() end)
case("method definitions", function() local o = { a = { b = {} } } function o.a.b.f(x) return x end function o.a.b:g(x) return self == o.a.b, x end return o.a.b.f(1), o.a.b:g(2) end)
case("string and table calls", function() local function f(x) return type(x) end return f "s", f { 1 }, f [[long]], #f "x" end)
case("numeric escapes and long strings", function() return "\65\066\x41\u{48}\z
    end", [==[
a]]b]==], "a\
b" end)
case("integer keys by expression", function() local t = { [1 + 1] = "two", ["a" .. "b"] = "ab" } return t[2], t.ab end)
case("syntax errors", function() return select(2, load "x ="), select(2, load "for"), select(2, load "x = }"), select(2, load "local function end"), select(2, load "'abc"), select(2, load "x = 1e"), select(2, load "'\\q'"), select(2, load "[[abc"), select(2, load "--[[x"), select(2, load "'\\300'"), select(2, load "'\\u{110000000}'") end)
case("syntax errors: long near text", function() return select(2, load("x = " .. ("y"):rep(100) .. " z")), select(2, load("x = '" .. ("y"):rep(100))) end)
case("limits: locals", function() local s = {} for i = 1, 201 do s[i] = "local a" .. i end return select(2, load(table.concat(s, "\n"))) end)
case("limits: upvalues", function() local s = {} for i = 1, 130 do s[#s + 1] = "local a" .. i end s[#s + 1] = "function f() for i = 1, 1 do local function g() " for i = 1, 130 do s[#s + 1] = "local b" .. i end s[#s + 1] = "end end end" return type(load(table.concat(s, "\n"))) end)
case("limits: registers", function() return short(select(2, load("return f(" .. ("1,"):rep(260) .. "1)"))) end)
case("operators on locals beyond registers", function() local s = {} for i = 1, 180 do s[i] = "local v" .. i .. " = " .. i end return load(table.concat(s, "\n") .. "\nreturn v1 + v180 * v90 - v3")() end)
case("many constants", function() local s = { "local t = {} " } for i = 1, 700 do s[#s + 1] = "t[" .. i .. "] = 'c" .. i .. "' " end return load(table.concat(s) .. "return t[1], t[700], #t")() end)
case("long jumps", function() local s = { "local x, n = ..., 0 if x then " } for i = 1, 5000 do s[#s + 1] = "n = n + x " end s[#s + 1] = "end return n" return load(table.concat(s))(2), load(table.concat(s))(nil) end)
case("type", function() return type(nil), type(1), type("x"), type({}), type(print), type(coroutine.create(print)), type(io.stdout), type(true), err(type) end)
case("assert: forms", function() return assert(1, 2, 3), select("#", assert(1, nil, nil)), err(assert, false), err(assert, nil, "msg"), err(assert), err(assert, false, { 1 }), err(assert, nil, nil) end)
case("assert: custom objects", function() local e = setmetatable({ code = 5 }, { __tostring = function() return "E5" end }) local ok, x = pcall(assert, false, e) return ok, x == e, x.code, tostring(x) end)
case("assert: raises at the top", function() assert(1 == 2, "top message") end)
case("assert: default message", function() assert(false) end)
