-- SPDX-License-Identifier: MIT
-- Stress: many goroutines on shared channels, at random, with nothing lost, doubled or out of order.
--
-- Each scenario is a child's main script; it gets a seed and a number of repetitions, and runs with 1, 2 and 8
-- places. What it checks are laws that hold for every interleaving: a message whose send returned true is received
-- exactly once, one whose send returned false never; messages of one sender arrive in order; all goroutines end.
-- Each wait has a limit, so that a lost wake-up is an error (or at last the child's own time limit).
--
-- GORO_STRESS is the number of repetitions (1); the seed is random unless GORO_SEED gives it.
-- luacheck: ignore 431 432

local helper = require "spec.helper"

local REPETITIONS = math.max(1, math.floor((tonumber(os.getenv "GORO_STRESS" or "") or 1)))

local scenarios = {}

-- Producers that send, select and retry; consumers that receive, iterate and select, the main script among them.
scenarios["producers and consumers"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random

  local function produce(c, producer, n, seed, done)
    local random = math.random
    math.randomseed(seed)
    for i = 1, n do
      local dice = random(4)
      if dice == 1 then
        assert(goro.select { { send = c, value = { producer, i } }, timeout = 60 } == 1)
      elseif dice == 2 then
        repeat until c:try_send({ producer, i }, random() / 1000)
      else
        assert(c:try_send({ producer, i }, 60))
      end
      if random(20) == 1 then goro.gosched() end
    end
    done:try_send(true, 60)
  end

  -- Returns how many of each producer it got. Of one producer they come in order.
  local function consume(c, producers, seed)
    local random = math.random
    math.randomseed(seed)
    local last, count = {}, {}
    for p = 1, producers do last[p], count[p] = 0, 0 end
    local function take(m)
      local p, i = m[1], m[2]
      if i <= last[p] then error(("message %d of producer %d came after %d"):format(i, p, last[p])) end
      last[p], count[p] = i, count[p] + 1
    end
    local kind = random(4)
    if kind == 1 then
      for m in c:range() do take(m) end
    else
      while true do
        local m, ok, why
        if kind == 2 then
          m, ok = c:recv(60)
        elseif kind == 3 then
          m, ok, why = c:recv(random() / 1000)
        else
          local index
          index, m, ok = goro.select { { recv = c }, { recv = false }, timeout = 60 }
          assert(index == 1)
        end
        if ok then take(m) elseif why ~= "timeout" then assert(ok == false) break end
      end
    end
    return count
  end

  math.randomseed(seed)
  for _ = 1, repetitions do
    local producers, consumers, n = random(6), random(5), random(60)
    local c, done, counts = goro.chan(random(0, 4)), goro.chan(producers), goro.chan(consumers)
    for p = 1, producers do goro.go(produce, c, p, n, random(1 << 30), done) end
    for _ = 1, consumers do
      goro.go(function(seed) counts:send((consume(c, producers, seed))) end, random(1 << 30))
    end
    goro.go(function()
      for _ = 1, producers do assert(done:recv(60)) end
      c:close()
    end)
    local keep = random(1 << 30)
    local total = consume(c, producers, random(1 << 30))
    math.randomseed(keep)
    for _ = 1, consumers do
      for p, k in ipairs((counts:recv(60))) do total[p] = total[p] + k end
    end
    for p = 1, producers do assert(total[p] == n, ("producer %d: %d of %d"):format(p, total[p], n)) end
    assert(select(2, c:recv(60)) == false)
  end
end

scenarios["pipelines"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local stages, n, capacity = random(12), random(150), random(0, 3)
    local first = goro.chan(capacity)
    local c = first
    for k = 1, stages do
      local inp, out = c, goro.chan(capacity)
      goro.go(function()
        for m in inp:range() do
          m.sum, m.path[#m.path + 1] = m.sum + k, k
          assert(out:try_send(m, 60))
        end
        out:close()
      end)
      c = out
    end
    goro.go(function()
      for i = 1, n do assert(first:try_send({ n = i, sum = 0, path = {} }, 60)) end
      first:close()
    end)
    for i = 1, n do
      local m = c:recv(60)
      assert(m.n == i and m.sum == stages * (stages + 1) // 2 and #m.path == stages and m.path[stages] == stages)
    end
    assert(select(2, c:recv(60)) == false)
  end
end

scenarios["fan out and fan in"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local workers, n = random(16), random(200)
    local jobs, results, done = goro.chan(random(0, 8)), goro.chan(random(0, 8)), goro.chan(workers)
    for w = 1, workers do
      goro.go(function()
        local mine = 0
        for job in jobs:range() do
          if job.id % 7 == w % 7 then goro.gosched() end
          mine = mine + 1
          assert(results:try_send({ id = job.id, twice = job.text:rep(2), worker = w }, 60))
        end
        assert(done:try_send(mine, 60))
      end)
    end
    goro.go(function()
      for i = 1, n do assert(jobs:try_send({ id = i, text = ("%d,"):format(i) }, 60)) end
      jobs:close()
    end)
    goro.go(function()
      local sum = 0
      for _ = 1, workers do sum = sum + done:recv(60) end
      results:close()
      assert(sum == n)
    end)
    local seen, count = {}, 0
    for r in results:range() do
      assert(not seen[r.id] and r.twice == ("%d,%d,"):format(r.id, r.id))
      seen[r.id], count = true, count + 1
    end
    assert(count == n)
  end
end

scenarios["rings and ping-pong"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local size, tokens, rounds = random(2, 20), random(3), random(20)
    local capacity = random(0, 1)
    local links, out = {}, goro.chan(tokens)
    for i = 1, size do links[i] = goro.chan(capacity) end
    -- Fewer tokens than places, so that a ring of unbuffered channels cannot block itself.
    tokens = math.min(tokens, size - 1)
    for i = 1, size do
      local inp, nxt = links[i], links[i % size + 1]
      goro.go(function()
        for token in inp:range() do
          token.hops = token.hops + 1
          if token.hops == token.limit then
            assert(out:try_send(token, 60))
          else
            assert(nxt:try_send(token, 60))
          end
        end
      end)
    end
    for t = 1, tokens do
      assert(links[random(size)]:try_send({ id = t, hops = 0, limit = size * rounds }, 60))
    end
    local seen = {}
    for _ = 1, tokens do
      local token = out:recv(60)
      assert(token.hops == size * rounds and not seen[token.id])
      seen[token.id] = true
    end
    for _, c in ipairs(links) do c:close() end

    local ping, pong = goro.chan(capacity), goro.chan(capacity)
    goro.go(function()
      for i in ping:range() do assert(pong:try_send(i + 1, 60)) end
      pong:close()
    end)
    local i = 0
    for _ = 1, 50 do
      assert(ping:try_send(i, 60))
      local back = pong:recv(60)
      assert(back == i + 1)
      i = back
    end
    ping:close()
    assert(select(2, pong:recv(60)) == false)
  end
end

scenarios["run inside run"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  local function tree(depth, width, fail)
    if depth == 0 then
      if fail then error({ leaf = true }) end
      return 1
    end
    local c = goro.chan()
    for _ = 2, width do
      goro.go(function() c:try_send((goro.run(tree, depth - 1, width, false)), 60) end)
    end
    local sum = 0
    local ok, e = pcall(function() sum = goro.run(tree, depth - 1, width, fail) end)
    for _ = 2, width do sum = sum + c:recv(60) end
    if not ok then error(e) end
    return sum
  end
  math.randomseed(seed)
  for _ = 1, repetitions do
    local depth, width = random(0, 3), random(3)
    assert(goro.run(tree, depth, width, false) == width ^ depth)
    local ok, e = pcall(goro.run, tree, depth, width, true)
    assert(not ok and e.leaf == true)
  end
end

scenarios["goexit midway"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  local function worker(c, id, stop, depth)
    local function at_close(what, level)
      return setmetatable({}, { __close = function() assert(c:try_send({ id, what, level }, 60)) end })
    end
    local _ <close> = at_close "ended"
    local function step(level)
      if level > 0 then
        local _ <close> = at_close("close", level)
        pcall(step, level - 1)
        error "goexit came back"
      end
      for i = 1, 10 do
        if i == stop then goro.goexit() end
        assert(c:try_send({ id, "step", i }, 60))
      end
      error "not stopped"
    end
    pcall(step, depth)
    error "goexit came back"
  end
  math.randomseed(seed)
  for _ = 1, repetitions do
    local n, open = random(10), {}
    local c = goro.chan(random(0, 3))
    for id = 1, n do
      local stop, depth = random(10), random(0, 3)
      -- What is to come from it, in this order: its steps, its pending closes from the innermost, its end.
      local list = {}
      for i = 1, stop - 1 do list[#list + 1] = "step" .. i end
      for level = 1, depth do list[#list + 1] = "close" .. level end
      list[#list + 1] = "ended"
      open[id] = list
      if random(2) == 1 then
        goro.go(worker, c, id, stop, depth)
      else
        goro.go(function() assert(select("#", goro.run(worker, c, id, stop, depth)) == 0) end)
      end
    end
    while next(open) do
      local m = c:recv(60)
      local list = open[m[1]]
      local expected = table.remove(list, 1)
      assert(m[2] .. (m[3] or "") == expected, expected)
      if #list == 0 then open[m[1]] = nil end
    end
  end
end

scenarios["channels of channels"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local servers, clients, calls = random(4), random(8), random(20)
    local requests, finished = goro.chan(random(0, 3)), goro.chan(clients)
    for _ = 1, servers do
      goro.go(function()
        for request in requests:range() do
          -- The reply's channel comes as a view, or within a channel that carries it.
          local reply = request.reply or (request.via:recv(60))
          assert(reply:try_send({ request.n * 2, reply = reply }, 60))
        end
      end)
    end
    for k = 1, clients do
      goro.go(function()
        local reply = goro.chan(k % 2)
        local via = goro.chan(1)
        for i = 1, calls do
          local n = k * 1000 + i
          if i % 3 == 0 then
            via:send(reply)
            assert(requests:try_send({ n = n, via = via }, 60))
            local r = reply:recv(60)
            assert(r[1] == 2 * n and r.reply == reply)
          elseif i % 3 == 1 then
            assert(requests:try_send({ n = n, reply = reply:sender() }, 60))
            local r = reply:recv(60)
            assert(r[1] == 2 * n and r.reply == reply:sender())
          else
            local fresh = goro.chan()
            assert(requests:try_send({ n = n, reply = fresh }, 60))
            assert(fresh:recv(60)[1] == 2 * n)
          end
        end
        assert(finished:try_send(k, 60))
      end)
    end
    local sum = 0
    for _ = 1, clients do sum = sum + finished:recv(60) end
    assert(sum == clients * (clients + 1) // 2)
    requests:close()
  end
end

-- What a send returned must agree with what was received, whoever came first.
scenarios["timeouts that race with messages"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  local function tiny(dice)
    if dice == 1 then return 0 end
    if dice == 2 then return 1e-6 end
    return math.random() / 2000
  end
  math.randomseed(seed)
  for _ = 1, repetitions do
    local senders, receivers, n = random(6), random(6), 40
    local c, reports, quit = goro.chan(random(0, 2)), goro.chan(), goro.chan()
    local function sender(id, seed)
      math.randomseed(seed)
      local went, stayed = {}, {}
      for i = 1, n do
        local m = id * 1000 + i
        local timeout = tiny(math.random(3))
        if math.random(2) == 1 then
          local ok, why = c:try_send(m, timeout)
          assert(ok or why == "timeout")
          table.insert(ok and went or stayed, m)
        else
          local index = goro.select { { send = c, value = m }, timeout = timeout }
          assert(index == 1 or index == "timeout")
          table.insert(index == 1 and went or stayed, m)
        end
      end
      assert(reports:try_send({ went = went, stayed = stayed }, 60))
    end
    local function receiver(seed)
      math.randomseed(seed)
      local got, open = {}, true
      while open do
        local timeout = tiny(math.random(3))
        if math.random(2) == 1 then
          local v, ok, why = c:recv(timeout)
          if ok then
            got[#got + 1] = v
          else
            assert(why == "timeout")
            if select(2, quit:recv(0)) == false then open = false end
          end
        else
          local index, v = goro.select { { recv = c }, { recv = quit }, timeout = timeout }
          if index == 1 then got[#got + 1] = v end
          if index == 2 then open = false end
        end
      end
      assert(reports:try_send({ got = got }, 60))
    end
    for id = 1, senders do goro.go(sender, id, random(1 << 30)) end
    for _ = 1, receivers do goro.go(receiver, random(1 << 30)) end
    local fate, received = {}, {}
    local function note(list, what)
      for _, m in ipairs(list or {}) do
        assert(not fate[m], "a message has two fates")
        fate[m] = what
      end
    end
    local function take(list)
      for _, m in ipairs(list or {}) do
        assert(not received[m], "a message came twice")
        received[m] = true
      end
    end
    for _ = 1, senders do
      local r = reports:recv(60)
      note(r.went, "went")
      note(r.stayed, "stayed")
    end
    quit:close()
    for _ = 1, receivers do take(reports:recv(60).got) end
    while true do
      local v, ok = c:recv(0)
      if not ok then break end
      take { v }
    end
    local total = 0
    for m, what in pairs(fate) do
      total = total + 1
      assert((what == "went") == (received[m] == true), ("message %d %s"):format(m, what))
    end
    assert(total == senders * n)
    for m in pairs(received) do assert(fate[m] == "went") end
  end
end

-- Peers that would send or receive on the same channels, whatever comes first.
scenarios["select that sends and receives"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local peers, capacity, turns = random(2, 8), random(0, 2), random(10, 60)
    local a, b = goro.chan(capacity), goro.chan(random(0, 1))
    local quit, reports, full = goro.chan(), goro.chan(peers), goro.chan(peers)
    for id = 1, peers do
      goro.go(function(seed)
        math.randomseed(seed)
        local sent, got, own, stop = {}, {}, 0, false
        while not stop do
          own = own + 1
          local m, to = id * 100000 + own, math.random(2) == 1 and a or b
          local function take(v) got[#got + 1] = v end
          goro.select {
            { send = to, value = m, function() sent[#sent + 1] = m end },
            { recv = a, take },
            { recv = b, take },
            { recv = quit, function(_, ok) stop = ok == false end },
            timeout = 60,
            on_timeout = function() error "nothing happened" end,
          }
          if not stop and #sent + #got == turns then full:try_send(id, 60) end
          -- On a buffered channel one alone may go on for ever.
          if own % 8 == 0 then goro.gosched() end
        end
        assert(reports:try_send({ sent = sent, got = got }, 60))
      end, random(1 << 30))
    end
    for _ = 1, 2 do full:recv(60) end
    quit:close()
    local sent, got, n_sent, n_got = {}, {}, 0, 0
    local function take(v)
      assert(not got[v], "a message came twice")
      got[v], n_got = true, n_got + 1
    end
    for _ = 1, peers do
      local r = reports:recv(60)
      for _, m in ipairs(r.sent) do sent[m], n_sent = true, n_sent + 1 end
      for _, m in ipairs(r.got) do take(m) end
    end
    for _, c in ipairs { a, b } do
      while c:len() > 0 do take((c:recv(0))) end
    end
    assert(n_sent == n_got, ("%d sent, %d received"):format(n_sent, n_got))
    for m in pairs(got) do assert(sent[m]) end
  end
end

scenarios["closes that race with everybody"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local senders, receivers, closers = random(5), random(5), random(4)
    local c, reports = goro.chan(random(0, 3)), goro.chan()
    for id = 1, senders do
      goro.go(function(seed)
        math.randomseed(seed)
        local sent, i, why = {}, 0, nil
        while not why do
          i = i + 1
          local m = id * 1000000 + i
          local ok, e
          if math.random(2) == 1 then
            ok, e = pcall(c.try_send, c, m, 60)
          else
            ok, e = pcall(goro.select, { { send = c, value = m }, timeout = 60 })
          end
          if ok then sent[#sent + 1] = m else why = e end
        end
        assert(why:find "send on closed channel$", why)
        assert(reports:try_send({ sent = sent }, 60))
      end, random(1 << 30))
    end
    for _ = 1, receivers do
      goro.go(function(seed)
        math.randomseed(seed)
        local got, kind = {}, math.random(3)
        if kind == 1 then
          for v in c:range() do got[#got + 1] = v end
        else
          while true do
            local v, ok
            if kind == 2 then
              v, ok = c:recv(60)
            else
              v, ok = select(2, goro.select { { recv = c }, timeout = 60 })
            end
            if not ok then assert(ok == false) break end
            got[#got + 1] = v
          end
        end
        assert(reports:try_send({ got = got }, 60))
      end, random(1 << 30))
    end
    for _ = 1, closers do
      goro.go(function(delay)
        goro.sleep(delay)
        local ok, e = pcall(c.close, c)
        assert(ok or e:find "close of closed channel$", e)
        assert(reports:try_send({ closed = ok }, 60))
      end, random() / 500)
    end
    local sent, got, closed, n_sent, n_got = {}, {}, 0, 0, 0
    for _ = 1, senders + receivers + closers do
      local r = reports:recv(60)
      if r.closed then closed = closed + 1 end
      for _, m in ipairs(r.sent or {}) do sent[m], n_sent = true, n_sent + 1 end
      for _, m in ipairs(r.got or {}) do
        assert(not got[m], "a message came twice")
        got[m], n_got = true, n_got + 1
      end
    end
    assert(closed == 1 and n_sent == n_got, ("%d closes, %d sent, %d received"):format(closed, n_sent, n_got))
    for m in pairs(got) do assert(sent[m]) end
    assert(select(2, c:recv(0)) == false)
  end
end

scenarios["coroutines that block"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local workers, n, depth = random(6), random(40), random(3)
    local done = goro.chan()
    for w = 1, workers do
      local c = goro.chan(random(0, 1))
      goro.go(function()
        for i = 1, n do assert(c:try_send(i, 60)) end
        c:close()
      end)
      goro.go(function()
        -- A generator of generators, the innermost of which waits, and yields what it got.
        local function generator(level)
          return coroutine.wrap(function()
            if level == 1 then
              for v in c:range() do
                coroutine.yield(v)
                if v % 5 == 0 then goro.gosched() end
              end
            else
              local inner = generator(level - 1)
              for v in inner do coroutine.yield(v) end
            end
          end)
        end
        -- Several alive at once, taken in turn.
        local a, sum, expected = generator(depth), 0, 1
        local sleeper = coroutine.create(function()
          while true do
            goro.sleep(0.00001)
            coroutine.yield()
          end
        end)
        for v in a do
          assert(v == expected)
          sum, expected = sum + v, expected + 1
          if v % 8 == 0 then assert(coroutine.resume(sleeper)) end
        end
        assert(sum == n * (n + 1) // 2)
        assert(done:try_send(w, 60))
      end)
    end
    local sum = 0
    for _ = 1, workers do sum = sum + done:recv(60) end
    assert(sum == workers * (workers + 1) // 2)
  end
end

-- Where Lua cannot yield, the thread waits, and the others go on.
scenarios["waits inside C calls"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local workers, n = random(6), random(2, 24)
    local asked, done = goro.chan(random(0, 1)), goro.chan()
    for _ = 1, 2 do
      goro.go(function()
        for q in asked:range() do assert(q.reply:try_send(q[1] < q[2], 60)) end
      end)
    end
    for w = 1, workers do
      goro.go(function(seed)
        math.randomseed(seed)
        local t, reply = {}, goro.chan()
        for i = 1, n do t[i] = math.random(1000) end
        table.sort(t, function(a, b)
          assert(asked:try_send({ a, b, reply = reply }, 60))
          return (reply:recv(60))
        end)
        for i = 2, n do assert(t[i - 1] <= t[i]) end
        local s = ("abc"):gsub("%a", function(x)
          assert(asked:try_send({ 1, 2, reply = reply }, 60))
          return (reply:recv(60)) and x:upper()
        end)
        assert(s == "ABC")
        local index = setmetatable({}, { __index = function(_, k)
          goro.sleep(0.00001)
          return k
        end })
        assert(table.concat({ index[1], index[2] }, ",") == "1,2")
        assert(table.unpack(setmetatable({}, { __index = index }), 5, 5) == 5)
        assert(done:try_send(w, 60))
      end, random(1 << 30))
    end
    local sum = 0
    for _ = 1, workers do sum = sum + done:recv(60) end
    assert(sum == workers * (workers + 1) // 2)
    asked:close()
  end
end

-- Sleeps, timeouts, goroutines that come and go, and the main script in the midst.
scenarios["everything at once"] = function(seed, repetitions)
  local goro = require "goro"
  local random = math.random
  math.randomseed(seed)
  for _ = 1, repetitions do
    local n = random(20, 60)
    local c, ended, value = goro.chan(random(0, 4)), goro.chan(n), 0
    for id = 1, n do
      goro.go(function(kind, seed)
        math.randomseed(seed)
        if kind == 1 then
          goro.sleep(math.random() / 1000)
        elseif kind == 2 then
          local v, ok, why = c:recv(math.random() / 1000)
          assert(v == "x" and ok or why == "timeout")
          if ok then return ended:send({ id, -1 }) end
        elseif kind == 3 then
          local ok = c:try_send("x", math.random() / 1000)
          if ok then return ended:send({ id, 1 }) end
        elseif kind == 4 then
          local after = goro.after(math.random() / 1000)
          local index = goro.select { { recv = after }, { recv = c }, timeout = 60 }
          if index == 2 then return ended:send({ id, -1 }) end
        elseif kind == 5 then
          assert(goro.run(function(x) goro.gosched() return x end, id) == id)
        else
          local _ <close> = setmetatable({}, { __close = function() ended:send({ id, 0 }) end })
          goro.goexit()
        end
        ended:send({ id, 0 })
      end, random(6), random(1 << 30))
      if random(5) == 1 then
        local v, ok = c:recv(0)
        if ok then assert(v == "x") value = value - 1 end
        if c:try_send("x", 0) then value = value + 1 end
      end
    end
    local seen = {}
    for _ = 1, n do
      local r = ended:recv(60)
      assert(not seen[r[1]])
      seen[r[1]], value = true, value + r[2]
    end
    while c:len() > 0 do
      assert(c:recv(0) == "x")
      value = value - 1
    end
    assert(value == 0, value)
  end
  -- Nobody is left.
  local deadline = 60
  while goro.num_goroutine() > 1 and deadline > 0 do
    goro.sleep(0.001)
    deadline = deadline - 0.001
  end
  assert(goro.num_goroutine() == 1, goro.num_goroutine())
end

-- The scenario is called with numbers, so it goes into a script instead of being one.
local function run(scenario, procs)
  local seed = tonumber(os.getenv "GORO_SEED" or "") or (os.time() * 1000 + math.random(999)) & 0x7fffffff
  assert.is_nil(debug.getupvalue(scenario, 2), "a scenario has no upvalue but _ENV")
  local source = ("load(%q, 'scenario', 'b')(%d, %d)"):format(string.dump(scenario), seed, REPETITIONS)
  local r = helper.run_script(source, { env = { GOROMAXPROCS = procs }, timeout = 90 + REPETITIONS })
  assert.is_true(r.code == 0 and r.stderr == "" and r.stdout == "", ("seed %d: %s"):format(seed, helper.describe(r)))
end

describe("stress", function()
  local names = {}
  for name in pairs(scenarios) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _, procs in ipairs { 1, 2, 8 } do
      it(("%s, maxprocs %d"):format(name, procs), function() run(scenarios[name], procs) end)
    end
  end
end)
