-- SPDX-License-Identifier: MIT
-- Pre-emption: whoever loops lets others run, wherever the loop is; nothing that a program can see changes by it.

local helper = require "spec.helper"
local passes = helper.passes
local it = helper.interrupting(it, pending)

-- One place to run: the loop gets it first, and the other goroutine only if the loop is made to give it away.
local loops = {
  ["at the top"] = "while true do end",
  ["of goto"] = "::again:: goto again",
  ["of repeat, with arithmetic"] = "local x = 0 repeat x = (x * 31 + 7) % 1000003 until x < 0",
  ["of numeric for"] = "for _ = 1, math.maxinteger do end",
  ["in pcall"] = "pcall(function() while true do end end)",
  ["of pcalls that fail"] = "while true do pcall(error, 'x') end",
  ["in xpcall's handler"] = "xpcall(error, function() while true do end end)",
  ["in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
  ["in coroutines, three deep"] = "local wrap = coroutine.wrap wrap(function() wrap(function() wrap(function() while true do end end)() end)() end)()",
  ["in coroutines, fifty deep"] = "local function deeper(n) if n == 0 then while true do end end coroutine.wrap(deeper)(n - 1) end deeper(50)",
  ["of resumes"] = "while true do local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) coroutine.resume(co) end",
  ["in __index"] = "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
  ["in __add"] = "local t = setmetatable({}, { __add = function() while true do end end }) return t + 1",
  ["in __eq"] = "local m = { __eq = function() while true do end end } return setmetatable({}, m) == setmetatable({}, m)",
  ["in __lt"] = "local m = { __lt = function() while true do end end } return setmetatable({}, m) < setmetatable({}, m)",
  ["in __concat"] = "local t = setmetatable({}, { __concat = function() while true do end end }) return t .. 'x'",
  ["in __len"] = "local t = setmetatable({}, { __len = function() while true do end end }) return #t",
  ["in __call"] = "setmetatable({}, { __call = function() while true do end end })()",
  ["in __close"] = "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end",
  ["in __close of an error"] = "pcall(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) error 'x' end)",
  ["in __gc"] = "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
  ["in an iterator"] = "for _ in function() while true do end end do end",
  ["of strings"] = "while true do local s = '' for i = 1, 100 do s = s .. i end end",
  ["of recursion"] = "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end while true do f(1000) end",
  ["of tail calls"] = "local function f() return f() end f()",
  ["in a sort comparator"] = "table.sort({ 3, 1, 2, 5, 4 }, function() while true do end end)",
  ["in gsub's callback"] = "string.gsub('x', 'x', function() while true do end end)",
  ["in load's reader"] = "load(function() while true do end end)",
  ["in a require loader"] = "package.preload.mine = function() while true do end end require 'mine'",
  ["in a coroutine in a comparator"] = "table.sort({ 2, 1 }, function() coroutine.wrap(function() while true do end end)() end)",
  ["in __tostring that print calls"] = "print(setmetatable({}, { __tostring = function() while true do end end }))",
  ["of short C calls"] = "local s = ('a'):rep(100) while true do s:find('b', 1, true) end",
  ["in debug.sethook's hook"] = "debug.sethook(function() while true do end end, 'l') local x = 1",
}

describe("a loop is pre-empted", function()
  local names = {}
  for name in pairs(loops) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it(name, function()
      helper.passes_script(([[
        local goro = require "goro"
        local ch = goro.chan()
        for _ = 1, 2 do goro.go(function() %s end) end
        goro.go(function()
          for i = 1, 3 do ch:send(i) goro.gosched() end
        end)
        for i = 1, 3 do assert(ch:recv(30) == i) end
      ]]):format(loops[name]), { env = { GOROMAXPROCS = 1 }, timeout = 60 })
    end)
  end

  it("only when somebody waits for its place", function()
    passes(function()
      local goro = require "goro"
      local before = goro.runtime.stats().preemptions
      goro.run(function()
        local start = os.clock()
        while os.clock() - start < 0.2 do end
      end)
      assert(goro.runtime.stats().preemptions == before)
      local done = goro.chan()
      for _ = 1, 4 do
        goro.go(function()
          local start = os.clock() -- of all threads
          while os.clock() - start < 0.4 do end
          done:send(true)
        end)
      end
      for _ = 1, 4 do assert(done:recv(60)) end
      assert(goro.runtime.stats().preemptions > before)
    end, { env = { GOROMAXPROCS = 2 } })
  end)
end)

-- Each work is deterministic, and uses what an interrupted instruction could disturb.
local works = {
  arithmetic = [[
    local a, b, f = 1, 0.5, 0
    for i = 1, n * 300 do a = (a * 1103515245 + 12345) % 2147483648 b = b * 0.999 + a % 7 f = f ~ (a << (i % 13)) end
    return ("%d %.10g %d"):format(a, b, f)]],
  strings = [[
    local parts = {}
    for i = 1, n do parts[#parts + 1] = ("%d:%s"):format(i, ("x"):rep(i % 7)) if #parts > 50 then parts = { table.concat(parts, ","):sub(-40) } end end
    return table.concat(parts, ";")]],
  sort = [[
    local t, x, sum = {}, 7, 0
    for i = 1, n do x = (x * 48271) % 2147483647 t[i] = x end
    table.sort(t, function(p, q) return p > q end)
    for i = 1, n do sum = (sum * 31 + t[i]) % 1000000007 end
    return tostring(sum)]],
  coroutines = [[
    local function numbers(k) return coroutine.wrap(function() for i = 1, k do coroutine.yield(i, i * 2) end return nil end) end
    local sum = 0
    for _ = 1, n // 100 do
      local outer = coroutine.wrap(function() for a, b in numbers(20) do coroutine.yield(a + b) end end)
      for v in outer do sum = sum + v end
    end
    return tostring(sum)]],
  closures = [[
    local fs, sum = {}, 0
    for i = 1, 50 do local c = i fs[i] = function(d) c = c + d return c end end
    for i = 1, n * 10 do sum = (sum + fs[i % 50 + 1](i % 3)) % 1000003 end
    return tostring(sum)]],
  varargs = [[
    local function rotate(a, ...) if a == nil then return ... end return ..., a end
    local function count(...) return select("#", ...) end
    local sum = 0
    for i = 1, n * 5 do local a, b, c = rotate(i, i + 1, i + 2) a, b = b, a sum = sum + count(a, b, c, nil) + (a or 0) % 5 end
    return tostring(sum)]],
  errors = [[
    local caught, closed = 0, 0
    for i = 1, n do
      local ok, err = pcall(function()
        local x <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        if i % 3 == 0 then error { i } end
        return i
      end)
      if not ok then caught = caught + err[1] end
    end
    return caught .. " " .. closed]],
  metamethods = [[
    local V = {} V.__index = function(_, k) return #k end V.__add = function(a, b) return setmetatable({ n = a.n + b.n }, V) end
    V.__lt = function(a, b) return a.n < b.n end V.__concat = function(a, b) return (type(a) == "table" and a.n or a) .. "|" .. (type(b) == "table" and b.n or b) end
    local acc, less = setmetatable({ n = 0 }, V), 0
    for i = 1, n do local v = setmetatable({ n = i % 10 }, V) acc = acc + v if v < acc then less = less + v.abc end end
    return (acc .. "/") .. less]],
  recursion = [[
    local function ack(m, k) if m == 0 then return k + 1 elseif k == 0 then return ack(m - 1, 1) else return ack(m - 1, ack(m, k - 1)) end end
    local function deep(k) return k == 0 and 0 or 1 + deep(k - 1) end
    return ack(2, 60) + deep(15000) .. ""]],
  gsub = [[
    local s, sum = ("abc%d"):rep(50), 0
    for i = 1, n // 50 do sum = sum + #s:gsub("%w", function(c) local x = 0 for k = 1, 5 do x = x + k end return c:upper() .. x end) end
    return tostring(sum)]],
  garbage = [[
    local root, made = {}, 0
    for i = 1, n * 3 do local t = { i, { i } } root[i % 100 + 1] = t made = made + #t if i % 1000 == 0 then collectgarbage "step" end end
    local sum = 0 for _, t in pairs(root) do sum = sum + t[1] + t[2][1] end
    return made .. " " .. sum]],
}

describe("what is computed under pre-emption is right:", function()
  local names = {}
  for name in pairs(works) do names[#names + 1] = name end
  table.sort(names)
  local n = 20000
  for _, name in ipairs(names) do
    it(name, function()
      helper.passes_script(([[
        local work = function(n) %s end
        local expected = work(%d) -- plain Lua
        local goro = require "goro"
        local done, stop = goro.chan(8), goro.chan()
        for _ = 1, 2 do
          goro.go(function() while true do local _, _, timeout = stop:recv(0) if not timeout then break end end end)
        end
        for _ = 1, 4 do goro.go(function() done:send(work(%d)) end) end
        for _ = 1, 4 do local got = done:recv(60) assert(got == expected, got) end
        stop:close()
      ]]):format(works[name], n, n), { env = { GOROMAXPROCS = 2 }, timeout = 120 })
    end)
  end
end)

describe("debug.sethook in a goroutine that is pre-empted", function()
  -- f runs in plain Lua and in a goroutine beside others that want its place; both must tell the same.
  local function same_as_plain(source)
    helper.passes_script(([[
      local work = function() %s end
      local expected = work()
      assert(debug.gethook() == nil)
      local goro = require "goro"
      for _ = 1, 2 do goro.go(function() while true do end end) end
      for _ = 1, 3 do
        local got = goro.run(work)
        if got ~= expected then error("expected " .. expected .. ", got " .. got, 0) end
      end
      assert(goro.runtime.stats().preemptions > 0)
    ]]):format(source), { env = { GOROMAXPROCS = 1 }, timeout = 120 })
  end

  for _, count in ipairs { 1, 7, 1000, 1001, 1500, 12345, 1000000 } do
    it(("counts %d instructions"):format(count), function()
      same_as_plain(([[
        local calls, x = 0, 0
        local function hook(event) assert(event == "count") calls = calls + 1 end
        debug.sethook(hook, "", %d)
        for i = 1, %d do x = x + i %% 3 end
        local f, mask, count = debug.gethook()
        debug.sethook()
        assert(f == hook and mask == "" and count == %d and debug.gethook() == nil)
        return calls .. " " .. x]]):format(count, count < 1000 and 100000 or 3000000, count))
    end)
  end

  it("sees each line once", function()
    same_as_plain [[
      local lines, x = {}, 0
      local hash = 0
      local function hook(_, line) hash = (hash * 31 + line) % 1000000007 end
      debug.sethook(hook, "l")
      for i = 1, 100000 do
        x = x + 1
        if x % 2 == 0 then
          x = x + 2
        end
      end
      local f, mask, count = debug.gethook()
      debug.sethook()
      assert(f == hook and mask == "l" and count == 0)
      return hash .. " " .. x]]
  end)

  it("sees each call and return once", function()
    same_as_plain [[
      local seen = { call = 0, ["tail call"] = 0, ["return"] = 0 }
      local function g(i) return i + 1 end
      local function f(i) if i % 2 == 0 then return g(i) end local k = g(i) return k end
      debug.sethook(function(event) seen[event] = seen[event] + 1 end, "cr")
      for i = 1, 50000 do f(i) end
      debug.sethook()
      return seen.call .. " " .. seen["tail call"] .. " " .. seen["return"] ]]
  end)

  it("sees calls, returns and lines at once", function()
    same_as_plain [[
      local seen = {}
      local function f(i) return i end
      debug.sethook(function(event) seen[event] = (seen[event] or 0) + 1 end, "crl")
      for i = 1, 20000 do
        f(i)
      end
      debug.sethook()
      return table.concat({ seen.call, seen["return"], seen.line }, " ")]]
  end)

  it("may raise, and stay", function()
    same_as_plain [[
      local n = 0
      debug.sethook(function() n = n + 1 if n % 10 == 0 then error("from the hook", 0) end end, "", 5000)
      local caught = 0
      for _ = 1, 20 do
        local ok, err = pcall(function() local x = 0 for i = 1, 100000 do x = x + i end return x end)
        if not ok then assert(err == "from the hook") caught = caught + 1 end
      end
      debug.sethook()
      return tostring(caught > 0)]]
  end)

  it("means the coroutine that it names", function()
    same_as_plain [[
      local counts = 0
      local function hook() counts = counts + 1 end
      local co = coroutine.create(function() for i = 1, 500000 do end coroutine.yield(1) for i = 1, 500000 do end return 2 end)
      debug.sethook(co, hook, "", 1000)
      assert(debug.gethook() == nil)
      assert(select(2, coroutine.resume(co)) == 1)
      for i = 1, 1000000 do end
      local f, mask, count = debug.gethook(co)
      assert(f == hook and mask == "" and count == 1000)
      assert(select(2, coroutine.resume(co)) == 2)
      return tostring(counts)]]
  end)

  it("set after a pre-emption in the same function misses no line", function()
    same_as_plain [[
      local results = {}
      for round = 1, 30 do
        for i = 1, 200000 do end
        local lines = 0
        debug.sethook(function() lines = lines + 1 end, "l")
        local a = 1
        local b = 2
        debug.sethook()
        results[#results + 1] = lines
      end
      return table.concat(results, " ")]]
  end)

  it("leaves coroutines what they are", function()
    same_as_plain [[
      local co
      co = coroutine.create(function()
        for i = 1, 300000 do end
        local running, main = coroutine.running()
        assert(running == co and not main and coroutine.isyieldable() and coroutine.status(co) == "running")
        for i = 1, 300000 do end
        coroutine.yield()
      end)
      for i = 1, 300000 do end
      assert(coroutine.resume(co) and coroutine.status(co) == "suspended")
      assert(not coroutine.isyieldable() and select(2, coroutine.running()))
      assert(not select(1, pcall(coroutine.yield)))
      return "as ever"]]
  end)
end)
