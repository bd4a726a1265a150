-- SPDX-License-Identifier: MIT
--
-- Few threads: at a limit of their number, and when the system gives none for a while (spec/embed/few.c, which rations them), nobody
-- waits for ever who could go on, and who cannot go on is told.

local helper = require "spec.helper"

local few, it_rations = helper.embedding(it, pending, "few")
local crowded = "too many goroutines wait where Lua cannot yield"
local told = "goro: no more threads (…): going on with N; raise `ulimit -u`, or block in fewer goroutines at a time\n"

--- Runs the source in few, or with a limit of threads; it says "ok" in the end, and tells on stderr what is given here.
local function runs(source, opts)
  local r = helper.run_script(source, {
    timeout = opts.timeout or 20, lua = not opts.threads and few or nil,
    env = helper.with_ctest { GOROMAXTHREADS = opts.threads and tostring(opts.threads) or false },
  })
  local said = r.stderr:gsub("%(.-%): going on with %d+", "(…): going on with N"):gsub("pre%-emption %(.-%)", "pre-emption (…)")
  assert.is_true(r.code == 0 and r.stdout == "ok\n", helper.describe(r))
  if opts.told then assert.equal(opts.told, said) end
end

describe("a limit of one thread", function()
  it("does not leave work to the one that sleeps in the poller", function()
    runs([[
      local goro = require "goro"
      local timer, c = goro.after(100), goro.chan(1)
      for i = 1, 20 do
        os.execute "sleep 0.01"              -- by now the thread sleeps until the timer
        goro.go(function() c:send(i) end)
        assert(c:recv() == i)
      end
      print "ok"]], { threads = 1 })
  end)

  it("does not refuse what need not wait", function()
    runs([[
      local goro = require "goro"
      local sync = goro.sync
      assert(goro.run(function()
        local c, m, rw, s, wg = goro.chan(1), sync.mutex(), sync.rwmutex(), sync.semaphore(1), sync.waitgroup()
        local map, once, empty = sync.map(), sync.once(function() return 7 end), goro.chan()
        table.sort({ 2, 1 }, function(a, b)
          assert(c:send(1)) assert(c:recv() == 1)
          assert(select(3, c:recv(0)) == "timeout")
          assert(m:lock()) assert(not m:lock(0)) m:unlock()
          assert(rw:rlock()) rw:runlock()
          assert(s:acquire()) assert(not s:acquire(1, 0)) s:release()
          assert(wg:wait())
          map:set("k", 1) assert(map:update("k", function(n) return n + 1 end) >= 2)
          assert(once() == 7)
          assert(goro.select { { recv = empty }, default = true } == "default")
          assert(goro.select { { recv = empty }, timeout = 0 } == "timeout")
          goro.gosched() goro.sleep(0)
          local g <close> = goro.group()
          return a < b
        end)
        return true
      end))
      print "ok"]], { threads = 1 })
  end)

  it("refuses a wait that would keep it, and all else goes on", function()
    runs(([[
      local goro = require "goro"
      local ok, err = pcall(goro.run, function()
        table.sort({ 2, 1 }, function(a, b) goro.sleep(0.01) return a < b end)
      end)
      assert(not ok and err:find %q, err)
      for _, f in ipairs { function(c) c:recv() end, function(c) goro.select { { recv = c } } end, function() goro.run(function() end) end } do
        local said = goro.run(function()
          local said
          table.sort({ 2, 1 }, function(a, b) said = said or select(2, pcall(f, goro.chan())) return a < b end)
          return said
        end)
        assert(said:find %q, said)
      end
      local l = assert(goro.net.listen("tcp", "127.0.0.1:0"))
      assert(goro.run(function()
        local said
        table.sort({ 2, 1 }, function(a, b) said = said or select(2, pcall(l.accept, l)) return a < b end)
        local accepted = goro.chan()
        goro.go(function() accepted:send((assert(l:accept()))) end)   -- the turn is free
        local conn = assert(goro.net.dial("tcp", l:addr()))
        return said:find %q and accepted:recv() and conn
      end))
      print "ok"]]):format(crowded, crowded, crowded), { threads = 1 })
  end)
end)

describe("a limit of two threads", function()
  it("lets one wait in a comparator at a time, whoever comes first", function()
    runs(([[
      local goro = require "goro"
      goro.maxprocs(2)
      local waited, refused = 0, 0
      for round = 1, 100 do
        local go, results = goro.chan(), goro.chan(4)
        for _ = 1, 4 do
          goro.go(function()
            results:send((select(2, pcall(table.sort, { 2, 1 }, function(a, b) go:recv() return a < b end))) or "waited")
          end)
        end
        goro.go(function() goro.sleep(0.002) go:close() end)
        for _ = 1, 4 do
          local said = results:recv()
          if said == "waited" then waited = waited + 1 else assert(said:find %q, said) refused = refused + 1 end
        end
      end
      assert(waited > 0 and refused > 0)
      print "ok"]]):format(crowded), { threads = 2, timeout = 60 })
  end)

  it("gives the place to a thread that waits for it when the other is in C", function()
    runs([[
      local goro, ctest = require "goro", require "ctest"
      local c, out = goro.chan(), goro.chan(1)
      local waits = goro.chan()
      goro.go(function()
        table.sort({ 2, 1 }, function(a, b) waits:close() out:send(c:recv()) return a < b end)
      end)
      waits:recv()
      goro.go(function() require "ctest".sleep(1000) end)
      ctest.sleep(0.05)
      c:send "here"
      assert(out:recv() == "here")
      print "ok"
      os.exit(0)]], { threads = 2 })
  end)

  it("lets a goroutine that loops in a comparator be overtaken by one whose thread waits", function()
    runs([[
      local goro = require "goro"
      goro.maxprocs(1)
      local c, out, waits = goro.chan(), goro.chan(1), goro.chan()
      goro.go(function() table.sort({ 2, 1 }, function(a, b) waits:close() out:send(c:recv()) return a < b end) end)
      waits:recv()
      goro.go(function() table.sort({ 2, 1 }, function() while true do end end) end)
      goro.sleep(0.05)
      c:send "here"
      assert(out:recv() == "here")
      print "ok"
      os.exit(0)]], { threads = 2 })
  end)
end)

describe("when the system gives no thread", function()
  it_rations("for a while, who waits with its thread goes on afterwards, or is told", function()
    runs(([[
      local goro, ctest = require "goro", require "ctest"
      goro.maxprocs(1)
      for _ = 1, 5 do
        local go, out = goro.chan(), goro.chan(1)
        goro.go(function()
          go:recv()
          local _, err = pcall(table.sort, { 2, 1 }, function(a, b) return goro.run(function() return true end) and a < b end)
          out:send(err or "sorted")
        end)
        ration(0)
        go:send(1)
        ctest.sleep(0.05)
        ration(1000)
        local said = out:recv()
        assert(said == "sorted" or said:find %q, said)
      end
      print "ok"]]):format(crowded), {})
  end)

  it_rations("for a while, a wait in a comparator may be refused, but not for ever", function()
    runs(([[
      local goro, ctest = require "goro", require "ctest"
      local function attempt()
        return goro.run(function() return pcall(table.sort, { 2, 1 }, function(a, b) goro.sleep(0.001) return a < b end) end)
      end
      goro.run(function() end)
      ration(0)
      for _ = 1, 20 do
        local ok, err = attempt()
        assert(ok or err:find %q, err)
      end
      ration(1000)
      local tries = 0
      while not attempt() do tries = tries + 1 ctest.sleep(0.01) end
      assert(tries < 1000)
      print "ok"]]):format(crowded), {})
  end)

  it_rations("for pre-emption, that is told, and made good when it gives one", function()
    runs([[
      ration(1)
      local goro = require "goro"
      goro.maxprocs(1)
      local began = goro.chan()
      goro.go(function() began:close() while true do end end)
      began:recv()
      local t = goro.time.mono()
      goro.sleep(0.02)                       -- the one thread fires no timer: the main script does
      ration(1000)
      assert(goro.run(function() return 1 end) == 1)
      print "ok"
      os.exit(0)]], { told = "goro: no thread for pre-emption (…): until there is one, a goroutine that loops keeps the others waiting; " ..
        "raise `ulimit -u`\n" })
  end)

  it_rations("for a new goroutine's place, the threads that are there take it", function()
    runs([[
      local goro, ctest = require "goro", require "ctest"
      goro.maxprocs(8)
      goro.run(function() end)
      ration(0)
      local g = goro.group()
      local n = goro.sync.atomic()
      for _ = 1, 200 do g:go(function() goro.sleep(0.001) n:add(1) end) end
      g:wait()
      assert(n:load() == 200)
      print "ok"]], { told = told })
  end)
end)
