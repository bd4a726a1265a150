-- SPDX-License-Identifier: MIT
-- The debug library: getinfo, locals, upvalues, hooks, registry, metatables.
-- luacheck: ignore

local case = ...
local function err(f, ...) return (select(2, pcall(f, ...))) end
local function flat(s) return (s:gsub("\n%s*", "|")) end

case("names", function() local t = {} for k, v in pairs(debug) do t[#t + 1] = k .. " " .. type(v) end table.sort(t) return table.concat(t, ", ") end)
case("getinfo: a Lua function", function() local i = debug.getinfo(function(a, b, ...) end) return i.what, i.source, i.short_src, i.nups, i.nparams, i.isvararg, i.linedefined == i.lastlinedefined, i.currentline, i.name, i.namewhat, i.istailcall end)
case("getinfo: a C function", function() local i = debug.getinfo(rawlen) return i.what, i.source, i.short_src, i.nups, i.nparams, i.isvararg, i.linedefined, i.lastlinedefined, i.currentline end)
case("getinfo: library functions are C", function() local r = {} for _, n in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug" } do for k, v in pairs(_G[n]) do if type(v) == "function" and debug.getinfo(v, "S").what ~= "C" then r[#r + 1] = n .. "." .. k end end end return r end)
case("getinfo: base functions have no upvalues", function() local r = {} for k, v in pairs(_G) do if type(v) == "function" then local n = debug.getinfo(v, "u").nups if n ~= 0 then r[#r + 1] = k end end end table.sort(r) return r end)
case("getinfo: selected", function() local n = 0 for k in pairs(debug.getinfo(1, "l")) do n = n + 1 end return n, debug.getinfo(1, "l").currentline ~= nil, debug.getinfo(1, "S").what, debug.getinfo(1, "f").func ~= nil end)
case("getinfo: lines", function()
  local function f()
    local a = 1

    return a
  end
  local i, r = debug.getinfo(f, "SL"), {}
  for l in pairs(i.activelines) do r[#r + 1] = l - i.linedefined end
  table.sort(r)
  return r
end)
case("getinfo: names of calls", function() local function me() local i = debug.getinfo(2, "n") return i.name, i.namewhat end local function f() local a, b = me() return a, b end local t = { g = f } function t:h() local a, b = me() return a, b end local a, b = f() local c, d = t.g() local e, g = t:h() return a, b, c, d, e, g end)
case("getinfo: names of global calls", function() function globalname() local i = debug.getinfo(1, "n") return i.name, i.namewhat end local a, b = globalname() return a, b end, "alone")
case("getinfo: tail call", function() local function f() return debug.getinfo(1, "t").istailcall end local function g() return f() end return (f()), (g()) end)
case("getinfo: current line moves", function() local a = debug.getinfo(1, "l").currentline
  local b = debug.getinfo(1, "l").currentline return b - a end)
case("getinfo: level 0", function() local i = debug.getinfo(0, "nSf") return i.name, i.what, i.func == debug.getinfo end)
case("getinfo: a level too far", function() return debug.getinfo(1000) end)
case("getinfo: bad option", function() return debug.getinfo(1, "X") end)
case("getinfo: bad option with >", function() return debug.getinfo(print, ">") end)
case("getinfo: bad level", function() return err(debug.getinfo, "x"), err(debug.getinfo), err(debug.getinfo, {}) end)
case("getinfo: negative level", function() return debug.getinfo(-1) end)
case("getinfo: transfers in hooks", function() local r debug.sethook(function(e) local i = debug.getinfo(2, "r") r = r or { i.ftransfer, i.ntransfer } end, "c") local function f(a, b) end f(1, 2) debug.sethook() return type(r) end)
case("getinfo: of a loaded chunk", function() local i = debug.getinfo(load("return 1\n", "=mine"), "S") return i.what, i.source, i.short_src, i.linedefined end)
case("getinfo: main chunk's level", function() return load "return debug.getinfo(1, 'S').what"() end)

case("getlocal: parameters and locals", function() local function f(a, b) local c = 3 local r = {} for i = 1, 4 do local n, v = debug.getlocal(1, i) r[i] = tostring(n) .. "=" .. type(v) end return r end return f(1, 2) end)
case("getlocal: varargs", function() local function f(...) return { debug.getlocal(1, -1) }, { debug.getlocal(1, -2) }, debug.getlocal(1, -3) end return f("x", "y") end)
case("getlocal: of a function", function() local function f(one, two) end return debug.getlocal(f, 1), debug.getlocal(f, 2), debug.getlocal(f, 3), debug.getlocal(print, 1) end)
case("getlocal: temporaries", function() local a = 1 return (debug.getlocal(1, 2)) end)
case("getlocal: level out of range", function() return debug.getlocal(1000, 1) end)
case("getlocal: for loops", function() for i = 1, 1 do local r = {} for k = 1, 6 do r[k] = (debug.getlocal(1, k)) end return r end end)
case("getlocal: generic for", function() for k, v in pairs { 1 } do local r = {} for n = 1, 8 do r[n] = (debug.getlocal(1, n)) end return r end end)
case("setlocal", function() local x = 1 local n = debug.setlocal(1, 1, "changed") return n, x, debug.setlocal(1, 100, 1) end)
case("setlocal: of the caller", function() local function set() debug.setlocal(2, 1, "from below") end local mine = 0 set() return mine end)
case("setlocal: level out of range", function() return debug.setlocal(1000, 1, 1) end)
case("upvalues: get and set", function() local a, b = 1, 2 local function f() return a, b end local n, v = debug.getupvalue(f, 1) local s = debug.setupvalue(f, 2, "new") return n, v, s, b, debug.getupvalue(f, 3), debug.setupvalue(f, 3, 1) end)
case("upvalues: of C functions", function() local g = ("x"):gmatch "x" return debug.getupvalue(rawlen, 1), (debug.getupvalue(g, 1)), (debug.getupvalue(coroutine.wrap(print), 1)) end)
case("upvalueid: shared", function() local x, y local function f() return x end local function g() return x, y end return debug.upvalueid(f, 1) == debug.upvalueid(g, 1), debug.upvalueid(g, 2) == debug.upvalueid(g, 1), type(debug.upvalueid(f, 1)) end)
case("upvalueid: none", function() return debug.upvalueid(function() end, 1), err(debug.upvalueid, print, 5), err(debug.upvalueid, 1, 1) end)
case("upvaluejoin", function() local a, b = "a", "b" local function f() return a end local function g() return b end debug.upvaluejoin(f, 1, g, 1) b = "changed" return f(), a end)
case("upvaluejoin: bad index", function() local a local function f() return a end return err(debug.upvaluejoin, f, 5, f, 1), err(debug.upvaluejoin, f, 1, f, 5), err(debug.upvaluejoin, f, 1, rawlen, 1) end)
case("metatable: of anything", function() local mt = {} return debug.setmetatable(10, mt) == 10, getmetatable(5) == mt, debug.setmetatable(10, nil), getmetatable(5) end, "alone")
case("metatable: bad", function() return debug.setmetatable({}, 1) end)
case("metatable: through protection", function() local t = setmetatable({}, { __metatable = "p" }) debug.setmetatable(t, nil) return getmetatable(t), debug.getmetatable(t) end)
case("metatable: string's by debug", function() return debug.getmetatable("x").__index == string, debug.getmetatable("") == getmetatable("y") end)
case("uservalues", function() return debug.getuservalue(io.stdout, 1), debug.getuservalue(5), debug.setuservalue(io.stdout, 1, 1), err(debug.setuservalue, 1, 1) end)
case("registry", function() local r = debug.getregistry() return type(r), r[2] == _G, type(r[1]), r._LOADED == package.loaded, r._PRELOAD == package.preload, type(r["FILE*"]) end)
case("registry: its named fields, but for those that hooks and big buffers make", function() local t = {} for k, v in pairs(debug.getregistry()) do if type(k) == "string" and (k:find "^_" or k == "FILE*") and k ~= "_HOOKKEY" and k ~= "_UBOX*" then t[#t + 1] = k .. " " .. type(v) end end table.sort(t) return t end)

case("hook: lines", function()
  local base, r = debug.getinfo(1, "l").currentline, {}
  debug.sethook(function(e, l) r[#r + 1] = e .. l - base end, "l")
  local a = 1
  if a == 1 then
    a = 2
  end
  debug.sethook()
  return r
end)
case("hook: calls and returns", function() local r = {} local function f() return 1 end local function g() return f() end debug.sethook(function(e) r[#r + 1] = e .. ":" .. tostring(debug.getinfo(2, "n").name) end, "cr") local x = f() g() debug.sethook() return r end)
case("hook: counts", function() local n = 0 debug.sethook(function(e) n = n + 1 end, "", 100) for i = 1, 1000 do end debug.sethook() return n > 5, n < 100 end)
case("hook: count of one", function() local n = 0 debug.sethook(function() n = n + 1 end, "", 1) local a = 1 local b = 2 local c = a + b debug.sethook() return n > 3 end)
case("hook: gethook", function() local f = function() end debug.sethook(f, "crl", 5) local a, b, c = debug.gethook() debug.sethook() return a == f, b, c, debug.gethook() end)
case("hook: none at first", function() return debug.gethook() end)
case("hook: errors in one", function() local ok, e = pcall(function() debug.sethook(function() debug.sethook() error("from hook", 0) end, "", 1) local a = 1 end) return ok, e end)
case("hook: error in a line hook has a position", function() local ok, e = pcall(function()
    debug.sethook(function() debug.sethook() error "from hook" end, "l")
    local a = 1
  end) return ok, e end)
case("hook: not inside hooks", function() local depth, most = 0, 0 debug.sethook(function() depth = depth + 1 most = math.max(most, depth) local x = 1 x = x + 1 depth = depth - 1 end, "", 1) local y = 1 y = y + 1 debug.sethook() return most end)
case("hook: for a coroutine only", function() local n = 0 local co = coroutine.create(function() local a = 1 coroutine.yield() local b = 2 end) debug.sethook(co, function() n = n + 1 end, "", 1) coroutine.resume(co) local first = n local z = 1 return first > 0, n == first, debug.gethook(), select("#", debug.gethook(co)) end)
case("hook: a new coroutine has its creator's", function() local f = function() end debug.sethook(f, "c") local co = coroutine.create(function() return (debug.gethook()) end) local _, h = coroutine.resume(co) debug.sethook() return h == f end)
case("hook: changes locals", function() local function f() local x = 1
    x = x
    return x end
  debug.sethook(function() if debug.getlocal(2, 1) == "x" then debug.setlocal(2, 1, 99) end end, "l") local r = f() debug.sethook() return r end)
case("hook: tail calls", function() local r = {} local function f() return 1 end local function g() return f() end debug.sethook(function(e) r[#r + 1] = e end, "c") g() debug.sethook() return r end)
case("hook: stops a loop without end", function() local n = 0 debug.sethook(function() n = n + 1 if n > 50 then error("enough", 0) end end, "", 1000) local ok, e = pcall(function() while true do end end) debug.sethook() return ok, e end)
case("hook: in pcall and metamethods", function() local r = {} local o = setmetatable({}, { __index = function() return 1 end }) debug.sethook(function(e) local i = debug.getinfo(2, "nS") r[#r + 1] = i.what .. ":" .. tostring(i.name) end, "c") pcall(function() return o.x end) debug.sethook() return r end)
case("hook: bad arguments", function() return err(debug.sethook, 1, "c"), err(debug.sethook, print, {}), select("#", debug.sethook()) end)
case("traceback: forms", function() return flat(debug.traceback("m", 1)):match "^m|stack traceback:|", debug.traceback("x", 1000), debug.traceback(nil, 1000), debug.traceback(5, 1000) end)
case("traceback: of a fresh coroutine", function() return debug.traceback(coroutine.create(print)), debug.traceback(coroutine.create(print), "m") end)
case("traceback: main chunk in it", function() return (flat(load("local s = debug.traceback() return s", "=chunk")()):match "chunk:1: in main chunk" or flat(load("local s = debug.traceback() return s", "=chunk")()):match "chunk:1: in [^|]*") end)
case("debug.debug is a function", function() return type(debug.debug), debug.getinfo(debug.debug, "S").what end)
case("setcstacklimit", function() return type(debug.setcstacklimit(200)) end)
case("library set to nil", function() local d = debug debug = nil return d.getinfo(1, "S").what, debug, require "debug" == d end, "alone")
