-- SPDX-License-Identifier: MIT
-- Who sits in C code that knows nothing of goro gives its place to others; and comes back to it in the end.

local helper = require "spec.helper"
local passes = helper.passes
local it_interrupts = helper.interrupting(it, pending)

local build = os.getenv "GORO_BUILD_DIR" or "build"
local env = { LUA_CPATH = build .. "/embed/?.so;" .. os.getenv "LUA_CPATH" }
local function with(procs)
  return { env = { GOROMAXPROCS = procs, LUA_CPATH = env.LUA_CPATH }, timeout = 60 }
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
      local seconds, threads = wave()
      assert(seconds < 1.5, seconds) -- 2 s on two places; 0.21 s on a quiet machine
      local again, more = wave()
      assert(again < 1.5, again)
      assert(more <= threads + 2, more) -- threads are used again
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
      local done = goro.chan(8)
      local before = goro.runtime.stats().handoffs
      for _ = 1, 8 do
        goro.go(function()
          local x = 0
          for i = 1, 2e7 do x = x + i % 3 end
          done:send(x)
        end)
      end
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
