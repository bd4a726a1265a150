-- SPDX-License-Identifier: MIT
-- Channels: every row of the table in the contract, buffered and not, from the script and from goroutines.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local passes, passes_anywhere, raises, raises_match = helper.passes, helper.passes_anywhere, helper.raises, helper.raises_match

local NAN = 0 / 0

-- All results, so that their number is compared too.
local function results(...) return { n = select("#", ...), ... } end

local TIMEOUT_RECV = { n = 3, [3] = "timeout" }
local TIMEOUT_SEND = { n = 2, false, "timeout" }
local CLOSED_RECV = { n = 2, [2] = false }

describe("goro.chan", function()
  it("has no buffer by default", function()
    assert.equal(0, goro.chan():cap())
    assert.equal(0, goro.chan(nil):cap())
    assert.equal(0, goro.chan(0):cap())
    assert.same(TIMEOUT_SEND, results(goro.chan():try_send(1, 0)))
  end)

  it("buffers as many messages as its capacity", function()
    for _, cap in ipairs { 1, 2, 3, 7, 64, 1000 } do
      local c = goro.chan(cap)
      assert.equal(cap, c:cap())
      for i = 1, cap do
        assert.equal(i - 1, c:len())
        assert.same({ n = 1, true }, results(c:try_send(i, 0)))
      end
      assert.same(TIMEOUT_SEND, results(c:try_send("too much", 0)))
      assert.equal(cap, c:len())
      assert.equal(cap, #c)
      for i = 1, cap do assert.same({ n = 2, i, true }, results(c:recv(0))) end
      assert.equal(0, c:len())
      assert.same(TIMEOUT_RECV, results(c:recv(0)))
    end
  end)

  it("goes round its buffer", function()
    local c = goro.chan(3)
    local sent, received = 0, 0
    for round = 1, 50 do
      for _ = 1, 1 + round % 3 do
        sent = sent + 1
        assert.is_true(c:try_send(sent, 0))
      end
      for _ = 1, 1 + round % 3 do
        received = received + 1
        assert.equal(received, (c:recv(0)))
      end
    end
  end)

  it("takes a capacity that has an integer's value", function()
    local c = goro.chan(2.0)
    assert.equal(2, c:cap())
    assert.equal("integer", math.type(c:cap()))
    assert.equal("integer", math.type(c:len()))
  end)

  it("refuses capacities that are not integers, or negative", function()
    raises("bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(1.5) end)
    raises("bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(NAN) end)
    raises("bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(math.huge) end)
    raises("bad argument #1 to 'chan' (number expected, got table)", function() goro.chan {} end)
    raises("bad argument #1 to 'chan' (number expected, got boolean)", function() goro.chan(true) end)
    raises_match("^bad argument #1 to 'chan' %(.+%)$", function() goro.chan(-1) end)
    raises_match("^bad argument #1 to 'chan' %(.+%)$", function() goro.chan(math.mininteger) end)
  end)

  it("refuses a capacity that no memory could hold with an error", function()
    for _, cap in ipairs { math.maxinteger, math.maxinteger // 2, 1 << 59, 1 << 60, 1 << 61 } do
      assert.is_false((pcall(goro.chan, cap)))
    end
    collectgarbage()
    assert.is_true(goro.chan(1):try_send(1, 0))
  end)
end)

describe("send and recv", function()
  it("carry nil and false as ordinary messages", function()
    local c = goro.chan(3)
    c:send(nil)
    c:send(false)
    c:send(nil)
    assert.equal(3, c:len())
    assert.same({ n = 2, [2] = true }, results(c:recv()))
    assert.same({ n = 2, false, true }, results(c:recv()))
    assert.same({ n = 2, [2] = true }, results(c:recv()))
  end)

  it("carry values of each kind, with their subtype", function()
    local c = goro.chan(1)
    local function through(v)
      c:send(v)
      return (c:recv())
    end
    for _, v in ipairs {
      0, 1, -1, math.maxinteger, math.mininteger, 1.0, 0.1, math.huge, -math.huge, true,
      "", "s", "a string that is longer than forty characters, so not a short one", "\0zero\0s\0", ("x"):rep(100000),
    } do
      local w = through(v)
      assert.equal(v, w)
      assert.equal(math.type(v), math.type(w))
    end
    local nan = through(NAN)
    assert.is_true(nan ~= nan)
    assert.equal(-math.huge, 1 / through(-0.0))
    assert.same({ 1, 2, { x = { true } } }, through { 1, 2, { x = { true } } })
    assert.equal(5, through(function(a) return a + 1 end)(4))
  end)

  it("give a copy also within one state", function()
    local c = goro.chan(1)
    local t = { 1 }
    c:send(t)
    t[1] = 2
    local u = c:recv()
    assert.is_false(rawequal(t, u))
    assert.same({ 1 }, u)
  end)

  it("hand over directly without a buffer", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, log = goro.chan(), goro.chan(10)
      goro.go(function()
        for i = 1, 3 do
          assert(c:send(i) == true)
          log:send("sent " .. i)
        end
      end)
      goro.sleep(0.05)
      assert(log:len() == 0 and c:len() == 0)
      assert(c:recv(10) == 1)
      assert(log:recv(10) == "sent 1")
      goro.sleep(0.05)
      assert(log:len() == 0)
      assert(c:recv(10) == 2)
      assert(c:recv(10) == 3)
      assert(log:recv(10) == "sent 2" and log:recv(10) == "sent 3")
    end)
  end)

  it("keep the order of one sender", function()
    passes_anywhere(function()
      local goro = require "goro"
      for _, cap in ipairs { 0, 1, 5, 100 } do
        local c = goro.chan(cap)
        goro.go(function()
          for i = 1, 2000 do c:send(i) end
          c:close()
        end)
        for i = 1, 2000 do assert(c:recv(10) == i) end
        assert(select(2, c:recv(10)) == false)
      end
    end)
  end)

  it("keep the order of each of many senders, and lose or double nothing", function()
    passes_anywhere(function()
      local goro = require "goro"
      local rounds = math.max(50, 500 // (tonumber(os.getenv "GORO_SLOW") or 1) // 1 | 0)
      for _, cap in ipairs { 0, 1, 7 } do
        local c, done = goro.chan(cap), goro.chan()
        for s = 1, 8 do
          goro.go(function()
            for i = 1, rounds do c:send { s, i } end
            done:send(true)
          end)
        end
        goro.go(function()
          for _ = 1, 8 do done:recv(30) end
          c:close()
        end)
        local last, n = { 0, 0, 0, 0, 0, 0, 0, 0 }, 0
        for m in c:range() do
          assert(m[2] == last[m[1]] + 1)
          last[m[1]] = m[2]
          n = n + 1
        end
        assert(n == 8 * rounds)
      end
    end)
  end)
end)

describe("a timeout", function()
  it("of 0 or less polls", function()
    local c = goro.chan()
    for _, s in ipairs { 0, 0.0, -0.0, -1, -0.5, -math.huge, math.mininteger } do
      local t = helper.now()
      assert.same(TIMEOUT_RECV, results(c:recv(s)))
      assert.same(TIMEOUT_SEND, results(c:try_send(1, s)))
      assert.is_true(helper.now() - t < helper.limit(5))
    end
    local b = goro.chan(1)
    for _, s in ipairs { 0, -1 } do
      assert.same({ n = 1, true }, results(b:try_send(1, s)))
      assert.same({ n = 2, 1, true }, results(b:recv(s)))
    end
  end)

  it("is never early", function()
    passes_anywhere(function()
      local goro = require "goro"
      local now = require "system".monotime
      local c = goro.chan()
      for _, s in ipairs { 0.001, 0.02, 0.1 } do
        local t = now()
        assert(select(3, c:recv(s)) == "timeout")
        assert(now() - t >= s)
        t = now()
        assert(select(2, c:try_send(1, s)) == "timeout")
        assert(now() - t >= s)
      end
    end)
  end)

  it("of nil and of infinity is for ever", function()
    passes_anywhere(function()
      local goro = require "goro"
      for _, s in ipairs { math.huge, 1e300, math.maxinteger } do
        local c = goro.chan()
        goro.go(function()
          goro.sleep(0.05)
          c:send "late"
          goro.sleep(0.05)
          c:recv()
        end)
        assert(c:recv(s) == "late")
        assert(c:try_send(1, s) == true)
      end
      local c = goro.chan()
      goro.go(function()
        goro.sleep(0.05)
        c:send "late"
        goro.sleep(0.05)
        c:recv()
      end)
      assert(c:recv(nil) == "late")
      assert(c:send(1) == true)
    end)
  end)

  it("that is NaN is misuse", function()
    local c = goro.chan(1)
    raises_match("^bad argument #1 to 'recv' %(.+%)$", function() c:recv(NAN) end)
    raises_match("^bad argument #2 to 'try_send' %(.+%)$", function() c:try_send(1, NAN) end)
    assert.equal(0, c:len())
  end)

  it("leaves nothing behind: neither a message, nor a waiter", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      assert(c:try_send("given up", 0.01) == false)
      assert(select(3, c:recv(0)) == "timeout")
      assert(select(3, c:recv(0.01)) == "timeout")
      assert(c:try_send("nobody", 0) == false)
      local b = goro.chan(1)
      b:send "first"
      assert(b:try_send("given up", 0.01) == false)
      assert(b:recv(0) == "first")
      assert(select(3, b:recv(0)) == "timeout")
    end)
  end)

  it("does not lose a message that comes as it passes", function()
    passes_anywhere(function()
      local goro = require "goro"
      local rounds = math.max(20, 300 // (tonumber(os.getenv "GORO_SLOW") or 1) // 1 | 0)
      local c, finished = goro.chan(), goro.chan(1)
      goro.go(function()
        local sent = 0
        for i = 1, rounds do
          if c:try_send(i, 0.0005) then sent = sent + 1 end
        end
        finished:send(sent)
        c:close()
      end)
      local got, last = 0, 0
      while true do
        local v, ok, why = c:recv(0.0005)
        if ok then
          assert(v > last)
          last, got = v, got + 1
        elseif why ~= "timeout" then
          break
        end
      end
      assert(finished:recv(10) == got)
    end)
  end)

  it("may follow the close and the last message", function()
    local c = goro.chan(1)
    c:send(1)
    c:close()
    assert.same({ n = 2, 1, true }, results(c:recv(0)))
    assert.same(CLOSED_RECV, results(c:recv(0)))
    assert.same(CLOSED_RECV, results(c:recv(10)))
    assert.same(CLOSED_RECV, results(c:recv()))
  end)
end)

describe("out:send(inp:recv())", function()
  it("works, since true as the second argument is ignored", function()
    local inp, out = goro.chan(2), goro.chan(2)
    inp:send "v"
    inp:send(nil)
    assert.same({ n = 1, true }, results(out:send(inp:recv())))
    assert.same({ n = 1, true }, results(out:send(inp:recv())))
    assert.same({ n = 2, "v", true }, results(out:recv(0)))
    assert.same({ n = 2, nil, true }, results(out:recv(0)))
  end)

  it("waits for ever, as without the true", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        goro.sleep(0.05)
        c:recv()
      end)
      assert(c:send(1, true) == true)
    end)
  end)

  it("is misuse after the close, and says so", function()
    local inp, out = goro.chan(), goro.chan(2)
    inp:close()
    raises("bad argument #2 to 'send' (the value came from a closed channel)", function() out:send(inp:recv()) end)
    raises("bad argument #2 to 'send' (the value came from a closed channel)", function() out:send(1, false) end)
    assert.equal(0, out:len())
  end)

  it("is misuse after a timeout", function()
    local inp, out = goro.chan(), goro.chan(2)
    raises("bad argument #2 to 'send' (no value expected, got nil; 'try_send' takes a time limit)", function() out:send(inp:recv(0)) end)
    assert.equal(0, out:len())
  end)
end)

describe("close", function()
  it("ends receiving, once what is buffered is drained", function()
    local c = goro.chan(3)
    c:send(1)
    c:send(nil)
    c:close()
    assert.equal(2, c:len())
    assert.equal(3, c:cap())
    assert.same({ n = 2, 1, true }, results(c:recv()))
    assert.same({ n = 2, nil, true }, results(c:recv()))
    for _ = 1, 3 do assert.same(CLOSED_RECV, results(c:recv())) end
  end)

  it("twice raises", function()
    local c = goro.chan()
    c:close()
    raises("close of closed channel", function() c:close() end)
    raises("close of closed channel", function() c:sender():close() end)
  end)

  it("makes sending raise, at the caller's line", function()
    for _, cap in ipairs { 0, 2 } do
      local c = goro.chan(cap)
      c:close()
      raises("send on closed channel", function() c:send(1) end)
      raises("send on closed channel", function() c:try_send(1, 0) end)
      raises("send on closed channel", function() c:send(nil, true) end)
      raises("send on closed channel", function() c:sender():send(1) end)
      assert.same(CLOSED_RECV, results(c:recv(0)))
    end
  end)

  it("wakes all receivers that wait", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, got = goro.chan(), goro.chan(20)
      for i = 1, 20 do
        goro.go(function()
          local t
          if i % 2 == 0 then t = 10 end
          local r = table.pack(c:recv(t))
          got:send(r.n == 2 and r[1] == nil and r[2] == false)
        end)
      end
      goro.sleep(0.05)
      c:close()
      for _ = 1, 20 do assert(got:recv(10) == true) end
    end)
  end)

  it("raises in all senders that wait, and drops their messages", function()
    for _, cap in ipairs { 0, 2 } do
      passes_anywhere(function(n)
        local goro = require "goro"
        local c, got = goro.chan(tonumber(n)), goro.chan(20)
        for i = 1, c:cap() do c:send("buffered " .. i) end
        for i = 1, 10 do
          goro.go(function()
            local ok, err = pcall(function()
              if i % 2 == 0 then c:try_send("waiting", 10) else c:send "waiting" end
            end)
            got:send { ok, err }
          end)
        end
        goro.sleep(0.05)
        c:close()
        for _ = 1, 10 do
          local r = got:recv(10)
          assert(r[1] == false)
          assert(r[2]:match ":%d+: send on closed channel$", r[2])
        end
        for i = 1, c:cap() do assert(c:recv(0) == "buffered " .. i) end
        assert(select(2, c:recv(0)) == false)
      end, { args = { cap } })
    end
  end)

  it("raises in the main script that waits to send", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        goro.sleep(0.05)
        c:close()
      end)
      local ok, err = pcall(function() c:send(1) end)
      assert(not ok and err:match ":%d+: send on closed channel$")
      assert(not pcall(function() c:close() end))
    end)
  end)
end)

describe("range", function()
  it("gives what comes, until closed and drained", function()
    local c = goro.chan(5)
    for i = 1, 5 do c:send(i * 10) end
    c:close()
    local got = {}
    for v in c:range() do got[#got + 1] = v end
    assert.same({ 10, 20, 30, 40, 50 }, got)
    for _ in c:range() do error "nothing is left" end
  end)

  it("gives false as it is", function()
    local c = goro.chan(2)
    c:send(false)
    c:send(1)
    c:close()
    local got = {}
    for v in c:range() do got[#got + 1] = v end
    assert.same({ false, 1 }, got)
  end)

  it("raises at a nil message", function()
    local c = goro.chan(3)
    c:send(1)
    c:send(nil)
    c:close()
    local got = {}
    local f = function() for v in c:range() do got[#got + 1] = v end end
    raises("nil message in range", f)
    assert.same({ 1 }, got)
  end)

  it("may be left, and begun again", function()
    local c, got = goro.chan(4), nil
    for i = 1, 4 do c:send(i) end
    for v in c:range() do
      if v == 2 then break end
    end
    assert.equal(2, c:len())
    for v in c:range() do
      got = v
      if v >= 3 then break end
    end
    assert.equal(3, got)
    assert.equal(4, (c:recv(0)))
  end)

  it("waits, and may be used by several goroutines", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, sums = goro.chan(), goro.chan()
      for _ = 1, 4 do
        goro.go(function()
          local sum, n = 0, 0
          for v in c:range() do sum, n = sum + v, n + 1 end
          sums:send { sum, n }
        end)
      end
      for i = 1, 400 do c:send(i) end
      c:close()
      local sum, n = 0, 0
      for _ = 1, 4 do
        local r = sums:recv(10)
        sum, n = sum + r[1], n + r[2]
      end
      assert(sum == 400 * 401 // 2 and n == 400)
    end)
  end)

  it("is an iterator like others, to be called by hand too", function()
    local c = goro.chan(2)
    c:send "a"
    c:close()
    local f, s, v = c:range()
    assert.equal("a", (f(s, v)))
    assert.is_nil((f(s, "a")))
  end)
end)

describe("len and cap", function()
  it("do not count waiting senders", function()
    passes(function()
      local goro = require "goro"
      local c, b = goro.chan(), goro.chan(2)
      for i = 1, 5 do
        goro.go(function() c:send(i) end)
        goro.go(function() b:send(i) end)
      end
      goro.sleep(0.1)
      assert(c:len() == 0 and #c == 0 and c:cap() == 0)
      assert(b:len() == 2 and #b == 2 and b:cap() == 2)
      b:recv(10)
      assert(b:len() == 2)
      assert(goro.run(function() return #b end) == 2)
    end)
  end)
end)

describe("views", function()
  it("work in their direction", function()
    local c = goro.chan(2)
    local s, r = c:sender(), c:receiver()
    assert.is_true(s:send(1))
    assert.is_true(s:try_send(2, 0))
    assert.same(TIMEOUT_SEND, results(s:try_send(3, 0)))
    assert.equal(2, s:len())
    assert.equal(2, r:len())
    assert.equal(2, #s)
    assert.equal(2, #r)
    assert.equal(2, s:cap())
    assert.equal(2, r:cap())
    assert.same({ n = 2, 1, true }, results(r:recv()))
    s:close()
    local got = {}
    for v in r:range() do got[#got + 1] = v end
    assert.same({ 2 }, got)
    assert.same(CLOSED_RECV, results(c:recv()))
  end)

  it("refuse the other direction", function()
    local c = goro.chan(1)
    c:send "stays"
    local s, r = c:sender(), c:receiver()
    raises("receive from send-only channel", function() s:recv() end)
    raises("receive from send-only channel", function() s:recv(0) end)
    raises("receive from send-only channel", function() for _ in s:range() do end end) -- luacheck: ignore 542
    raises("send to receive-only channel", function() r:send(1) end)
    raises("send to receive-only channel", function() r:try_send(1, 0) end)
    raises("close of receive-only channel", function() r:close() end)
    assert.equal(1, c:len())
    assert.same({ n = 2, "stays", true }, results(c:recv(0)))
    assert.is_true(c:try_send(1, 0))
  end)

  it("refuse the other direction also when the channel is closed", function()
    local c = goro.chan(1)
    c:close()
    raises("receive from send-only channel", function() c:sender():recv() end)
    raises("send to receive-only channel", function() c:receiver():send(1) end)
    raises("close of receive-only channel", function() c:receiver():close() end)
  end)

  it("are equal when channel and direction are", function()
    local c, d = goro.chan(), goro.chan()
    assert.is_true(c:sender() == c:sender())
    assert.is_true(c:receiver() == c:receiver())
    assert.is_true(c:sender():sender() == c:sender())
    assert.is_true(c:receiver():receiver() == c:receiver())
    assert.is_false(c:sender() == c:receiver())
    assert.is_false(c:sender() == c)
    assert.is_false(c == c:receiver())
    assert.is_false(c:sender() == d:sender())
    assert.is_false(c:receiver() == d:receiver())
  end)

  it("cannot be widened again", function()
    local c = goro.chan(1)
    local s, r = c:sender(), c:receiver()
    raises_match(".", function() s:receiver() end)
    raises_match(".", function() r:sender() end)
  end)

  it("keep their direction when they are sent", function()
    local c = goro.chan(1)
    local carrier = goro.chan(2)
    carrier:send(c:sender())
    carrier:send(c:receiver())
    local s, r = carrier:recv(0), carrier:recv(0)
    assert.is_true(s == c:sender())
    assert.is_true(r == c:receiver())
    raises("receive from send-only channel", function() s:recv(0) end)
    raises("send to receive-only channel", function() r:send(1) end)
    local src = debug.getinfo(1, "S").short_src
    local err = goro.run(function()
      s:send "from there"
      return select(2, pcall(function() s:recv() end))
    end)
    assert.is_truthy(err:find(src, 1, true))
    assert.is_truthy(err:find "receive from send%-only channel$")
    assert.equal("from there", (r:recv(10)))
  end)
end)

describe("a channel as an object", function()
  it("has a name and an address as its string", function()
    local c = goro.chan()
    assert.equal("userdata", type(c))
    assert.is_truthy(tostring(c):find "^goro%.chan: 0x%x+$", tostring(c))
    assert.equal(tostring(c), tostring(c))
    assert.not_equal(tostring(c), tostring(goro.chan()))
    assert.equal("goro.chan", debug.getmetatable(c).__name)
    local _, err = pcall(string.rep, c)
    assert.is_truthy(err:find("string expected, got goro.chan", 1, true), err)
    assert.is_truthy(tostring(c:sender()):find "^goro%..*: 0x%x+$")
    assert.is_truthy(tostring(c:receiver()):find "^goro%..*: 0x%x+$")
  end)

  it("keeps its identity within one state, so that it serves as a table key", function()
    local c, carrier = goro.chan(), goro.chan(2)
    local t = { [c] = "here" }
    carrier:send(c)
    carrier:send { [c] = { c } }
    local back = carrier:recv(0)
    assert.is_true(back == c)
    assert.is_true(rawequal(back, c))
    assert.equal("here", t[back])
    local inside = carrier:recv(0)
    assert.is_true(rawequal(next(inside), c))
    assert.is_true(rawequal(inside[c][1], c))
    assert.is_false(c == goro.chan())
    assert.is_false(c == 1)
  end)

  it("keeps its identity across states", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan()
      local name = tostring(c)
      local same, string_there, back = goro.run(function(d)
        return rawequal(c, d) and ({ [c] = true })[d], tostring(d), c
      end, c)
      assert(same == true)
      assert(rawequal(back, c))
      assert(string_there == name)
      local e = goro.run(function()
        local e = goro.chan(1)
        e:send "made there"
        return e
      end)
      assert(e:recv(0) == "made there")
      local o = goro.chan(1)
      o:send(e)
      assert(rawequal(o:recv(0), e))
    end)
  end)

  it("may be in its own buffer, and in a message with others", function()
    local c = goro.chan(2)
    c:send(c)
    c:send { c, c }
    assert.is_true(rawequal(c, (c:recv(0))))
    local t = c:recv(0)
    assert.is_true(rawequal(c, t[1]) and rawequal(c, t[2]))
  end)
end)

describe("local c <close>", function()
  it("closes the channel at the block's end", function()
    local outer
    do
      local c <close> = goro.chan()
      outer = c
    end
    assert.same(CLOSED_RECV, results(outer:recv(0)))
  end)

  it("does not mind that it is closed", function()
    local outer
    do
      local c <close> = goro.chan()
      outer = c
      c:close()
    end
    assert.same(CLOSED_RECV, results(outer:recv(0)))
  end)

  it("closes on an error too", function()
    local c = goro.chan()
    pcall(function()
      local x <close> = c -- luacheck: ignore 211
      error "out"
    end)
    assert.same(CLOSED_RECV, results(c:recv(0)))
  end)

  it("works for a sender's view", function()
    local c = goro.chan()
    do
      local s <close> = c:sender() -- luacheck: ignore 211
    end
    assert.same(CLOSED_RECV, results(c:recv(0)))
    do
      local s <close> = c:sender() -- luacheck: ignore 211
    end
  end)

  it("is refused for a receiver's view", function()
    local c = goro.chan()
    local ok, err = pcall(function()
      local r <close> = c:receiver() -- luacheck: ignore 211
    end)
    assert.is_false(ok)
    assert.is_truthy(err:find("variable 'r' got a non-closable value", 1, true), err)
    assert.same(TIMEOUT_RECV, results(c:recv(0)))
  end)

  it("closes when the goroutine ends, by an error or by goexit", function()
    local c, d = goro.chan(), goro.chan()
    pcall(goro.run, function()
      local x <close> = c -- luacheck: ignore 211
      error "out"
    end)
    goro.run(function()
      local x <close> = d -- luacheck: ignore 211
      require "goro".goexit()
    end)
    assert.same(CLOSED_RECV, results(c:recv(0)))
    assert.same(CLOSED_RECV, results(d:recv(0)))
  end)
end)

describe("those who wait", function()
  it("to receive are served first come, first served", function()
    passes_anywhere(function()
      local goro = require "goro"
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local c, got, ready = goro.chan(), goro.chan(20), goro.chan()
      for i = 1, 10 do
        goro.go(function()
          ready:send(true)
          got:send { i, (c:recv(10 * slow)) }
        end)
        ready:recv(10)
        goro.sleep(0.02 * slow)
      end
      for i = 1, 10 do c:send(i * 100) end
      local n = 0
      for _ = 1, 10 do
        local r = got:recv(10)
        assert(r[2] == r[1] * 100)
        n = n + 1
      end
      assert(n == 10)
    end)
  end)

  it("to send are served first come, first served", function()
    for _, cap in ipairs { 0, 3 } do
      passes_anywhere(function(n)
        local goro = require "goro"
        local slow = tonumber(os.getenv "GORO_SLOW") or 1
        local c, ready = goro.chan(tonumber(n)), goro.chan()
        for i = 1, c:cap() do c:send(i) end
        for i = c:cap() + 1, c:cap() + 10 do
          goro.go(function()
            ready:send(true)
            c:try_send(i, 10 * slow)
          end)
          ready:recv(10)
          goro.sleep(0.02 * slow)
        end
        for i = 1, c:cap() + 10 do assert(c:recv(10) == i) end
      end, { args = { cap } })
    end
  end)

  it("in selects stand in the same line", function()
    passes_anywhere(function()
      local goro = require "goro"
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local c, other, got, ready = goro.chan(), goro.chan(), goro.chan(20), goro.chan()
      for i = 1, 8 do
        goro.go(function()
          ready:send(true)
          local v, _
          if i % 2 == 0 then v = c:recv(10 * slow)
          else _, v = goro.select { { recv = other }, { recv = c }, timeout = 10 * slow } end
          got:send { i, v }
        end)
        ready:recv(10)
        goro.sleep(0.02 * slow)
      end
      for i = 1, 8 do c:send(i * 100) end
      for _ = 1, 8 do
        local r = got:recv(10)
        assert(r[2] == r[1] * 100)
      end
    end)
  end)

  it("and gave up keep nobody behind them waiting", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, done = goro.chan(), goro.chan(20)
      for i = 1, 10 do
        goro.go(function()
          local t = 0.02
          if i % 2 == 0 then t = 20 end
          local _, ok = c:recv(t)
          done:send(ok == true)
        end)
      end
      for _ = 1, 5 do assert(done:recv(10) == false) end
      for i = 1, 5 do assert(c:try_send(i, 10)) end
      for _ = 1, 5 do assert(done:recv(10) == true) end
      assert(c:try_send(1, 0) == false)
    end)
  end)
end)

describe("a failed send", function()
  it("changes nothing and is raised to the sender", function()
    local c = goro.chan(2)
    c:send "first"
    local ok, err = pcall(function() c:send(coroutine.create(print)) end)
    assert.is_false(ok)
    assert.is_truthy(err:find "cannot send message %(thread%)$", err)
    ok, err = pcall(function() c:send { a = { 1, 2, coroutine.create(print) } } end)
    assert.is_false(ok)
    assert.is_truthy(err:find("cannot send message.a[3] (thread)", 1, true), err)
    assert.equal(1, c:len())
    assert.same({ n = 2, "first", true }, results(c:recv(0)))
    assert.same(TIMEOUT_RECV, results(c:recv(0)))
  end)

  it("does not disturb a receiver that waits", function()
    passes(function()
      local goro = require "goro"
      local c, got = goro.chan(), goro.chan(1)
      goro.go(function() got:send((c:recv())) end)
      goro.sleep(0.05)
      assert(not pcall(c.send, c, coroutine.create(print)))
      assert(select(3, got:recv(0.05)) == "timeout")
      c:send "good"
      assert(got:recv(10) == "good")
    end)
  end)
end)

describe("a message that cannot be rebuilt", function()
  it("raises in recv, and is consumed", function()
    local c = goro.chan(2)
    local Bad = { __goro = function() return function() error("cannot rebuild", 0) end end }
    c:send(setmetatable({}, Bad))
    c:send "next"
    local ok, err = pcall(c.recv, c, 0)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("cannot rebuild", 1, true), tostring(err))
    assert.same({ n = 2, "next", true }, results(c:recv(0)))
  end)
end)

describe("channels to which nobody refers", function()
  -- What a child holds is read from /proc: 1,000 channels with 1 MB each, of which few are alive at a time.
  it("are collected with their messages", function()
    passes(function()
      local goro = require "goro"
      local big = ("x"):rep(1 << 20)
      for i = 1, 1000 do
        local c = goro.chan(2)
        c:send(big)
        if i % 10 == 0 then collectgarbage() end
      end
      local slow = tonumber(os.getenv "GORO_SLOW") or 1 -- Checking builds need more memory, too.
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmHWM:%s*(%d+)"
        assert(not kb or tonumber(kb) < 600 * 1024 * slow, line)
      end
    end)
  end)

  it("are collected without being asked, since buffers are charged to the collector", function()
    passes(function()
      local goro = require "goro"
      local big = ("x"):rep(1 << 20)
      for _ = 1, 2000 do
        local c = goro.chan(1)
        c:send(big)
      end
      local slow = tonumber(os.getenv "GORO_SLOW") or 1 -- Checking builds need more memory, too.
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmHWM:%s*(%d+)"
        assert(not kb or tonumber(kb) < 1000 * 1024 * slow, line)
      end
    end)
  end)

  it("are collected when only messages of such channels refer to them", function()
    passes(function()
      local goro = require "goro"
      local big = ("x"):rep(1 << 20)
      for i = 1, 1000 do
        local inner, outer = goro.chan(2), goro.chan(2)
        inner:send(big)
        outer:send { inner = inner }
        inner = nil -- luacheck: ignore 311
        if i % 10 == 0 then
          collectgarbage()
          collectgarbage()
        end
      end
      local slow = tonumber(os.getenv "GORO_SLOW") or 1 -- Checking builds need more memory, too.
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmHWM:%s*(%d+)"
        assert(not kb or tonumber(kb) < 600 * 1024 * slow, line)
      end
    end)
  end)

  it("are collected when the goroutine that had them ends", function()
    passes(function()
      local goro = require "goro"
      local big = ("x"):rep(1 << 20)
      for _ = 1, 1000 do
        goro.run(function()
          local c = goro.chan(1)
          c:send(big)
        end)
      end
      local slow = tonumber(os.getenv "GORO_SLOW") or 1 -- Checking builds need more memory, too.
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmHWM:%s*(%d+)"
        assert(not kb or tonumber(kb) < 600 * 1024 * slow, line)
      end
    end)
  end)

  it("live on in a message, when nothing else refers to them", function()
    local carrier = goro.chan(1)
    do
      local c = goro.chan(1)
      c:send "kept"
      carrier:send(c)
    end
    collectgarbage()
    collectgarbage()
    local c = carrier:recv(0)
    collectgarbage()
    assert.equal("kept", (c:recv(0)))
  end)
end)
