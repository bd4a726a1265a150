-- SPDX-License-Identifier: MIT
-- goro.time: clocks, timers, tickers, after_func, and what Go's own tests of its package time check.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"
local time = require "goro.time"

local passes, passes_anywhere, raises, raises_match = helper.passes, helper.passes_anywhere, helper.raises, helper.raises_match

local NAN = 0 / 0
local TIMEOUT = { n = 3, [3] = "timeout" }
local SOON = helper.limit(5) -- for what comes at once

local function results(...) return { n = select("#", ...), ... } end
local function empty(c) assert.same(TIMEOUT, results(c:recv(0))) end

describe("the clocks", function()
  it("tell the time of the wall and since some moment", function()
    assert.equal("float", math.type(time.now()))
    assert.is_true(math.abs(time.now() - os.time()) < 2)
    local a = time.mono()
    local b = time.mono()
    assert.equal("float", math.type(a))
    assert.is_true(b >= a)
    goro.sleep(0.02)
    local passed = time.mono() - a
    assert.is_true(passed >= 0.02 and passed < helper.limit(0.5))
  end)

  it("belong to a module that is loaded when first used", function()
    assert.equal(time, goro.time)
    assert.equal(time, package.loaded["goro.time"])
    passes(function()
      local goro = require "goro"
      assert(package.loaded["goro.time"] == nil)
      assert(goro.time == package.loaded["goro.time"] and goro.context == require "goro.context")
      assert(goro.run(function() return goro.time.mono() end) >= 0)
      assert(goro.run(function(mono) return mono == require "goro.time".mono end, goro.time.mono))
    end)
  end)
end)

describe("never early, and", function()
  it("on time", function()
    local late = {}
    for i = 1, 60 do
      local s = (i % 6) * 0.001 + 0.0005
      local start = time.mono()
      local how = i % 3
      if how == 0 then goro.sleep(s) elseif how == 1 then goro.after(s):recv() else time.timer(s).c:recv() end
      late[i] = time.mono() - start - s
      assert.is_true(late[i] >= 0, ("%.9f early"):format(-late[i]))
    end
    table.sort(late)
    -- the machine may not be idle: what comes in between is its doing
    assert.is_true(late[15] < helper.limit(0.001), ("late by %.6f"):format(late[15]))
  end)

  it("one after the other, ten times", function()
    local start = time.mono()
    for _ = 1, 10 do goro.after(0.01):recv() end
    local took = time.mono() - start
    assert.is_true(took >= 0.1 and took < helper.limit(0.3), took)
  end)

  -- A machine that is busy elsewhere can hold up a goroutine for longer than the times differ: then they shall differ more.
  it("in order, whatever the order of their making", function()
    passes_anywhere(function()
      local goro = require "goro"
      local slots = { 5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0 }
      local function in_order(delta)
        local out = goro.chan(#slots)
        local start = goro.time.now()
        for _, slot in ipairs(slots) do
          local c = goro.after(slot * delta)
          goro.go(function() out:send { slot, (c:recv()) } end)
        end
        local last, ok = -1, true
        for _ = 1, #slots do
          local r = out:recv()
          ok = ok and r[1] >= last and r[2] - start < (r[1] + 3) * delta
          last = r[1]
          assert(r[2] - start >= r[1] * delta - 1e-4, "early")
        end
        return ok
      end
      local delta = 0.01
      while not in_order(delta) do
        delta = delta * 2
        assert(delta < 1, "out of order, or late")
      end
    end)
  end)

  it("for ever is for ever", function()
    for _, s in ipairs { math.huge, 1e10, 1e300 } do
      empty(goro.after(s))
      empty(time.timer(s).c)
    end
    passes(function()
      local goro = require "goro"
      local time = goro.time
      for _, wait in ipairs {
        function() goro.sleep(math.huge) end, function() goro.after(math.huge):recv() end,
        function() time.timer(math.huge).c:recv() end, function() time.ticker(math.huge).c:recv() end,
      } do
        local ok, err = pcall(wait)
        assert(not ok and err:find("all goroutines are asleep - deadlock!", 1, true), err)
      end
    end)
  end)

  it("a number", function()
    raises("bad argument #1 to 'sleep' (number expected, got nan)", function() goro.sleep(NAN) end)
    raises("bad argument #1 to 'after' (number expected, got nan)", function() goro.after(NAN) end)
    raises("bad argument #1 to 'timer' (number expected, got nan)", function() time.timer(NAN) end)
    raises("bad argument #1 to 'timer' (number expected, got no value)", function() time.timer() end)
    raises("bad argument #1 to 'timer' (number expected, got string)", function() time.timer "1" end)
    raises("bad argument #1 to 'ticker' (number expected, got nan)", function() time.ticker(NAN) end)
    raises("bad argument #1 to 'after_func' (number expected, got nan)", function() time.after_func(NAN, print) end)
    raises_match("bad argument #1 to 'reset' %(number expected, got nan%)", function() time.timer(1):reset(NAN) end)
  end)
end)

describe("a timer", function()
  it("sends the time once", function()
    local before = time.now()
    local t = time.timer(0.01)
    local at, ok = t.c:recv(SOON)
    assert.is_true(ok)
    assert.equal("float", math.type(at))
    assert.is_true(at - before >= 0.0099 and at <= time.now())
    empty(t.c)
    goro.sleep(0.03)
    empty(t.c)
    assert.is_false(t:stop())
  end)

  it("of zero or less fires at once", function()
    for _, s in ipairs { 0, -1, -math.huge, 1e-300 } do
      assert.is_true(select(2, time.timer(s).c:recv(SOON)))
    end
  end)

  it("has a name, a channel that only receives, and nothing else", function()
    local t = time.timer(100)
    assert.truthy(tostring(t):find "^goro%.time%.timer: 0x")
    assert.is_true(rawequal(t.c, t.c))
    assert.is_nil(t.x)
    assert.is_nil(t[1])
    raises("close of receive-only channel", function() t.c:close() end)
    raises("send to receive-only channel", function() t.c:send(1) end)
    assert.is_false(pcall(function() t.c = 1 end))
    raises_match("goro%.time%.timer expected, got goro%.time%.ticker", function() t.stop(time.ticker(1)) end)
  end)

  it("that is stopped does not fire", function()
    local t = time.timer(0.01)
    assert.is_true(t:stop())
    assert.is_false(t:stop())
    goro.sleep(0.03)
    empty(t.c)
  end)

  it("that has fired and was not heard is stopped with its value", function()
    local t = time.timer(0.001)
    goro.sleep(0.02)
    assert.is_true(t:stop())
    empty(t.c)
    assert.is_false(t:stop())
  end)

  it("that was heard has nothing to stop", function()
    local t = time.timer(0.001)
    t.c:recv()
    assert.is_false(t:stop())
    assert.is_false(t:reset(100))
    assert.is_true(t:stop())
  end)

  it("that is reset fires anew, without the old value", function()
    local t = time.timer(0.001)
    goro.sleep(0.02)
    local start = time.now()
    assert.is_true(t:reset(0.03))
    empty(t.c)
    assert.is_true(t.c:recv(SOON) - start >= 0.0299)
    assert.is_false(t:reset(0.001))
    assert.is_true(select(2, t.c:recv(SOON)))
    assert.is_false(t:reset(100))
    assert.is_true(t:reset(0.001))
    assert.is_true(select(2, t.c:recv(SOON)))
    assert.is_false(t:reset(math.huge))
    assert.is_true(t:reset(0))
    assert.is_true(select(2, t.c:recv(SOON)))
  end)

  it("that is moved earlier or later fires then", function()
    local t, far = time.timer(1000), {}
    for i = 1, 50 do far[i] = time.timer(1000 + i) end
    local start = time.mono()
    t:reset(0.02)
    assert.is_true(select(2, t.c:recv(SOON)))
    assert.is_true(time.mono() - start >= 0.02)
    for i = 1, 50 do far[i]:reset(i % 2 == 0 and 0.001 * i or 1000) end
    for i = 2, 50, 2 do assert.is_true(select(2, far[i].c:recv(SOON))) end
    for i = 1, 50, 2 do
      empty(far[i].c)
      assert.is_true(far[i]:stop())
    end
  end)

  it("wakes who waits for it in a select", function()
    passes_anywhere(function()
      local goro = require "goro"
      local t = goro.time.timer(0.01)
      local i, v, ok = goro.select { { recv = goro.chan() }, { recv = t.c } }
      assert(i == 2 and type(v) == "number" and ok == true)
      t:reset(1000)
      assert(goro.select { { recv = t.c }, timeout = 0.01 } == "timeout")
      goro.go(function() goro.sleep(0.01) t:reset(0.01) end)
      assert(goro.select { { recv = t.c }, timeout = 50 } == 1)
    end)
  end)

  it("is stopped when its block is left", function()
    local kept, ticker
    do
      local t <close> = time.timer(0.01)
      local tk <close> = time.ticker(0.01)
      kept, ticker = t, tk
    end
    assert.is_false(kept:stop())
    goro.sleep(0.03)
    empty(kept.c)
    empty(ticker.c)
  end)
end)

describe("a ticker", function()
  it("ticks at its period, also when it is another", function()
    local slow = math.min(helper.slow, 5)
    local start = time.mono()
    local tk = time.ticker(0.01 * slow)
    for _ = 1, 5 do assert.is_true(select(2, tk.c:recv(SOON))) end
    tk:reset(0.02 * slow)
    for _ = 1, 5 do assert.is_true(select(2, tk.c:recv(SOON))) end
    tk:stop()
    local took = time.mono() - start
    -- a tick may come late, the next one is on time all the same: only the two last ones count
    assert.is_true(took >= 0.1499 * slow and took < 0.25 * slow, took)
    goro.sleep(0.05 * slow)
    empty(tk.c)
  end)

  it("drops ticks for a slow reader", function()
    local tk = time.ticker(0.002)
    goro.sleep(0.05)
    local first = tk.c:recv(0)
    assert.is_true(time.now() - first >= 0.03)
    local second = tk.c:recv(SOON)
    assert.is_true(second - first >= 0.03)
    tk:stop()
  end)

  it("keeps no tick from before a stop or a reset", function()
    local tk = time.ticker(0.001)
    goro.sleep(0.01)
    tk:stop()
    empty(tk.c)
    tk:stop()
    tk:reset(0.001)
    goro.sleep(0.01)
    tk:reset(1000)
    empty(tk.c)
    tk:reset(0.001)
    assert.is_true(select(2, tk.c:recv(SOON)))
    assert.same({ n = 0 }, results(tk:stop()))
    assert.same({ n = 0 }, results(tk:reset(1)))
  end)

  it("of a nanosecond ticks, and lets others live", function()
    passes(function()
      local goro = require "goro"
      local stop = goro.chan()
      goro.go(function()
        repeat collectgarbage() goro.sleep(1e-9) until goro.select { { recv = stop }, default = true } == 1
      end)
      local tk = goro.time.ticker(1e-9)
      for _ = 1, 100 do tk.c:recv() end
      tk:stop()
      stop:send(true)
      local tiny = goro.time.ticker(1e-300)
      for _ = 1, 3 do tiny.c:recv() end
    end, { goroutine = true })
  end)

  it("wants a positive period", function()
    local tk = time.ticker(1000)
    for _, s in ipairs { 0, -1, -math.huge } do
      raises("bad argument #1 to 'ticker' (period must be positive)", function() time.ticker(s) end)
      raises_match("bad argument #1 to 'reset' %(period must be positive%)", function() tk:reset(s) end)
    end
    raises("bad argument #1 to 'ticker' (number expected, got nil)", function() time.ticker(nil) end)
    assert.truthy(tostring(tk):find "^goro%.time%.ticker: 0x")
  end)
end)

describe("after_func", function()
  it("starts a goroutine, with arguments that were copied when it was made", function()
    passes_anywhere(function()
      local goro = require "goro"
      local time = goro.time
      local out = goro.chan(1)
      local arg, captured = { 1 }, { 2 }
      local start = time.mono()
      local t = time.after_func(0.02, function(x, y, z) out:send { x[1], captured[1], y, select("#", x, y, z) } end, arg, nil, nil)
      arg[1], captured[1] = 7, 7
      local r = out:recv(10)
      assert(time.mono() - start >= 0.02)
      assert(r[1] == 1 and r[2] == 2 and r[3] == nil and r[4] == 3)
      assert(t.c == nil and tostring(t):find "^goro%.time%.timer: 0x")
      assert(t:stop() == false)
      -- in Go's manner: as often as it is set
      for _ = 1, 3 do
        assert(t:reset(0.001) == false)
        assert(out:recv(10)[1] == 1)
      end
      assert(t:reset(1000) == false and t:reset(1000) == true and t:stop() == true and t:stop() == false)
      assert(t:reset(math.huge) == false and t:stop() == true)
      assert(select(3, out:recv(0.02)) == "timeout")
    end)
  end)

  it("fires also when nobody refers to its timer", function()
    passes(function()
      local goro = require "goro"
      local out = goro.chan(100)
      for i = 1, 100 do goro.time.after_func(0.001 * (i % 20), function() out:send(i) end) end
      collectgarbage() collectgarbage()
      local sum = 0
      for _ = 1, 100 do sum = sum + out:recv(20) end
      assert(sum == 5050)
    end)
  end)

  it("may set the next one, a thousand times", function()
    passes(function()
      local goro = require "goro"
      local out = goro.chan()
      local function step(n)
        if n == 0 then out:send "done" else goro.time.after_func(0, step, n - 1) end
      end
      goro.time.after_func(0, step, 1000)
      assert(out:recv(30) == "done")
    end)
  end)

  it("is not started by one that was stopped", function()
    passes(function()
      local goro = require "goro"
      local time = goro.time
      for _ = 1, 100 do
        goro.go(function()
          local t = time.after_func(2, function() error "fired" end)
          goro.sleep(0.005)
          assert(t:stop())
        end)
      end
      goro.sleep(0.1)
    end)
  end)

  it("panics in the host state of its maker, and says where it was made", function()
    local r = helper.run_script [[
      local goro = require "goro"
      goro.run(function()
        goro.time.after_func(0.01, function(what) error(what) end, "boom")
      end)
      local ok, err = pcall(goro.sleep, 5)
      assert(not ok and err:find "boom$", err)
      goro.time.after_func(0.01, error, { code = 5 })
      ok, err = pcall(goro.sleep, 5)
      assert(not ok and err.code == 5)
    ]]
    assert.equal(0, r.code, helper.describe(r))
    assert.truthy(r.stderr:find("goro: panic: job.lua:3: boom", 1, true), r.stderr)
    assert.truthy(r.stderr:find("created by goro.time.after_func at job.lua:3\n", 1, true), r.stderr)
    assert.truthy(r.stderr:find("created by goro.time.after_func at job.lua:7\n", 1, true), r.stderr)
  end)

  it("refuses what cannot be sent, and what is no function", function()
    raises("bad argument #2 to 'after_func' (function expected, got no value)", function() time.after_func(1) end)
    raises("bad argument #2 to 'after_func' (function expected, got table)", function() time.after_func(1, {}) end)
    raises("cannot send argument #4.co (thread)", function() time.after_func(1, print, 1, { co = coroutine.create(print) }) end)
    local co = coroutine.create(print)
    raises_match("^cannot send upvalue 'co' %(thread%) of function at ", function() time.after_func(1, function() return co end) end)
  end)

  it("carries globals, as go does", function()
    helper.passes_script [[
      local goro = require "goro"
      local out = goro.chan(1)
      function global_helper() return "carried" end
      goro.time.after_func(0, function() out:send(global_helper()) end)
      assert(out:recv(10) == "carried")
    ]]
  end)
end)

describe("timers and tickers", function()
  it("are the same object in every state", function()
    passes_anywhere(function()
      local goro = require "goro"
      local time = goro.time
      local t, tk = time.timer(1000), time.ticker(0.001)
      local back, c, was, tick = goro.run(function(t, tk)
        local tick = tk.c:recv()
        tk:stop()
        return t, t.c, t:stop(), tick
      end, t, tk)
      assert(rawequal(back, t) and c == t.c and was == true and type(tick) == "number")
      assert(t:stop() == false and select(3, tk.c:recv(0.01)) == "timeout")
      assert(({ [t] = 1 })[back] == 1)
      goro.go(function() t:reset(0.01) end)
      assert(select(2, t.c:recv(20)) == true)
      local fired = goro.chan(1)
      local f = time.after_func(1000, function() fired:send(true) end)
      goro.run(function(f) f:reset(0.001) end, f)
      assert(fired:recv(20) == true)
      assert(goro.run(function(f, t) t:reset(1000) return f == t.stop and f(t) end, t.stop, t) == true)
    end)
  end)

  it("fire as long as anybody has the channel, and not longer", function()
    passes(function()
      local goro = require "goro"
      local testing = require "goro.testing"
      local time = goro.time
      local c, ticks, after = time.timer(0.03).c, time.ticker(0.005).c, goro.after(0.03)
      collectgarbage() collectgarbage()
      for _ = 1, 3 do assert(select(2, ticks:recv(10))) end
      assert(select(2, c:recv(10)) and select(2, after:recv(10)))
      ticks = nil -- luacheck: ignore 311
      local function churn(n)
        for i = 1, n do
          time.timer(1000)
          time.ticker(1000)
          time.ticker(0.0001)
          goro.after(1000)
          local _ = time.timer(1000).c
          time.after_func(1000, function() return i end):stop()
          time.after_func(math.huge, function() return i end)
          time.timer(0)
          time.timer(1000):reset(1000)
        end
        collectgarbage() collectgarbage()
        goro.sleep(0.01)
      end
      churn(100)
      local before = testing.live()
      churn(2000)
      assert(testing.live() <= before + 8, testing.live() - before)
      -- nothing of all that can wake anybody
      local ok, err = pcall(function() goro.chan():recv() end)
      assert(not ok and err:find("all goroutines are asleep", 1, true), err)
    end)
  end)

  it("put off the deadlock report while they can still fire", function()
    passes(function()
      local goro = require "goro"
      local time = goro.time
      local start
      local function dead(f)
        local ok, err = pcall(f or function() goro.chan():recv() end)
        assert(not ok and err:find("all goroutines are asleep - deadlock!", 1, true), err)
        return time.mono() - start
      end
      start = time.mono()
      local t, f = time.timer(0.05), time.after_func(0.05, function() end)
      assert(dead() >= 0.05)
      t:reset(1000) f:reset(1000)
      t:stop() f:stop()
      assert(dead() < 100)
      local tk <const> = time.ticker(0.01)
      assert(select(3, goro.chan():recv(0.05)) == "timeout")
      start = time.mono()
      goro.go(function() goro.sleep(0.05) tk:stop() end)
      assert(dead() >= 0.05)
      assert(dead(function() tk.c:recv() end) < 100)
    end)
  end)

  it("show in dumps as the channel that is waited for", function()
    passes(function()
      local goro = require "goro"
      goro.go(function() goro.time.timer(1000).c:recv() end)
      local text
      for _ = 1, 100 do
        goro.sleep(0.02)
        text = goro.runtime.dump()
        if text:find("chan receive", 1, true) then break end
      end
      assert(text:find("chan receive", 1, true), text)
    end)
  end)

  it("end with the script", function()
    for _, last in ipairs { "", "os.exit(0, true)", "os.exit(0, false)", "goro = nil collectgarbage()" } do
      helper.passes_script([[
        local goro = require "goro"
        local time = goro.time
        kept = {}
        for i = 1, 100 do
          kept[#kept + 1] = time.timer(1000)
          kept[#kept + 1] = time.ticker(0.0005)
          kept[#kept + 1] = time.after_func(1000, function() error(i) end)
          time.after_func(1000, function() error(i) end)
          time.after_func(0.0001 * i, function(t) t:reset(1000) goro.sleep(100) end, kept[1])
          goro.go(function() time.ticker(0.0001 * i).c:recv() time.timer(1000).c:recv() end)
        end
        goro.sleep(0.006)
      ]] .. last)
    end
  end)
end)

for _, procs in ipairs { 1, 2, 8 } do
  describe("with maxprocs " .. procs .. ",", function()
    local env = { GOROMAXPROCS = procs }

    it("each value of a timer is received once, or taken back once", function()
      passes(function()
        local goro = require "goro"
        local testing = require "goro.testing"
        local time = goro.time
        local slow = tonumber(os.getenv "GORO_SLOW") or 1

        -- Several set and stop the same timer, one hears it.
        local function round(sets)
          local t = time.timer(1000)
          local out = goro.chan()
          local quit = goro.chan()
          for _ = 1, 3 do
            goro.go(function()
              local made, back = 0, 0
              for _ = 1, sets do
                local what = math.random(4)
                if what == 1 then
                  if t:stop() then back = back + 1 end
                else
                  if t:reset(what == 2 and 0 or math.random() * 0.0002) then back = back + 1 end
                  made = made + 1
                end
                if math.random(3) == 1 then goro.sleep(math.random() * 0.0002) end
              end
              out:send { made, back, 0 }
            end)
          end
          goro.go(function()
            local heard = 0
            while goro.select { { recv = t.c }, { recv = quit } } == 1 do heard = heard + 1 end
            out:send { 0, 0, heard }
          end)
          local made, back, heard = 1, 0, 0
          for i = 1, 4 do
            if i == 4 then
              if t:stop() then back = back + 1 end
              quit:send(true)
            end
            local r = out:recv()
            made, back, heard = made + r[1], back + r[2], heard + r[3]
          end
          assert(made == back + heard, ("%d set, %d taken back, %d heard"):format(made, back, heard))
        end
        local function settle()
          local limit = time.mono() + 20
          while goro.num_goroutine() > 1 and time.mono() < limit do goro.sleep(0.001) end
          collectgarbage() collectgarbage()
        end
        for _ = 1, 3 do round(50) end
        settle()
        local before = testing.live()
        for _ = 1, math.max(2, 20 // slow) do round(100) end
        settle()
        assert(testing.live() <= before + 40, testing.live() - before)
      end, { env = env })
    end)

    it("each setting of after_func starts its function once, or is taken back once", function()
      passes(function()
        local goro = require "goro"
        local testing = require "goro.testing"
        local time = goro.time
        local slow = tonumber(os.getenv "GORO_SLOW") or 1
        local function round(sets)
          local started, out = goro.chan(100000), goro.chan()
          local t = time.after_func(0.0001, function(x) started:send(x) end, "x")
          for _ = 1, 3 do
            goro.go(function()
              local made, back = 0, 0
              for _ = 1, sets do
                local what = math.random(4)
                if what == 1 then
                  if t:stop() then back = back + 1 end
                else
                  if t:reset(what == 2 and 0 or math.random() * 0.0002) then back = back + 1 end
                  made = made + 1
                end
                if math.random(3) == 1 then goro.sleep(math.random() * 0.0002) end
              end
              out:send { made, back }
            end)
          end
          local made, back = 1, 0
          for _ = 1, 3 do
            local r = out:recv()
            made, back = made + r[1], back + r[2]
          end
          if t:stop() then back = back + 1 end
          for _ = 1, made - back do assert(started:recv(60) == "x") end
          goro.sleep(0.002)
          assert(started:len() == 0)
        end
        local function settle()
          local limit = time.mono() + 20
          while goro.num_goroutine() > 1 and time.mono() < limit do goro.sleep(0.001) end
          collectgarbage() collectgarbage()
        end
        for _ = 1, 3 do round(50) end
        settle()
        local before = testing.live()
        for _ = 1, math.max(2, 20 // slow) do round(100) end
        settle()
        assert(testing.live() <= before + 40, testing.live() - before)
      end, { env = env })
    end)

    it("tickers that are stopped, reset and forgotten while they tick send nothing old", function()
      passes(function()
        local goro = require "goro"
        local testing = require "goro.testing"
        local time = goro.time
        local slow = tonumber(os.getenv "GORO_SLOW") or 1
        local function round()
          local out = goro.chan()
          for _ = 1, 4 do
            goro.go(function()
              for _ = 1, 40 do
                local tk = time.ticker(math.random() * 0.00005 + 1e-9)
                if math.random(2) == 1 then tk.c:recv() end
                if math.random(2) == 1 then tk:reset(math.random() * 0.00005 + 1e-9) tk.c:recv() end
                if math.random(2) == 1 then
                  tk:stop()
                  assert(select(3, tk.c:recv(0)) == "timeout")
                end
                if math.random(8) == 1 then collectgarbage() end
              end
              out:send(true)
            end)
          end
          for _ = 1, 4 do out:recv() end
        end
        local function settle()
          local limit = time.mono() + 20
          while goro.num_goroutine() > 1 and time.mono() < limit do goro.sleep(0.001) end
          goro.sleep(0.005)
          collectgarbage() collectgarbage()
        end
        for _ = 1, 3 do round() end
        settle()
        local before = testing.live()
        for _ = 1, math.max(2, 15 // slow) do round() end
        settle()
        assert(testing.live() <= before + 40, testing.live() - before)
      end, { env = env })
    end)

    it("10,000 sleepers, timers and functions all come, none early", function()
      passes(function()
        local goro = require "goro"
        local time = goro.time
        local n = math.max(200, 10000 // (tonumber(os.getenv "GORO_SLOW") or 1))
        local out = goro.chan(n)
        for i = 1, n do
          local s = math.random() * 0.05
          local start = time.mono()
          if i % 3 == 0 then
            time.after_func(s, function() out:send(time.mono() - start - s) end)
          elseif i % 3 == 1 then
            goro.go(function() goro.sleep(s) out:send(time.mono() - start - s) end)
          else
            local t = time.timer(s)
            goro.go(function() t.c:recv() out:send(time.mono() - start - s) end)
          end
        end
        for _ = 1, n do
          local late, ok = out:recv(60)
          assert(ok and late >= 0)
        end
        assert(out:len() == 0)
      end, { env = env })
    end)
  end)
end

it("without memory, timers raise or work, and nothing is leaked", function()
  passes(function()
    local goro = require "goro"
    local testing = require "goro.testing"
    local time = goro.time
    local value = { list = { 1, 2, ("long"):rep(100) } }
    io.stderr:setvbuf("full")
    local function once()
      local t = time.timer(100)
      t:reset(0)
      assert(t.c:recv())
      local tk = time.ticker(0.001)
      tk.c:recv()
      tk:reset(0.002)
      tk.c:recv()
      tk:stop()
      assert(goro.after(0.0001):recv())
      local f <close> = time.after_func(100, function(v) return v.list end, value)
      f:reset(50)
    end
    local function each_fault()
      local n, failures = 0, 0
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok, err = pcall(once)
        local made = testing.fail_at(0)
        if not ok then
          failures = failures + 1
          assert(tostring(err):find("not enough memory", 1, true), err)
        end
        collectgarbage() collectgarbage()
      until made < n
      assert(failures > 3, failures .. " of " .. n)
    end
    each_fault()
    local before = testing.live()
    each_fault()
    assert(testing.live() <= before + 8, testing.live() - before)
  end)
end)
