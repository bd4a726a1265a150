-- SPDX-License-Identifier: MIT
-- goro.sync's waitgroup, once, semaphore and atomic, and what all of its objects have in common.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"
local sync = require "goro.sync"

local passes, passes_anywhere, raises, raises_match = helper.passes, helper.passes_anywhere, helper.raises, helper.raises_match

local NAN = 0 / 0

local function timed_out(ok, why, ...)
  assert.is_false(ok)
  assert.equal("timeout", why)
  assert.equal(0, select("#", ...))
end

local makers = {
  mutex = sync.mutex, rwmutex = sync.rwmutex, waitgroup = sync.waitgroup, atomic = sync.atomic,
  semaphore = function() return sync.semaphore(1) end,
  once = function() return sync.once(function() end) end,
  cond = function() return sync.cond(sync.mutex()) end,
}

describe("each object", function()
  it("has its name, is equal to itself everywhere, and is the same value in one state", function()
    for name, make in pairs(makers) do
      local a, b, seen = make(), make(), {}
      assert.equal("goro.sync." .. name, getmetatable(a).__name)
      assert.truthy(tostring(a):find("^goro%.sync%." .. name .. ": 0x%x+$"))
      assert.is_false(a == b)
      assert.equal(a, goro.run(function(...) return ... end, a))
      seen[a] = true
      local back, text, same = goro.run(function(x, y)
        local ch = require "goro".chan(1)
        ch:send { x }
        return x, tostring(x), rawequal(x, y) and rawequal(x, ch:recv()[1])
      end, a, a)
      assert.is_true(seen[back] and same)
      assert.equal(tostring(a), text)
    end
  end)

  it("is of a module like any other", function()
    assert.equal(sync, goro.sync)
    assert.equal(sync, package.loaded["goro.sync"])
    assert.is_true(goro.run(function() return require "goro.sync" == require "goro".sync end))
    assert.is_true(goro.run(function(mutex, lock, m)
      local sync = require "goro.sync"
      return mutex == sync.mutex and lock == m.lock and lock(m)
    end, sync.mutex, sync.mutex().lock, sync.mutex()))
    for name in pairs(makers) do assert.equal("function", type(sync[name])) end
  end)

  it("is collected, and its state with it", function()
    passes_anywhere(function()
      local goro = require "goro"
      local sync = goro.sync
      local function all()
        return { sync.mutex(), sync.rwmutex(), sync.waitgroup(), sync.atomic(("x"):rep(100)), sync.semaphore(1),
                 sync.once(function() return ("y"):rep(100) end), sync.cond(sync.mutex()), sync.mutex():guard() }
      end
      for _ = 1, 2000 do all() end
      collectgarbage()
      local before = goro.runtime.stats().bytes
      for _ = 1, 20000 do all()[6]() end
      collectgarbage()
      assert(goro.runtime.stats().bytes - before < 2e6, goro.runtime.stats().bytes - before)
    end)
  end)
end)

describe("a wait group", function()
  it("is waited for until it is zero", function()
    local wg = sync.waitgroup()
    assert.is_true(wg:wait())
    assert.is_true(wg:wait(0))
    wg:add(2)
    timed_out(wg:wait(0))
    timed_out(wg:wait(0.01))
    assert.equal(0, select("#", wg:done()))
    timed_out(wg:wait(0))
    assert.equal(0, select("#", wg:add(-1)))
    assert.is_true(wg:wait())
    wg = sync.waitgroup(3)
    wg:add(-3)
    assert.is_true(wg:wait())
    wg:add(0)
    assert.is_true(wg:wait())
  end)

  -- Go's TestWaitGroup.
  it("wakes all who wait, and is used anew", function()
    passes_anywhere(function()
      local goro = require "goro"
      local wg1, wg2 = goro.sync.waitgroup(), goro.sync.waitgroup()
      for _ = 1, 8 do
        local n = 16
        local exited = goro.chan(n)
        wg1:add(n)
        wg2:add(n)
        for _ = 1, n do
          goro.go(function()
            wg1:done()
            wg2:wait()
            exited:send(true)
          end)
        end
        wg1:wait()
        for _ = 1, n do
          assert(exited:len() == 0)
          wg2:done()
        end
        for _ = 1, n do assert(exited:recv(10)) end
      end
    end)
  end)

  it("has seen zero even if it is raised again at once", function()
    passes_anywhere(function()
      local goro = require "goro"
      local wg, out = goro.sync.waitgroup(1), goro.chan(10)
      for _ = 1, 3 do goro.go(function() out:send(wg:wait()) end) end
      repeat
        goro.sleep(0.001)
        local _, n = goro.runtime.dump():gsub("waitgroup wait", "")
      until n == 3
      wg:done()
      wg:add(1)
      for _ = 1, 3 do assert(out:recv(10) == true) end
      assert(wg:wait(0) == false)
    end)
  end)

  it("never falls below zero", function()
    local wg = sync.waitgroup()
    raises("negative WaitGroup counter", function() wg:done() end)
    raises("negative WaitGroup counter", function() wg:add(-1) end)
    raises("negative WaitGroup counter", function() sync.waitgroup(-1) end)
    wg:add(1)
    raises("negative WaitGroup counter", function() wg:add(-2) end)
    raises("negative WaitGroup counter", function() wg:add(math.mininteger) end)
    raises("WaitGroup counter is too large", function() wg:add(math.maxinteger) end)
    timed_out(wg:wait(0))
    wg:done()
    assert.is_true(wg:wait(0))
  end)

  it("starts goroutines, and has them counted until they have ended, in whatever way", function()
    passes_anywhere(function()
      local goro = require "goro"
      local wg, n = goro.sync.waitgroup(), goro.sync.atomic()
      for i = 1, 100 do
        local got = select("#", wg:go(function(a, b)
          if i % 2 == 0 then goro.sleep(0.001) end
          n:add(a + b)
          if i % 3 == 0 then goro.goexit() end
        end, 1, 2))
        assert(got == 0)
      end
      assert(wg:wait() and n:load() == 300)
      -- nothing has happened when it cannot be started
      local ok, err = pcall(function() wg:go(function() end, coroutine.create(print)) end)
      assert(not ok and err:find "cannot send argument #2 %(thread%)", err)
      assert(wg:wait(0))
    end)
  end)

  it("leaves errors of its goroutines panics", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local wg = goro.sync.waitgroup()
      wg:go(function() error("boom", 0) end)
      local ok, err = pcall(function() wg:wait() goro.sleep(10) end)
      assert(not ok and err == "boom" and wg:wait(10))
    end)
    assert.equal(0, r.code, helper.describe(r))
    assert.truthy(r.stderr:find "^goro: panic: boom\n", helper.describe(r))
    assert.truthy(r.stderr:find "created by waitgroup:go at ", helper.describe(r))
  end)

  it("knows misuse", function()
    local wg = sync.waitgroup()
    raises("bad argument #1 to 'add' (number expected, got no value)", function() wg:add() end)
    raises("bad argument #1 to 'add' (number has no integer representation)", function() wg:add(1.5) end)
    raises("bad argument #1 to 'wait' (number expected, got boolean)", function() wg:wait(true) end)
    raises("bad argument #1 to 'wait' (number expected, got nan)", function() wg:wait(NAN) end)
    raises("bad argument #1 to 'go' (function expected, got no value)", function() wg:go() end)
    raises("bad argument #1 to 'waitgroup' (counter is too large)", function() sync.waitgroup(math.maxinteger) end)
    raises("bad argument #1 to 'done' (goro.sync.waitgroup expected, got goro.sync.mutex)", function() wg.done(sync.mutex()) end)
  end)

  it("is waited for in coroutines, and where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      local wg, out = goro.sync.waitgroup(1), goro.chan(10)
      goro.go(function() coroutine.wrap(function() out:send(wg:wait()) end)() end)
      goro.go(function() table.sort({ 1, 2 }, function(a, b) out:send(wg:wait()) return a < b end) end)
      goro.go(function() out:send(select(2, pcall(wg.wait, wg))) end)
      goro.sleep(0.02)
      assert(out:len() == 0)
      wg:done()
      for _ = 1, 3 do assert(out:recv(10) == true) end
    end)
  end)

  it("names what is waited for", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local wg = goro.sync.waitgroup(1)
      goro.go(function() wg:wait() end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "waitgroup wait"
      wg:wait()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "deadlock!\n\twaitgroup wait, %d", helper.describe(r))
  end)
end)

describe("once", function()
  it("calls its function once, and gives its results to all", function()
    passes_anywhere(function()
      local goro = require "goro"
      local calls = goro.sync.atomic()
      local once = goro.sync.once(function(...)
        assert(select("#", ...) == 0)
        calls:add(1)
        goro.sleep(0.01)
        return "a", nil, { 1, 2 }, nil
      end)
      local out = goro.chan(100)
      for _ = 1, 20 do goro.go(function() out:send(table.pack(once())) end) end
      for _ = 1, 20 do
        local got = out:recv()
        assert(got.n == 4 and got[1] == "a" and got[2] == nil and got[3][2] == 2)
      end
      assert(calls:load() == 1 and select("#", once("ignored")) == 4)
    end)
  end)

  it("gives scalars, strings and nothing", function()
    for _, v in ipairs { 1, 1.5, true, "short", ("long"):rep(100), sync.mutex() } do
      local once = sync.once(function() return v end)
      for _ = 1, 3 do assert.equal(v, (once())) end
      assert.equal(v, goro.run(function() return once() end))
      assert.equal(1, select("#", once()))
    end
    local none = sync.once(function() end)
    for _ = 1, 3 do assert.equal(0, select("#", none())) end
    local null = sync.once(function() return nil end)
    for _ = 1, 3 do assert.equal(1, select("#", null())) end
  end)

  it("raises its function's error in all who call", function()
    passes_anywhere(function()
      local goro = require "goro"
      local calls, out = goro.sync.atomic(), goro.chan(10)
      local once = goro.sync.once(function()
        calls:add(1)
        goro.sleep(0.01)
        error { code = 7 }
      end)
      for _ = 1, 5 do goro.go(function() out:send { pcall(once) } end) end
      for _ = 1, 5 do
        local got = out:recv()
        assert(got[1] == false and got[2].code == 7)
      end
      for _ = 1, 2 do
        local ok, err = pcall(once)
        assert(not ok and err.code == 7 and calls:load() == 1)
        assert(goro.traceback():find "in function 'error'")
      end
      local plain = goro.sync.once(function() error("plain", 0) end)
      for _ = 1, 3 do assert(select(2, pcall(plain)) == "plain") end
    end)
  end)

  it("fails when its results cannot be sent", function()
    local once = sync.once(function() return 1, coroutine.create(print) end)
    for _ = 1, 2 do
      local ok, err = pcall(once)
      assert.is_false(ok)
      assert.truthy(err:find "cannot send result #2 %(thread%)", err)
    end
    once = sync.once(function() error(coroutine.create(print)) end)
    local ok, err = pcall(once)
    assert.is_false(ok)
    assert.equal("thread", type(err))
    ok, err = pcall(once)
    assert.is_false(ok)
    assert.truthy(err:find "cannot send error value %(thread%)", err)
  end)

  it("tells callers when its function has never returned", function()
    passes_anywhere(function()
      local goro = require "goro"
      local function ends(f)
        local once, out = goro.sync.once(f), goro.chan(10)
        for _ = 1, 3 do
          goro.go(function()
            local _ <close> = setmetatable({}, { __close = function() out:send "ended" end })
            local ok, err = pcall(once)
            out:send { ok, err }
          end)
        end
        local n = 0
        for _ = 1, 5 do
          local got = out:recv(10)
          if got ~= "ended" then
            n = n + 1
            assert(got[1] == false and got[2]:find "the function of this once did not return", got[2])
          end
        end
        assert(n == 2)
      end
      ends(function() goro.sleep(0.01) goro.goexit() end)
      ends(function() table.sort({ 1, 2, 3 }, function() goro.sleep(0.001) goro.goexit() end) end)
      local once = goro.sync.once(coroutine.yield)
      coroutine.wrap(function() once() end)()
      collectgarbage()
      local ok, err = pcall(once)
      assert(not ok and err:find "did not return", err)
    end)
  end)

  it("lets its function wait and yield, in coroutines and where Lua cannot", function()
    passes_anywhere(function()
      local goro = require "goro"
      local once = goro.sync.once(function() goro.sleep(0.001) return coroutine.yield "asked" end)
      local co = coroutine.wrap(function() return "got", once() end)
      assert(co() == "asked")
      local got, v = co(5)
      assert(got == "got" and v == 5 and once() == 5)
      once = goro.sync.once(function() goro.sleep(0.001) return 6 end)
      table.sort({ 1, 2 }, function(a, b) assert(once() == 6) return a < b end)
    end)
  end)

  it("has a function like any that is sent", function()
    local n = 5
    local once = sync.once(function() n = n + 1 return n end)
    n = 100
    assert.equal(6, (once()))
    assert.equal(6, (once()))
    assert.equal(100, n)
    raises("bad argument #1 to 'once' (function expected, got no value)", function() sync.once() end)
    raises("bad argument #1 to 'once' (function expected, got table)", function() sync.once {} end)
    local co = coroutine.create(print)
    raises_match("^cannot send upvalue 'co' %(thread%) of function at ", function() sync.once(function() return co end) end)
  end)

  it("that calls itself deadlocks, and is named", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local ch = goro.chan(1)
      local once = goro.sync.once(function() return ch:recv()() end)
      ch:send(once)
      goro.go(function() once() end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "once"
      once()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "deadlock!\n\tonce, %d", helper.describe(r))
  end)
end)

describe("a semaphore", function()
  it("gives as much as it has", function()
    local s = sync.semaphore(3)
    assert.is_true(s:acquire())
    assert.is_true(s:acquire(2))
    assert.is_false(s:try_acquire())
    assert.is_true(s:try_acquire(0))
    timed_out(s:acquire(1, 0))
    timed_out(s:acquire(nil, 0.01))
    assert.equal(0, select("#", s:release()))
    assert.is_false(s:try_acquire(2))
    assert.is_true(s:try_acquire())
    s:release(3)
    assert.is_true(s:acquire(3, 0))
    s:release(2)
    s:release(0)
    s:release(nil)
    assert.is_true(s:try_acquire(3))
  end)

  it("knows misuse", function()
    local s = sync.semaphore(3)
    raises("release of more than was acquired", function() s:release() end)
    s:acquire()
    raises("release of more than was acquired", function() s:release(2) end)
    raises("release of more than was acquired", function() s:release(math.maxinteger) end)
    raises("bad argument #1 to 'acquire' (more than the semaphore's size)", function() s:acquire(4) end)
    raises("bad argument #1 to 'try_acquire' (more than the semaphore's size)", function() s:try_acquire(4) end)
    raises("bad argument #1 to 'acquire' (weight must not be negative)", function() s:acquire(-1) end)
    raises("bad argument #1 to 'release' (weight must not be negative)", function() s:release(-1) end)
    raises("bad argument #2 to 'acquire' (number expected, got string)", function() s:acquire(1, "x") end)
    raises("bad argument #2 to 'acquire' (number expected, got nan)", function() s:acquire(1, NAN) end)
    raises("bad argument #1 to 'semaphore' (number expected, got no value)", function() sync.semaphore() end)
    raises("bad argument #1 to 'semaphore' (size must not be negative)", function() sync.semaphore(-1) end)
    raises("bad argument #1 to 'semaphore' (size is too large)", function() sync.semaphore(math.maxinteger) end)
    raises("bad argument #1 to 'acquire' (goro.sync.semaphore expected, got goro.sync.mutex)", function() s.acquire(sync.mutex()) end)
    assert.is_true(s:try_acquire(2))
  end)

  -- x/sync's TestLargeAcquireDoesntStarve, and its queue.
  it("serves strictly in order, the large before later small ones", function()
    passes_anywhere(function()
      local goro = require "goro"
      local s, log = goro.sync.semaphore(10), goro.chan(100)
      s:acquire(10)
      local waiting = 0
      local function queue(k)
        goro.go(function()
          s:acquire(k)
          log:send(k)
        end)
        waiting = waiting + 1
        repeat
          goro.sleep(0.0005)
          local _, n = goro.runtime.dump():gsub("semaphore acquire", "")
        until n == waiting
      end
      for _, k in ipairs { 2, 10, 1, 3 } do queue(k) end
      s:release(5)
      assert(log:recv(10) == 2 and log:recv(0.02) == nil)
      assert(not s:try_acquire(1)) -- although it would fit
      assert(not s:try_acquire(0))
      assert(s:acquire(1, 0.005) == false)
      s:release(7)
      assert(log:recv(10) == 10 and log:recv(0.02) == nil)
      s:release(10)
      local a, b = log:recv(10), log:recv(10)
      assert(a + b == 4)
      assert(s:try_acquire(6) and not s:try_acquire(1))
    end)
  end)

  it("passes over who has given up", function()
    passes_anywhere(function()
      local goro = require "goro"
      local s, log = goro.sync.semaphore(10), goro.chan(100)
      s:acquire(9)
      goro.go(function() log:send((s:acquire(10, 0.3))) end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "semaphore acquire"
      assert(not s:try_acquire(1))
      goro.go(function() log:send(s:acquire(1)) end)
      assert(log:recv(10) ~= nil and log:recv(10) ~= nil)
      s:release(10)
      assert(s:try_acquire(10))
    end)
  end)

  it("is waited for in coroutines, and where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      local s, out = goro.sync.semaphore(3), goro.chan(10)
      s:acquire(3)
      goro.go(function() coroutine.wrap(function() out:send(s:acquire()) end)() end)
      goro.go(function() ("x"):gsub("x", function() out:send(s:acquire()) end) end)
      goro.go(function() out:send(select(2, pcall(s.acquire, s))) end)
      goro.sleep(0.02)
      assert(out:len() == 0)
      s:release(3)
      for _ = 1, 3 do assert(out:recv(10) == true) end
    end)
  end)

  it("names what is waited for", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local s = goro.sync.semaphore(1)
      s:acquire()
      goro.go(function() s:acquire() end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "semaphore acquire"
      s:acquire()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "deadlock!\n\tsemaphore acquire, %d", helper.describe(r))
  end)
end)

describe("an atomic", function()
  local odd = -6503253463573826831 -- 0xa5c3196e8d4b72f1: it stands for something else inside

  it("holds a number, a boolean or a string", function()
    assert.equal(0, sync.atomic():load())
    assert.equal("integer", math.type(sync.atomic(nil):load()))
    for _, v in ipairs { 5, -1, math.maxinteger, math.mininteger, odd, 1.5, 1e300, math.huge, true, false, "", "a\0b", ("x"):rep(1000) } do
      local a = sync.atomic(v)
      assert.equal(v, a:load())
      assert.equal(math.type(v), math.type(a:load()))
      local b = sync.atomic()
      assert.equal(0, select("#", b:store(v)))
      assert.equal(v, b:load())
      assert.equal(v, b:swap "other")
      assert.equal("other", b:swap(v))
      assert.equal(v, goro.run(function() return b:load() end))
      assert.is_true(b:cas(v, "new"))
      assert.is_false(b:cas(v, "newer"))
      assert.is_true(b:cas("new", v))
      assert.equal(v, b:load())
      assert.equal(math.type(v), math.type(b:load()))
    end
    assert.equal("float", math.type(sync.atomic(1.0):load()))
    assert.equal("-0.0", tostring(sync.atomic(-0.0):load()))
  end)

  it("adds, as Lua does, and gives the new value", function()
    local a = sync.atomic()
    assert.equal(5, a:add(5))
    assert.equal(3, a:add(-2))
    assert.equal("integer", math.type(a:load()))
    assert.equal(3.5, a:add(0.5))
    assert.equal(4.0, a:add(0.5))
    assert.equal("float", math.type(a:load()))
    a:store(math.maxinteger)
    assert.equal(math.mininteger, a:add(1))
    a:store(odd - 1)
    assert.equal(odd, a:add(1))
    assert.equal(odd + 1, a:add(1))
    assert.equal(odd, a:add(-1))
    assert.equal(odd, a:load())
    assert.equal(odd + 0.0, a:add(0.0))
    raises("add to an atomic string", function() sync.atomic "1":add(1) end)
    raises("add to an atomic boolean", function() sync.atomic(true):add(1) end)
  end)

  it("compares as Lua does, and NaN with itself", function()
    local a = sync.atomic(1)
    assert.is_true(a:cas(1.0, 2.0))
    assert.is_true(a:cas(2, 2^53))
    assert.is_false(a:cas(2^53 // 1 | 0 + 1, 0))
    assert.is_true(a:cas(1 << 53, NAN))
    assert.is_true(a:cas(NAN, "1"))
    assert.is_false(a:cas(1, 2))
    assert.is_true(a:cas("1", true))
    assert.is_false(a:cas(false, 1))
    a:store(math.maxinteger)
    assert.is_false(a:cas(2^63, 1))
    a:store(0)
    assert.is_true(a:cas(-0.0, 1))
  end)

  it("knows misuse", function()
    local a = sync.atomic()
    raises("bad argument #1 to 'store' (number, boolean or string expected, got no value)", function() a:store() end)
    raises("bad argument #1 to 'store' (number, boolean or string expected, got nil)", function() a:store(nil) end)
    raises("bad argument #1 to 'swap' (number, boolean or string expected, got table)", function() a:swap {} end)
    raises("bad argument #1 to 'cas' (number, boolean or string expected, got nil)", function() a:cas(nil, 1) end)
    raises("bad argument #2 to 'cas' (number, boolean or string expected, got no value)", function() a:cas "x" end)
    raises("bad argument #1 to 'add' (number expected, got string)", function() a:add "1" end)
    raises("bad argument #1 to 'add' (number expected, got no value)", function() a:add() end)
    raises("bad argument #1 to 'atomic' (number, boolean or string expected, got table)", function() sync.atomic {} end)
    raises("bad argument #1 to 'load' (goro.sync.atomic expected, got no value)", function() a.load() end)
    assert.equal(0, a:load())
  end)

  it("loses nothing, whatever its value turns into meanwhile", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function(rounds)
        local goro = require "goro"
        rounds = tonumber(rounds)
        local n, swaps, tries = goro.sync.atomic(), goro.sync.atomic "0", goro.sync.atomic(0)
        local wg, sums = goro.sync.waitgroup(), goro.sync.atomic()
        for w = 1, 8 do
          wg:go(function()
            local sum = 0
            for i = 1, rounds do
              n:add(w % 2 == 0 and 1 or 1.0) -- to and fro between the two kinds
              local same = n:load()
              n:cas(same, same)
              local old
              repeat old = tries:load() until tries:cas(old, old == 5 and "six" or old == "six" and true or old == true and 0 or old + 1)
              sum = sum + #swaps:swap(("x"):rep(i % 50))
            end
            sums:add(sum)
          end)
        end
        assert(wg:wait(100))
        local total = 0
        for i = 1, rounds do total = total + i % 50 end
        assert(sums:load() == 8 * total + 1 - #swaps:load())
        assert(n:load() == 8 * rounds)
        assert(tries:load() == 0) -- it has eight values
      end, { env = { GOROMAXPROCS = procs }, args = { helper.rounds(1000) } })
    end
  end)

  it("counts exactly", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function(rounds)
        local goro = require "goro"
        rounds = tonumber(rounds)
        local n, f, wg = goro.sync.atomic(), goro.sync.atomic(0.5), goro.sync.waitgroup()
        for _ = 1, 8 do
          wg:go(function()
            for _ = 1, rounds do
              n:add(1)
              f:add(1)
            end
          end)
        end
        assert(wg:wait(100) and n:load() == 8 * rounds and f:load() == 8 * rounds + 0.5)
      end, { env = { GOROMAXPROCS = procs }, args = { helper.rounds(5000) } })
    end
  end)
end)
