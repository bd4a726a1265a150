-- SPDX-License-Identifier: MIT
-- goro.select: every sentence of the contract about it.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local passes, passes_anywhere, raises, raises_match = helper.passes, helper.passes_anywhere, helper.raises, helper.raises_match

local function results(...) return { n = select("#", ...), ... } end

local function full(...)
  local c = goro.chan(math.max(1, select("#", ...)))
  for i = 1, select("#", ...) do c:send((select(i, ...))) end
  return c
end

local function closed()
  local c = goro.chan()
  c:close()
  return c
end

describe("select without handlers returns", function()
  it("the index, the value and true for a receive", function()
    assert.same({ n = 3, 1, "v", true }, results(goro.select { { recv = full "v" } }))
    assert.same({ n = 3, 3, "v", true }, results(goro.select { { recv = goro.chan() }, { recv = false }, { recv = full "v" } }))
    assert.same({ n = 3, 1, nil, true }, results(goro.select { { recv = full(nil) } }))
    assert.same({ n = 3, 1, false, true }, results(goro.select { { recv = full(false) } }))
  end)

  it("the index, nil and false for a receive from a closed channel", function()
    assert.same({ n = 3, 2, nil, false }, results(goro.select { { recv = goro.chan() }, { recv = closed() } }))
    local c = full "last"
    c:close()
    assert.same({ n = 3, 1, "last", true }, results(goro.select { { recv = c } }))
    assert.same({ n = 3, 1, nil, false }, results(goro.select { { recv = c } }))
  end)

  it("the index alone for a send", function()
    local c = goro.chan(1)
    assert.same({ n = 1, 1 }, results(goro.select { { send = c, value = "v" } }))
    assert.equal("v", (c:recv(0)))
    assert.same({ n = 1, 2 }, results(goro.select { { recv = goro.chan() }, { send = c, value = 1 } }))
  end)

  it("'default' when nothing is ready", function()
    local c = goro.chan()
    assert.same({ n = 1, "default" }, results(goro.select { { recv = c }, { send = c, value = 1 }, default = true }))
    assert.same({ n = 1, "default" }, results(goro.select { default = true }))
    assert.same({ n = 1, "default" }, results(goro.select { { recv = false }, { send = false }, default = true }))
  end)

  it("'timeout' after the timeout", function()
    local c = goro.chan()
    assert.same({ n = 1, "timeout" }, results(goro.select { { recv = c }, timeout = 0.01 }))
    assert.same({ n = 1, "timeout" }, results(goro.select { { send = c }, timeout = 0 }))
    assert.same({ n = 1, "timeout" }, results(goro.select { timeout = 0.01 }))
    assert.same({ n = 1, "timeout" }, results(goro.select { { recv = false }, timeout = 0.01 }))
  end)
end)

describe("a handler", function()
  it("of a receive gets value and ok, and its results are select's", function()
    local function keep(...) return "kept", select("#", ...), ... end
    assert.same({ n = 4, "kept", 2, "v", true }, results(goro.select { { recv = full "v", keep } }))
    assert.same({ n = 4, "kept", 2, nil, true }, results(goro.select { { recv = full(nil), keep } }))
    assert.same({ n = 4, "kept", 2, nil, false }, results(goro.select { { recv = closed(), keep } }))
  end)

  it("of a send is called once it is sent", function()
    local c = goro.chan(1)
    assert.same({ n = 2, "sent", 1 }, results(goro.select { { send = c, value = 1, function() return "sent", c:len() end } }))
  end)

  it("may return nothing, and many values", function()
    assert.same({ n = 0 }, results(goro.select { { recv = full(1), function() end } }))
    local r = results(goro.select { { recv = full(1), function() return table.unpack({ n = 150, [150] = "last" }, 1, 150) end } })
    assert.equal(150, r.n)
    assert.equal("last", r[150])
  end)

  it("is called for the chosen case only", function()
    local called = {}
    local function note(name) return function() called[#called + 1] = name end end
    goro.select {
      { recv = goro.chan(), note "first" },
      { recv = full(1), note "second" },
      { send = goro.chan(), note "third" },
      timeout = 10, on_timeout = note "timeout",
    }
    assert.same({ "second" }, called)
  end)

  it("may stand at some cases only", function()
    local empty = goro.chan()
    assert.same({ n = 1, "handled" }, results(goro.select { { recv = empty }, { recv = full(1), function() return "handled" end } }))
    assert.same({ n = 3, 2, 1, true }, results(goro.select { { recv = empty, error }, { recv = full(1) } }))
  end)

  it("may be the default", function()
    local cases = { { recv = goro.chan(), error }, default = function(...) return "none", select("#", ...) end }
    assert.same({ n = 2, "none", 0 }, results(goro.select(cases)))
    assert.same({ n = 0 }, results(goro.select { default = function() end }))
    assert.same({ n = 3, 1, "v", true }, results(goro.select { { recv = full "v" }, default = error }))
  end)

  it("may stand at on_timeout", function()
    local c = goro.chan()
    local called = 0
    local function late()
      called = called + 1
      return "late", called
    end
    assert.same({ n = 2, "late", 1 }, results(goro.select { { recv = c }, timeout = 0.01, on_timeout = late }))
    assert.same({ n = 2, "late", 2 }, results(goro.select { { recv = c }, timeout = 0, on_timeout = late }))
    assert.same({ n = 3, 1, "v", true }, results(goro.select { { recv = full "v" }, timeout = 10, on_timeout = late }))
    assert.equal(2, called)
  end)

  it("may raise: the error is select's, and the case has happened", function()
    local c = full("one", "two")
    local ok, err = pcall(goro.select, { { recv = c, function(v) error({ v }) end } })
    assert.is_false(ok)
    assert.same({ "one" }, err)
    assert.equal(1, c:len())
  end)

  it("may select, send and receive itself", function()
    local a, b = full "a", full "b"
    local got = goro.select {
      { recv = a, function(v)
        return goro.select {
          { recv = b, function(w)
            b:send "c"
            return v .. w .. b:recv()
          end },
        }
      end },
    }
    assert.equal("abc", got)
  end)

  it("may use the same table of cases again", function()
    local c = full(1, 2, 3)
    local cases, depth = {}, 0
    cases[1] = { recv = c, function(v)
      depth = depth + 1
      if v < 3 then return v + goro.select(cases) end
      return v
    end }
    assert.equal(6, goro.select(cases))
    assert.equal(3, depth)
  end)

  it("may wait", function()
    passes_anywhere(function()
      local goro = require "goro"
      local a, b = goro.chan(), goro.chan()
      goro.go(function()
        a:send(1)
        goro.sleep(0.02)
        b:send(2)
      end)
      local got = goro.select { { recv = a, function(v)
        goro.sleep(0.01)
        return v + goro.select { { recv = b, function(w) return w * 10 end }, timeout = 10 }
      end } }
      assert(got == 21)
    end)
  end)

  it("may yield, when select was called in a coroutine", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(1)
      c:send "v"
      local co = coroutine.wrap(function()
        return goro.select { { recv = c, function(v) return coroutine.yield(v .. "1") end } }
      end)
      assert(co() == "v1")
      assert(co "back" == "back")
    end)
  end)
end)

describe("a timeout of select", function()
  it("is never early, and not much late", function()
    passes_anywhere(function()
      local goro = require "goro"
      local now = require "system".monotime
      local c = goro.chan()
      for _, s in ipairs { 0.001, 0.02, 0.1 } do
        local t = now()
        assert(goro.select { { recv = c }, { send = c }, timeout = s } == "timeout")
        assert(now() - t >= s)
        assert(now() - t < 10)
      end
    end)
  end)

  it("polls when it is 0 or negative, and the ready case goes before it", function()
    local c = goro.chan()
    for _, s in ipairs { 0, -1, -math.huge, -0.0 } do
      local t = helper.now()
      assert.equal("timeout", goro.select { { recv = c }, timeout = s })
      assert.equal(1, (goro.select { { recv = full(1) }, timeout = s }))
      assert.is_true(helper.now() - t < helper.limit(5))
    end
  end)

  it("is for ever when it is infinity or absent", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      for _, cases in ipairs { { { recv = c }, timeout = math.huge }, { { recv = c } } } do
        goro.go(function()
          goro.sleep(0.05)
          c:send "late"
        end)
        local i, v, ok = goro.select(cases)
        assert(i == 1 and v == "late" and ok == true)
      end
    end)
  end)

  it("leaves no waiter behind", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, d = goro.chan(), goro.chan()
      for _ = 1, 100 do
        assert(goro.select { { recv = c }, { send = d, value = 1 }, { recv = c }, timeout = 0.0001 } == "timeout")
      end
      assert(c:try_send(1, 0) == false)
      assert(select(3, d:recv(0)) == "timeout")
    end)
  end)
end)

describe("a select that waits", function()
  it("is woken by a sender, a receiver, or a close", function()
    passes_anywhere(function()
      local goro = require "goro"
      local a, b, never = goro.chan(), goro.chan(), goro.chan()
      local function later(f, c)
        goro.go(function()
          goro.sleep(0.02)
          f(c)
        end)
      end
      later(function(c) c:send "v" end, a)
      local i, v, ok = goro.select { { recv = never }, { recv = a }, timeout = 10 }
      assert(i == 2 and v == "v" and ok == true)

      local got = goro.chan(1)
      later(function(c) got:send((c:recv())) end, b)
      local r = table.pack(goro.select { { recv = never }, { send = b, value = { "w" } }, timeout = 10 })
      assert(r.n == 1 and r[1] == 2)
      assert(got:recv(10)[1] == "w")

      later(function(c) c:close() end, a)
      i, v, ok = goro.select { { recv = never }, { recv = never }, { recv = a }, timeout = 10 }
      assert(i == 3 and v == nil and ok == false)
    end)
  end)

  it("raises when the channel that it would send to is closed", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, never = goro.chan(), goro.chan()
      goro.go(function()
        goro.sleep(0.05)
        c:close()
      end)
      local ok, err = pcall(function() goro.select { { recv = never }, { send = c, value = 1 }, timeout = 10 } end)
      assert(not ok and err:match ":%d+: send on closed channel$", err)
      assert(never:try_send(1, 0) == false)
    end)
  end)

  it("does exactly one case, though several become ready at once", function()
    passes_anywhere(function()
      local goro = require "goro"
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local n = math.max(20, 300 // slow | 0)
      local chans, done = {}, goro.chan()
      for i = 1, 4 do
        chans[i] = goro.chan()
        goro.go(function()
          local sent = 0
          for k = 1, n do
            chans[i]:send { i, k }
            sent = sent + 1
          end
          done:send(sent)
        end)
      end
      local next_of, cases, finished, got = { 1, 1, 1, 1 }, {}, 0, 0
      for i = 1, 4 do
        cases[i] = { recv = chans[i], function(m)
          assert(m[1] == i and m[2] == next_of[i])
          next_of[i], got = m[2] + 1, got + 1
        end }
      end
      cases[5] = { recv = done, function(sent)
        assert(sent == n)
        finished = finished + 1
      end }
      cases.timeout = 20
      while finished < 4 do assert(goro.select(cases) ~= "timeout") end
      assert(got == 4 * n)
    end)
  end)

  it("blocks for ever without a case that can happen, and counts for deadlock", function()
    for _, cases in ipairs { "{}", "{ { recv = false } }", "{ { send = false, value = 1 }, { recv = false } }" } do
      helper.passes_script(([[
        local goro = require "goro"
        local cases = %s
        assert(goro.run(function()
          goro.go(function() goro.select(cases) end)
          goro.sleep(0.05)
          return true
        end))
        local ok, err = pcall(goro.select, cases)
        assert(not ok and err:find("all goroutines are asleep - deadlock!", 1, true), err)
      ]]):format(cases))
    end
  end)
end)

describe("switched-off cases", function()
  it("never happen, and keep the others' indexes", function()
    local c = full("a", "b")
    local handler = function() error "switched off" end
    assert.same({ n = 3, 3, "a", true }, results(goro.select { { recv = false, handler }, { send = false, value = 1, handler }, { recv = c } }))
    assert.same({ n = 3, 1, "b", true }, results(goro.select { { recv = c }, { recv = false }, { send = false } }))
  end)
end)

describe("a send case", function()
  it("without a value sends nil", function()
    local c = goro.chan(2)
    goro.select { { send = c } }
    goro.select { { send = c, value = false } }
    assert.same({ n = 2, nil, true }, results(c:recv(0)))
    assert.same({ n = 2, false, true }, results(c:recv(0)))
  end)

  it("copies its value", function()
    local c = goro.chan(1)
    local t = { 1 }
    goro.select { { send = c, value = t } }
    t[1] = 2
    assert.same({ 1 }, (c:recv(0)))
  end)

  it("that meets a closed channel raises at the caller's line", function()
    local c = closed()
    raises("send on closed channel", function() goro.select { { send = c, value = 1 } } end)
    raises("send on closed channel", function() goro.select { { send = c }, default = true } end)
    raises("send on closed channel", function() goro.select { { recv = goro.chan() }, { send = c }, timeout = 10 } end)
    raises("send on closed channel", function() goro.select { { send = c, function() end } } end)
  end)

  it("with a value that cannot be sent raises, and nothing has happened", function()
    local c, out = full "stays", goro.chan(1)
    local co = coroutine.create(print)
    local ok, err = pcall(goro.select, { { recv = c }, { send = out, value = { x = co } } })
    assert.is_false(ok)
    assert.is_truthy(err:find("(thread)", 1, true), err)
    assert.is_truthy(err:find("cannot send ", 1, true), err)
    assert.equal(1, c:len())
    assert.equal(0, out:len())
  end)

  it("that is not chosen sends nothing", function()
    local out = goro.chan()
    for _ = 1, 100 do
      assert.equal(1, (goro.select { { recv = full(1) }, { send = out, value = { "big", "value" } } }))
    end
    assert.equal("timeout", (select(3, out:recv(0))))
  end)
end)

describe("views in cases", function()
  it("work in their direction", function()
    local c = goro.chan(1)
    assert.equal(1, (goro.select { { send = c:sender(), value = 5 } }))
    assert.same({ n = 3, 1, 5, true }, results(goro.select { { recv = c:receiver() } }))
  end)

  it("are misuse in the other", function()
    local c = full "stays"
    raises_match("receive from send%-only channel", function() goro.select { { recv = c:sender() } } end)
    raises_match("send to receive%-only channel", function() goro.select { { send = c:receiver(), value = 1 } } end)
    raises_match("receive from send%-only channel", function() goro.select { { recv = c }, { recv = c:sender() } } end)
    assert.equal(1, c:len())
  end)
end)

describe("one channel in several cases", function()
  it("of receiving gives each message once", function()
    local c = full(1, 2, 3, 4)
    local cases = { { recv = c }, { recv = c }, { recv = c } }
    for i = 1, 4 do
      local _, v = goro.select(cases)
      assert.equal(i, v)
    end
    cases.timeout = 0.005
    assert.equal("timeout", goro.select(cases))
    assert.equal(0, c:len())
  end)

  it("of sending sends once", function()
    local c = goro.chan(5)
    goro.select { { send = c, value = 1 }, { send = c, value = 2 }, { send = c, value = 3 } }
    assert.equal(1, c:len())
  end)

  it("of sending and receiving does not meet itself", function()
    local c = goro.chan()
    assert.equal("default", goro.select { { recv = c }, { send = c, value = 1 }, default = true })
    assert.equal("timeout", goro.select { { recv = c }, { send = c, value = 1 }, timeout = 0.01 })
    local b = goro.chan(1)
    assert.equal(2, (goro.select { { recv = b }, { send = b, value = "v" } }))
    assert.same({ n = 3, 1, "v", true }, results(goro.select { { recv = b }, { send = b, value = "w" } }))
    assert.equal(0, b:len())
  end)

  it("of sending and receiving meets the same of another", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = math.max(20, 500 // (tonumber(os.getenv "GORO_SLOW") or 1) | 0)
      local c, done = goro.chan(), goro.chan(2)
      for p = 1, 2 do
        goro.go(function()
          local sent, received = 0, 0
          for _ = 1, n do
            goro.select {
              { send = c, value = p, function() sent = sent + 1 end },
              { recv = c, function(v)
                assert(v ~= p)
                received = received + 1
              end },
            }
          end
          done:send { sent, received }
        end)
      end
      local x, y = done:recv(20), done:recv(20)
      assert(x[1] + x[2] == n and y[1] + y[2] == n)
      assert(x[1] == y[2] and x[2] == y[1])
    end)
  end)
end)

describe("the tables of cases", function()
  it("are read, never changed", function()
    local c, d = goro.chan(1), goro.chan(1)
    local handler = function() end
    local a, b = { recv = c, handler }, { send = d, value = { 1 }, handler }
    local late = function() end
    local cases = { a, b, { recv = false }, timeout = 0.001, on_timeout = late }
    local function check()
      assert.same({ recv = c, [1] = handler }, a)
      assert.same({ send = d, value = { 1 }, [1] = handler }, b)
      assert.is_true(cases[1] == a and cases[2] == b and #cases == 3)
      assert.same({ recv = false }, cases[3])
      assert.equal(0.001, cases.timeout)
      assert.equal(late, cases.on_timeout)
      local n = 0
      for _ in pairs(cases) do n = n + 1 end
      assert.equal(5, n)
      for _, t in ipairs { cases, a, b } do assert.is_nil(getmetatable(t)) end
    end
    for _ = 1, 3 do
      goro.select(cases)
      check()
      goro.select(cases)
      check()
      if d:len() == 1 then d:recv() end
    end
  end)

  it("may be reused, also with changes between", function()
    local c, d = goro.chan(1), goro.chan(1)
    local cases = { { send = c, value = 1 }, { recv = c } }
    for i = 1, 10 do
      cases[1].value = i
      assert.equal(1, (goro.select(cases)))
      assert.same({ n = 3, 2, i, true }, results(goro.select(cases)))
    end
    cases[1] = { recv = d }
    cases.default = true
    assert.equal("default", goro.select(cases))
    d:send "x"
    assert.same({ n = 3, 1, "x", true }, results(goro.select(cases)))
  end)

  it("may be used by several goroutines at once, each its copy", function()
    passes(function()
      local goro = require "goro"
      local c, d, out = goro.chan(), goro.chan(), goro.chan(100)
      local cases = { { recv = c, function(v) return "c" .. v end }, { recv = d, function(v) return "d" .. v end } }
      for _ = 1, 10 do goro.go(function() out:send((goro.select(cases))) end) end
      for i = 0, 4 do
        c:try_send(i, 10)
        d:try_send(i, 10)
      end
      local got = {}
      for _ = 1, 10 do got[#got + 1] = out:recv(10) end
      table.sort(got)
      assert(table.concat(got, " ") == "c0 c1 c2 c3 c4 d0 d1 d2 d3 d4")
    end)
  end)

  it("may hold many cases", function()
    passes_anywhere(function()
      local goro = require "goro"
      local n = 500
      local chans, cases = {}, {}
      for i = 1, n do
        chans[i] = goro.chan()
        cases[i] = { recv = chans[i] }
      end
      cases.timeout = 20
      for _, i in ipairs { 1, 250, n } do
        goro.go(function()
          goro.sleep(0.01)
          chans[i]:send(i * 2)
        end)
        local k, v, ok = goro.select(cases)
        assert(k == i and v == i * 2 and ok)
      end
      cases.timeout = 0
      assert(goro.select(cases) == "timeout")
    end)
  end)
end)

describe("misuse of select", function()
  local c

  before_each(function() c = full "stays" end)

  after_each(function()
    -- A call that failed has changed nothing.
    assert.equal(1, c:len())
    assert.equal("stays", (c:recv(0)))
  end)

  it("is an argument that is no table", function()
    raises("bad argument #1 to 'select' (table expected, got no value)", function() goro.select() end)
    raises("bad argument #1 to 'select' (table expected, got nil)", function() goro.select(nil) end)
    raises("bad argument #1 to 'select' (table expected, got number)", function() goro.select(5) end)
    raises("bad argument #1 to 'select' (table expected, got goro.chan)", function() goro.select(c) end)
  end)

  local BAD = "^bad argument #1 to 'select' %(.+%)$"

  it("is a case that is no table", function()
    raises_match(BAD, function() goro.select { { recv = c }, c } end)
    raises_match(BAD, function() goro.select { { recv = c }, 5 } end)
    raises_match(BAD, function() goro.select { { recv = c }, "recv" } end)
    raises_match(BAD, function() goro.select { { recv = c }, false } end)
    raises_match(BAD, function() goro.select { { recv = c }, function() end } end)
  end)

  it("is a case that says neither recv nor send", function()
    raises_match(BAD, function() goro.select { { recv = c }, {} } end)
    raises_match(BAD, function() goro.select { { recv = c }, { value = 1 } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { function() end } } end)
  end)

  it("is both recv and send in one case", function()
    local d = goro.chan(1)
    raises_match(BAD, function() goro.select { { recv = c, send = d, value = 1 } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { recv = d, send = d } } end)
    assert.equal(0, d:len())
  end)

  it("is a recv or send that is no channel", function()
    raises_match(BAD, function() goro.select { { recv = c }, { recv = 5 } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { recv = true } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { recv = {} } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { recv = io.stdout } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { send = "c", value = 1 } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { send = true } } end)
  end)

  it("is a handler that is no function", function()
    raises_match(BAD, function() goro.select { { recv = c, 5 } } end)
    raises_match(BAD, function() goro.select { { recv = c, "f" } } end)
    raises_match(BAD, function() goro.select { { recv = c }, { send = goro.chan(), true } } end)
  end)

  it("is both default and timeout", function()
    raises_match(BAD, function() goro.select { { recv = c }, default = true, timeout = 1 } end)
    raises_match(BAD, function() goro.select { { recv = c }, default = function() end, timeout = 0 } end)
    raises_match(BAD, function() goro.select { default = true, timeout = math.huge } end)
  end)

  it("is a default that is neither true nor a function", function()
    raises_match(BAD, function() goro.select { { recv = c }, default = 5 } end)
    raises_match(BAD, function() goro.select { { recv = c }, default = "x" } end)
    raises_match(BAD, function() goro.select { { recv = c }, default = {} } end)
  end)

  it("is a timeout that is no number, and NaN", function()
    raises_match(BAD, function() goro.select { { recv = c }, timeout = "soon" } end)
    raises_match(BAD, function() goro.select { { recv = c }, timeout = {} } end)
    raises_match(BAD, function() goro.select { { recv = c }, timeout = true } end)
    raises_match(BAD, function() goro.select { { recv = c }, timeout = 0 / 0 } end)
  end)

  it("is an on_timeout that is no function", function()
    raises_match(BAD, function() goro.select { { recv = c }, timeout = 1, on_timeout = 5 } end)
    raises_match(BAD, function() goro.select { { recv = c }, timeout = 1, on_timeout = true } end)
  end)

  it("is told in a goroutine at its line too", function()
    local f = function() goro.select(5) end
    local info = debug.getinfo(f, "S")
    local ok, err = pcall(goro.run, f)
    assert.is_false(ok)
    assert.equal(("%s:%d: bad argument #1 to 'select' (table expected, got number)"):format(info.short_src, info.linedefined), err)
  end)
end)

describe("the choice", function()
  -- Pearson's statistic must stay below the bound that a uniform choice exceeds once in 10^6 runs
  -- (the quantile of the chi-square distribution for cells - 1 degrees of freedom).
  local BOUND = { [1] = 23.928, [2] = 27.631, [4] = 33.377, [7] = 40.522, [15] = 56.493 }
  local CHOICES = 100000

  local function chi_square(counts, cells, total)
    local expected, sum = total / cells, 0
    for i = 1, cells do sum = sum + ((counts[i] or 0) - expected) ^ 2 / expected end
    return sum
  end

  it("is uniform among ready receives", function()
    local cases, counts = {}, {}
    for i = 1, 8 do cases[i], counts[i] = { recv = closed() }, 0 end
    for _ = 1, CHOICES do
      local i = goro.select(cases)
      counts[i] = counts[i] + 1
    end
    assert.is_true(chi_square(counts, 8, CHOICES) < BOUND[7], table.concat(counts, " "))
  end)

  it("is uniform among ready receives in a goroutine", function()
    local counts = goro.run(function(n)
      local goro = require "goro"
      local cases, counts = {}, {}
      for i = 1, 8 do
        cases[i], counts[i] = { recv = goro.chan() }, 0
        cases[i].recv:close()
      end
      for _ = 1, n do
        local i = goro.select(cases)
        counts[i] = counts[i] + 1
      end
      return counts
    end, CHOICES)
    assert.is_true(chi_square(counts, 8, CHOICES) < BOUND[7], table.concat(counts, " "))
  end)

  it("is uniform among receives and sends", function()
    local cases, counts = {}, { 0, 0, 0, 0, 0 }
    for i = 1, 5 do
      if i % 2 == 0 then cases[i] = { send = goro.chan(1), value = i } else cases[i] = { recv = closed() } end
    end
    for _ = 1, CHOICES do
      local i = goro.select(cases)
      counts[i] = counts[i] + 1
      if cases[i].send then cases[i].send:recv() end
    end
    assert.is_true(chi_square(counts, 5, CHOICES) < BOUND[4], table.concat(counts, " "))
  end)

  it("is uniform among those that are ready, wherever they stand", function()
    local cases, counts, place = {}, { 0, 0, 0 }, { [2] = 1, [3] = 2, [8] = 3 }
    for i = 1, 8 do cases[i] = { recv = place[i] and closed() or goro.chan() } end
    cases[5].recv = false
    for _ = 1, CHOICES do
      local at = place[goro.select(cases)]
      counts[at] = counts[at] + 1
    end
    assert.is_true(chi_square(counts, 3, CHOICES) < BOUND[2], table.concat(counts, " "))
  end)

  it("does not depend on the one before", function()
    local cases, counts = {}, {}
    for i = 1, 4 do cases[i] = { recv = closed() } end
    for _ = 1, CHOICES // 2 do
      local cell = (goro.select(cases) - 1) * 4 + (goro.select(cases))
      counts[cell] = (counts[cell] or 0) + 1
    end
    assert.is_true(chi_square(counts, 16, CHOICES // 2) < BOUND[15])
  end)

  it("differs from goroutine to goroutine", function()
    local function sequence()
      local goro = require "goro"
      local c, s = goro.chan(), {}
      c:close()
      for i = 1, 64 do s[i] = goro.select { { recv = c }, { recv = c } } end
      return table.concat(s)
    end
    local seen = {}
    for _ = 1, 10 do
      local s = goro.run(sequence)
      assert.is_nil(seen[s])
      seen[s] = true
    end
  end)
end)
