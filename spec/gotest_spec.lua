-- SPDX-License-Identifier: MIT
-- The properties that Go's own tests of channels and select check, said in Lua.
--
-- Each `it` names the Go test (test/chan/*.go, runtime/chan_test.go) whose property it holds goro to. What Go
-- checks when compiling (directions) is misuse at run time here. A nil channel of Go is a case that is
-- switched off with false, or a channel that nobody else has. Left out: tests of Go's stacks, of
-- zero-sized elements, and of the syntax of select.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

-- The same for each number of processors that makes a difference.
local function passes_on_processors(fn)
  for _, n in ipairs { 1, 2, 8 } do passes(fn, { env = { GOROMAXPROCS = n } }) end
end

describe("Go's test/chan:", function()
  it("doubleselect: one select never sends the same value twice", function()
    passes_on_processors(function()
      local goro = require "goro"
      local n = math.max(100, 20000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local out, done = goro.chan(), goro.chan()
      local chans, cases = {}, {}
      for i = 1, 4 do
        chans[i] = goro.chan()
        goro.go(function()
          for v in chans[i]:range() do out:send(v) end
          done:send(true)
        end)
      end
      goro.go(function()
        for i = 1, 4 do cases[i] = { send = chans[i] } end
        for k = 1, n do
          for i = 1, 4 do cases[i].value = k end
          goro.select(cases)
        end
        for i = 1, 4 do chans[i]:close() end
      end)
      goro.go(function()
        for _ = 1, 4 do done:recv() end
        out:close()
      end)
      local seen, count = {}, 0
      for v in out:range() do
        assert(not seen[v])
        seen[v], count = true, count + 1
      end
      assert(count == n)
    end)
  end)

  it("fifo: a buffer is a queue, and a daisy chain reads in sequence", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 10
      local buffered = goro.chan(n)
      for i = 1, n do buffered:send(i) end
      for i = 1, n do assert(buffered:recv() == i) end

      local c, first = goro.chan(), goro.chan()
      local right = first
      for i = 1, n do
        local left = right
        right = goro.chan()
        local out = right
        goro.go(function()
          left:recv()
          assert(c:recv() == i)
          out:send(true)
        end)
      end
      first:send(true)
      for i = 1, n do c:send(i) end
      assert(right:recv(10))
    end)
  end)

  it("goroutines: a chain of 10,000 passes one value along", function()
    passes(function()
      local goro = require "goro"
      local n = math.max(1000, 10000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local leftmost = goro.chan()
      local left, right = leftmost, leftmost
      local function pass(left, right) left:send(right:recv() + 1) end
      for _ = 1, n do
        right = goro.chan()
        goro.go(pass, left, right)
        left = right
      end
      goro.go(function() right:send(1) end)
      assert(leftmost:recv(60) == n + 1)
    end, { timeout = 120 })
  end)

  it("nonblock: polling sends and receives succeed once the other side is there", function()
    passes_anywhere(function()
      local goro = require "goro"
      local values = { 123, 1234567890123, 1.5, true, "hello", { 1, { 2 } } }
      for cap = 0, 1 do
        for _, value in ipairs(values) do
          local c, strobe = goro.chan(cap), goro.chan()
          local function equal(v) return v == value or type(v) == "table" and v[1] == 1 and v[2][1] == 2 end
          assert(goro.select { { recv = c }, default = true } == "default")
          goro.go(function()
            assert(equal((c:recv())))
            strobe:send(true)
          end)
          local tries = 0
          while goro.select { { send = c, value = value }, default = true } == "default" do
            tries = tries + 1
            assert(tries < 10000)
            goro.sleep(0.0001)
          end
          assert(strobe:recv(10))

          goro.go(function()
            c:send(value)
            strobe:send(true)
          end)
          if cap > 0 then assert(strobe:recv(10)) end
          local got
          tries = 0
          while goro.select { { recv = c, function(v) got = v end }, default = true } == "default" do
            tries = tries + 1
            assert(tries < 10000)
            goro.sleep(0.0001)
          end
          assert(equal(got))
          if cap == 0 then assert(strobe:recv(10)) end
        end
      end
    end)
  end)

  it("perm: each direction permits its own operations only", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(4)
      local cs, cr = c:sender(), c:receiver()
      local function fails(text, f, ...)
        local ok, err = pcall(f, ...)
        assert(not ok and err:find(text, 1, true), err)
      end
      c:send(0)
      cs:send(1)
      assert(c:recv() == 0)
      assert(cr:recv() == 1)
      assert(cr:recv(0) == nil)
      fails("send to receive-only channel", function() cr:send(0) end)
      fails("receive from send-only channel", function() cs:recv() end)
      fails("send to receive-only channel", function() goro.select { { send = cr, value = 0 } } end)
      fails("receive from send-only channel", function() goro.select { { recv = cs } } end)
      fails("receive from send-only channel", function() for _ in cs:range() do end end) -- luacheck: ignore 542
      assert(goro.select { { send = c, value = 5 } } == 1)
      assert(select(2, goro.select { { recv = c } }) == 5)
      assert(goro.select { { send = cs, value = 6 } } == 1)
      assert(select(2, goro.select { { recv = cr } }) == 6)
      fails("close of receive-only channel", function() cr:close() end)
      assert(c:try_send(1, 0))
      cs:close()
      fails("close of closed channel", function() c:close() end)
      fails("chan expected", function() c.send(5, 1) end)
      fails("chan expected", function() c.close(5) end)
    end)
  end)

  it("select: of two sends each happens once, until both are switched off or full", function()
    passes_anywhere(function()
      local goro = require "goro"
      local counter, shift = 0, 0
      local function value()
        counter = counter + 1
        return 1 << shift
      end
      local function send(a, b)
        local n = 0
        while true do
          local i = goro.select { { send = a, value = value() }, { send = b, value = value() }, default = true }
          if i == "default" then return n end
          n = n + 1
          if i == 1 then a = false else b = false end
          shift = shift + 1
        end
      end
      local a, b = goro.chan(1), goro.chan(1)
      assert(send(a, b) == 2)
      assert(a:recv() | b:recv() == 3)
      assert(send(a, false) == 1)
      assert(counter == 10)
    end)
  end)

  it("select2: selects that one case wins leave nothing behind at the other", function()
    passes(function()
      local goro = require "goro"
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local n = math.max(1000, 50000 // slow | 0)
      local c, dummy = goro.chan(), goro.chan()
      local cases = { { recv = c }, { recv = dummy, function() error "dummy" end } }
      local function round()
        goro.go(function() for _ = 1, n do c:send(1) end end)
        for _ = 1, n do assert(goro.select(cases) == 1) end
      end
      local function resident()
        local f = io.open "/proc/self/statm"
        local _, pages = f:read("n", "n")
        f:close()
        return pages * 4096
      end
      round()
      collectgarbage()
      local before = resident()
      for _ = 1, 3 do round() end
      collectgarbage()
      -- A waiter left behind by each select would be ten megabytes or more.
      assert(resident() - before < (8 << 20) * slow)
      assert(dummy:try_send(1, 0) == false)
    end)
  end)

  it("select3: what must block blocks, and what must not does not", function()
    passes_anywhere(function()
      local goro = require "goro"
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local function blocks(f)
        local c = goro.chan(1)
        goro.go(function()
          f(require "goro")
          c:send "returned"
        end)
        return c:recv(0.05) == nil
      end
      local function returns(f)
        local c = goro.chan(1)
        goro.go(function()
          f(require "goro")
          c:send "returned"
        end)
        return c:recv(20 * slow) == "returned"
      end
      local function fresh(cap) return require "goro".chan(cap) end
      local closed = goro.chan()
      closed:close()

      -- What a nil channel is in Go: one that nobody else has, or a case that is off.
      assert(blocks(function() fresh():send(7) end))
      assert(blocks(function() fresh():recv() end))
      assert(returns(function(goro) assert(goro.select { { send = false, value = 7 }, default = true } == "default") end))
      assert(returns(function(goro) assert(goro.select { { recv = false }, default = true } == "default") end))
      assert(returns(function() fresh(1):send(7) end))
      assert(returns(function()
        for _ = 1, 10 do
          local v, ok = closed:recv()
          assert(v == nil and ok == false)
        end
      end))
      assert(not pcall(closed.send, closed, 7))
      assert(blocks(function(goro) goro.select {} end))
      assert(blocks(function(goro) goro.select { { recv = false } } end))
      assert(blocks(function(goro) goro.select { { send = false, value = 7 } } end))
      assert(blocks(function(goro) goro.select { { recv = false }, { send = false, value = 7 } } end))
      assert(blocks(function(goro) goro.select { { recv = fresh() } } end))
      assert(blocks(function(goro) goro.select { { send = fresh(), value = 7 } } end))
      assert(returns(function(goro) assert(goro.select { default = true } == "default") end))
      assert(returns(function(goro) assert(goro.select { { send = fresh(1), value = 7 }, default = true } == 1) end))
      assert(returns(function(goro)
        local c = fresh(1)
        c:send(7)
        assert(goro.select { { recv = c }, default = true } == 1)
      end))
      assert(returns(function(goro)
        local i, v, ok = goro.select { { recv = closed } }
        assert(i == 1 and v == nil and ok == false)
      end))
      assert(not pcall(goro.select, { { send = closed, value = 7 } }))
      -- A select does not meet itself.
      assert(blocks(function(goro)
        local c = fresh()
        goro.select { { send = c, value = 1 }, { recv = c } }
      end))
    end)
  end)

  it("select4: the handler of a case that is not chosen is not run", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, d, x = goro.chan(1), goro.chan(), nil
      c:send(42)
      goro.select { { recv = d, function() error "not ready" end }, { recv = c, function(v) x = v end } }
      assert(x == 42)
    end)
  end)

  it("select5: one ready case, in every company and order", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, dummy, n = goro.chan(1), goro.chan(), 0
      local others = { { send = dummy, value = 1 }, { recv = dummy }, { send = false, value = 1 }, { recv = false } }
      for with = 0, 15 do
        for at = 0, 4 do
          for _, default in ipairs { false, true } do
            for _, handled in ipairs { false, true } do
              local function cases(case)
                local t = {}
                for i = 1, 4 do
                  if with & (1 << (i - 1)) ~= 0 then t[#t + 1] = others[i] end
                end
                local place = math.min(at, #t) + 1
                table.insert(t, place, case)
                if default then t.default = function() error "nonblock" end end
                return t, place
              end
              n = n + 1
              local sent, received
              local t, place = cases { send = c, value = n, handled and function() sent = true end or nil }
              local i = goro.select(t)
              assert(handled and sent or i == place)
              t, place = cases { recv = c, handled and function(v) received = v end or nil }
              local k, v = goro.select(t)
              if not handled then
                assert(k == place)
                received = v
              end
              assert(received == n)
              assert(c:len() == 0)
            end
          end
        end
      end
    end)
  end)

  it("select6: a select that was last in a queue and left it blocks nobody", function()
    passes_on_processors(function()
      local goro = require "goro"
      for _ = 1, 50 do
        local c1, c2, c3, done = goro.chan(), goro.chan(), goro.chan(), goro.chan(2)
        goro.go(function()
          c1:recv()
          done:send(1)
        end)
        goro.go(function()
          goro.select {
            { recv = c1, function() error "dummy" end },
            { recv = c2, function() c3:send(true) end },
          }
          c1:recv()
          done:send(2)
        end)
        goro.go(function() c2:send(true) end)
        assert(c3:recv(10))
        assert(c1:try_send(true, 10))
        assert(c1:try_send(true, 10))
        assert(done:recv(10) + done:recv(10) == 3)
      end
    end)
  end)

  it("select7: each way of sending meets each way of receiving", function()
    passes_on_processors(function()
      local goro = require "goro"
      local receivers = {
        function(c, got) got:send((c:recv())) end,
        function(c, got) goro.select { { recv = c, function(v) got:send(v) end } } end,
        function(c, got) goro.select { { recv = c, function(v) got:send(v) end }, { recv = goro.chan() } } end,
        function(c, got)
          local f, s, v = c:range()
          got:send((f(s, v)))
        end,
        function(c, got) goro.select { { recv = goro.chan() }, { recv = c, function(v) got:send(v) end }, timeout = 10 } end,
      }
      local senders = {
        function(c) c:send(1) end,
        function(c) goro.select { { send = c, value = 1 } } end,
        function(c) goro.select { { send = c, value = 1 }, { send = goro.chan(), value = 1 } } end,
        function(c) assert(c:try_send(1, 10)) end,
        function(c) assert(goro.select { { recv = goro.chan() }, { send = c, value = 1 }, timeout = 10 } == 2) end,
      }
      for _ = 1, 5 do
        for _, receive in ipairs(receivers) do
          for _, send in ipairs(senders) do
            local c, got = goro.chan(), goro.chan(1)
            goro.go(receive, c, got)
            goro.gosched()
            send(c)
            assert(got:recv(10) == 1)
          end
        end
      end
    end)
  end)

  it("sendstmt: a channel of channels", function()
    passes_anywhere(function()
      local goro = require "goro"
      local cc, c = goro.chan(1), goro.chan(1)
      cc:send(c)
      assert(goro.select { { send = cc:recv(), value = 2 }, default = true } == 1)
      assert(c:recv(0) == 2)
    end)
  end)

  it("sieve1: the chain of filters finds the primes", function()
    passes_on_processors(function()
      local goro = require "goro"
      local primes = goro.chan()
      local function generate(out)
        local i = 2
        while true do
          out:send(i)
          i = i + 1
        end
      end
      local function filter(inp, out, prime)
        for i in inp:range() do
          if i % prime ~= 0 then out:send(i) end
        end
      end
      goro.go(function()
        local c = goro.chan()
        goro.go(generate, c)
        while true do
          local prime = c:recv()
          primes:send(prime)
          local d = goro.chan()
          goro.go(filter, c, d, prime)
          c = d
        end
      end)
      for _, p in ipairs { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97 } do
        assert(primes:recv(20) == p)
      end
    end)
  end)

  it("sieve2: the merging sieve with a growing buffer finds them too", function()
    passes_on_processors(function()
      local goro = require "goro"
      local function numbers(n, step, cap)
        local out = goro.chan(cap)
        goro.go(function()
          while true do
            out:send(n)
            n = n + step
          end
        end)
        return out
      end
      local function multiples(p) return numbers(p * p, 2 * p, 10) end
      -- Sends to `out` without ever blocking who sends to the proxy.
      local function proxy_of(out)
        local proxy = goro.chan(10)
        goro.go(function()
          local first, last, queue = 1, 0, {}
          while true do
            goro.select {
              { recv = proxy, function(v)
                last = last + 1
                queue[last] = v
              end },
              { send = first <= last and out, value = queue[first], function()
                queue[first] = nil
                first = first + 1
              end },
            }
          end
        end)
        return proxy
      end

      local out, composites, primes = goro.chan(10), goro.chan(50), goro.chan(10)
      out:send(2)
      out:send(3)
      primes:send(3)

      -- Merges the multiples of all primes so far; the heads are kept sorted, smallest last.
      goro.go(function()
        local heads, min = {}, 15
        local function put(head, c)
          local at = #heads + 1
          while at > 1 and heads[at - 1].head < head do at = at - 1 end
          table.insert(heads, at, { head = head, c = c })
        end
        local function advance()
          local smallest = table.remove(heads)
          min = smallest.head
          put(smallest.c:recv(), smallest.c)
        end
        while true do
          local m = multiples((primes:recv()))
          local head = m:recv()
          while min < head do
            composites:send(min)
            advance()
          end
          while min == head do advance() end
          composites:send(head)
          put(m:recv(), m)
        end
      end)

      goro.go(function()
        local to_merge, candidates = proxy_of(primes), numbers(5, 2, 50)
        local p = candidates:recv()
        while true do
          local c = composites:recv()
          while p < c do
            to_merge:send(p)
            out:send(p)
            p = candidates:recv()
          end
          if p == c then p = candidates:recv() end
        end
      end)

      for _, p in ipairs { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97 } do
        assert(out:recv(20) == p)
      end
    end)
  end)

  it("chancap: length and capacity", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(10)
      assert(c:len() == 0 and c:cap() == 10)
      for i = 1, 3 do c:send(i) end
      assert(c:len() == 3 and c:cap() == 10)
      c = goro.chan()
      assert(c:len() == 0 and c:cap() == 0)
      for _, n in ipairs { -1, math.mininteger, 1 << 59, math.maxinteger } do assert(not pcall(goro.chan, n)) end
    end)
  end)

  it("chanlinear: many waiters on one channel leave it in time that grows linearly", function()
    passes(function()
      local goro = require "goro"
      local now = require "system".monotime
      -- Four goroutines stand n times each in the queue of a common channel. Woken through its own channel, the
      -- last one leaves n places far from both ends of it; searching for each would take time that grows as n * n.
      local function seconds(n)
        local common, ready, done, own = goro.chan(), goro.chan(), goro.chan(), {}
        local t = now()
        for i = 1, 4 do
          own[i] = goro.chan()
          local mine = own[i]
          goro.go(function()
            local cases = {}
            for k = 1, n do cases[k] = { recv = common } end
            cases[n + 1] = { recv = mine }
            ready:send(true)
            assert(goro.select(cases) == n + 1)
            done:send(true)
          end)
          ready:recv(20)
          goro.sleep(0.002)
        end
        for i = 3, 0, -1 do
          assert(own[i + 1]:try_send(true, 20))
          assert(done:recv(20))
        end
        assert(common:try_send(true, 0) == false)
        return now() - t
      end
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local n = math.max(400, 4000 // slow | 0)
      local best = math.huge
      for _ = 1, 6 do
        local one = seconds(n)
        local four = seconds(4 * n)
        best = math.min(best, four / one)
        if best < 9 then return end
      end
      error("four times as many took " .. best .. " times as long")
    end)
  end)
end)

describe("Go's runtime/chan_test:", function()
  it("Chan: empty receives and full sends block, for each capacity", function()
    passes(function()
      local goro = require "goro"
      goro.maxprocs(4)
      for _, cap in ipairs { 0, 1, 2, 3, 10, 19 } do
        -- Receivers wait on an empty channel, and polling does not.
        local c, received = goro.chan(cap), goro.chan(2)
        for _ = 1, 2 do
          goro.go(function()
            local v, ok = c:recv()
            received:send { v, ok }
          end)
        end
        goro.sleep(0.002)
        assert(received:len() == 0)
        assert(goro.select { { recv = c }, default = true } == "default")
        c:send(0)
        c:send(0)
        for _ = 1, 2 do
          local r = received:recv(10)
          assert(r[1] == 0 and r[2] == true)
        end

        -- A sender waits on a full one, and polling does not.
        c = goro.chan(cap)
        for i = 1, cap do c:send(i) end
        local sent = goro.chan(1)
        goro.go(function()
          c:send(0)
          sent:send(true)
        end)
        goro.sleep(0.002)
        assert(sent:len() == 0)
        assert(goro.select { { send = c, value = 0 }, default = true } == "default")
        c:recv()
        assert(sent:recv(10))

        -- What is buffered outlives the close.
        c = goro.chan(cap)
        for i = 1, cap do c:send(i) end
        c:close()
        for i = 1, cap do assert(c:recv() == i) end
        for _ = 1, 2 do
          local v, ok = c:recv()
          assert(v == nil and ok == false)
        end

        -- Close wakes a receiver.
        c = goro.chan(cap)
        local done = goro.chan()
        goro.go(function()
          local v, ok = c:recv()
          done:send(v == nil and ok == false)
        end)
        goro.sleep(0.002)
        c:close()
        assert(done:recv(10) == true)
      end
    end)
  end)

  it("Chan: order, and nothing lost among four senders and four receivers", function()
    passes_on_processors(function()
      local goro = require "goro"
      local n = math.max(50, 500 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      for _, cap in ipairs { 0, 1, 2, 10, 200 } do
        local c = goro.chan(cap)
        goro.go(function() for i = 1, 100 do c:send(i) end end)
        for i = 1, 100 do assert(c:recv(10) == i) end
        for _ = 1, 4 do
          goro.go(function() for i = 1, n do c:send(i) end end)
        end
        local done = goro.chan()
        for _ = 1, 4 do
          goro.go(function()
            local got = {}
            for _ = 1, n do
              local v = c:recv()
              got[v] = (got[v] or 0) + 1
            end
            done:send(got)
          end)
        end
        local all = {}
        for _ = 1, 4 do
          for v, count in pairs((done:recv(20))) do all[v] = (all[v] or 0) + count end
        end
        for i = 1, n do assert(all[i] == 4) end
        assert(c:len() == 0 and c:cap() == cap)
      end
    end)
  end)

  it("NonblockRecvRace: a message or the close is always there", function()
    passes_on_processors(function()
      local goro = require "goro"
      local n = math.max(50, 1000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local verdict = goro.chan(1)
      for _ = 1, n do
        local c = goro.chan(1)
        c:send(1)
        goro.go(function() verdict:send((goro.select { { recv = c }, default = true })) end)
        c:close()
        c:recv()
        assert(verdict:recv(10) == 1)
      end
    end)
  end)

  it("NonblockSelectRace: of two channels one is ready at each moment", function()
    passes_on_processors(function()
      local goro = require "goro"
      local n = math.max(50, 2000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local verdict = goro.chan(1)
      for i = 1, n do
        local c1, c2 = goro.chan(1), goro.chan(1)
        c1:send(1)
        goro.go(function()
          verdict:send(goro.select { { recv = c1 }, { recv = c2 }, default = true } ~= "default")
        end)
        -- Every other round the second channel becomes ready by its close.
        if i % 2 == 0 then c2:send(1) else c2:close() end
        goro.select { { recv = c1 }, default = true }
        assert(verdict:recv(10) == true)
      end
    end)
  end)

  it("SelfSelect: sending and receiving on one channel in a select", function()
    passes(function()
      local goro = require "goro"
      goro.maxprocs(2)
      local n = math.max(50, 1000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      for _, cap in ipairs { 0, 10 } do
        local c, done = goro.chan(cap), goro.chan()
        for p = 0, 1 do
          goro.go(function()
            local function received(v) assert(cap > 0 or v ~= p, "self receive") end
            for i = 1, n do
              if p == 0 or i % 2 == 0 then
                goro.select { { send = c, value = p }, { recv = c, received } }
              else
                goro.select { { recv = c, received }, { send = c, value = p } }
              end
            end
            done:send(true)
          end)
        end
        for _ = 1, 2 do assert(done:recv(30)) end
      end
    end)
  end)

  it("SelectStress: plain operations and selects on four channels balance", function()
    passes(function()
      local goro = require "goro"
      goro.maxprocs(10)
      local n = math.max(50, 1000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local c = { goro.chan(), goro.chan(), goro.chan(2), goro.chan(3) }
      local done = goro.chan()
      for k = 1, 4 do
        goro.go(function()
          for _ = 1, n do c[k]:send(0) end
          done:send(true)
        end)
        goro.go(function()
          for _ = 1, n do c[k]:recv() end
          done:send(true)
        end)
      end
      for _, op in ipairs { "send", "recv" } do
        goro.go(function()
          local count, cases = { 0, 0, 0, 0 }, {}
          for i, k in ipairs { 4, 3, 1, 2 } do
            cases[i] = { [op] = c[k], value = 0, function()
              count[k] = count[k] + 1
              if count[k] == n then cases[i] = { [op] = false } end
            end }
          end
          for _ = 1, 4 * n do goro.select(cases) end
          done:send(true)
        end)
      end
      for _ = 1, 10 do assert(done:recv(60)) end
    end, { timeout = 120 })
  end)

  it("SelectFairness: of two ready channels each is taken about as often", function()
    passes(function()
      local goro = require "goro"
      local trials = math.max(1000, 10000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local c1, c2 = goro.chan(trials + 1), goro.chan(trials + 1)
      for _ = 1, trials + 1 do
        c1:send(1)
        c2:send(2)
      end
      local c3, c4, out, done = goro.chan(), goro.chan(), goro.chan(), goro.chan()
      goro.go(function()
        local cases = { { recv = c3 }, { recv = c4 }, { recv = c1 }, { recv = c2 } }
        while true do
          local _, b = goro.select(cases)
          if goro.select { { send = out, value = b }, { recv = done } } == 2 then return end
        end
      end)
      local count = { 0, 0 }
      for _ = 1, trials do
        local b = out:recv(10)
        count[b] = count[b] + 1
      end
      -- Six nines of confidence.
      assert(math.abs(count[1] / trials - 0.5) <= 4.891676 / (2 * math.sqrt(trials)), count[1])
      done:close()
    end)
  end)

  it("ChanSendInterface: a value in several cases of a full channel", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, m = goro.chan(1), setmetatable({}, {})
      c:send(m)
      assert(goro.select { { send = c, value = m }, default = true } == "default")
      assert(goro.select { { send = c, value = m }, { send = c, value = {} }, default = true } == "default")
      assert(c:len() == 1)
    end)
  end)

  it("PseudoRandomSend: two sends on one channel both get their turns", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 100
      for _, cap in ipairs { 0, n } do
        local c, got = goro.chan(cap), goro.chan(1)
        goro.go(function()
          local ones = 0
          for _ = 1, n do
            goro.gosched()
            ones = ones + c:recv()
          end
          got:send(ones)
        end)
        for _ = 1, n do goro.select { { send = c, value = 1 }, { send = c, value = 0 } } end
        local ones = got:recv(10)
        assert(ones > n // 10 and n - ones > n // 10, ones)
      end
    end)
  end)

  it("MultiConsumer: 23 workers neither lose nor double work", function()
    passes_on_processors(function()
      local goro = require "goro"
      local workers, n = 23, math.max(500, 10000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local pn = { 2, 3, 7, 11, 13, 17, 19, 23, 27, 31 }
      local q, r, finished = goro.chan(workers * 3), goro.chan(workers * 3), goro.chan()
      for w = 1, workers do
        goro.go(function()
          for v in q:range() do
            -- Disturbs the order in which they take turns.
            if pn[w % #pn + 1] == v then goro.gosched() end
            r:send(v)
          end
          finished:send(true)
        end)
      end
      local expected = 0
      for i = 1, n do expected = expected + pn[i % #pn + 1] end
      goro.go(function()
        for i = 1, n do q:send(pn[i % #pn + 1]) end
        q:close()
        for _ = 1, workers do finished:recv() end
        r:close()
      end)
      local count, sum = 0, 0
      for v in r:range() do count, sum = count + 1, sum + v end
      assert(count == n and sum == expected)
    end)
  end)

  it("ShrinkStackDuringBlockedSend: collections while others are parked", function()
    passes(function()
      local goro = require "goro"
      local c, done = goro.chan(), goro.chan()
      local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
      goro.go(function()
        for i = 1, 20 do
          c:send(i)
          deep(5000)
          collectgarbage()
        end
        done:send(true)
      end)
      for i = 1, 20 do
        assert(c:recv(10) == i)
        goro.sleep(0.001)
        collectgarbage()
      end
      assert(done:recv(10))
    end)
  end)

  it("SelectDuplicateChannel: waiting twice on one channel, and leaving it", function()
    passes_on_processors(function()
      local goro = require "goro"
      for _ = 1, 20 do
        local c, d, e, f = goro.chan(), goro.chan(), goro.chan(), goro.chan(1)
        goro.go(function()
          goro.select { { recv = c }, { recv = c }, { recv = d } }
          e:send(9)
        end)
        goro.sleep(0.002)
        goro.go(function() f:send((c:recv())) end)
        goro.sleep(0.002)
        assert(d:try_send(7, 10))
        assert(e:recv(10) == 9)
        assert(c:try_send(8, 10))
        assert(f:recv(10) == 8)
      end
    end)
  end)

  it("Chan benchmarks: producers and consumers, a semaphore, a popular channel", function()
    passes_on_processors(function()
      local goro = require "goro"
      local n = math.max(50, 1000 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      -- A channel as a semaphore.
      local sem, inside, done = goro.chan(3), goro.chan(3), goro.chan()
      for _ = 1, 10 do
        goro.go(function()
          for _ = 1, n // 10 do
            sem:send(true)
            assert(inside:try_send(true, 0), "more than three inside")
            goro.gosched()
            inside:recv()
            sem:recv()
          end
          done:send(true)
        end)
      end
      for _ = 1, 10 do assert(done:recv(30)) end
      -- Many wait at one channel beside their own.
      local popular, own = goro.chan(), {}
      for i = 1, 100 do
        own[i] = goro.chan()
        local mine = own[i]
        goro.go(function()
          for _ = 1, 10 do goro.select { { recv = popular }, { recv = mine } } end
          done:send(true)
        end)
      end
      for _ = 1, 10 do
        for i = 1, 100 do assert(own[i]:try_send(true, 10)) end
      end
      for _ = 1, 100 do assert(done:recv(10)) end
      assert(popular:try_send(1, 0) == false)
    end)
  end)
end)
