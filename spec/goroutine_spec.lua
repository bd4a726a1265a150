-- SPDX-License-Identifier: MIT
-- Goroutines: go, run, traceback, gosched, goexit, the counters, the main script's life, panics, deadlock.
--
-- Panics, deadlock and the end of the process are the program's, so these run in children (see spec/helper.lua).
-- There "job.lua" is the script, and its lines are counted from the line after [[.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local run_script, passes_script, passes = helper.run_script, helper.passes_script, helper.passes

-- Put before a script: waits without any goro call, so that a panic meets nobody.
local IDLE = [[
local function idle()
  local t = os.clock()
  while os.clock() - t < 0.4 * (tonumber(os.getenv "GORO_SLOW") or 1) do end
end
]]

local function count(s, plain)
  local n, at = 0, 1
  while true do
    local i, j = s:find(plain, at, true)
    if not i then return n end
    n, at = n + 1, j + 1
  end
end

describe("goro", function()
  it("has a version", function()
    assert.equal("goro 0.2.0", goro._VERSION)
  end)

  it("is a module that sets no globals", function()
    passes(function()
      local before = {}
      for k, v in pairs(_G) do before[k] = v end
      local goro = require "goro"
      goro.run(function() end)
      -- print is goro's own, so that a line of the script is never torn by a goroutine's; it does what the stock one does.
      for k, v in pairs(_G) do assert(rawequal(before[k], v) or k == "print", k) end
      for k in pairs(before) do assert(_G[k] ~= nil, k) end
      assert(getmetatable(_G) == nil)
      assert(package.loaded.goro == goro and require "goro" == goro)
    end)
  end)
end)

describe("goro.go", function()
  it("returns nothing", function()
    assert.equal(0, select("#", goro.go(function() end)))
  end)

  it("calls the function with the arguments, nils at any place included", function()
    local c = goro.chan(1)
    goro.go(function(...)
      c:send { n = select("#", ...), ... }
    end, 1, nil, "x", false, nil)
    local t = c:recv(10)
    assert.same({ n = 5, [1] = 1, [3] = "x", [4] = false }, t)
  end)

  it("copies upvalues and arguments before it returns", function()
    local c, start = goro.chan(1), goro.chan()
    local up, argument = { "then" }, { "then" }
    goro.go(function(a)
      start:recv(10)
      c:send { up[1], a[1] }
    end, argument)
    up[1], argument[1] = "now", "now"
    start:try_send(true, 10)
    assert.same({ "then", "then" }, (c:recv(10)))
  end)

  it("gives the goroutine a state of its own", function()
    local n, t = 1, { 1 }
    goro.run(function() -- luacheck: ignore 311
      n = 2
      t[1] = 2
      leaked_global = 3 -- luacheck: ignore 111
    end)
    assert.equal(1, n)
    assert.same({ 1 }, t)
    assert.is_nil(leaked_global) -- luacheck: ignore 113
  end)

  it("starts goroutines from goroutines", function()
    local c = goro.chan(8)
    goro.go(function()
      for i = 1, 8 do
        require "goro".go(function() c:send(i) end)
      end
    end)
    local sum = 0
    for _ = 1, 8 do sum = sum + (c:recv(10) or 0) end
    assert.equal(36, sum)
  end)

  it("starts C functions and functions of modules", function()
    assert.equal(7, goro.run(math.max, 3, 7, 5))
    assert.equal("AB", goro.run(string.upper, "ab"))
    assert.equal("nil", goro.run(type, nil))
  end)

  it("has goro loaded in each goroutine, with the standard library and arg", function()
    assert.is_true(goro.run(function() return package.loaded.goro ~= nil and package.loaded.goro.chan ~= nil end))
    passes(function()
      local goro = require "goro"
      local standard = {}
      for k, v in pairs(_G) do standard[k] = type(v) end
      local there = goro.run(function()
        local t = {}
        for k, v in pairs(_G) do t[k] = type(v) end
        return t
      end)
      for k, v in pairs(standard) do assert(there[k] == v, k) end
      for k in pairs(there) do assert(standard[k], k) end
      assert(goro.run(function() return arg[1] .. arg[2] end) == "onetwo")
      assert(goro.run(function() return package.path .. package.cpath end) == package.path .. package.cpath)
    end, { args = { "one", "two" } })
  end)

  it("gives each goroutine a random seed of its own", function()
    local seen = {}
    for _ = 1, 20 do
      local x = goro.run(function() return math.random(0) end)
      assert.is_nil(seen[x])
      seen[x] = true
    end
  end)
end)

describe("goro.run", function()
  it("returns the results of the function, nils included", function()
    assert.equal(0, select("#", goro.run(function() end)))
    assert.equal(3, select("#", goro.run(function() return nil, nil, nil end)))
    local a, b, c = goro.run(function(...) return ... end, 1, "b", { 3 })
    assert.equal(1, a)
    assert.equal("b", b)
    assert.same({ 3 }, c)
  end)

  it("keeps the types of numbers", function()
    local i, f, z = goro.run(function(...) return ... end, 3, 3.0, -0.0)
    assert.equal("integer", math.type(i))
    assert.equal("float", math.type(f))
    assert.equal(-math.huge, 1 / z)
  end)

  it("returns many results", function()
    local n = goro.run(function() return select("#", table.unpack({}, 1, 200)) end)
    assert.equal(200, n)
    local t = table.pack(goro.run(function() return table.unpack({ n = 200, [200] = "last" }, 1, 200) end))
    assert.equal(200, t.n)
    assert.equal("last", t[200])
  end)

  it("nests, in goroutines and in coroutines", function()
    local depth = goro.run(function()
      local function nest(n) -- luacheck: ignore 431
        if n == 0 then return 0 end
        return 1 + require "goro".run(nest, n - 1)
      end
      return nest(10)
    end)
    assert.equal(10, depth)
    local wrapped = coroutine.wrap(function() return goro.run(function() return "in" end) end)
    assert.equal("in", wrapped())
  end)

  it("raises the function's error, with its value", function()
    local ok, err = pcall(goro.run, function() error("no position", 0) end)
    assert.is_false(ok)
    assert.equal("no position", err)
    ok, err = pcall(goro.run, function() error { code = 7 } end)
    assert.is_false(ok)
    assert.same({ code = 7 }, err)
    for _, v in ipairs { 1, 1.5, true, false, "s" } do
      local good, e = pcall(goro.run, error, v)
      assert.is_false(good)
      assert.equal(v, e)
      assert.equal(math.type(v), math.type(e))
    end
    ok, err = pcall(goro.run, function() error(nil) end)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("keeps the line of the error as it was thrown, once", function()
    local f = function() error("boom") end
    local info = debug.getinfo(f, "S")
    local ok, err = pcall(goro.run, f)
    assert.is_false(ok)
    assert.equal(("%s:%d: boom"):format(info.short_src, info.linedefined), err)
  end)

  it("keeps the metatable of an error value", function()
    local Failure = { __tostring = function(e) return "failed with " .. e.code end }
    Failure.__index = Failure
    local ok, err = pcall(goro.run, function() error(setmetatable({ code = 7 }, Failure)) end)
    assert.is_false(ok)
    assert.equal("failed with 7", tostring(err))
    assert.is_true(getmetatable(err) == Failure)
  end)

  it("passes an error outward through several goroutines", function()
    local ok, err = pcall(goro.run, function()
      require "goro".run(function()
        require "goro".run(function() error({ deep = true }) end)
      end)
    end)
    assert.is_false(ok)
    assert.same({ deep = true }, err)
  end)

  it("is no panic: nothing goes to stderr, and the script goes on", function()
    passes(function()
      local goro = require "goro"
      for _ = 1, 10 do assert(not pcall(goro.run, error, "x")) end
      goro.sleep(0.02)
    end)
  end)

  it("returns nothing for a goroutine that ends by goexit", function()
    assert.equal(0, select("#", goro.run(function() require "goro".goexit() end)))
    assert.equal(0, select("#", goro.run(function()
      local function f() require "goro".goexit() end
      return 1, f()
    end)))
  end)
end)

describe("goro.traceback", function()
  it("is the traceback from the throw, in the goroutine", function()
    local function thrower() error("boom") end
    local line = debug.getinfo(thrower, "S").linedefined
    local ok = pcall(goro.run, function()
      local function outer()
        thrower()
        return 1
      end
      return outer()
    end)
    assert.is_false(ok)
    local tb = goro.traceback()
    assert.equal("string", type(tb))
    assert.is_truthy(tb:find("stack traceback:", 1, true))
    local src = debug.getinfo(1, "S").short_src
    assert.is_truthy(tb:find(src .. ":" .. line .. ":", 1, true), tb)
    -- The call of thrower() in outer().
    assert.is_truthy(tb:find(src .. ":" .. line + 4 .. ":", 1, true), tb)
  end)

  it("is that of the last error", function()
    local first = function() error("one") end
    local second = function() error("two") end
    pcall(goro.run, first)
    pcall(goro.run, second)
    local here = debug.getinfo(1, "S").short_src
    local tb = goro.traceback()
    assert.is_truthy(tb:find(here .. ":" .. debug.getinfo(second, "S").linedefined .. ":", 1, true), tb)
    assert.is_falsy(tb:find(here .. ":" .. debug.getinfo(first, "S").linedefined .. ":", 1, true), tb)
  end)

  it("belongs to the state that run raised it in", function()
    pcall(goro.run, function() error("outside") end)
    local outside = goro.traceback()
    local inside, src, line = goro.run(function()
      local g = require "goro"
      local f = function() error("inside") end
      pcall(g.run, f)
      local info = debug.getinfo(f, "S")
      return g.traceback(), info.short_src, info.linedefined
    end)
    assert.is_truthy(inside:find(src .. ":" .. line .. ":", 1, true), inside)
    assert.equal(outside, goro.traceback())
  end)

  it("is taken for error values that are not strings", function()
    local f = function() error({}) end
    pcall(goro.run, f)
    local info = debug.getinfo(f, "S")
    local tb = goro.traceback()
    assert.is_truthy(tb:find(info.short_src .. ":" .. info.linedefined .. ":", 1, true), tb)
  end)
end)

describe("goro.gosched", function()
  it("returns nothing", function()
    assert.equal(0, select("#", goro.gosched()))
    assert.equal(0, goro.run(function() return select("#", require "goro".gosched()) end))
  end)

  it("lets others run on one processor", function()
    local out = passes(function()
      local goro = require "goro"
      print(goro.run(function()
        local c = goro.chan(1)
        goro.go(function() c:send("ran") end)
        for _ = 1, 100000 do
          local v = c:recv(0)
          if v then return v end
          goro.gosched()
        end
      end))
    end, { env = { GOROMAXPROCS = 1 } })
    assert.equal("ran\n", out)
  end)

  it("takes turns among many", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan(100)
      for i = 1, 10 do
        goro.go(function()
          for _ = 1, 100 do goro.gosched() end
          c:send(i)
        end)
      end
      local sum = 0
      for _ = 1, 10 do sum = sum + c:recv(10) end
      assert(sum == 55)
    end)
  end)

  it("may be called in a coroutine", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local co = coroutine.wrap(function(a)
        goro.gosched()
        local b = coroutine.yield(a + 1)
        goro.gosched()
        return b + 1
      end)
      assert(co(1) == 2)
      assert(co(5) == 6)
    end)
  end)
end)

describe("goro.goexit", function()
  it("ends the goroutine, through pcall, and runs what is to be closed, innermost first", function()
    local c = goro.chan(10)
    goro.run(function()
      local function closing(name)
        return setmetatable({}, { __close = function(_, err) c:send(name .. tostring(err)) end })
      end
      local a <close> = closing "a" -- luacheck: ignore 211
      pcall(function()
        local b <close> = closing "b" -- luacheck: ignore 211
        xpcall(function()
          require "goro".goexit()
          c:send "after goexit"
        end, function() c:send "handler" end)
        c:send "after xpcall"
      end)
      c:send "after pcall"
    end)
    assert.equal(2, c:len())
    assert.equal("bnil", (c:recv(0)))
    assert.equal("anil", (c:recv(0)))
  end)

  it("ends the goroutine from inside coroutines", function()
    local c = goro.chan(10)
    goro.run(function()
      local a <close> = setmetatable({}, { __close = function() c:send "outer" end }) -- luacheck: ignore 211
      local outer = coroutine.wrap(function()
        local inner = coroutine.create(function()
          local b <close> = setmetatable({}, { __close = function() c:send "inner" end }) -- luacheck: ignore 211
          require "goro".goexit()
          c:send "after goexit"
        end)
        coroutine.resume(inner)
        c:send "after resume"
      end)
      pcall(outer)
      c:send "after pcall"
    end)
    assert.equal("inner", (c:recv(0)))
    assert.equal("outer", (c:recv(0)))
    assert.equal(0, c:len())
  end)

  it("ends the goroutine where it cannot yield", function()
    local c = goro.chan(10)
    goro.run(function()
      local a <close> = setmetatable({}, { __close = function() c:send "closed" end }) -- luacheck: ignore 211
      pcall(table.sort, { 3, 2, 1 }, function()
        pcall(require "goro".goexit)
        c:send "in the comparator"
        return false
      end)
      c:send "after sort"
    end)
    local got = {}
    while c:len() > 0 do got[#got + 1] = c:recv(0) end
    assert.same({ "closed" }, got)
  end)

  it("may wait in a pending __close", function()
    local c = goro.chan(2)
    goro.run(function()
      local g = require "goro"
      local a <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
        g.sleep(0.01)
        c:send "closed"
      end })
      g.goexit()
    end)
    assert.equal("closed", (c:recv(0)))
  end)

  it("is no panic", function()
    passes(function()
      local goro = require "goro"
      for _ = 1, 20 do goro.go(goro.goexit) end
      for _ = 1, 20 do goro.go(function() pcall(goro.goexit) error "not reached" end) end
      local t = 0
      while goro.num_goroutine() > 1 do
        goro.sleep(0.01)
        t = t + 1
        assert(t < 1000)
      end
    end)
  end)

  it("is misuse in a host state", function()
    helper.raises_match(".", function() goro.goexit() end)
    assert.is_false(pcall(goro.goexit))
  end)
end)

describe("goro.num_goroutine", function()
  it("counts the host state and what exists", function()
    passes(function()
      local goro = require "goro"
      local function settles(n)
        for _ = 1, 1000 do
          if goro.num_goroutine() == n then return true end
          goro.sleep(0.01)
        end
      end
      assert(goro.num_goroutine() == 1)
      assert(math.type(goro.num_goroutine()) == "integer")
      local stop = goro.chan()
      for _ = 1, 5 do goro.go(function() stop:recv() end) end
      assert(goro.num_goroutine() == 6)
      assert(goro.run(goro.num_goroutine) == 7)
      stop:close()
      assert(settles(1))
      assert(not pcall(goro.run, error, "x"))
      goro.run(goro.goexit)
      assert(settles(1))
    end)
  end)
end)

describe("goro.maxprocs", function()
  it("is the number of CPUs at first", function()
    passes(function()
      local goro = require "goro"
      assert(math.type(goro.maxprocs()) == "integer")
      assert(goro.maxprocs() == goro.num_cpu())
    end, { env = { GOROMAXPROCS = false } })
  end)

  it("is what GOROMAXPROCS says at first", function()
    assert.equal("3\n", passes(function() print(require "goro".maxprocs()) end, { env = { GOROMAXPROCS = 3 } }))
  end)

  it("does not heed a GOROMAXPROCS that is no positive integer", function()
    for _, value in ipairs { "0", "-2", "many", "" } do
      passes(function()
        local goro = require "goro"
        assert(goro.maxprocs() == goro.num_cpu())
        assert(goro.run(function() return 1 end) == 1)
      end, { env = { GOROMAXPROCS = value } })
    end
  end)

  it("returns the value before; below 1 changes nothing", function()
    passes(function()
      local goro = require "goro"
      assert(goro.maxprocs(5) == 2)
      assert(goro.maxprocs() == 5)
      assert(goro.maxprocs(nil) == 5)
      assert(goro.maxprocs(0) == 5)
      assert(goro.maxprocs(-3) == 5)
      assert(goro.maxprocs(math.mininteger) == 5)
      assert(goro.maxprocs(1) == 5)
      assert(goro.maxprocs(2.0) == 1)
      assert(goro.maxprocs() == 2)
    end, { env = { GOROMAXPROCS = 2 } })
  end)

  it("may be changed from a goroutine, and while others run", function()
    passes(function()
      local goro = require "goro"
      local c, done = goro.chan(), goro.chan()
      for _ = 1, 4 do
        goro.go(function() for i = 1, 500 do c:send(i) end end)
        goro.go(function()
          local sum = 0
          for _ = 1, 500 do sum = sum + c:recv() end
          done:send(sum)
        end)
      end
      goro.go(function()
        for _ = 1, 20 do
          for n = 1, 8 do
            goro.maxprocs(n)
            goro.gosched()
          end
        end
        done:send(0)
      end)
      local sum = 0
      for _ = 1, 5 do sum = sum + done:recv(30) end
      assert(sum == 4 * 500 * 501 // 2)
      assert(goro.maxprocs() == 8)
      assert(goro.run(function() return goro.maxprocs(3) end) == 8)
      assert(goro.maxprocs() == 3)
    end)
  end)
end)

describe("goro.num_cpu", function()
  it("counts the CPUs that this process may use", function()
    local p = io.popen "env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc"
    local n = p:read "n"
    p:close()
    assert.equal(n, goro.num_cpu())
    assert.equal(n, goro.run(goro.num_cpu))
    assert.equal("integer", math.type(goro.num_cpu()))
  end)

  it("heeds the CPU affinity", function()
    local cpu
    for line in io.lines "/proc/self/status" do cpu = cpu or line:match "^Cpus_allowed_list:%s*(%d+)" end
    local out = passes(function()
      local goro = require "goro"
      print(goro.num_cpu(), goro.maxprocs())
    end, { wrap = "taskset -c " .. cpu, env = { GOROMAXPROCS = false } })
    assert.equal("1\t1\n", out)
  end)
end)

describe("the host state", function()
  it("stays on its own thread", function()
    passes(function()
      local goro = require "goro"
      local function thread()
        local f = assert(io.open "/proc/thread-self/stat")
        local id = f:read "n"
        f:close()
        return id
      end
      local main = thread()
      local c = goro.chan()
      for i = 1, 20 do
        goro.go(function()
          goro.sleep(0.001)
          c:send(i)
        end)
        c:recv(10)
        goro.gosched()
        goro.sleep(0.001)
        assert(thread() == main)
      end
      assert(goro.run(thread) ~= main)
    end)
  end)

  it("lets the pool go on while it waits, and while it computes", function()
    passes(function()
      local goro = require "goro"
      local tick = goro.chan(1000)
      goro.go(function()
        for i = 1, 20 do
          goro.sleep(0.005)
          tick:send(i)
        end
      end)
      local t = os.clock()
      while tick:len() < 20 do assert(os.clock() - t < 30) end
      goro.go(function()
        for i = 1, 20 do
          goro.sleep(0.001)
          tick:send(i)
        end
        tick:close()
      end)
      goro.sleep(0.001)
      local n = 0
      for _ in tick:range() do n = n + 1 end
      assert(n == 40)
    end)
  end)
end)

describe("the end of the main script", function()
  local function ends(name, source, code)
    it(name, function()
      local r = run_script(source, { timeout = 20 })
      helper.ended_well(r, code)
      assert.is_true(r.seconds < helper.limit(8), helper.describe(r))
    end)
  end

  ends("leaves goroutines that wait for a message", [[
    local goro = require "goro"
    local c = goro.chan()
    for _ = 1, 100 do goro.go(function() c:recv() end) end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines that wait to send", [[
    local goro = require "goro"
    local c = goro.chan()
    for i = 1, 100 do goro.go(function() c:send({ i }) end) end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines that select", [[
    local goro = require "goro"
    local c, d = goro.chan(), goro.chan()
    for i = 1, 100 do goro.go(function() goro.select { { recv = c }, { send = d, value = i }, timeout = 100 } end) end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines that sleep", [[
    local goro = require "goro"
    for _ = 1, 100 do goro.go(function() goro.sleep(1000) end) end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines that wait where they cannot yield", [[
    local goro = require "goro"
    local c = goro.chan()
    for _ = 1, 8 do
      goro.go(function() table.sort({ 2, 1 }, function() c:recv() return true end) end)
      goro.go(function() table.sort({ 2, 1 }, function() goro.sleep(1000) return true end) end)
    end
    goro.sleep(0.05)
  ]])

  ends("leaves goroutines that wait in run, and in coroutines", [[
    local goro = require "goro"
    local c = goro.chan()
    for _ = 1, 20 do
      goro.go(function() goro.run(function() c:recv() end) end)
      goro.go(function() coroutine.wrap(function() coroutine.wrap(function() c:recv() end)() end)() end)
    end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines that have not begun", [[
    local goro = require "goro"
    for i = 1, 2000 do goro.go(function() return i end) end
  ]])

  ends("leaves goroutines that send to each other", [[
    local goro = require "goro"
    for _ = 1, 8 do
      local a, b = goro.chan(), goro.chan()
      goro.go(function() for v in a:range() do b:send(v) end end)
      goro.go(function() for v in b:range() do a:send(v) end end)
      a:send({ "ball" })
    end
    goro.sleep(0.02)
  ]])

  ends("leaves goroutines with a pending __close", [[
    local goro = require "goro"
    local c = goro.chan()
    for _ = 1, 20 do
      goro.go(function()
        local x <close> = setmetatable({}, { __close = function() c:recv(1000) end })
        c:recv()
      end)
    end
    goro.sleep(0.02)
  ]])

  ends("may come before anything was started", [[ require "goro" ]])
  ends("may come after everything has ended", [[
    local goro = require "goro"
    for i = 1, 50 do assert(goro.run(function() return i end) == i) end
  ]])

  ends("comes at os.exit(n) too, with that status", [[
    local goro = require "goro"
    for _ = 1, 20 do goro.go(function() goro.sleep(1000) end) end
    goro.sleep(0.02)
    os.exit(9)
  ]], 9)

  ends("comes at os.exit(n, true) too, with that status", [[
    local goro = require "goro"
    for _ = 1, 20 do goro.go(function() goro.chan():recv(1000) end) end
    goro.sleep(0.02)
    os.exit(9, true)
  ]], 9)

  ends("bears finalizers that call goro", [[
    local goro = require "goro"
    local c = goro.chan()
    keep = setmetatable({}, { __gc = function()
      pcall(goro.go, function() end)
      pcall(goro.run, function() return 1 end)
      pcall(goro.chan)
      pcall(c.try_send, c, 1, 0)
      pcall(c.recv, c, 0.01)
      pcall(goro.sleep, 0.01)
    end })
    for _ = 1, 20 do goro.go(function() c:recv() end) end
    goro.sleep(0.02)
  ]])

  it("gives status 1 for an error of the script while goroutines wait", function()
    local r = run_script [[
      local goro = require "goro"
      for _ = 1, 20 do goro.go(function() goro.sleep(1000) end) end
      goro.sleep(0.02)
      error("the script's own", 0)
    ]]
    assert.equal(1, r.code, helper.describe(r))
    assert.is_truthy(r.stderr:find("the script's own", 1, true))
    assert.is_falsy(r.stderr:find("panic", 1, true), r.stderr)
    assert.is_true(r.seconds < helper.limit(8), helper.describe(r))
  end)
end)

describe("os.exit in a goroutine", function()
  local function exits(arguments, code)
    it("with (" .. arguments .. ") ends the process with status " .. code, function()
      local r = run_script(([[
        local goro = require "goro"
        goro.go(function() goro.sleep(1000) end)
        goro.go(function()
          print "leaving"
          os.exit(%s)
        end)
        goro.chan():recv()
      ]]):format(arguments), { timeout = 20 })
      assert.equal("leaving\n", helper.ended_well(r, code))
      assert.is_true(r.seconds < helper.limit(8), helper.describe(r))
    end)
  end
  exits("", 0)
  exits("true", 0)
  exits("false", 1)
  exits("0", 0)
  exits("5", 5)
  exits("5, true", 5)

  it("ends it from a coroutine in a comparator too", function()
    helper.ended_well(run_script [[
      local goro = require "goro"
      goro.go(function()
        table.sort({ 2, 1 }, function() coroutine.wrap(function() os.exit(6) end)() end)
      end)
      goro.sleep(1000)
    ]], 6)
  end)
end)

describe("a panic", function()
  it("is told with its traceback and where the goroutine was created, and raised in the call main is in", function()
    local r = run_script [[
local goro = require "goro"
local function boom() error("boom") end
goro.go(function()
  boom()
end)
print(pcall(goro.sleep, 10))
print "on"
]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("false\tjob.lua:2: boom\non\n", r.stdout)
    local head, trace, created = r.stderr:match "^(goro: panic: [^\n]*)\nstack traceback:\n(.*\n)created by goro%.go at ([^\n]*)\n$"
    assert.equal("goro: panic: job.lua:2: boom", head, helper.describe(r))
    assert.equal("job.lua:3", created)
    assert.is_truthy(trace:find("job.lua:2: in ", 1, true), trace)
    assert.is_truthy(trace:find("job.lua:4: in ", 1, true), trace)
    assert.is_true(r.seconds < helper.limit(8), "main was not woken")
  end)

  it("ends a script that does not catch it with status 1, and is told once by goro", function()
    local r = run_script [[
local goro = require "goro"
goro.go(function() error("boom") end)
goro.sleep(10)
print "not reached"
]]
    assert.equal(1, r.code, helper.describe(r))
    assert.equal("", r.stdout)
    assert.equal(1, count(r.stderr, "goro: panic:"), r.stderr)
    assert.equal(1, count(r.stderr, "created by goro.go at job.lua:2"), r.stderr)
    -- lua's own report of an uncaught error.
    assert.is_truthy(r.stderr:find("\nlua[^\n]*: job%.lua:2: boom\n") or r.stderr:find("\n[^\n]*lua[^\n]*: job%.lua:2: boom\n"), r.stderr)
    assert.is_true(r.seconds < helper.limit(8), "main was not woken")
  end)

  it("gives status 1 when the script ends without having met it", function()
    local r = run_script(IDLE .. [[
      local goro = require "goro"
      goro.go(function() error("boom", 0) end)
      idle()
      print "done"
    ]])
    assert.equal(1, r.code, helper.describe(r))
    assert.equal("done\n", r.stdout)
    assert.equal(1, count(r.stderr, "goro: panic: boom\n"), r.stderr)
  end)

  it("leaves the status to os.exit(n)", function()
    for _, exit in ipairs { "0", "7", "true", "0, true", "7, true" } do
      local r = run_script(IDLE .. ([[
        local goro = require "goro"
        goro.go(function() error("boom", 0) end)
        idle()
        os.exit(%s)
      ]]):format(exit))
      assert.equal(tonumber(exit:match "%d+") or 0, r.code, exit .. ": " .. helper.describe(r))
      assert.equal(1, count(r.stderr, "goro: panic: boom\n"), r.stderr)
    end
  end)

  it("is raised at the next goro call", function()
    local calls = {
      "goro.gosched()", "goro.sleep(0)", "c:recv(0)", "c:recv(10)", "c:try_send(1, 0)", "goro.select { default = true }",
      "goro.select { { recv = c }, timeout = 10 }", "goro.run(function() end)",
    }
    for _, call in ipairs(calls) do
      local r = run_script(IDLE .. ([[
        local goro = require "goro"
        local c = goro.chan()
        goro.go(function() error("boom", 0) end)
        idle()
        print(pcall(function() %s return "nothing was raised" end))
        print(pcall(goro.gosched))
      ]]):format(call))
      assert.equal(0, r.code, call .. ": " .. helper.describe(r))
      assert.equal("false\tboom\ntrue\n", r.stdout, call)
    end
  end)

  it("is raised in whatever call main waits in", function()
    local calls = {
      "goro.sleep(20)", "c:recv()", "c:recv(20)", "c:send(1)", "goro.select { { recv = c } }",
      "goro.select { { send = c, value = 1 }, { recv = d }, timeout = 20 }", "goro.select {}",
      "goro.run(function() goro.sleep(20) end)", "for _ in c:range() do end",
      "coroutine.wrap(function() c:recv() end)()", "table.sort({ 2, 1 }, function() c:recv() end)",
    }
    for _, call in ipairs(calls) do
      local r = run_script(([[
        local goro = require "goro"
        local c, d = goro.chan(), goro.chan()
        goro.go(function()
          goro.sleep(0.05)
          error("boom", 0)
        end)
        print(pcall(function() %s end))
        goro.gosched()
      ]]):format(call), { timeout = 30 })
      assert.equal(0, r.code, call .. ": " .. helper.describe(r))
      -- coroutine.wrap puts its position before an error that passes through it.
      assert.is_truthy(r.stdout:find "^false\t[^\n]*boom\n$", call .. ": " .. helper.describe(r))
      assert.is_true(r.seconds < helper.limit(8), call .. ": main was not woken")
    end
  end)

  it("leaves the wait that it ended as if it had not begun", function()
    local r = run_script [[
      local goro = require "goro"
      local c, d = goro.chan(), goro.chan()
      goro.go(function()
        goro.sleep(0.02)
        error("boom", 0)
      end)
      assert(select(2, pcall(goro.select, { { recv = c }, { send = d, value = "lost" } })) == "boom")
      assert(c:try_send(1, 0) == false)
      assert(select(3, d:recv(0)) == "timeout")
      goro.go(function() c:send(2) end)
      print(c:recv(10))
    ]]
    assert.is_true(r.code == 0 and r.stdout == "2\ttrue\n", helper.describe(r))
  end)

  it("comes one after the other, each once, when there are several", function()
    local r = run_script [[
      local goro = require "goro"
      goro.go(function() -- not in the main script: its second call of go might meet the first panic already
        for i = 1, 5 do goro.go(function() error("boom" .. i, 0) end) end
      end)
      local got = {}
      for _ = 1, 5 do
        local ok, err = pcall(goro.sleep, 10)
        assert(not ok)
        got[#got + 1] = err
      end
      table.sort(got)
      print(table.concat(got, " "))
      print(pcall(goro.sleep, 0.05))
    ]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("boom1 boom2 boom3 boom4 boom5\ntrue\n", r.stdout)
    for i = 1, 5 do assert.equal(1, count(r.stderr, "goro: panic: boom" .. i .. "\n"), r.stderr) end
  end)

  it("gives status 1 when only the first of two was met", function()
    local r = run_script(IDLE .. [[
      local goro = require "goro"
      goro.go(function() -- so that the script calls goro once only before it idles
        for i = 1, 2 do goro.go(function() error("boom", 0) end) end
      end)
      idle()
      print(pcall(goro.sleep, 10))
    ]])
    assert.equal(1, r.code, helper.describe(r))
    assert.equal("false\tboom\n", r.stdout)
  end)

  it("leaves the other goroutines running", function()
    local r = run_script [[
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end c:close() end)
      goro.go(function() error("boom", 0) end)
      print(pcall(goro.sleep, 10))
      local sum = 0
      for v in c:range() do sum = sum + v end
      print(sum)
    ]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("false\tboom\n5050\n", r.stdout)
  end)

  it("of a goroutine's goroutine reaches main as well, and tells of its creator", function()
    local r = run_script [[
local goro = require "goro"
goro.go(function()
  goro.go(function()
    local t = nil
    return t.x
  end)
end)
print(pcall(goro.sleep, 10))
]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("false\tjob.lua:5: attempt to index a nil value (local 't')\n", r.stdout)
    assert.is_truthy(r.stderr:find("\ncreated by goro.go at job.lua:3\n", 1, true), r.stderr)
  end)

  it("keeps error values of any type", function()
    local cases = {
      { "42", "42", "number 42" },
      { "4.5", "4.5", "number 4.5" },
      { "'text'", "text", "string text" },
      { "nil", "(error object is a nil value)", "nil nil" },
      { "false", "(error object is a boolean value)", "boolean false" },
      { "{ code = 3 }", "(error object is a table value)", "table 3" },
      { "setmetatable({ code = 4 }, Class)", "class 4", "table 4 class 4" },
      { "print", "(error object is a function value)", "function" },
    }
    for _, case in ipairs(cases) do
      local value, told, met = table.unpack(case)
      local r = run_script(([[
        local goro = require "goro"
        local Class = { __tostring = function(e) return "class " .. e.code end }
        goro.go(function() error(%s, 0) end)
        local ok, err = pcall(goro.sleep, 10)
        assert(not ok)
        if type(err) == "function" then print(type(err))
        elseif getmetatable(err) == Class then print(type(err), err.code, tostring(err))
        else print(type(err), type(err) == "table" and err.code or tostring(err)) end
      ]]):format(value))
      assert.equal(0, r.code, value .. ": " .. helper.describe(r))
      assert.equal(met, (r.stdout:gsub("\n$", ""):gsub("\t", " ")), value)
      assert.equal("goro: panic: " .. told .. "\nstack traceback:\n", r.stderr:match "^goro: panic: [^\n]*\n[^\n]*\n", value)
    end
  end)

  it("of one of goro's objects as the error value is raised as that object", function()
    local r = run_script [[
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() error(c) end)
      local ok, err = pcall(goro.sleep, 10)
      print(ok, err == c)
    ]]
    assert.equal("false\ttrue\n", r.stdout, helper.describe(r))
    assert.is_truthy(r.stderr:find "^goro: panic: goro%.chan: 0x%x+\n")
  end)

  it("has the traceback of the throw also for an error out of a coroutine's wrap", function()
    local r = run_script [[
local goro = require "goro"
goro.go(function()
  coroutine.wrap(function() error("boom") end)()
end)
print(pcall(goro.sleep, 10))
]]
    assert.equal(0, r.code, helper.describe(r))
    assert.is_truthy(r.stdout:find "^false\t.*job%.lua:3: boom\n$", r.stdout)
    assert.is_truthy(r.stderr:find("\tjob.lua:3: in ", 1, true), r.stderr)
  end)

  it("comes from a stack overflow too, without a crash", function()
    local r = run_script [[
      local goro = require "goro"
      goro.go(function()
        local function f() return 1 + f() end
        f()
      end)
      local ok, err = pcall(goro.sleep, 20)
      print(ok, err:match "stack overflow")
    ]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("false\tstack overflow\n", r.stdout)
  end)
end)

describe("coroutine.yield at the top of a goroutine", function()
  it("is an error, as in a script", function()
    local ok, err = pcall(goro.run, function() coroutine.yield(1) end)
    assert.is_false(ok)
    assert.equal("attempt to yield from outside a coroutine", err)
    assert.same({ false, "attempt to yield from outside a coroutine" }, goro.run(function()
      return { pcall(coroutine.yield, 1) }
    end))
    assert.is_false(goro.run(coroutine.isyieldable))
  end)

  it("is a panic under go", function()
    local r = run_script [[
local goro = require "goro"
goro.go(function() coroutine.yield() end)
print(pcall(goro.sleep, 10))
]]
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("false\tattempt to yield from outside a coroutine\n", r.stdout)
  end)
end)

describe("a deadlock", function()
  local HEAD = "all goroutines are asleep - deadlock!"

  local function lines_of(message)
    local lines = {}
    for line in (message .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    while lines[#lines] == "" do lines[#lines] = nil end
    return lines
  end

  it("is raised in main's waiting call, whichever it is", function()
    local calls = {
      "c:recv()", "c:recv(math.huge)", "c:send(1)", "goro.select {}", "goro.select { { recv = false } }",
      "goro.select { { recv = c }, { send = c, value = 1 } }", "for _ in c:range() do end",
      "goro.run(function() c:recv() end)", "goro.run(function() goro.select {} end)",
      "goro.run(function() table.sort({ 2, 1 }, function() c:recv() end) end)",
      "coroutine.wrap(function() c:recv() end)()", "goro.sleep(math.huge)", "goro.after(math.huge):recv()",
    }
    for _, call in ipairs(calls) do
      local r = run_script(([[
        local goro = require "goro"
        local c = goro.chan()
        local ok, err = pcall(function() %s end)
        print(ok)
        print(err)
      ]]):format(call), { timeout = 15 })
      assert.is_true(r.code == 0 and r.stderr == "", call .. ": " .. helper.describe(r))
      assert.is_truthy(r.stdout:find("^false\n"), call .. ": " .. helper.describe(r))
      assert.is_truthy(r.stdout:find(HEAD, 1, true), call .. ": " .. helper.describe(r))
    end
  end)

  it("ends a script that does not catch it with status 1", function()
    local r = run_script [[
      local goro = require "goro"
      goro.go(function() goro.chan():recv() end)
      goro.chan():recv()
      print "not reached"
    ]]
    assert.equal(1, r.code, helper.describe(r))
    assert.equal("", r.stdout)
    assert.is_truthy(r.stderr:find(HEAD, 1, true), r.stderr)
    assert.is_true(r.seconds < helper.limit(8), helper.describe(r))
  end)

  it("names each parked goroutine with its line", function()
    local out = passes_script [[
local goro = require "goro"
local c = goro.chan()
goro.go(function()
  c:recv()
end)
goro.go(function()
  goro.select { { recv = c } }
end)
goro.go(function()
  coroutine.wrap(function()
    table.sort({ 2, 1 }, function() c:recv() end)
  end)()
end)
goro.sleep(0.05)
print(select(2, pcall(function() goro.chan():send(1) end)))
]]
    local lines = lines_of(out)
    assert.is_truthy(lines[1]:find(HEAD, 1, true), out)
    assert.is_true(#lines >= 4, out)
    for _, line in ipairs { 4, 7, 11 } do
      local found = 0
      for i = 2, #lines do
        if lines[i]:find("job.lua:" .. line .. "%f[%D]") then found = found + 1 end
      end
      assert.equal(1, found, "line " .. line .. " in\n" .. out)
    end
  end)

  it("names twenty at most, then counts", function()
    local out = passes_script [[
local goro = require "goro"
local c = goro.chan()
for _ = 1, 50 do goro.go(function() c:recv() end) end
print(select(2, pcall(function() goro.select {} end)))
]]
    local lines = lines_of(out)
    local named = 0
    for i = 2, #lines do
      if lines[i]:find "job%.lua:%d" then named = named + 1 end
    end
    assert.equal(20, named, out)
    assert.equal(22, #lines, out)
    -- Thirty goroutines are left, and main itself if it counts as one of them.
    local rest = tonumber(lines[22]:match "%d+")
    assert.is_true(rest == 30 or rest == 31, out)
  end)

  it("caught by main lets it go on, and wake the others", function()
    passes(function()
      local goro = require "goro"
      local a, b = goro.chan(), goro.chan()
      goro.go(function() b:send(a:recv() + 1) end)
      for _ = 1, 3 do
        local ok, err = pcall(a.recv, goro.chan())
        assert(not ok and err:find("deadlock!", 1, true))
      end
      a:try_send(1, 10)
      assert(b:recv(10) == 2)
      assert(not pcall(b.recv, b))
    end)
  end)

  it("waits for a pending timer", function()
    passes(function()
      local goro = require "goro"
      local now = require "system".monotime
      local function late(seconds)
        local t = now()
        local ok, err = pcall(function() goro.chan():recv() end)
        assert(not ok and err:find("all goroutines are asleep - deadlock!", 1, true), err)
        assert(now() - t >= seconds, now() - t)
      end
      goro.go(function() goro.sleep(0.2) end)
      late(0.15)
      goro.go(function() goro.chan():recv(0.2) end)
      late(0.15)
      local after = goro.after(0.2)
      late(0.15)
      assert(after:recv(0))
    end)
  end)

  it("is none while a call to the system may still bring something", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        os.execute "sleep 0.3"
        c:send "executed"
      end)
      assert(c:recv() == "executed")
      goro.go(function()
        local p = io.popen "sleep 0.3; echo piped"
        c:send(p:read "l")
        p:close()
      end)
      assert(c:recv() == "piped")
    end)
  end)

  it("is not reported while main itself runs", function()
    helper.passes_script(IDLE .. [[
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() c:send(c:recv() + 1) end)
      idle()
      c:send(1)
      assert(c:recv() == 2)
    ]])
  end)
end)

describe("goro.sleep and goro.after", function()
  it("are never early, and return nothing and the time", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local now = require "system".monotime
      for _, s in ipairs { 0.001, 0.01, 0.05 } do
        local t = now()
        assert(select("#", goro.sleep(s)) == 0)
        assert(now() - t >= s)
        t = now()
        local wall, ok = goro.after(s):recv(10)
        assert(now() - t >= s)
        assert(ok == true and math.type(wall) == "float" and math.abs(wall - os.time()) < 10)
      end
      local t = now()
      goro.sleep(0)
      goro.sleep(-5)
      goro.sleep(-math.huge)
      assert(goro.after(0):recv(10))
      assert(goro.after(-1):recv(10))
      assert(now() - t < 8)
    end)
  end)

  it("sleep in parallel", function()
    passes(function()
      local goro = require "goro"
      local now = require "system".monotime
      local done = goro.chan(200)
      local t = now()
      for _ = 1, 200 do
        goro.go(function()
          goro.sleep(0.1)
          done:send(true)
        end)
      end
      for _ = 1, 200 do assert(done:recv(10)) end
      assert(now() - t >= 0.1)
      assert(now() - t < 10)
    end)
  end)

  it("wake in the order of their times", function()
    passes(function()
      local goro = require "goro"
      local done = goro.chan(10)
      for i = 5, 1, -1 do
        goro.go(function()
          goro.sleep(0.1 * i)
          done:send(i)
        end)
      end
      for i = 1, 5 do assert(done:recv(10) == i) end
    end)
  end)

  it("give the time once", function()
    local c = goro.after(0.01)
    assert.is_true((select(2, c:recv(10))))
    assert.equal("timeout", (select(3, c:recv(0.05))))
  end)
end)
