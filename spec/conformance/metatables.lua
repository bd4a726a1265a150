-- SPDX-License-Identifier: MIT
-- Metatables: each metamethod, chains, protection, inheritance.
-- luacheck: ignore

local case = ...
local function err(f, ...) return (select(2, pcall(f, ...))) end
local function logged() -- an object whose every binary operation says what it was called with
  local mt = {}
  local function name(v) return type(v) == "table" and "obj" or tostring(v) end
  for _, e in ipairs { "add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr", "concat" } do
    mt["__" .. e] = function(a, b) return e .. "(" .. name(a) .. "," .. name(b) .. ")" end
  end
  for _, e in ipairs { "unm", "bnot", "len" } do mt["__" .. e] = function(a, b) return e .. "(" .. name(a) .. "," .. name(b) .. ")" end end
  return setmetatable({}, mt)
end

case("arithmetic: left", function() local o = logged() return o + 1, o - 1, o * 1, o / 1, o % 1, o ^ 1, o // 1 end)
case("arithmetic: right", function() local o = logged() return 1 + o, 1 - o, 1 * o, 1 / o, 1 % o, 1 ^ o, 1 // o end)
case("arithmetic: with strings", function() local o = logged() return o + "x", "x" + o, o .. "x", "x" .. o, o - "1", "2" * o end)
case("bits", function() local o = logged() return o & 1, 1 | o, o ~ 2, o << 1, 1 >> o, ~o, o & "x", "x" | o, 1.5 & o end)
case("unary", function() local o = logged() return -o, #o, ~o end)
case("concat: chains", function() local o = logged() return 1 .. o, o .. 1, "a" .. "b" .. o, o .. "a" .. "b", err(function() return o .. {} .. nil end) end)
case("concat: several", function() local mt = {} mt.__concat = function(a, b) return setmetatable({ v = (type(a) == "table" and a.v or a) .. (type(b) == "table" and b.v or b) }, mt) end local o = setmetatable({ v = "o" }, mt) return (o .. "1" .. o .. "2").v, ("a" .. o .. o).v end)
case("first operand's metamethod first", function() local a, b = setmetatable({}, { __add = function() return "a" end }), setmetatable({}, { __add = function() return "b" end }) return a + b, b + a end)
case("one result only", function() local o = setmetatable({}, { __add = function() return 1, 2, 3 end, __len = function() return 4, 5 end, __unm = function() end }) return o + 1, #o, -o end)
case("metamethod that is an object with __call", function() local f = setmetatable({}, { __call = function(_, a, b) return "called" end }) local o = setmetatable({}, { __add = f, __index = function(_, k) return k end }) return o + 1, o.x end)
case("metamethod that is no function", function() return setmetatable({}, { __add = 5 }) + 1 end)
case("comparison: lt and le", function() local mt = { __lt = function(a, b) return a.n < b.n end, __le = function(a, b) return a.n <= b.n end } local a, b = setmetatable({ n = 1 }, mt), setmetatable({ n = 2 }, mt) return a < b, b < a, a <= b, a > b, a >= b, b >= b end)
case("comparison: results are booleans", function() local o = setmetatable({}, { __lt = function() return 5 end, __le = function() return nil end, __eq = function() return "yes" end }) return o < o, o <= 1, 1 > o, o == setmetatable({}, getmetatable(o)) end)
case("comparison: no __le from __lt", function() local mt = { __lt = function() return true end } local a = setmetatable({}, mt) return a <= a end)
case("comparison: two tables", function() return {} < {} end)
case("comparison: two nils", function() return nil < nil end)
case("comparison: number and nil", function() local x return 1 < x end)
case("comparison: table and number", function() return {} <= 1 end)
case("comparison: two functions", function() return print >= print end)
case("comparison: __name in messages", function() return err(function() return setmetatable({}, { __name = "My" }) < 1 end), err(function() return 1 < setmetatable({}, { __name = "My" }) end), err(function() local o = setmetatable({}, { __name = "My" }) return o < o end) end)
case("eq: only for tables of different identity", function() local n = 0 local mt = { __eq = function() n = n + 1 return true end } local a, b = setmetatable({}, mt), setmetatable({}, mt) return a == b, a == a, a ~= b, a == 1, n end)
case("eq: either side", function() local a = setmetatable({}, { __eq = function() return true end }) return a == {}, {} == a end)
case("eq: not for keys", function() local mt = { __eq = function() return true end } local a, b = setmetatable({}, mt), setmetatable({}, mt) local t = { [a] = 1 } return t[b], t[a] end)
case("index: function", function() local t = setmetatable({ x = 1 }, { __index = function(t, k) return k .. "!" end }) return t.x, t.y, t[5] end)
case("index: table chain", function() local a = { p = 1 } local b = setmetatable({ q = 2 }, { __index = a }) local c = setmetatable({}, { __index = b }) return c.p, c.q, c.r end)
case("index: of a string", function() local t = setmetatable({}, { __index = "str" }) return t.upper == string.upper, t.nosuch end)
case("index: of a number fails", function() local t = setmetatable({}, { __index = 5 }) return t.x end)
case("index: loop", function() local t = {} setmetatable(t, { __index = t }) return t.x, err(function() local a, b = {}, {} setmetatable(a, { __index = b }) setmetatable(b, { __index = a }) return a.x end) end)
case("newindex: function", function() local log = {} local t = setmetatable({ x = 1 }, { __newindex = function(t, k, v) log[#log + 1] = k .. v end }) t.x = 2 t.y = 3 return t.x, rawget(t, "y"), log end)
case("newindex: table", function() local store = {} local t = setmetatable({}, { __newindex = store }) t.a = 1 return rawget(t, "a"), store.a end)
case("newindex: loop", function() return err(function() local a, b = {}, {} setmetatable(a, { __newindex = b }) setmetatable(b, { __newindex = a }) a.x = 1 end) end)
case("newindex: of a number fails", function() local t = setmetatable({}, { __newindex = 5 }) t.x = 1 end)
case("newindex: present nil", function() local n = 0 local t = setmetatable({}, { __newindex = function() n = n + 1 end }) t.x = 1 t.x = 2 rawset(t, "x", 3) t.x = nil t.x = 4 return n end)
case("call: arguments and results", function() local o = setmetatable({}, { __call = function(self, ...) return select("#", ...), ... end }) return o(1, nil, 3) end)
case("call: chain", function() local a = setmetatable({}, { __call = function(...) return select("#", ...) end }) local b = setmetatable({}, { __call = a }) return b(1, 2) end)
case("call: not callable", function() local t = {} t() end)
case("call: not callable field", function() local t = { f = {} } t.f() end)
case("call: not callable method", function() local t = { f = 5 } t:f() end)
case("call: not callable __call", function() local t = setmetatable({}, { __call = 5 }) t() end)
case("call: as a tail call", function() local o = setmetatable({}, { __call = function(_, x) return x end }) local function f(x) return o(x) end return f(7) end)
case("call: through pcall, sort and gsub", function() local o = setmetatable({}, { __call = function(_, a, b) return b and a > b or "r" end }) local t = { 1, 2 } return pcall(o, 1, 2), err(table.sort, t, o), err(string.gsub, "x", "x", o) end)
case("len: used by the library", function() local t = setmetatable({}, { __len = function() return 3 end, __index = function(_, i) return i end }) return #t, table.concat(t, ","), select("#", table.unpack(t)) end)
case("len: no integer", function() return table.concat(setmetatable({}, { __len = function() return "x" end })) end)
case("len: float", function() return #setmetatable({}, { __len = function() return 2.5 end }), err(table.unpack, setmetatable({}, { __len = function() return 2.5 end })) end)
case("tostring, name", function() return tostring(setmetatable({}, { __tostring = function() return "obj" end })), (tostring(setmetatable({}, { __name = "My.Type" })):gsub("0x%x+", "ADDRESS")), (tostring(setmetatable({}, { __name = 5 })):gsub("0x%x+", "ADDRESS")) end)
case("print uses __tostring", function() print(setmetatable({}, { __tostring = function() return "printed" end }), nil, 1.5) end)
case("print: __tostring no string", function() print(setmetatable({}, { __tostring = function() end })) end)
case("metatable: field", function() local t = setmetatable({}, { __metatable = "private" }) return getmetatable(t), err(setmetatable, t, {}), err(setmetatable, t, nil) end)
case("metatable: false hides too", function() local t = setmetatable({}, { __metatable = false }) return getmetatable(t), err(setmetatable, t, {}) end)
case("metatable: debug sees all", function() local mt = { __metatable = "private" } local t = setmetatable({}, mt) return debug.getmetatable(t) == mt end)
case("getmetatable: others", function() return getmetatable({}), getmetatable(1), getmetatable(nil), getmetatable(print), getmetatable(true), err(getmetatable) end)
case("getmetatable: files", function() local mt = getmetatable(io.stdout) return mt.__name, type(mt.__index), mt == getmetatable(io.stderr) end)
case("setmetatable: returns its table", function() local t = {} return setmetatable(t, {}) == t, getmetatable(setmetatable(t, nil)) end)
case("setmetatable: nothing", function() return err(setmetatable), err(setmetatable, {}), err(setmetatable, {}, 1), err(setmetatable, 1, {}) end)
case("pairs: metamethod", function() local t = setmetatable({}, { __pairs = function(t) return function(_, k) k = (k or 0) + 1 if k < 4 then return k, k * k end end, t, nil end }) local r = {} for k, v in pairs(t) do r[k] = v end return r end)
case("close: order and errors", function() local log = {} local function c(n) return setmetatable({}, { __close = function(_, e) log[#log + 1] = n .. ":" .. tostring(e) end }) end do local a <close> = c "a" local b <close> = c "b" end pcall(function() local x <close> = c "x" error("boom", 0) end) return log end)
case("gc: a field set later does nothing", function() local n = 0 local mt = {} local t = setmetatable({}, mt) mt.__gc = function() n = n + 1 end t = nil collectgarbage() collectgarbage() return n end)
case("mode: values", function() local t = setmetatable({}, { __mode = "v" }) t[1] = {} t[2] = "s" t.x = {} collectgarbage() return t[1], t[2], t.x end)
case("inheritance: classes", function()
  local Animal = {} Animal.__index = Animal
  function Animal.new(name) return setmetatable({ name = name }, Animal) end
  function Animal:speak() return self.name .. " makes a sound" end
  local Dog = setmetatable({}, { __index = Animal }) Dog.__index = Dog
  function Dog.new(name) local d = Animal.new(name) return setmetatable(d, Dog) end
  function Dog:speak() return Animal.speak(self) .. ": woof" end
  return Dog.new("Rex"):speak(), Animal.new("Cat"):speak(), getmetatable(Dog.new "x") == Dog
end)
case("proxies: read only", function() local function ro(t) return setmetatable({}, { __index = t, __newindex = function(_, k) error("read only: " .. k, 2) end, __len = function() return #t end }) end local p = ro { 1, 2 } return p[1], #p, err(function() p.x = 1 end) end)
case("defaults", function() local d = setmetatable({}, { __index = function(t, k) local v = {} rawset(t, k, v) return v end }) d.a.b = 1 d.a.c = 2 return d end)
case("metamethods: errors point at the operation", function() local o = setmetatable({}, { __add = function(a, b) error "inside add" end }) return o + 1 end)
case("metamethods: error with level 2", function() local o = setmetatable({}, { __index = function(t, k) error("no field " .. k, 2) end }) return o.missing end)
case("metamethods: in a traceback", function() local o = setmetatable({}, { __add = function(a, b) return debug.traceback("t", 1) end }) return (((o + 1):gsub("\n%s*", "|")):match "^t|stack traceback:|[^|]*|") end)
case("metamethods: getinfo names them", function() local function n() local i = debug.getinfo(2, "n") return i.name, i.namewhat end local r = {} local mt = {} for _, e in ipairs { "__index", "__newindex", "__add", "__concat", "__len", "__eq", "__lt", "__unm", "__close", "__call" } do mt[e] = function() local a, b = n() r[e] = tostring(a) .. "/" .. tostring(b) return 1 end end local o, p = setmetatable({}, mt), setmetatable({}, mt) local _ = o.x o.y = 1 _ = o + 1 _ = o .. 1 _ = #o _ = o == p _ = o < p _ = -o do local c <close> = o end o() return r end)
case("shared metatables stay shared", function() local mt = { __index = { v = 1 } } local a, b = setmetatable({}, mt), setmetatable({}, mt) mt.__index.v = 2 return a.v, b.v end)
case("vectors", function() local V = {} V.__index = V V.__add = function(a, b) return setmetatable({ a[1] + b[1], a[2] + b[2] }, V) end V.__eq = function(a, b) return a[1] == b[1] and a[2] == b[2] end V.__mul = function(a, k) if type(a) == "number" then a, k = k, a end return setmetatable({ a[1] * k, a[2] * k }, V) end V.__tostring = function(v) return "(" .. v[1] .. "," .. v[2] .. ")" end local a, b = setmetatable({ 1, 2 }, V), setmetatable({ 3, 4 }, V) return tostring(a + b), tostring(2 * a), a * 3 == setmetatable({ 3, 6 }, V) end)
case("index: rawget bypasses", function() local t = setmetatable({}, { __index = error }) return rawget(t, "x"), next(t) end)
case("index: __index of __index function sees the inner table", function() local inner = {} local got setmetatable(inner, { __index = function(t, k) got = t == inner return k end }) local o = setmetatable({}, { __index = inner }) return o.z, got end)
case("deep __index chain", function() local t = { v = "deep" } for i = 1, 100 do t = setmetatable({}, { __index = t }) end return t.v, t.w end)
case("deep __call chain", function() local f = function(...) return select("#", ...) end for i = 1, 20 do f = setmetatable({}, { __call = f }) end return f() end)
case("yield across metamethods", function()
  local y = coroutine.yield
  local mt = { __add = function(a, b) return y "add" end, __index = function(_, k) return y("index " .. k) end, __newindex = function(_, k, v) y("newindex " .. k) end, __eq = function() return y "eq" end,
    __lt = function() return y "lt" end, __concat = function() return y "concat" end, __len = function() return y "len" end, __call = function(_, x) return y("call " .. x) end, __unm = function() return y "unm" end }
  local a, b = setmetatable({}, mt), setmetatable({}, mt)
  local co = coroutine.wrap(function() local r = {} r[1] = a + b r[2] = a.k a.n = 1 r[3] = a == b r[4] = a < b r[5] = "x" .. a r[6] = #a r[7] = a("z") r[8] = -a return r end)
  local log, v = {}, co()
  while type(v) == "string" do log[#log + 1] = v v = co(#log) end
  return log, v
end)
