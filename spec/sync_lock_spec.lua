-- SPDX-License-Identifier: MIT
-- goro.sync's mutex, rwmutex and cond: every row of the contract, and what Go's own tests check of them.
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

-- The function passes, as the main script, whatever the panics of its goroutines write to stderr.
local function panics(fn)
  local r = helper.run_function(fn)
  assert.is_true(r.code == 0 and r.stderr:find "^goro: panic: " ~= nil, helper.describe(r))
end

describe("a mutex", function()
  it("is locked once at a time", function()
    local m = sync.mutex()
    assert.is_true(m:lock())
    assert.is_false(m:try_lock())
    timed_out(m:lock(0))
    timed_out(m:lock(-1))
    local start = helper.now()
    timed_out(m:lock(0.02))
    assert.is_true(helper.now() - start >= 0.02)
    assert.equal(0, select("#", m:unlock()))
    assert.is_true(m:try_lock())
    m:unlock()
    assert.is_true(m:lock(0))
    m:unlock()
    assert.is_true(m:lock(math.huge))
    m:unlock()
    assert.is_true(m:lock(nil))
    m:unlock()
  end)

  it("may be unlocked by anyone, but not when it is unlocked", function()
    local m = sync.mutex()
    raises("unlock of unlocked mutex", function() m:unlock() end)
    m:lock()
    goro.run(function() m:unlock() end)
    assert.is_true(m:try_lock())
    m:unlock()
    raises("unlock of unlocked mutex", function() m:unlock() end)
    assert.is_true(m:try_lock())
  end)

  it("waits for who holds it, in goroutines, coroutines and where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m, n = goro.sync.mutex(), 0
      local out = goro.chan(10)
      m:lock()
      local function take(name)
        assert(m:lock() == true)
        out:send(name)
        m:unlock()
      end
      goro.go(take, "goroutine")
      goro.go(function() coroutine.wrap(function() take "coroutine" end)() end)
      goro.go(function() table.sort({ 1, 2 }, function(a, b) take "sort" return a < b end) end)
      goro.go(function() ("x"):gsub("x", function() take "gsub" end) end)
      goro.go(function() assert(pcall(take, "pcall")) end)
      goro.go(function() take(setmetatable({}, { __tostring = function() take "metamethod" return "last" end })) end)
      goro.sleep(0.02)
      assert(out:len() == 0)
      m:unlock()
      for _ = 1, 6 do assert(out:recv(10)) n = n + 1 end
      assert(n == 6 and m:lock(10))
    end)
  end)

  it("calls a function while it is held, and gives back what that returns", function()
    local m = sync.mutex()
    local function count(...)
      assert.is_false(m:try_lock())
      return select("#", ...), ...
    end
    assert.same({ 3, "a", nil, "c" }, { m:with(count, "a", nil, "c") })
    assert.same({ n = 0 }, table.pack(m:with(function() end)))
    assert.is_true(m:try_lock())
    m:unlock()
    local lots = table.pack(m:with(function() return table.unpack({}, 1, 5000) end))
    assert.equal(5000, lots.n)
    local object = {}
    local ok, err = pcall(m.with, m, function() error(object) end)
    assert.is_false(ok)
    assert.is_true(rawequal(object, err))
    assert.is_true(m:try_lock())
  end)

  it("is held by a guard until its block is left", function()
    local m = sync.mutex()
    do
      local _ <close> = m:guard()
      assert.is_false(m:try_lock())
    end
    assert.is_true(m:try_lock())
    m:unlock()
    pcall(function()
      local _ <close> = m:guard()
      assert.is_false(m:try_lock())
      error "left"
    end)
    assert.is_true(m:try_lock())
    m:unlock()
    do -- unlocked by hand
      local _ <close> = m:guard()
      m:unlock()
    end
    assert.is_true(m:try_lock())
    m:unlock()
    for _ = 1, 3 do
      local _ <close> = m:guard()
    end
    assert.is_true(m:try_lock())
  end)

  it("is given back by goexit, closed coroutines and lost ones", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      goro.go(function() m:with(function() goro.sleep(0.01) goro.goexit() end) end)
      goro.go(function()
        local _ <close> = m:guard()
        goro.goexit()
      end)
      goro.go(function() table.sort({ 1, 2, 3 }, function() m:with(goro.goexit) end) end)
      goro.sleep(0.05)
      assert(m:lock(10))
      m:unlock()
      local co = coroutine.create(function() m:with(coroutine.yield, 7) end)
      assert(select(2, coroutine.resume(co)) == 7 and not m:try_lock())
      assert(coroutine.close(co) and m:try_lock())
      m:unlock()
      co = coroutine.wrap(function() m:with(coroutine.yield, 7) end)
      assert(co() == 7 and not m:try_lock())
      co = m -- the coroutine is lost
      collectgarbage()
      assert(co:try_lock())
    end)
  end)

  it("waits inside `with` and `guard` like lock", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m, n, done = goro.sync.mutex(), goro.sync.atomic(), goro.chan()
      local held = goro.sync.atomic(0)
      local function hold(i)
        assert(held:add(1) == 1)
        if i % 3 == 0 then goro.gosched() end
        assert(held:add(-1) == 0)
        return n:add(1)
      end
      for w = 1, 8 do
        goro.go(function()
          for i = 1, 50 do
            if w % 2 == 0 then assert(m:with(hold, i) > 0)
            else local _ <close> = m:guard() hold(i) end
          end
          done:send(true)
        end)
      end
      for _ = 1, 8 do done:recv() end
      assert(n:load() == 400 and m:try_lock())
    end)
  end)

  it("knows misuse", function()
    local m = sync.mutex()
    raises("bad argument #1 to 'lock' (number expected, got string)", function() m:lock "x" end)
    raises("bad argument #1 to 'lock' (number expected, got nan)", function() m:lock(NAN) end)
    raises("bad argument #1 to 'with' (function expected, got no value)", function() m:with() end)
    raises("bad argument #1 to 'lock' (goro.sync.mutex expected, got table)", function() m.lock {} end)
    raises("bad argument #1 to 'lock' (goro.sync.mutex expected, got goro.sync.rwmutex)", function() m.lock(sync.rwmutex()) end)
    raises("bad argument #1 to 'unlock' (goro.sync.mutex expected, got no value)", function() m.unlock() end)
    assert.is_true(m:try_lock())
  end)

  it("that deadlocks is reported, named by what is waited for", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      m:lock()
      goro.go(function() m:with(print) end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "mutex lock"
      m:lock()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "all goroutines are asleep %- deadlock!\n\tmutex lock, %d", helper.describe(r))
  end)

  it("can be locked on after a deadlock was reported", function()
    passes(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      m:lock()
      for _ = 1, 3 do
        local ok, err = pcall(m.lock, m)
        assert(not ok and err:find "deadlock", err)
      end
      goro.go(function() goro.sleep(0.01) m:unlock() end)
      assert(m:lock() == true)
    end)
  end)

  it("meets panics while it waits, and loses nothing by them", function()
    panics(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      m:lock()
      goro.go(function() goro.sleep(0.01) error "boom" end)
      local ok, err = pcall(m.lock, m)
      assert(not ok and err:find "boom", err)
      goro.go(function() goro.sleep(0.01) m:unlock() end)
      assert(m:lock() == true)
      goro.go(error, "boom 2")
      ok, err = pcall(m.with, m, print)
      assert(not ok and err == "boom 2", err)
      m:unlock() -- `with` has not got it
      assert(m:try_lock())
    end)
  end)

  -- Go's TestMutexFairness.
  it("starves nobody", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function()
        local goro = require "goro"
        local m, stop, done = goro.sync.mutex(), goro.sync.atomic(false), goro.chan()
        goro.go(function()
          while not stop:load() do
            m:lock()
            local till = goro.time.mono() + 0.0001
            while goro.time.mono() < till do end -- luacheck: ignore 542
            m:unlock()
          end
          done:send(true)
        end)
        goro.go(function()
          for _ = 1, 10 do
            goro.sleep(0.0001)
            m:lock()
            m:unlock()
          end
          done:send(true)
        end)
        assert(done:recv(20), "starved")
        stop:store(true)
        done:recv()
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)

  it("is handed over in order to those who have waited for a millisecond", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m, order = goro.sync.mutex(), goro.chan(100)
      m:lock()
      for i = 1, 20 do
        goro.go(function()
          m:lock()
          order:send(i)
          m:unlock()
        end)
        repeat
          goro.sleep(0.0005)
          local _, n = goro.runtime.dump():gsub("mutex lock", "")
        until n == i
      end
      goro.sleep(0.002)
      m:unlock()
      for i = 1, 20 do
        local got = order:recv()
        assert(got == i, got)
      end
    end)
  end)
end)

describe("a rwmutex", function()
  it("is held by one writer or several readers", function()
    local rw = sync.rwmutex()
    assert.is_true(rw:rlock())
    assert.is_true(rw:rlock(0))
    assert.is_true(rw:try_rlock())
    assert.is_false(rw:try_lock())
    timed_out(rw:lock(0.01))
    timed_out(rw:lock(0))
    for _ = 1, 3 do assert.equal(0, select("#", rw:runlock())) end
    assert.is_true(rw:lock())
    assert.is_false(rw:try_rlock())
    assert.is_false(rw:try_lock())
    timed_out(rw:rlock(0.01))
    timed_out(rw:rlock(0))
    rw:unlock()
    assert.is_true(rw:try_lock())
    rw:unlock()
  end)

  it("is a mutex to its writers", function()
    local rw = sync.rwmutex()
    assert.same({ 1, 2 }, { rw:with(function(...)
      assert.is_false(rw:try_rlock())
      return ...
    end, 1, 2) })
    do
      local _ <close> = rw:guard()
      assert.is_false(rw:try_rlock())
    end
    assert.is_false(pcall(rw.with, rw, error))
    assert.is_true(rw:try_lock())
    goro.run(function() rw:unlock() end)
    assert.is_true(rw:try_lock())
  end)

  it("is given back by readers whichever way they go", function()
    local rw = sync.rwmutex()
    assert.same({ 1, 2 }, { rw:rwith(function(...)
      assert.is_true(rw:try_rlock())
      rw:runlock()
      assert.is_false(rw:try_lock())
      return ...
    end, 1, 2) })
    do
      local _ <close> = rw:rguard()
      assert.is_true(rw:try_rlock())
      rw:runlock()
      assert.is_false(rw:try_lock())
    end
    assert.is_false(pcall(rw.rwith, rw, error))
    assert.is_true(rw:try_lock())
  end)

  it("knows misuse", function()
    local rw = sync.rwmutex()
    raises("unlock of unlocked rwmutex", function() rw:unlock() end)
    raises("runlock of rwmutex that is not locked for reading", function() rw:runlock() end)
    rw:rlock()
    raises("unlock of unlocked rwmutex", function() rw:unlock() end)
    rw:runlock()
    raises("runlock of rwmutex that is not locked for reading", function() rw:runlock() end)
    rw:lock()
    raises("runlock of rwmutex that is not locked for reading", function() rw:runlock() end)
    rw:unlock()
    raises("bad argument #1 to 'rlock' (number expected, got nan)", function() rw:rlock(NAN) end)
    raises("bad argument #1 to 'rwith' (function expected, got no value)", function() rw:rwith() end)
    raises("bad argument #1 to 'rlock' (goro.sync.rwmutex expected, got goro.sync.mutex)", function() rw.rlock(sync.mutex()) end)
    assert.is_true(rw:try_lock())
  end)

  -- Go's TestParallelReaders.
  it("lets readers be at it at the same time", function()
    for _, procs in ipairs { "1", "4" } do
      passes(function()
        local goro = require "goro"
        local rw = goro.sync.rwmutex()
        local locked, unlock, done = goro.chan(), goro.chan(), goro.chan()
        for _ = 1, 10 do
          goro.go(function()
            rw:rlock()
            locked:send(true)
            unlock:recv()
            rw:runlock()
            done:send(true)
          end)
        end
        for _ = 1, 10 do assert(locked:recv(10)) end
        for _ = 1, 10 do unlock:send(true) end
        for _ = 1, 10 do done:recv() end
        assert(rw:try_lock())
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)

  it("keeps new readers out while a writer waits, and lets those in before the next writer", function()
    passes_anywhere(function()
      local goro = require "goro"
      local rw, log = goro.sync.rwmutex(), goro.chan(100)
      local waiting = 0
      local function queue(what, f)
        goro.go(f)
        waiting = waiting + 1
        repeat
          goro.sleep(0.0005)
          local dump = goro.runtime.dump()
          local _, writers = dump:gsub("mutex lock", "")
          local _, readers = dump:gsub("rwmutex read lock", "")
        until writers + readers == waiting
        log:send(what)
      end
      local function write(name) return function() rw:lock() log:send("in " .. name) goro.sleep(0.005) rw:unlock() end end
      local function read(name) return function() rw:rlock() log:send("in " .. name) goro.sleep(0.01) rw:runlock() end end
      rw:rlock()
      queue("w1", write "w1")
      assert(not rw:try_rlock())
      queue("w2", write "w2")
      queue("r1", read "r")
      queue("r2", read "r")
      queue("w3", write "w3")
      queue("r3", read "r")
      rw:runlock()
      local said = {}
      for i = 1, 12 do said[i] = log:recv() end
      said = table.concat(said, ",")
      assert(said == "w1,w2,r1,r2,w3,r3,in w1,in r,in r,in r,in w2,in w3", said)
    end)
  end)

  it("lets readers in when the writer that they wait for gives up", function()
    passes_anywhere(function()
      local goro = require "goro"
      local rw, out = goro.sync.rwmutex(), goro.chan(10)
      rw:rlock()
      goro.go(function() out:send((rw:lock(0.2))) end)
      repeat goro.sleep(0.001) until not rw:try_rlock() or rw:runlock()
      for _ = 1, 3 do goro.go(function() assert(rw:rlock()) out:send "in" rw:runlock() end) end
      local n = 0
      for _ = 1, 4 do
        local said, ok = out:recv(10)
        assert(ok)
        if said == "in" then n = n + 1 end
      end
      assert(n == 3)
      rw:runlock()
      assert(rw:lock(10)) -- the last of them is still about to unlock
    end)
  end)

  -- Go's HammerRWMutex.
  it("has never a writer beside anybody", function()
    for _, case in ipairs { { "1", 1, 1 }, { "2", 1, 3 }, { "2", 2, 5 }, { "8", 1, 10 }, { "8", 3, 10 } } do
      passes(function(writers, readers, rounds)
        local goro = require "goro"
        local rw, active, done = goro.sync.rwmutex(), goro.sync.atomic(), goro.chan()
        local function look(ok) if not ok then error "somebody else was in" end end
        for _ = 1, writers do
          goro.go(function()
            for i = 1, rounds do
              rw:lock()
              look(active:add(10000) == 10000)
              if i % 3 == 0 then goro.gosched() end
              look(active:add(-10000) == 0)
              rw:unlock()
            end
            done:send(true)
          end)
        end
        for _ = 1, readers do
          goro.go(function()
            for i = 1, rounds do
              rw:rlock()
              local n = active:add(1)
              look(n >= 1 and n < 10000)
              if i % 5 == 0 then goro.gosched() end
              active:add(-1)
              rw:runlock()
            end
            done:send(true)
          end)
        end
        for _ = 1, writers + readers do assert(done:recv(60)) end
        assert(rw:try_lock())
      end, { env = { GOROMAXPROCS = case[1] }, args = { case[2], case[3], helper.rounds(500) } })
    end
  end)

  it("names what is waited for", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local rw = goro.sync.rwmutex()
      rw:rlock()
      goro.go(function() rw:lock() end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "mutex lock"
      rw:rlock()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "deadlock!\n\tmutex lock, %d", helper.describe(r))
  end)
end)

describe("a condition", function()
  it("is waited for without the mutex, which is held again afterwards", function()
    passes_anywhere(function()
      local goro = require "goro"
      for _, m in ipairs { goro.sync.mutex(), goro.sync.rwmutex() } do
        local c = goro.sync.cond(m)
        m:lock()
        goro.go(function()
          m:lock()
          c:signal()
          m:unlock()
        end)
        assert(c:wait() == true)
        assert(not m:try_lock())
        local ok, why = c:wait(0.01)
        assert(ok == false and why == "timeout" and not m:try_lock())
        ok, why = c:wait(0)
        assert(ok == false and why == "timeout" and not m:try_lock())
        m:unlock()
      end
    end)
  end)

  it("holds the mutex again at a timeout, however long that takes", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      local free = goro.sync.atomic(false)
      m:lock()
      goro.go(function()
        m:lock()
        goro.sleep(0.05)
        free:store(true)
        m:unlock()
      end)
      repeat goro.sleep(0.005) until goro.runtime.dump():find("mutex", 1, true) -- so that it is handed over
      goro.sleep(0.005)
      local ok, why = c:wait(0.01)
      assert(ok == false and why == "timeout" and free:load() and not m:try_lock())
    end)
  end)

  -- Go's TestCondSignal, TestCondBroadcast, TestCondSignalGenerations.
  it("wakes one by signal, in order, and all by broadcast", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      local awake = goro.chan(100)
      c:signal()
      c:broadcast()
      local function sleeper(i)
        m:lock()
        c:wait()
        awake:send(i)
        m:unlock()
      end
      local function start(n)
        for i = 1, n do
          goro.go(sleeper, i)
          repeat
            goro.sleep(0.0005)
            local _, waiting = goro.runtime.dump():gsub("cond wait", "")
          until waiting == i
        end
      end
      start(10)
      for i = 1, 10 do
        assert(awake:len() == 0)
        m:lock()
        c:signal()
        m:unlock()
        assert(awake:recv(10) == i)
      end
      start(20)
      c:broadcast() -- without the mutex too
      local seen = {}
      for _ = 1, 20 do seen[awake:recv(10)] = true end
      assert(#seen == 20)
    end)
  end)

  it("is waited for in coroutines, and where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      local out = goro.chan(10)
      local function wait(name)
        m:lock()
        assert(c:wait() == true)
        out:send(name)
        m:unlock()
      end
      goro.go(function() coroutine.wrap(wait) "coroutine" end)
      goro.go(function() table.sort({ 1, 2 }, function(a, b) wait "sort" return a < b end) end)
      goro.go(function() assert(pcall(wait, "pcall")) end)
      repeat
        goro.sleep(0.001)
        local _, waiting = goro.runtime.dump():gsub("cond wait", "")
      until waiting == 3
      m:lock()
      c:broadcast()
      m:unlock()
      for _ = 1, 3 do assert(out:recv(10)) end
    end)
  end)

  it("holds the mutex when a panic or a deadlock ends the wait", function()
    panics(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      m:lock()
      goro.go(function()
        m:lock()
        goro.go(error, "boom")
        goro.sleep(0.05)
        m:unlock()
      end)
      local ok, err = pcall(c.wait, c)
      assert(not ok and err == "boom" and not m:try_lock(), err)
      ok, err = pcall(c.wait, c)
      assert(not ok and err:find "deadlock" and not m:try_lock(), err)
      -- while it waits for the mutex
      goro.go(function()
        m:lock()
        c:signal()
        goro.sleep(0.02)
        goro.go(error, "boom 2")
        goro.sleep(0.02)
        m:unlock()
      end)
      ok, err = pcall(c.wait, c)
      assert(not ok and err == "boom 2" and not m:try_lock(), err)
      -- and nobody can ever unlock it again
      goro.go(function() m:lock() c:signal() end)
      ok, err = pcall(c.wait, c)
      assert(not ok and err:find "deadlock", err)
    end)
  end)

  it("knows misuse", function()
    local m = sync.mutex()
    local c = sync.cond(m)
    raises("wait with an unlocked mutex", function() c:wait() end)
    raises("wait with an unlocked mutex", function() c:wait(0.01) end)
    m:lock()
    raises("bad argument #1 to 'wait' (number expected, got nan)", function() c:wait(NAN) end)
    raises("bad argument #1 to 'cond' (goro.sync.mutex or goro.sync.rwmutex expected, got no value)", function() sync.cond() end)
    raises("bad argument #1 to 'cond' (goro.sync.mutex or goro.sync.rwmutex expected, got goro.sync.cond)", function() sync.cond(c) end)
    raises_match("^bad argument #1 to 'signal' %(goro.sync.cond expected, got goro.sync.mutex%)", function() c.signal(m) end)
    assert.is_false(m:try_lock())
  end)

  it("keeps its mutex alive", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c
      do
        local m = goro.sync.mutex()
        m:lock()
        c = goro.sync.cond(m)
      end
      collectgarbage()
      local ok, why = c:wait(0.001)
      assert(ok == false and why == "timeout")
    end)
  end)

  it("names what is waited for", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      goro.go(function() m:lock() c:wait() end)
      repeat goro.sleep(0.001) until goro.runtime.dump():find "cond wait"
      m:lock()
      c:wait()
    end)
    assert.equal(1, r.code)
    assert.truthy(r.stderr:find "deadlock!\n\tcond wait, %d", helper.describe(r))
  end)
end)
