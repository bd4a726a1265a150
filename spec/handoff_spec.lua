-- SPDX-License-Identifier: MIT
-- Who sits in C code that knows nothing of goro gives its place to others; and comes back to it in the end.

local helper = require "spec.helper"
local passes = helper.passes
local it_interrupts = helper.interrupting(it, pending)

local function with(procs)
  return { env = helper.with_ctest { GOROMAXPROCS = procs }, timeout = 60 }
end

describe("a goroutine in foreign C code", function()
  it("that sleeps does not stop the others", function()
    passes(function()
      local goro, ctest = require "goro", require "ctest"
      local done = goro.chan(2)
      goro.go(function() require "ctest".sleep(1) done:send "slept" end)
      goro.go(function() for _ = 1, 100 do goro.sleep(0.001) end done:send "ticked" end)
      local start = ctest.now()
      assert(done:recv(30) == "ticked")
      assert(ctest.now() - start < 0.9)
      assert(done:recv(30) == "slept")
      assert(goro.runtime.stats().handoffs > 0)
    end, with(1))
  end)

  it("that computes does not stop the others", function()
    passes(function()
      local goro = require "goro"
      local done = goro.chan(2)
      goro.go(function() require "ctest".spin(1.5) done:send "computed" end)
      goro.go(function() for _ = 1, 10 do goro.sleep(0.001) end done:send "ticked" end)
      assert(done:recv(30) == "ticked")
      assert(done:recv(30) == "computed")
    end, with(1))
  end)

  it("is one of twenty, which wait at the same time", function()
    passes(function()
      local goro, ctest = require "goro", require "ctest"
      local done = goro.chan(20)
      local function wave()
        local start = ctest.now()
        for _ = 1, 20 do goro.go(function() require "ctest".sleep(0.2) done:send(true) end) end
        for _ = 1, 20 do assert(done:recv(30)) end
        return ctest.now() - start, goro.runtime.stats().threads
      end
      local seconds = wave()
      assert(seconds < 1.5, seconds) -- 2 s on two places; 0.21 s on a quiet machine
      local again, more = wave()
      assert(again < 1.5, again)
      assert(more <= 20 + 2 + 3, more) -- threads are used again: one for each call, one for each place, and few more
    end, with(2))
  end)

  it_interrupts("goes on without a place, but not for long", function()
    passes(function()
      local goro = require "goro"
      local n, stop = 100, goro.chan()
      for _ = 1, n do
        goro.go(function()
          require "ctest".sleep(0.1)
          local t = setmetatable({}, { __index = function(_, k) return k end })
          while true do
            local x = 0
            for i = 1, 1e6 do x = x + t[i] end -- no call of goro's
            if stop:recv(0) == nil and select(2, stop:recv(0)) == false then return end
          end
        end)
      end
      goro.sleep(1)
      -- Ten samples of how many threads the system would run: places, the other threads of goro, and this one.
      local function runnable()
        local count = 0
        local list = io.popen "cat /proc/$PPID/task/*/stat 2>/dev/null"
        for line in list:lines() do
          if line:match "%) (%a)" == "R" then count = count + 1 end
        end
        list:close()
        return count
      end
      local least = n
      for _ = 1, 10 do
        least = math.min(least, runnable())
        goro.sleep(0.05)
      end
      stop:close()
      assert(least <= 4, least)
    end, with(2))
  end)

  it_interrupts("is not mistaken for one that the system has no CPU for", function()
    passes(function()
      local goro = require "goro"
      local done, ready = goro.chan(8), goro.chan(8)
      for _ = 1, 8 do
        goro.go(function()
          ready:send(true) -- what begins may have to wait in the system for memory
          local x = 0
          for i = 1, 3e7 do x = x + i % 3 end
          done:send(x)
        end)
      end
      for _ = 1, 8 do assert(ready:recv(60)) end
      local before = goro.runtime.stats().handoffs
      for _ = 1, 8 do assert(done:recv(60)) end
      local handoffs = goro.runtime.stats().handoffs - before
      assert(handoffs == 0, handoffs)
    end, with(8))
  end)

  it("may read from a pipe that nobody writes to", function()
    passes(function()
      local goro = require "goro"
      local done = goro.chan(2)
      goro.go(function() done:send(io.read "l") end)
      goro.go(function() goro.sleep(0.05) done:send "ticked" end)
      assert(done:recv(30) == "ticked")
      assert(done:recv(30) == "late")
    end, { env = { GOROMAXPROCS = 1 }, wrap = "sh -c '(sleep 0.5; echo late) | exec \"$@\"' sh", timeout = 60 })
  end)

  it("may read from a terminal", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local done = goro.chan(2)
      goro.go(function() done:send(io.read "l") end)
      goro.go(function() goro.sleep(0.05) done:send "ticked" end)
      print(done:recv(30), done:recv(30))
    end, { env = { GOROMAXPROCS = 1 }, wrap = [[sh -c '(sleep 0.5; echo late) | script -qec "$*" /dev/null' sh]], timeout = 60 })
    assert.is_true(r.code == 0 and r.stdout:find "ticked\tlate\ttrue\r?\n" ~= nil, helper.describe(r))
  end)

  it("may be LuaSocket, on both ends of a connection", function()
    if not pcall(require, "socket") then
      pending "LuaSocket is not installed (Debian: lua-socket)"
      return
    end
    passes(function()
      local goro = require "goro"
      local port, done = goro.chan(), goro.chan()
      goro.go(function()
        local socket = require "socket"
        local server = assert(socket.bind("127.0.0.1", 0))
        port:send((select(2, server:getsockname())))
        local conn = assert(server:accept())
        for line in function() return conn:receive "*l" end do
          if line == "end" then break end
          conn:send(line:upper() .. "\n")
        end
        conn:close()
        server:close()
        done:send "served"
      end)
      goro.go(function(at)
        local conn = assert(require "socket".connect("127.0.0.1", tonumber(at)))
        for i = 1, 20 do
          conn:send("line " .. i .. "\n")
          assert(conn:receive "*l" == "LINE " .. i)
        end
        conn:send "end\n"
        conn:close()
        done:send "asked"
      end, port:recv(30))
      local first, second = done:recv(30), done:recv(30)
      assert(first and second and first ~= second)
    end, with(1))
  end)
end)

describe("threads", function()
  it("end after a while without work", function()
    passes(function()
      local goro, ctest = require "goro", require "ctest"
      local done = goro.chan(20)
      for _ = 1, 20 do goro.go(function() require "ctest".sleep(0.1) done:send(true) end) end
      for _ = 1, 20 do done:recv(30) end
      assert(goro.runtime.stats().threads > 10)
      local start = ctest.now()
      repeat
        goro.sleep(0.5)
        local n = goro.runtime.stats().threads
      until n <= 3 or ctest.now() - start > 40
      assert(goro.runtime.stats().threads <= 3, goro.runtime.stats().threads)
      assert(goro.run(function() return 1 end) == 1)
    end, with(2))
  end)
end)

-- Whoever waits in C half a second long, on the one place there is: meanwhile a ticker ticks, never long stopped.
local blocking = {
  { "sleeps in C", "require 'ctest'.sleep(0.5)", true },
  { "computes in C", "require 'ctest'.spin(0.5)", true },
  { "sleeps in C, in a coroutine", "coroutine.wrap(function() require 'ctest'.sleep(0.5) end)()", true },
  { "sleeps in C, in pcall", "pcall(function() require 'ctest'.sleep(0.5) error 'x' end)", true },
  { "sleeps in C, in a comparator", "local slept table.sort({ 2, 1 }, function(a, b) if not slept then slept = true require 'ctest'.sleep(0.5) end return a < b end)", true },
  { "sleeps in C, in __close", "local x <close> = setmetatable({}, { __close = function() require 'ctest'.sleep(0.5) end })", true },
  { "sleeps in C, in __gc", "setmetatable({}, { __gc = function() require 'ctest'.sleep(0.5) end }) collectgarbage()", true },
  { "sleeps in C, under somebody's C pcall", "require 'ctest'.catch(function() require 'ctest'.sleep(0.5) end)", true },
  { "runs a command", "assert(os.execute 'sleep 0.5')" },
  { "reads from a command", "assert(io.popen('sleep 0.5; echo said'):read 'l' == 'said')" },
  { "reads lines from a command", "for l in io.popen('sleep 0.5; echo said'):lines() do assert(l == 'said') end" },
  { "closes a command", "local f = io.popen('cat >/dev/null; sleep 0.5', 'w') f:write 'x' assert(f:close())" },
  { "waits in LuaSocket's sleep", "require 'socket'.sleep(0.5)", true, "socket" },
  { "waits in LuaSocket's select", "require 'socket'.select({ require 'socket'.udp() }, nil, 0.5)", true, "socket" },
  { "waits in LuaSocket's receive", [[
      local socket = require "socket"
      local server = assert(socket.bind("127.0.0.1", 0))
      local conn = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
      conn:settimeout(0.5)
      local data, why = conn:receive(1)
      assert(data == nil and why == "timeout")]], true, "socket" },
}

describe("a ticker is not stopped for long by one who", function()
  for _, b in ipairs(blocking) do
    it(b[1], function()
      if b[4] and not pcall(require, b[4]) then
        pending "LuaSocket is not installed (Debian: lua-socket)"
        return
      end
      helper.passes_script(([[
        local slow, foreign = tonumber((...)), (select(2, ...)) == "true"
        local goro, now = require "goro", require "ctest".now
        local done, ticks, stop = goro.chan(1), goro.chan(1), goro.chan()
        local before = goro.runtime.stats().handoffs
        local start = now()
        goro.go(function()
          local now, last, worst, n = require "ctest".now, nil, 0, 0
          while select(3, stop:recv(0)) == "timeout" do
            goro.sleep(0.001)
            local t = now()
            if last then worst = math.max(worst, t - last) end
            last, n = t, n + 1
          end
          ticks:send { n = n, worst = worst }
        end)
        goro.go(function()
          do %s end
          done:send(true)
        end)
        assert(done:recv(30))
        local seconds = now() - start
        stop:close()
        local t = assert(ticks:recv(30))
        assert(seconds >= 0.499, "early: " .. seconds)
        assert(t.n >= 50 / slow, t.n .. " ticks")
        assert(t.worst < 0.25 * slow, t.worst .. " s without a tick")
        if foreign then assert(goro.runtime.stats().handoffs > before, "no handoff") end
      ]]):format(b[2]), { args = { helper.slow, tostring(b[3] or false) }, env = with(1).env, timeout = 60 })
    end)
  end

  it("reads from a pipe", function()
    helper.passes_script([[
      local goro, now = require "goro", require "ctest".now
      local read, ticks = goro.chan(1), goro.chan(1)
      local before = goro.runtime.stats().handoffs
      local said = goro.chan()
      goro.go(function() for l in io.lines() do read:send(l) end read:close() end)
      goro.go(function() local n = 0 repeat goro.sleep(0.001) n = n + 1 until select(3, said:recv(0)) ~= "timeout" ticks:send(n) end)
      assert(read:recv(30) == "one")
      assert(read:recv(30) == "two")
      assert(select(2, read:recv(30)) == false)
      said:close()
      assert(ticks:recv(30) >= 50 / tonumber((...)))
      assert(goro.runtime.stats().handoffs > before)
    ]], { args = { helper.slow }, env = with(1).env, wrap = "sh -c '(echo one; sleep 0.5; echo two) | exec \"$@\"' sh", timeout = 60 })
  end)
end)

describe("calls that block in C", function()
  it("wait side by side, and never end early", function()
    helper.passes(function(slow)
      local goro, now = require "goro", require "ctest".now
      local done = goro.chan(20)
      local best = math.huge
      for _ = 1, 3 do
        local start = now()
        for _ = 1, 20 do goro.go(function() require "ctest".sleep(0.1) done:send(true) end) end
        for _ = 1, 20 do assert(done:recv(30)) end
        local seconds = now() - start
        assert(seconds >= 0.1, seconds)
        best = math.min(best, seconds)
      end
      assert(best < 0.6 * tonumber(slow), best) -- one after the other on two places: 1 s
    end, { args = { helper.slow }, env = with(2).env, timeout = 60 })
  end)

  it("use their threads again, wave after wave", function()
    passes(function()
      local goro = require "goro"
      local function os_threads()
        local list <close> = io.popen "ls /proc/$PPID/task | wc -l"
        return (tonumber(list:read "n"))
      end
      local done, first = goro.chan(20), nil
      for wave = 1, 5 do
        for _ = 1, 20 do goro.go(function() require "ctest".sleep(0.05) done:send(true) end) end
        for _ = 1, 20 do assert(done:recv(30)) end
        local known, real = goro.runtime.stats().threads, os_threads()
        first = first or { known = known, real = real }
        assert(known <= math.max(first.known, 20 + 2) + 3, wave .. ": " .. known .. " threads after " .. first.known)
        assert(real <= math.max(first.real, 20 + 2 + 2) + 3, wave .. ": " .. real .. " threads of the system after " .. first.real)
      end
    end, with(2))
  end)

  it("are followed by calls of goro's at once, which all work", function()
    helper.passes(function(rounds)
      local goro = require "goro"
      rounds = tonumber(rounds)
      local sums, shared = goro.chan(20), goro.chan()
      for id = 1, 20 do
        goro.go(function()
          local sleep, sum = require "ctest".sleep, 0
          local own = goro.chan(1)
          for i = 1, rounds do
            sleep(0.003)
            goro.go(function() own:send(i) end)
            sum = sum + own:recv(30)
            sleep(0.001)
            assert(goro.run(function(a) return a + 1 end, i) == i + 1)
            sleep(0.001)
            goro.select { { send = shared, value = id }, { recv = shared }, timeout = 0.002 }
            sleep(0.001)
            goro.gosched()
            sleep(0.001)
            goro.sleep(0.001)
            sleep(0.001)
            table.sort({ 2, 1 }, function(a, b) own:send(a) return own:recv(30) < b end)
          end
          sums:send(sum)
        end)
      end
      for _ = 1, 20 do assert(sums:recv(60) == rounds * (rounds + 1) // 2) end
    end, { args = { helper.rounds(20) }, env = with(2).env, timeout = 90 })
  end)

  it_interrupts("return a thousand times, and then no more run Lua than there are places", function()
    passes(function()
      local goro = require "goro"
      local stop, ready = goro.chan(), goro.chan(20)
      for _ = 1, 20 do
        goro.go(function()
          for _ = 1, 50 do
            require "ctest".sleep(0.01)
            for _ = 1, 10000 do end
          end
          ready:send(true)
          repeat for _ = 1, 1e6 do end until select(3, stop:recv(0)) ~= "timeout"
        end)
      end
      for _ = 1, 20 do assert(ready:recv(60)) end
      -- How many threads the system would run, this one asleep: the two with places, and now and then one of goro's own.
      local function runnable()
        local count = 0
        local list <close> = io.popen "cat /proc/$PPID/task/*/stat 2>/dev/null"
        for line in list:lines() do
          if line:match "%) (%a)" == "R" then count = count + 1 end
        end
        return count
      end
      goro.sleep(0.5)
      local samples = {}
      for i = 1, 21 do
        samples[i] = runnable()
        goro.sleep(0.02)
      end
      stop:close()
      table.sort(samples)
      assert(samples[1] >= 1 and samples[11] <= 4, table.concat(samples, " "))
    end, with(2))
  end)
end)
