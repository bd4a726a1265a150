-- SPDX-License-Identifier: MIT
-- A soak: loops, blocking C calls, coroutines, comparators, channels, timeouts, panics and exits at once, for a while, with everything checked and nothing
-- growing. GORO_SOAK=seconds (default 4) says how long; `GORO_SOAK=600 ./tools/test --hostile spec/soak_spec.lua` is the long one, with pre-emption every
-- 50 us and places taken away at random. Then memory: millions of goroutines that come and go (ten in the long one, else 300,000), and as many at once as
-- two gigabytes hold (in the long one a million, whatever they take), all of which the system has again when they have ended.

local helper = require "spec.helper"

local seconds = tonumber(os.getenv "GORO_SOAK") or 4
local long = seconds > 60

describe("a soak", function()
  for _, procs in ipairs { 1, 2, 8 } do
    it(("at maxprocs %d"):format(procs), function()
      local r = helper.run_function(function(limit)
        local goro, ctest = require "goro", require "ctest"
        limit = tonumber(limit)

        -- Each kind of work returns a number that is known.
        local kinds = {
          function(n) -- computes
            local x = 0
            for i = 1, 20000 do x = (x + i * n) % 1000003 end
            return x
          end,
          function(n) -- in coroutines, three deep
            local function sum(k) return coroutine.wrap(function() for i = 1, k do coroutine.yield(i + n) end end) end
            local outer = coroutine.wrap(function() for v in sum(50) do coroutine.yield(v) end end)
            local total = 0
            for v in coroutine.wrap(function() for v in outer do coroutine.yield(v) end end) do total = total + v end
            return total
          end,
          function(n) -- sorts, and the comparator blocks
            local t, sleeps = {}, 0
            for i = 1, 60 do t[i] = (i * 37 + n) % 101 end
            table.sort(t, function(a, b)
              sleeps = sleeps + 1
              if sleeps % 50 == 0 then goro.sleep(0.0005) end
              return a < b
            end)
            for i = 2, #t do assert(t[i - 1] <= t[i]) end
            return t[1] + t[60]
          end,
          function(n) -- blocks in C
            require "ctest".sleep(0.002)
            return n
          end,
          function(n) -- computes in C
            require "ctest".spin(0.001)
            return n
          end,
          function(n) -- a pipeline of channels
            local a, b = goro.chan(n % 3), goro.chan()
            goro.go(function() for i = 1, 20 do a:send(i) end a:close() end)
            goro.go(function() for v in a:range() do b:send { v * n } end b:close() end)
            local total = 0
            for v in b:range() do total = total + v[1] end
            return total
          end,
          function(n) -- timeouts and selects
            local c, late = goro.chan(), 0
            goro.go(function() goro.sleep(0.001) c:try_send(n, 5) end)
            for _ = 1, 1000 do
              local which, v = goro.select { { recv = c }, timeout = 0.0003 }
              if which == 1 then return v end
              late = late + 1
            end
            return -late
          end,
          function(n) -- errors with tracebacks, __close, gsub
            local closed = 0
            local ok, err = pcall(goro.run, function()
              local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
              ;("abc"):gsub("%w", function() if n % 2 == 0 then error { n } end goro.gosched() end)
              return n
            end)
            if n % 2 == 0 then return not ok and err[1] or -1 end
            return ok and err or -1
          end,
          function(n) -- exits
            local c = goro.chan(1)
            goro.go(function()
              local _ <close> = setmetatable({}, { __close = function() c:send(n) end })
              coroutine.wrap(function() table.sort({ 2, 1 }, function() goro.goexit() end) end)()
            end)
            return (c:recv())
          end,
          function(n) -- strings and tables
            local parts = {}
            for i = 1, 300 do parts[i] = ("%d/%d"):format(i, n) end
            return #table.concat(parts, ",")
          end,
        }
        local expected = {}
        local function work(kind, n) return kinds[kind](n) end
        for kind = 1, #kinds do
          expected[kind] = {}
          for n = 1, 10 do expected[kind][n] = goro.run(work, kind, n) end
        end

        local results = goro.chan(64)
        local function batch()
          local count = 0
          for kind = 1, #kinds do
            for n = 1, 10 do
              goro.go(function() results:send { kind, n, work(kind, n) } end)
              count = count + 1
            end
          end
          for _ = 1, count do
            local r = assert(results:recv(60), "nothing came for a minute")
            assert(r[3] == expected[r[1]][r[2]], ("kind %d: %s, not %s"):format(r[1], r[3], expected[r[1]][r[2]]))
          end
        end
        batch()
        collectgarbage() collectgarbage()
        local before, start, rounds = nil, ctest.now(), 0
        repeat
          batch()
          rounds = rounds + 1
          if not before and ctest.now() - start > limit / 4 then
            collectgarbage() collectgarbage()
            before = goro.runtime.stats().bytes
          end
        until ctest.now() - start > limit
        collectgarbage() collectgarbage()
        local s = goro.runtime.stats()
        print(("%d rounds, %d spawned, %d preemptions, %d handoffs, %d threads, bytes %d, then %d"):format(
          rounds, s.spawned, s.preemptions, s.handoffs, s.threads, before or 0, s.bytes))
        for _ = 1, 1000 do
          if goro.num_goroutine() == 1 then break end
          goro.sleep(0.01)
        end
        assert(goro.num_goroutine() == 1, goro.num_goroutine())
        assert(not before or s.bytes < before + (8 << 20), "memory grows")
      end, { args = { seconds }, timeout = seconds + 120, env = helper.with_ctest { GOROMAXPROCS = procs } })
      assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
      if long then io.stderr:write(r.stdout) end
    end)
  end
end)

describe("memory, when goroutines", function()
  local function not_for_sanitizers(name, test)
    it(name, function()
      if os.getenv "GORO_STOCK_LUA" then pending "a sanitizer's allocator keeps freed memory" else test() end
    end)
  end

  not_for_sanitizers("come and go by the million, does not grow", function()
    local out = helper.passes(function(rounds)
      local goro = require "goro"
      local function resident()
        local f <close> = assert(io.open "/proc/self/statm")
        return select(2, f:read("n", "n")) * 4096
      end
      local function nothing() end
      local function something(n) local t = {} for i = 1, n do t[i] = { i } end return t end
      local function churn(batches)
        local before = goro.num_goroutine()
        for b = 1, batches do
          for i = 1, 100 do goro.go(i % 10 == 0 and something or nothing, (b + i) % 300) end
          while goro.num_goroutine() > before do goro.gosched() end
        end
      end
      rounds = tonumber(rounds)
      goro.run(churn, rounds // 1000)
      goro.sleep(0.1)
      local early = resident()
      for _ = 1, 9 do goro.run(churn, rounds // 1000) end
      goro.sleep(0.1)
      local late = resident()
      print(("%d goroutines; resident after a tenth of them %d KB, in the end %d KB"):format(goro.runtime.stats().spawned, early // 1024, late // 1024))
      assert(late < early + (24 << 20), ("%d bytes, then %d"):format(early, late))
    end, { args = { long and 10000000 or helper.rounds(300000) }, timeout = long and 1000 or 120 })
    if long then io.stderr:write(out) end
  end)

  not_for_sanitizers("were there in crowds, is the system's again", function()
    helper.passes(function(most, budget)
      local goro = require "goro"
      most, budget = tonumber(most), tonumber(budget)
      local function resident()
        local f <close> = assert(io.open "/proc/self/statm")
        return select(2, f:read("n", "n")) * 4096
      end
      local ready, gate = goro.chan(1000), goro.chan()
      local function wait() ready:send(true) gate:recv() end
      goro.run(function() end)
      local before, n = resident(), 0
      repeat
        for _ = 1, 1000 do goro.go(wait) end
        for _ = 1, 1000 do ready:recv(60) end
        n = n + 1000
        local full = resident() - before
      until n >= most or full > budget
      gate:close()
      for _ = 1, 60000 do
        if goro.num_goroutine() == 1 then break end
        goro.sleep(0.01)
      end
      local left
      for _ = 1, 200 do
        left = resident() - before
        if left < 64 << 20 then break end
        goro.sleep(0.05)
      end
      assert(left < 64 << 20, ("%d goroutines, %d bytes left"):format(n, left))
    end, { args = { long and 1000000 or helper.rounds(200000), long and 1 << 60 or 2 << 30 }, timeout = long and 1000 or 240 })
  end)
end)
