-- SPDX-License-Identifier: MIT
-- goro.sync under load: random time limits, panics, goexit, the end of the program. Nothing may be lost, doubled or left locked.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local function everywhere(fn, rounds)
  for _, procs in ipairs { "1", "2", "8" } do
    for _, inside in ipairs { false, true } do
      helper.passes(fn, { env = { GOROMAXPROCS = procs }, args = { helper.rounds(rounds), 7 * tonumber(procs) }, goroutine = inside })
    end
  end
end

describe("under load", function()
  it("a mutex excludes, and is free in the end, whoever gives up", function()
    everywhere(function(rounds, seed)
      local goro = require "goro"
      local sync = goro.sync
      rounds = tonumber(rounds)
      local m, inside, got = sync.mutex(), sync.atomic(), sync.atomic()
      local wg, counted = sync.waitgroup(), sync.atomic()
      local function critical()
        if inside:add(1) ~= 1 then error "two are in it" end
        local r = math.random(20)
        if r == 1 then goro.gosched() elseif r == 2 then goro.sleep(0.0002) end
        local v = counted:load()
        if r < 5 then goro.gosched() end
        counted:store(v + 1)
        if inside:add(-1) ~= 0 then error "two were in it" end
        got:add(1)
      end
      local function worker(w)
        math.randomseed(seed + w)
        for _ = 1, rounds do
          local how = math.random(8)
          if how == 1 then
            if m:try_lock() then critical() m:unlock() end
          elseif how == 2 then
            if m:lock(math.random() * 0.0005) then critical() m:unlock() end
          elseif how == 3 then
            m:with(critical)
          elseif how == 4 then
            pcall(m.with, m, function() critical() error "left" end)
          elseif how == 5 then
            local _ <close> = m:guard()
            critical()
          elseif how == 6 then
            coroutine.wrap(function()
              if m:lock(0.001) then critical() m:unlock() end
            end)()
          elseif how == 7 then
            table.sort({ 1, 2 }, function(a, b)
              if m:lock(0.001) then critical() m:unlock() end
              return a < b
            end)
          else
            m:lock()
            critical()
            m:unlock()
          end
        end
      end
      for w = 1, 8 do wg:go(worker, w) end
      for w = 1, 8 do
        wg:go(function()
          m:with(function()
            critical()
            if w % 2 == 0 then goro.goexit() end
          end)
        end)
      end
      assert(wg:wait(100), "somebody waits for ever")
      assert(counted:load() == got:load() and got:load() > 0)
      assert(m:try_lock() and inside:load() == 0)
      m:unlock()
    end, 500)
  end)

  it("a rwmutex keeps writers alone, and is free in the end", function()
    everywhere(function(rounds, seed)
      local goro = require "goro"
      local sync = goro.sync
      rounds = tonumber(rounds)
      local rw, state, wg, writes, v = sync.rwmutex(), sync.atomic(), sync.waitgroup(), sync.atomic(), sync.atomic()
      local function pause()
        local r = math.random(20)
        if r == 1 then goro.sleep(0.0002) elseif r < 4 then goro.gosched() end
      end
      local function write()
        if state:add(1000) ~= 1000 then error "a writer is not alone" end
        local before = v:load()
        pause()
        v:store(before + 1)
        state:add(-1000)
        writes:add(1)
      end
      local function read()
        local n = state:add(1)
        if n < 1 or n >= 1000 then error "a reader is beside a writer" end
        pause()
        state:add(-1)
      end
      for w = 1, 8 do
        wg:go(function()
          math.randomseed(seed + w)
          for _ = 1, rounds do
            local how = math.random(8)
            if how == 1 then
              if rw:lock(math.random() * 0.0005) then write() rw:unlock() end
            elseif how == 2 then
              if rw:try_lock() then write() rw:unlock() end
            elseif how == 3 then
              rw:with(write)
            elseif how == 4 then
              if rw:rlock(math.random() * 0.0005) then read() rw:runlock() end
            elseif how == 5 then
              if rw:try_rlock() then read() rw:runlock() end
            elseif how == 6 then
              pcall(rw.rwith, rw, function() read() error "left" end)
            elseif how == 7 then
              table.sort({ 1, 2 }, function(a, b)
                if rw:rlock(0.001) then read() rw:runlock() end
                return a < b
              end)
            else
              rw:rlock()
              read()
              rw:runlock()
            end
          end
        end)
      end
      assert(wg:wait(100), "somebody waits for ever")
      assert(v:load() == writes:load())
      assert(rw:try_lock())
    end, 500)
  end)

  it("a semaphore gives out no more than it has, and has all of it in the end", function()
    everywhere(function(rounds, seed)
      local goro = require "goro"
      local sync = goro.sync
      rounds = tonumber(rounds)
      local SIZE = 5
      local s, out, wg = sync.semaphore(SIZE), sync.atomic(), sync.waitgroup()
      for w = 1, 10 do
        wg:go(function()
          math.randomseed(seed + w)
          for _ = 1, rounds do
            local k = math.random(0, SIZE)
            local how, have = math.random(4), false
            if how == 1 then have = s:acquire(k)
            elseif how == 2 then have = s:acquire(k, math.random() * 0.0005)
            elseif how == 3 then have = s:try_acquire(k)
            else table.sort({ 1, 2 }, function(a, b) have = s:acquire(k, 0.001) return a < b end)
            end
            if have then
              local n = out:add(k)
              if n > SIZE then error("so many are out: " .. n) end
              if k % 2 == 0 then goro.gosched() end
              out:add(-k)
              s:release(k)
            end
          end
        end)
      end
      assert(wg:wait(100), "somebody waits for ever")
      assert(out:load() == 0 and s:try_acquire(SIZE))
      s:release(SIZE)
    end, 600)
  end)

  -- A bounded buffer, in the way of the books, with waits that time out.
  it("conditions lose no item", function()
    everywhere(function(rounds, seed)
      local goro = require "goro"
      local sync = goro.sync
      rounds = tonumber(rounds)
      local m, items, made, taken = sync.mutex(), sync.atomic(), sync.atomic(), sync.atomic()
      local room, more = sync.cond(m), sync.cond(m)
      local wg, total = sync.waitgroup(), 4 * rounds
      for w = 1, 4 do
        wg:go(function()
          math.randomseed(seed + w)
          for _ = 1, rounds do
            m:lock()
            while items:load() == 3 do room:wait(math.random(3) == 1 and 0.0003 or nil) end
            items:store(items:load() + 1)
            made:add(1)
            more:signal()
            m:unlock()
          end
        end)
        wg:go(function()
          math.randomseed(seed - w)
          m:lock()
          while taken:load() < total do
            if items:load() == 0 then
              more:wait(math.random(3) == 1 and 0.0003 or nil)
            else
              items:store(items:load() - 1)
              if taken:add(1) == total then more:broadcast() end
              if math.random(2) == 1 then
                room:signal()
              else
                m:unlock()
                m:lock()
                room:broadcast()
              end
            end
          end
          m:unlock()
        end)
      end
      assert(wg:wait(100), "a signal was lost")
      assert(made:load() == total and taken:load() == total and items:load() == 0 and m:try_lock())
    end, 500)
  end)

  it("wait groups and onces wake everybody", function()
    everywhere(function(rounds, seed)
      local goro = require "goro"
      local sync = goro.sync
      math.randomseed(seed)
      for round = 1, tonumber(rounds) do
        local wg, woken, all = sync.waitgroup(), sync.atomic(), sync.waitgroup()
        local once = sync.once(function() goro.gosched() return round end)
        local calls = math.random(8)
        wg:add(calls)
        for i = 1, calls do
          all:go(function()
            if i % 2 == 0 then goro.gosched() end
            assert(once() == round)
            wg:done()
          end)
          all:go(function()
            while not wg:wait(i % 3 == 0 and 0.0002 or nil) do end -- luacheck: ignore 542
            woken:add(1)
          end)
        end
        assert(wg:wait(100) and all:wait(100))
        assert(woken:load() == calls)
      end
    end, 300)
  end)

  it("a script keeps its mutexes through panics of others", function()
    local r = helper.run_function(function(rounds)
      local goro = require "goro"
      local sync = goro.sync
      local m, s, wg = sync.mutex(), sync.semaphore(2), sync.waitgroup()
      local n, stop, panics = sync.atomic(), sync.atomic(false), 0
      for _ = 1, 3 do
        wg:go(function()
          while not stop:load() do
            m:with(function() n:add(1) goro.gosched() end)
            s:acquire(2)
            goro.gosched()
            s:release(2)
          end
        end)
      end
      for i = 1, tonumber(rounds) do
        local started = i % 4 ~= 0
        while not started do -- this call may meet the panic of an earlier one that was slow
          local why
          started, why = pcall(goro.go, error, "boom")
          if not started then panics = panics + 1 assert(why == "boom", why) end
        end
        local ok, err = pcall(m.lock, m, i % 3 == 0 and 0.0005 or nil)
        if ok and err then m:unlock() elseif not ok then panics = panics + 1 assert(err == "boom", err) end
        ok, err = pcall(s.acquire, s, 1, i % 3 == 0 and 0.0005 or nil)
        if ok and err then s:release() elseif not ok then panics = panics + 1 assert(err == "boom", err) end
      end
      repeat
        local ok, err = pcall(goro.sleep, 0.01)
        panics = ok and panics or panics + 1
        assert(ok or err == "boom", err)
      until panics == tonumber(rounds) // 4
      stop:store(true)
      assert(wg:wait(50), "somebody waits for ever")
      assert(m:try_lock() and s:try_acquire(2))
    end, { args = { 100 } })
    assert.equal(0, r.code, helper.describe(r))
  end)

  it("the end of the program finds everybody waiting", function()
    for _, procs in ipairs { "1", "2", "8" } do
      helper.passes(function()
        local goro = require "goro"
        local sync = goro.sync
        local m, rw, wg, s = sync.mutex(), sync.rwmutex(), sync.waitgroup(1), sync.semaphore(1)
        local c, once = sync.cond(m), sync.once(function() goro.sleep(100) end)
        m:lock()
        rw:lock()
        s:acquire()
        for i = 1, 5 do
          local function stay(f)
            goro.go(function()
              local _ <close> = setmetatable({}, { __close = function() pcall(f) end })
              if i % 2 == 0 then setmetatable({}, { __gc = function() pcall(f) end }) end
              if i == 3 then table.sort({ 1, 2 }, function() f() end) end
              f()
            end)
          end
          stay(function() m:lock() end)
          stay(function() m:with(print) end)
          stay(function() m:lock(100) end)
          stay(function() rw:lock() end)
          stay(function() rw:rlock(100) end)
          stay(function() wg:wait() end)
          stay(function() s:acquire() end)
          stay(function() once() end)
          stay(function()
            m:lock(0.01)
            c:wait()
          end)
        end
        goro.sleep(0.03)
        m:unlock()
        c:broadcast()
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)

  it("a script that waits is interrupted, and holds the mutex of its condition", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local m = goro.sync.mutex()
      local c = goro.sync.cond(m)
      m:lock()
      goro.go(function()
        m:lock()
        local f = assert(io.open("/proc/self/stat"))
        local pid = f:read "n"
        f:close()
        os.execute("kill -INT " .. pid)
        goro.sleep(0.2)
        m:unlock()
      end)
      local ok, err = pcall(c.wait, c)
      assert(not ok and err:find "interrupted!", err)
      assert(not m:try_lock())
      m:unlock()
      print "well"
    end)
    assert.equal("well\n", helper.ended_well(r))
  end)
end)
