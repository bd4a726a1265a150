-- SPDX-License-Identifier: MIT
-- Errors: messages and the names in them, error objects, handlers, levels, tracebacks.
-- luacheck: ignore

local case = ...
local function err(f, ...) return (select(2, pcall(f, ...))) end
local function flat(s) return (s:gsub("\n%s*", "|")) end
local function upto(s, mark) local a, b = s:find(mark, 1, true) return b and s:sub(1, b) or s end

-- Names.
case("name: local function", function() local f f() end)
case("name: global function", function() nosuchfunction() end)
case("name: global table's field", function() string.nosuch() end)
case("name: method", function() local o = {} o:go() end)
case("name: upvalue", function() local f return (function() f() end)() end)
case("name: field of a field", function() local t = { a = {} } t.a.b() end)
case("name: indexed by a local", function() local t, k = {}, "x" t[k]() end)
case("name: by a number", function() local t = {} t[1]() end)
case("name: a result", function() (function() end)()() end)
case("name: a constant", function() ("str")() end)
case("name: in a concatenation", function() local a, b = "x" return a .. b .. "y" end)
case("name: left of a concatenation", function() local a = {} return a .. "y" end)
case("name: upvalue in a concatenation", function() local a return (function() return a .. "y" end)() end)
case("name: comparison has none", function() local a, b = 1, "x" return a < b end)
case("name: global in arithmetic", function() return aglobal + 1 end)
case("name: shadowed by a parameter", function() local function f(x) return x.y end return f(nil) end)
case("name: register reused", function() local t = {} local x = t.a and t.b or t.c return x.y end)
case("name: _ENV as upvalue", function() local function f() return notdefined.x end return f() end)
case("name: _ENV as local", function() local _ENV = {} return print("x") end)
case("name: _ENV as parameter", function() local function f(_ENV) return thing.x end return f {} end)
case("name: _ENV nil", function() local _ENV = nil return x end)
case("name: for iterator", function() for x in nil do end end)
case("name: unary minus of a field", function() local t = { s = {} } return -t.s end)
case("name: bitwise of upvalue", function() local s = {} return (function() return s & 1 end)() end)
case("name: metamethod in call", function() return setmetatable({}, { __index = 1 }).x.y end)
case("name: string index", function() local s = "abc" return s.x.y end)
case("name: self", function() local o = {} function o:m() return self.a.b end return o:m() end)
case("name: long variable", function() local a_rather_long_name_for_a_local_variable_indeed_one_would_say return a_rather_long_name_for_a_local_variable_indeed_one_would_say.x end)
case("name: close of a local", function() local res <close> = 5 end)

-- error, levels, objects.
case("error: string and levels", function() local function f(l) error("msg", l) end return err(f), err(f, 1), err(f, 2), err(f, 0), err(f, 100) end)
case("error: level 2 names the caller's line", function() local function check() error("bad use", 2) end check() end)
case("error: level 3", function() local function a() error("deep", 3) end local function b() a() end b() end)
case("error: objects", function() local o = {} return err(error, o) == o, err(error, 5), err(error, true), err(error, nil), err(error), math.type(err(error, 1.0)) end)
case("error: uncaught table", function() error { code = 1, nested = { 2 } } end)
case("error: uncaught number", function() error(42) end)
case("error: uncaught number string", function() error("42", 0) end)
case("error: uncaught nil", function() error() end)
case("error: uncaught false", function() error(false) end)
case("error: uncaught function", function() error(print) end)
case("error: uncaught with a metatable", function() error(setmetatable({ 1 }, { __tostring = function() return "custom" end })) end)
case("error: __tostring is not called by pcall", function() local n = 0 local ok, e = pcall(error, setmetatable({}, { __tostring = function() n = n + 1 return "x" end })) return n, type(e) end)
case("error: rethrown keeps its text", function() local ok, e = pcall(function() error "first" end) error(e, 0) end)
case("error: rethrown gets a second position", function() local ok, e = pcall(function() error("first", 0) end) error(e) end)
case("error: in a nested function", function() local function a() local function b() error "b" end b() end a() end)
case("error: multi-line", function() error("line1\nline2") end)
case("error: with zeros", function() error("a\0b", 0) end)
case("error: empty", function() error "" end)
case("error: very long", function() error(("x"):rep(1000), 0) end)
case("error: message position of a multi-line call", function()
  local t = {}
  t.x(
    1,
    2
  )
end)
case("error: position inside an expression over lines", function()
  local a = 1 +
    {} +
    2
  return a
end)
case("error: position in a chunk with a name", function() return err(load("local x\nx()", "=mychunk")), err(load("error 'e'", "@file.lua")), err(load("error 'e'", "source text")), err(load("error 'e'", "two\nlines")), err(load("error 'e'", "=")), err(load("error 'e'", "@")) end)
case("error: long chunk names", function() return err(load("error 'e'", "@" .. ("d/"):rep(50) .. "f.lua")), err(load("error 'e'", "=" .. ("n"):rep(100))), err(load("error 'e'", ("s"):rep(100))) end)
case("error: stripped code has ?", function() return err(load(string.dump(function() local x return x.y end, true))), err(load(string.dump(function() error "m" end, true))) end)

-- pcall and xpcall.
case("pcall: results", function() return pcall(function(...) return ... end, 1, nil, 3) end)
case("pcall: nothing", function() return pcall() end)
case("pcall: no function", function() return pcall(5), pcall(nil) end)
case("pcall: of pcall", function() return pcall(pcall, error, "x") end)
case("pcall: C function with bad arguments", function() return pcall(string.rep), pcall(setmetatable, 1), pcall(ipairs), pcall(math.floor, {}) end)
case("pcall: errors in many layers", function() local n = 0 local function f(d) if d == 0 then error("bottom", 0) end local ok, e = pcall(f, d - 1) n = n + 1 error(e .. d, 0) end return err(f, 5), n end)
case("pcall: a thousand errors", function() local n = 0 for i = 1, 1000 do if not pcall(error, i) then n = n + 1 end end return n end)
case("xpcall: handler's results", function() return xpcall(error, function(m) return m .. "!", "second" end, "E") end)
case("xpcall: success", function() return xpcall(function(...) return ... end, print, 1, 2) end)
case("xpcall: handler sees the stack", function() local function boom() local secret = "s" error "E" end return xpcall(boom, function(m) local name, value = debug.getlocal(3, 1) return name or "nothing", value end) end)
case("xpcall: handler raises", function() return xpcall(error, function(m) error("in handler", 0) end, "E") end)
case("xpcall: handler raises always", function() local n = 0 local ok, e = xpcall(error, function(m) n = n + 1 error(m) end, "E") return ok, n > 1, type(e) end)
case("xpcall: handler not callable", function() return xpcall(error, nil, "E") end)
case("xpcall: no handler", function() return xpcall(error) end)
case("xpcall: handler is a C function", function() return xpcall(error, tostring, { }) ~= nil, xpcall(error, type, {}), xpcall(error, string.upper, "abc") end)
case("xpcall: handler is callable table", function() return xpcall(error, setmetatable({}, { __call = function(_, m) return "called " .. m end }), "E") end)
case("xpcall: nested", function() return xpcall(function() return xpcall(error, function(m) return "inner " .. m end, "E") end, function(m) return "outer" end) end)
case("xpcall: handler for runtime errors", function() return xpcall(function() local x return x.y end, function(m) return "[" .. m .. "]" end) end)
case("xpcall: handler gets objects", function() return xpcall(error, function(o) return o.code end, { code = 8 }) end)
case("xpcall: pcall inside the handler", function() return xpcall(error, function(m) return m .. tostring(pcall(error, "again")) end, "E") end)
case("xpcall: error in a coroutine is not handled there", function() return xpcall(function() return coroutine.resume(coroutine.create(function() error("C", 0) end)) end, function() return "handler" end) end)

-- Tracebacks.
local function level3() error "deep" end
local function level2() level3() end
case("traceback: named levels", function()
  local function inner() return debug.traceback "msg" end
  local function middle() local s = inner() return s end
  return upto(flat(middle()), "in upvalue 'inner'|")
end)
case("traceback: of library functions", function()
  local t
  pcall(string.gsub, "x", "x", function() t = debug.traceback() end)
  return (flat(t):match "%[C%]: in function 'string.gsub'|%[C%]: in function 'pcall'")
end)
case("traceback: of a method", function()
  local o = {}
  function o:work() local s = debug.traceback() return s end
  local s = o:work()
  return (flat(s):match "^stack traceback:|[^|]*|")
end)
case("traceback: of a field and a global", function()
  mod = { f = function() local s = debug.traceback() return s end }
  local a = mod.f()
  function globalfn() local s = debug.traceback() return s end
  local b = globalfn()
  return (flat(a):match "^stack traceback:|[^|]*|"), (flat(b):match "^stack traceback:|[^|]*|")
end, "alone")
case("traceback: through sort", function() local t table.sort({ 2, 1 }, function(a, b) t = debug.traceback() return a < b end) return (flat(t):match "%[C%]: in function 'table.sort'") end)
case("traceback: for iterator", function() local s for x in function() s = debug.traceback() end do end return (flat(s):match "in for iterator 'for iterator'") end)
case("traceback: tail calls", function() local function f() return debug.traceback() end local function g() return f() end local s = g() return (flat(s):match "%(%.%.%.tail calls%.%.%.%)") end)
case("traceback: xpcall's handler", function() local ok, t = xpcall(level2, debug.traceback) return ok, upto(flat(t), "in upvalue 'level2'"):match "^[^|]*|stack traceback:|%[C%]: in function 'error'|[^|]*|" end)
case("traceback: message kinds", function() return debug.traceback(nil) ~= nil, debug.traceback(12):match "^12\nstack", debug.traceback({}) ~= nil, type(debug.traceback({})), debug.traceback(print) == print end)
case("traceback: levels", function() local function f() return (debug.traceback("m", 1)), (debug.traceback("m", 0)) end local a, b = f() return flat(a):match "^m|stack traceback:|", flat(b):match "^m|stack traceback:|%[C%]: in function 'debug.traceback'|", debug.traceback("m", 100) end)
case("traceback: long ones are cut", function() local function f(n) if n == 0 then return debug.traceback() end local s = f(n - 1) return s end local s = f(100) return s:match "%.%.%.%s*%(skipping", #s < 3000 end)
case("traceback: of metamethods", function() local t local o = setmetatable({}, { __index = function() t = debug.traceback() end, __add = function() return 1 end }) local _ = o.x return (flat(t):match "in metamethod 'index'") end)
case("traceback: in a hook", function() local t debug.sethook(function() t = t or debug.traceback() end, "", 1) local x = 1 debug.sethook() return (flat(t):match "in hook '%?'") end)
case("traceback: of a coroutine in it", function() local co = coroutine.create(function() local x = nil; x() end) coroutine.resume(co) return flat(debug.traceback(co)) end)
case("traceback: pcall in it", function() local function f() return (debug.traceback()) end local _, s = pcall(f) return (flat(s):match "%[C%]: in function 'pcall'") end)
case("traceback: require in it", function() package.preload.tbmod = function() return debug.traceback() end return (flat(require "tbmod"):match "%[C%]: in function 'require'") end, "alone")
case("traceback: renamed library function", function() local sort = table.sort local t sort({ 2, 1 }, function(a, b) t = debug.traceback() return a < b end) return (flat(t):match "%[C%]: in function 'table.sort'") end)
case("traceback: library set to nil", function() local s, d = string, debug string, debug = nil local t s.gsub("x", "x", function() t = d.traceback() end) return (s.gsub(t, "\n%s*", "|"):match "%[C%]: in function '[^|]*'") end, "alone")

-- Messages of the base library.
case("base: bad arguments", function() return err(tostring), err(tonumber, "x", 1), err(setmetatable, {}), err(rawset, 1), err(select, 0), err(next, {}, 1), err(collectgarbage, "nosuch"), err(load), err(load, 5), err(dofile, {}), err(warn), err(warn, {}), err(rawlen), err(ipairs), err(unpack or error, "no unpack") end)
case("base: warn is silent by default", function() warn "nothing to see" return "quiet" end)
case("base: warn on and off", function() warn "not yet" warn "@on" warn "one" warn "@off" warn "no more" warn "@on" warn "two" warn "@unknown" return "done" end, "alone")
case("base: warn is off again in the next state", function() warn "nothing to see" return "quiet" end, "alone")
case("base: warn in pieces, when on", function() warn "@on" warn("a", "b", 3) warn("", "", "") warn("@off", "in the first piece") warn("in the last piece", "@off") warn(("x"):rep(300), ("y"):rep(500)) warn "still on" end, "alone")
case("base: warn is switched by a last piece", function() warn("x", "@on") warn "on" end, "alone")
case("base: warn in a coroutine", function() coroutine.wrap(function() warn "@on" warn "inside" end)() warn "outside" end, "alone")
case("base: warn of an error in a finalizer", function() warn "@on" setmetatable({}, { __gc = function() error "in gc" end }) collectgarbage() setmetatable({}, { __gc = function() error({}) end }) collectgarbage() setmetatable({}, { __name = "Mine", __gc = function(o) error(setmetatable({}, { __tostring = function() return "as text" end })) end }) collectgarbage() end, "alone")
case("base: warn replaced", function() local got = {} local stock = warn function warn(...) got[#got + 1] = table.concat({ ... }, "+") end warn("a", "b") stock("@on") stock "stock" return got end, "alone")
case("base: warn in pieces", function() return select("#", warn("a", "b", "c")) end)
case("base: warn checks before it writes", function() warn "@on" local e = err(warn, "a", {}) warn "@off" return e end, "alone")
case("base: collectgarbage options", function() return type(collectgarbage "count"), collectgarbage "collect", type(collectgarbage "step"), collectgarbage "isrunning", type(collectgarbage("setpause", 200)), type(collectgarbage("setstepmul", 100)) end, "alone")
case("base: collectgarbage stop and restart", function() local r = { collectgarbage "stop", collectgarbage "isrunning", collectgarbage "restart", collectgarbage "isrunning" } return r end, "alone")
case("base: collectgarbage modes", function() collectgarbage "incremental" return collectgarbage "generational", collectgarbage "incremental", collectgarbage("incremental", 100, 200, 10) end, "alone")
case("base: collectgarbage count shrinks", function() local t = {} for i = 1, 1000 do t[i] = { i } end local a = collectgarbage "count" t = nil collectgarbage() return collectgarbage "count" < a end)
case("base: a level 2 error from a C function's argument", function() local function f(x) string.rep(x) end f "a" end)
case("base: getmetatable errors", function() return err(getmetatable), err(rawequal), err(rawget, 1, 2) end)
case("base: type names in messages", function() return err(string.rep, print), err(string.rep, nil), err(string.rep, true), err(string.rep, coroutine.create(print)), err(string.rep, io.stdout), err(string.rep, setmetatable({}, { __name = "Mine" })) end)
case("base: light argument counts", function() return err(math.floor), err(table.concat), err(os.time, 5), err(utf8.char, -1), err(io.open), err(string.format) end)
