-- SPDX-License-Identifier: MIT
-- Scale: very many goroutines at once, one after the other and in a chain; and the counters of goro.runtime.stats,
-- which show stealing, hand-offs and parallelism without measuring time.
--
-- GORO_SLOW divides the numbers. A hundred thousand goroutines take some 3 GB where a state is not an image.
-- luacheck: ignore 431

local helper = require "spec.helper"

local passes, run_function = helper.passes, helper.run_function

describe("very many goroutines", function()
  it("wait on one channel, and are all released", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(100000)
      local gate, results = goro.chan(), goro.chan(64)
      for i = 1, n do
        goro.go(function()
          local _, ok = gate:recv()
          results:send { i, ok }
        end)
      end
      assert(goro.num_goroutine() == n + 1)
      gate:close()
      local seen, sum = {}, 0
      for _ = 1, n do
        local r = results:recv(120)
        assert(r[2] == false and not seen[r[1]])
        seen[r[1]], sum = true, sum + r[1]
      end
      assert(sum == n * (n + 1) // 2)
    end, { timeout = 300 })
  end)

  it("are served by one sender", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(20000)
      local c, results = goro.chan(), goro.chan(256)
      for _ = 1, n do
        goro.go(function() results:send((c:recv()) * 2) end)
      end
      goro.go(function()
        for i = 1, n do c:try_send(i, 120) end
      end)
      local sum = 0
      for _ = 1, n do sum = sum + results:recv(120) end
      assert(sum == n * (n + 1))
    end, { timeout = 200 })
  end)

  it("sleep at once", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(20000)
      local done = goro.chan(256)
      for i = 1, n do
        goro.go(function()
          goro.sleep(0.05 + i % 100 / 1000)
          done:send(i)
        end)
      end
      local sum = 0
      for _ = 1, n do sum = sum + done:recv(120) end
      assert(sum == n * (n + 1) // 2)
    end, { timeout = 200 })
  end)

  it("form a chain of ten thousand", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(10000)
      local first = goro.chan()
      local left = first
      for _ = 1, n do
        local inp, out = left, goro.chan()
        goro.go(function()
          for v in inp:range() do out:send(v + 1) end
          out:close()
        end)
        left = out
      end
      goro.go(function()
        for i = 1, 3 do first:send(i * 1000000) end
        first:close()
      end)
      for i = 1, 3 do assert(left:recv(120) == i * 1000000 + n) end
      assert(select(2, left:recv(120)) == false)
    end, { timeout = 200 })
  end)

  it("start one another, ten thousand generations", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(10000)
      local done = goro.chan()
      local function generation(k)
        if k == 0 then done:send "born" else goro.go(generation, k - 1) end
      end
      goro.go(generation, n)
      assert(done:recv(120) == "born")
    end, { timeout = 200 })
  end)

  it("wait for one another by run, a thousand deep", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = kit.rounds(1000)
      local function deep(k) return k == 0 and 0 or 1 + goro.run(deep, k - 1) end
      assert(goro.run(deep, n) == n)
      local function fail(k)
        if k == 0 then error { "bottom" } end
        goro.run(fail, k - 1)
      end
      local ok, e = pcall(goro.run, fail, n)
      assert(not ok and e[1] == "bottom")
    end, { timeout = 200 })
  end)

  it("come and go, twenty thousand, and leave nothing", function()
    passes(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local function pages()
        local file = io.open "/proc/self/statm"
        if not file then return 0 end
        local _, here = file:read("n", "n")
        file:close()
        return here
      end
      local n = kit.rounds(20000)
      local function churn(count)
        local done = goro.chan(8)
        for i = 1, count do
          goro.go(function() done:send(i) end)
          assert(done:recv(60) == i)
        end
        for _ = 1, count // 100 do
          for i = 1, 100 do goro.go(function() done:send({ i, tostring(i):rep(10) }) end) end
          for _ = 1, 100 do assert(done:recv(60)[1] > 0) end
        end
      end
      local function all_gone()
        for _ = 1, 10000 do
          if goro.num_goroutine() == 1 then return true end
          goro.sleep(0.001)
        end
      end
      churn(n // 4)
      assert(all_gone())
      collectgarbage()
      local before = pages()
      churn(n)
      assert(all_gone(), goro.num_goroutine())
      collectgarbage()
      -- 40,000 states that stay would be 800 MB; the allocators' own slack is allowed.
      local grown = (pages() - before) * 4096 / 1e6
      assert(grown < 64 * kit.slow, ("grown by %.0f MB"):format(grown))
    end, { timeout = 200 })
  end)
end)

describe("goro.runtime.stats", function()
  it("has its counters", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local s = goro.runtime.stats()
      for _, name in ipairs {
        "goroutines", "running", "threads", "spawned", "steals", "handoffs", "preemptions", "bytes",
      } do
        assert(math.type(s[name]) == "integer" and s[name] >= 0, name)
      end
      assert(package.loaded["goro.runtime"] == goro.runtime and require "goro.runtime" == goro.runtime)
    end)
  end)

  it("counts goroutines as num_goroutine does, and each that was spawned", function()
    passes(function()
      local goro = require "goro"
      local stats = goro.runtime.stats
      local gate, done = goro.chan(), goro.chan()
      local function settled()
        for _ = 1, 10000 do
          if goro.num_goroutine() == 1 then return true end
          goro.sleep(0.001)
        end
      end
      goro.run(function() end)
      assert(settled())
      local before = stats()
      for _ = 1, 100 do goro.go(function() gate:recv(60) done:send(1) end) end
      local now = stats()
      assert(now.spawned == before.spawned + 100 and now.goroutines == before.goroutines + 100)
      assert(now.goroutines == goro.num_goroutine())
      gate:close()
      for _ = 1, 100 do assert(done:recv(60) == 1) end
      assert(settled())
      now = stats()
      assert(now.goroutines == 1 and now.spawned == before.spawned + 100)
      for _ = 1, 10 do goro.run(function() end) end
      assert(stats().spawned == before.spawned + 110)
      -- What did not start is not counted.
      pcall(goro.go, print, coroutine.create(print))
      assert(stats().spawned == before.spawned + 110)
    end)
  end)

  it("counts the bytes that states hold", function()
    if os.getenv "GORO_STOCK_LUA" then
      pending "a sanitizer's allocator does not tell mallinfo2 what is in use"
      return
    end
    passes(function()
      local goro = require "goro"
      local held, gate, done = goro.chan(), goro.chan(), goro.chan()
      goro.run(function() end)
      -- Its state is freed a moment after goro.run has returned.
      while goro.runtime.stats().goroutines > 1 do goro.sleep(0.001) end
      local before = goro.runtime.stats().bytes
      goro.go(function()
        local s = ("x"):rep(16 * 1024 * 1024)
        held:send(true)
        gate:recv(60)
        done:send(#s)
      end)
      assert(held:recv(60))
      -- A little less: caches of threads may have gone back meanwhile.
      assert(goro.runtime.stats().bytes >= before + 15 * 1024 * 1024)
      gate:close()
      assert(done:recv(60) == 16 * 1024 * 1024)
    end)
  end)

  -- Whether another thread comes for the work in time is the system's choice, so a round in which the spawner did all by
  -- itself is followed by another. With few goroutines, all of them fit the spawner's own queue, and others get them by
  -- stealing alone; with many, most go through the global queue.
  for _, count in ipairs { 100, 1000 } do
    it(("shows that %d goroutines spawned in one place are run by several threads"):format(count), function()
      local r = run_function(function(goroutines)
        local goro = require "goro"
        goroutines = tonumber(goroutines)
        local stats = goro.runtime.stats
        local before = stats()
        for _ = 1, 100 do
          local sum = goro.run(function()
            local done = goro.chan(1000)
            for i = 1, goroutines do
              goro.go(function()
                local x = 0
                for k = 1, 20000 do x = x + k % 7 end
                done:send(i)
              end)
            end
            local total = 0
            for _ = 1, goroutines do total = total + done:recv(60) end
            return total
          end)
          assert(sum == goroutines * (goroutines + 1) // 2)
          local s = stats()
          if s.steals > before.steals and s.threads >= 2 then return print "stolen" end
        end
        local s = stats()
        print(("steals %d, then %d; threads %d"):format(before.steals, s.steals, s.threads))
      end, { env = { GOROMAXPROCS = 4 }, timeout = 120, args = { count } })
      assert.equal("stolen\n", helper.ended_well(r))
    end)
  end

  it("shows no more threads than there are", function()
    passes(function()
      local goro = require "goro"
      goro.run(function() end)
      local n = 0
      local list = assert(io.popen "ls /proc/$PPID/task")
      for _ in list:lines() do n = n + 1 end
      list:close()
      assert(goro.runtime.stats().threads <= n and n < 20, n)
    end)
  end)

  it("shows hand-offs when a goroutine blocks in the system, and that the others go on", function()
    passes(function()
      local goro = require "goro"
      local name = os.tmpname()
      os.remove(name)
      local quoted = "'" .. name .. "'"
      local before = goro.runtime.stats().handoffs
      local done = goro.chan()
      -- The shell waits for a file that another goroutine makes; with one place it can do so only if the first one's is
      -- handed on.
      goro.go(function()
        done:send(os.execute("n=0; while [ ! -e " .. quoted .. " ]; do"
          .. " sleep 0.05; n=$((n+1)); [ $n -lt 600 ] || exit 1; done") or false)
      end)
      goro.go(function()
        goro.sleep(0.05)
        assert(io.open(name, "w")):close()
      end)
      assert(done:recv(60) == true)
      os.remove(name)
      assert(goro.runtime.stats().handoffs > before)
    end, { env = { GOROMAXPROCS = 1 }, timeout = 90 })
  end)
end)

describe("parallelism", function()
  -- No goroutine makes a goro call between its own mark and seeing the others', so all run Lua at one time.
  local function meeting(places)
    local goro = require "goro"
    places = tonumber(places)
    local base = os.tmpname()
    local done = goro.chan(places)
    for i = 1, places do
      goro.go(function()
        assert(io.open(base .. "." .. i, "w")):close()
        local deadline, met = os.time() + 30, 0
        while met < places and os.time() <= deadline do
          met = 0
          for k = 1, places do
            local file = io.open(base .. "." .. k)
            if file then
              file:close()
              met = met + 1
            end
          end
        end
        done:send(met)
      end)
    end
    local all = true
    for _ = 1, places do all = all and done:recv(60) == places end
    for i = 1, places do os.remove(base .. "." .. i) end
    os.remove(base)
    assert(all, "they did not run at the same time")
  end

  for _, count in ipairs { 2, 4 } do
    it(("runs %d goroutines that never wait at the same time"):format(count), function()
      passes(meeting, { env = { GOROMAXPROCS = count }, args = { count }, timeout = 120 })
    end)
  end

  it("runs the main script beside a goroutine, with one place", function()
    passes(function()
      local goro = require "goro"
      local base = os.tmpname()
      local done = goro.chan(1)
      local function meet(mine, other)
        assert(io.open(base .. mine, "w")):close()
        local deadline = os.time() + 30
        while os.time() <= deadline do
          local file = io.open(base .. other)
          if file then
            file:close()
            return true
          end
        end
        return false
      end
      goro.go(function() done:send(meet(".a", ".b")) end)
      local here = meet(".b", ".a")
      local there = done:recv(60)
      for _, ending in ipairs { "", ".a", ".b" } do os.remove(base .. ending) end
      assert(here and there)
    end, { env = { GOROMAXPROCS = 1 }, timeout = 120 })
  end)
end)
