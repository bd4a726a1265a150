-- SPDX-License-Identifier: MIT
-- goro.context: every row of the contract, and what Go's own tests of its package context check.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"
local context = require "goro.context"

local passes, passes_anywhere, raises, raises_match = helper.passes, helper.passes_anywhere, helper.raises, helper.raises_match

local NAN = 0 / 0
local background = context.background

local function is_done(c)
  local v, ok, why = c:done():recv(0)
  assert.is_nil(v)
  return ok == false and why == nil
end

local function ended(c, err)
  assert.equal(err, c:err())
  assert.is_true(is_done(c))
end

local function lives(c)
  assert.is_nil(c:err())
  assert.is_nil(c:cause())
  assert.is_false(is_done(c))
end

describe("the background", function()
  it("is one, and never ends", function()
    assert.equal(background(), background())
    assert.is_true(rawequal(background(), goro.context.background()))
    lives(background())
    assert.is_nil(background():deadline())
    assert.is_nil(background():value "key")
    assert.equal(background():done(), background():done())
    assert.truthy(tostring(background()):find "^goro%.context: 0x")
    do local _ <close> = background() end
    lives(background())
  end)

  it("cannot be cancelled", function()
    local text = "cancel of a context that was not made by with_cancel, with_timeout or with_deadline"
    raises(text, function() background():cancel() end)
    raises(text, function() context.with_value(context.with_cancel(background()), 1, 2):cancel "why" end)
  end)
end)

describe("cancelling", function()
  it("has reached everything below when it returns", function()
    local c1 = context.with_cancel(background())
    local c2 = context.with_value(c1, "key", "value")
    local c3 = context.with_cancel(c2)
    local all = { c1, c2, c3, context.with_timeout(c3, 1000), context.with_value(c3, 1, 1) }
    for _, c in ipairs(all) do lives(c) end
    assert.same(0, select("#", c1:cancel()))
    for _, c in ipairs(all) do ended(c, "canceled") end
  end)

  it("of a child leaves its parent alone", function()
    for _, parent in ipairs { background(), context.with_cancel(background()), context.with_value(background(), 1, 1) } do
      local child, sibling = context.with_cancel(parent), context.with_cancel(parent)
      child:cancel()
      ended(child, "canceled")
      lives(parent)
      lives(sibling)
    end
  end)

  it("of a parent makes children born later end at once, for the same cause", function()
    local parent = context.with_cancel(background())
    parent:cancel "closing time"
    for _, child in ipairs { context.with_cancel(parent), context.with_timeout(parent, 100), context.with_timeout(parent, -1),
                             context.with_value(parent, "a", 1), context.with_cancel(context.with_cancel(parent)) } do
      ended(child, "canceled")
      assert.equal("closing time", child:cause())
    end
  end)

  it("again does nothing", function()
    local c = context.with_cancel(background())
    c:cancel "first"
    c:cancel "second"
    c:cancel()
    assert.equal("first", c:cause())
    local late = context.with_timeout(background(), 0)
    ended(late, "deadline exceeded")
    late:cancel "too late"
    ended(late, "deadline exceeded")
    assert.equal("deadline exceeded", late:cause())
  end)

  it("happens when a block is left", function()
    local kept
    do
      local c <close> = context.with_cancel(background())
      local d <close> = context.with_timeout(c, 100)
      local v <close> = context.with_value(d, 1, 1)
      kept = { c, d, v }
      for _, each in ipairs(kept) do lives(each) end
    end
    for _, each in ipairs(kept) do ended(each, "canceled") end
    pcall(function()
      local c <close> = context.with_cancel(background())
      kept = c
      error "left"
    end)
    ended(kept, "canceled")
    local v = context.with_value(context.with_cancel(background()), 1, 1)
    do local _ <close> = v end
    lives(v)
  end)

  it("wakes who waits, by receive, select, range, in coroutines and where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      local context = goro.context
      local c = context.with_cancel(context.background())
      local inner = context.with_value(context.with_timeout(c, 1000), "a", 1)
      local out = goro.chan(10)
      goro.go(function() out:send(select("#", inner:done():recv())) end)
      goro.go(function() out:send((goro.select { { recv = goro.chan() }, { recv = inner:done() }, timeout = 100 })) end)
      goro.go(function() for _ in c:done():range() do error "a message" end out:send "range" end)
      goro.go(function() coroutine.wrap(function() inner:done():recv() out:send "coroutine" end)() end)
      goro.go(function()
        table.sort({ 1, 2 }, function(a, b) inner:done():recv() return a < b end)
        out:send "sort"
      end)
      goro.sleep(0.02)
      c:cancel()
      local got = {}
      for _ = 1, 5 do got[tostring(out:recv(10))] = true end
      for _, k in ipairs { "2", "range", "coroutine", "sort" } do assert(got[k], k) end
    end)
  end)

  it("is misuse of anything else", function()
    raises("bad argument #1 to 'with_cancel' (goro.context expected, got no value)", function() context.with_cancel() end)
    raises("bad argument #1 to 'with_cancel' (goro.context expected, got nil)", function() context.with_cancel(nil) end)
    raises("bad argument #1 to 'with_timeout' (goro.context expected, got number)", function() context.with_timeout(1, 1) end)
    raises("bad argument #1 to 'with_value' (goro.context expected, got goro.chan)", function() context.with_value(goro.chan(), 1, 1) end)
    raises_match("^bad argument #1 to .*%(goro%.context expected, got table%)", function() background().cancel {} end)
  end)
end)

describe("a cause", function()
  it("may be any value that can be sent, and is copied for each who asks", function()
    for _, cause in ipairs { "why", 12, 1.5, true, false, ("long"):rep(100) } do
      local c = context.with_cancel(background())
      local child = context.with_value(context.with_cancel(c), 1, 1)
      c:cancel(cause)
      assert.equal(cause, c:cause())
      assert.equal(cause, child:cause())
      ended(child, "canceled")
    end
    local c = context.with_cancel(background())
    local t = { 1, { 2 } }
    c:cancel(t)
    assert.same(t, c:cause())
    assert.not_equal(t, c:cause())
    assert.not_equal(c:cause(), c:cause())
  end)

  it("is what err says when none was given", function()
    local c = context.with_cancel(background())
    c:cancel(nil)
    assert.equal("canceled", c:cause())
    assert.equal("deadline exceeded", context.with_cancel(context.with_timeout(background(), 0)):cause())
  end)

  it("of the nearest that ended first stays", function()
    local parent = context.with_cancel(background())
    local child = context.with_cancel(parent)
    local grandchild = context.with_cancel(child)
    child:cancel "child's"
    parent:cancel "parent's"
    assert.equal("child's", child:cause())
    assert.equal("child's", grandchild:cause())
    assert.equal("parent's", parent:cause())
  end)

  it("that cannot be sent is misuse, and changes nothing", function()
    local c = context.with_cancel(background())
    raises("cannot send argument #1.co (thread)", function() c:cancel { co = coroutine.create(print) } end)
    lives(c)
  end)
end)

describe("a deadline", function()
  it("ends its context and what is below, and is never early", function()
    for _, make in ipairs {
      function() return context.with_timeout(background(), 0.02) end,
      function() return context.with_deadline(background(), goro.time.now() + 0.02) end,
      function() return context.with_value(context.with_timeout(background(), 0.02), 1, 1) end,
      function() return context.with_timeout(context.with_timeout(background(), 0.02), 1000) end,
      function() return context.with_timeout(context.with_timeout(background(), 1000), 0.02) end,
      function() return context.with_cancel(context.with_timeout(background(), 0.02)) end,
    } do
      local start = goro.time.mono()
      local c = make()
      lives(c)
      local d = c:deadline()
      assert.is_true(math.abs(d - goro.time.now() - 0.02) < helper.limit(0.02))
      local v, ok, why = c:done():recv(helper.limit(5))
      assert.same({ nil, false, nil }, { v, ok, why })
      assert.is_true(goro.time.mono() - start >= 0.0199)
      ended(c, "deadline exceeded")
      assert.equal("deadline exceeded", c:cause())
    end
  end)

  it("that is past has come", function()
    for _, s in ipairs { 0, -1, -math.huge, -1e300 } do
      ended(context.with_timeout(background(), s), "deadline exceeded")
      ended(context.with_deadline(background(), goro.time.now() + s), "deadline exceeded")
    end
    ended(context.with_deadline(background(), goro.time.now()), "deadline exceeded")
    ended(context.with_cancel(context.with_timeout(background(), 0)), "deadline exceeded")
  end)

  it("is the earliest of its own and those above", function()
    local now = goro.time.now()
    local early = context.with_deadline(background(), now + 100)
    assert.equal(now + 100, early:deadline())
    assert.equal(now + 100, context.with_cancel(early):deadline())
    assert.equal(now + 100, context.with_value(early, 1, 1):deadline())
    assert.equal(now + 100, context.with_deadline(early, now + 200):deadline())
    assert.equal(now + 50, context.with_deadline(early, now + 50):deadline())
    assert.equal(now + 100, early:deadline())
    assert.is_nil(context.with_cancel(background()):deadline())
  end)

  it("of infinity is none", function()
    local c = context.with_timeout(background(), math.huge)
    lives(c)
    assert.is_nil(c:deadline())
    assert.is_nil(context.with_deadline(background(), math.huge):deadline())
    local early = context.with_timeout(background(), 100)
    assert.equal(early:deadline(), context.with_timeout(early, math.huge):deadline())
    c:cancel()
    ended(c, "canceled")
  end)

  it("does not come once its context is cancelled", function()
    local c = context.with_timeout(background(), helper.limit(0.03))
    c:cancel()
    goro.sleep(helper.limit(0.05))
    ended(c, "canceled")
    local parent = context.with_timeout(background(), helper.limit(0.03))
    local child = context.with_timeout(parent, 1000)
    child:cancel()
    parent:done():recv()
    ended(child, "canceled")
    ended(parent, "deadline exceeded")
  end)

  it("is a number", function()
    raises("bad argument #2 to 'with_timeout' (number expected, got nan)", function() context.with_timeout(background(), NAN) end)
    raises("bad argument #2 to 'with_deadline' (number expected, got nan)", function() context.with_deadline(background(), NAN) end)
    raises("bad argument #2 to 'with_timeout' (number expected, got no value)", function() context.with_timeout(background()) end)
    raises("bad argument #2 to 'with_deadline' (number expected, got string)", function() context.with_deadline(background(), "1") end)
  end)
end)

describe("values", function()
  it("are looked for outward", function()
    local c0 = context.with_cancel(background())
    local c1 = context.with_value(c0, "a", "c1a")
    local c2 = context.with_value(c1, "b", "c2b")
    local c3 = context.with_timeout(context.with_value(c2, "c", "c3c"), 100)
    local c4 = context.with_value(c3, "a", nil)
    local function check(c, a, b, d)
      assert.equal(a, c:value "a")
      assert.equal(b, c:value "b")
      assert.equal(d, c:value "c")
    end
    for _ = 1, 2 do
      check(c0, nil, nil, nil)
      check(c1, "c1a", nil, nil)
      check(c2, "c1a", "c2b", nil)
      check(c3, "c1a", "c2b", "c3c")
      check(c4, nil, "c2b", "c3c")
      c0:cancel() -- changes nothing
    end
  end)

  it("have keys that compare as a table's do", function()
    local c = background()
    local keys = { "", "a", "a\0b", ("k"):rep(1000), 1, -1, 0, 1.5, math.huge, -math.huge, math.maxinteger, 2 ^ 63, true, false, "1", "true" }
    for i, k in ipairs(keys) do c = context.with_value(c, k, i) end
    for i, k in ipairs(keys) do assert.equal(i, c:value(k)) end
    assert.equal(5, c:value(1.0))
    assert.equal(7, c:value(-0.0))
    assert.is_nil(c:value "a\0c")
    assert.is_nil(c:value(1.25))
    raises("bad argument #2 to 'with_value' (string, number or boolean expected, got table)", function() context.with_value(c, {}, 1) end)
    raises("bad argument #2 to 'with_value' (string, number or boolean expected, got nil)", function() context.with_value(c, nil, 1) end)
    raises("bad argument #2 to 'with_value' (key is NaN)", function() context.with_value(c, NAN, 1) end)
    raises("bad argument #1 to 'value' (string, number or boolean expected, got function)", function() c:value(print) end)
    raises("bad argument #3 to 'with_value' (value expected)", function() context.with_value(c, 1) end)
  end)

  it("are copied once in, and out for each who asks", function()
    local t = { list = { 1, 2 } }
    local c = context.with_value(background(), "t", t)
    t.list[1] = 5
    local got = c:value "t"
    assert.same({ list = { 1, 2 } }, got)
    got.list[1] = 7
    assert.same({ list = { 1, 2 } }, c:value "t")
    local ch = goro.chan()
    assert.equal(ch, context.with_value(background(), 1, ch):value(1))
    raises("cannot send argument #3[1] (thread)", function() context.with_value(background(), 1, { coroutine.create(print) }) end)
  end)
end)

describe("done", function()
  it("gives the same channel each time, which only receives", function()
    local c = context.with_cancel(background())
    local d = c:done()
    assert.is_true(rawequal(d, c:done()))
    assert.equal(d, context.with_value(c, 1, 1):done())
    assert.not_equal(d, context.with_cancel(c):done())
    raises("close of receive-only channel", function() d:close() end)
    raises("send to receive-only channel", function() d:send(1) end)
    c:cancel()
    assert.is_true(rawequal(d, c:done()))
    assert.same({ nil, false }, { d:recv() })
  end)

  it("is closed for who asks first after the end", function()
    local c = context.with_cancel(background())
    c:cancel()
    ended(c, "canceled")
  end)

  it("keeps a context that nobody can see otherwise", function()
    local parent = context.with_cancel(background())
    local timed, child = context.with_timeout(background(), 0.05):done(), context.with_cancel(context.with_cancel(parent)):done()
    local short = context.with_timeout(background(), 0.001)
    collectgarbage()
    collectgarbage()
    short:done():recv()
    assert.is_false(timed:recv(0) == true)
    assert.same({ nil, false }, { timed:recv(helper.limit(5)) })
    assert.same({ nil, nil, "timeout" }, { child:recv(0) })
    parent:cancel()
    assert.same({ nil, false }, { child:recv(0) })
  end)
end)

describe("contexts", function()
  it("are the same object in every state", function()
    passes_anywhere(function()
      local goro = require "goro"
      local context = require "goro.context"
      local c = context.with_value(context.with_cancel(context.background()), "who", "me")
      local parent = context.with_cancel(context.background())
      local back, who, cancelled, same = goro.run(function(c, parent)
        local context = require "goro.context"
        local child = context.with_cancel(parent)
        parent:cancel("from inside")
        return c, c:value "who", child:err(), context.background()
      end, c, parent)
      assert(rawequal(back, c) and rawequal(same, context.background()))
      assert(who == "me" and cancelled == "canceled" and parent:cause() == "from inside")
      local t = { [c] = 1 }
      assert(t[goro.run(function() return c end)] == 1)
      assert(goro.run(function() return context.with_cancel == require "goro.context".with_cancel end))
      assert(goro.run(function(cancel) return cancel == require "goro.context".background().cancel end, c.cancel))
    end)
  end)

  it("that nobody can cancel let a wait count as asleep", function()
    passes(function()
      local goro = require "goro"
      local context = goro.context
      local c = context.with_cancel(context.background())
      goro.go(function() c:done():recv() end)
      local ok, err = pcall(function() c:done():recv() end)
      assert(not ok and err:find("all goroutines are asleep - deadlock!\n\tchan receive", 1, true), err)
      ok, err = pcall(function() context.background():done():recv() end)
      assert(not ok and err:find("all goroutines are asleep", 1, true), err)
      -- a deadline can still wake, but not one that is over, nor one that nobody sees any more
      context.with_timeout(c, 1000):cancel()
      context.with_timeout(c, 1000)
      collectgarbage() collectgarbage()
      ok, err = pcall(function() c:done():recv() end)
      assert(not ok and err:find("all goroutines are asleep", 1, true), err)
      context.with_timeout(c, 0.05):done():recv()
    end)
  end)

  it("show in dumps as the channel that is waited for", function()
    passes(function()
      local goro = require "goro"
      local context = goro.context
      local c = context.with_cancel(context.background())
      goro.go(function() c:done():recv() end)
      local text
      for _ = 1, 100 do
        goro.sleep(0.02)
        text = goro.runtime.dump()
        if text:find("chan receive", 1, true) then break end
      end
      assert(text:find("chan receive", 1, true), text)
      c:cancel()
    end)
  end)

  it("end with the script", function()
    for _, last in ipairs { "", "os.exit(0, true)", "os.exit(0, false)" } do
      helper.passes_script([[
        local goro = require "goro"
        local context = goro.context
        local c = context.with_timeout(context.background(), 0.03)
        for i = 1, 50 do
          local inner = context.with_timeout(c, i < 25 and 0.001 * i or 100)
          goro.go(function() inner:done():recv() context.with_cancel(inner):done():recv() goro.sleep(100) end)
        end
        goro.sleep(0.02)
      ]] .. last)
    end
  end)
end)

describe("a tree", function()
  it("of 100,000 is cancelled in well under a second: wide, deep, and in between", function()
    passes(function()
      local goro = require "goro"
      local context, time = goro.context, goro.time
      local slow = tonumber(os.getenv "GORO_SLOW") or 1
      local N = 100000
      for _, ways in ipairs { N, 1, 10 } do
        local all = { context.with_cancel(context.background()) }
        for i = 1, N do all[i + 1] = context.with_cancel(all[(i - 1) // ways + 1]) end
        local start = time.mono()
        all[1]:cancel("all")
        local took = time.mono() - start
        assert(took < 0.5 * slow, took)
        for i = 1, N + 1 do assert(all[i]:err() == "canceled" and all[i]:cause() == "all") end
        all = nil -- luacheck: ignore 311
        collectgarbage()
      end
    end)
  end)

  it("keeps no child that was cancelled, collected, or ended by its deadline", function()
    passes(function()
      local goro = require "goro"
      local testing = require "goro.testing"
      local context = goro.context
      local root = context.with_cancel(context.background())
      local parent = context.with_value(root, 1, { "value" })
      local function churn(n)
        for i = 1, n do
          context.with_cancel(parent):cancel("cause" .. i)
          context.with_cancel(parent)
          context.with_timeout(parent, 1000):cancel()
          context.with_timeout(parent, 1000)
          context.with_timeout(context.with_cancel(parent), 0)
          context.with_cancel(context.with_cancel(parent)):done()
        end
        local last = context.with_timeout(parent, 0.001)
        last:done():recv()
        collectgarbage()
        collectgarbage()
      end
      churn(100)
      local before = testing.live()
      churn(3000)
      assert(testing.live() <= before + 8, testing.live() - before)
      root:cancel()
    end)
  end)

  it("of many layers, at random, keeps values and ends from any layer", function()
    local seed = os.time()
    math.randomseed(seed)
    for round = 1, helper.rounds(20) do
      local timed = round % 2 == 0
      local c, cancels, values, timers = background(), {}, {}, 0
      local i = 0
      while i < 30 or timers == 0 or #cancels == 0 or #values == 0 do
        i = i + 1
        local kind = math.random(3)
        if kind == 1 then
          c = context.with_value(c, "key" .. i, { i })
          values[#values + 1] = i
        elseif kind == 2 then
          c = context.with_cancel(c)
          cancels[#cancels + 1] = c
        else
          c = context.with_timeout(c, timed and 0.005 or 1000)
          cancels[#cancels + 1] = c
          timers = timers + 1
        end
      end
      local function check()
        for _, k in ipairs(values) do assert.same({ k }, c:value("key" .. k), "seed " .. seed) end
      end
      check()
      if timed then
        assert.is_false(select(2, c:done():recv(helper.limit(5))), "seed " .. seed)
        assert.equal("deadline exceeded", c:err())
      else
        lives(c)
        cancels[math.random(#cancels)]:cancel()
        ended(c, "canceled")
      end
      check()
    end
  end)
end)

for _, procs in ipairs { 1, 2, 8 } do
  describe("with maxprocs " .. procs .. ",", function()
    local env = { GOROMAXPROCS = procs }

    it("all contexts of a tree may be cancelled at the same time", function()
      passes(function()
        local goro = require "goro"
        local context = goro.context
        for _ = 1, math.max(1, 20 // (tonumber(os.getenv "GORO_SLOW") or 1)) do
          local all = { context.with_cancel(context.background()) }
          for i = 1, 100 do all[i + 1] = context.with_cancel(all[(i - 1) // 4 + 1]) end
          local finished = goro.chan(#all)
          local order = {}
          for i = 1, #all do table.insert(order, math.random(#order + 1), i) end
          for _, i in ipairs(order) do
            local c, kids = all[i], {}
            for k = 4 * (i - 1) + 2, math.min(4 * i + 1, #all) do kids[#kids + 1] = all[k] end
            goro.go(function()
              c:cancel(i)
              -- whoever was first, all below has been reached
              assert(c:err() == "canceled")
              for _, kid in ipairs(kids) do assert(kid:err() == "canceled") end
              finished:send(true)
            end)
          end
          for i = 1, #all do assert(select(2, all[i]:done():recv(30)) == false) end
          for _ = 1, #all do assert(finished:recv(30)) end
        end
      end, { env = env })
    end)

    it("a second cancel returns when everything has been reached, too", function()
      passes(function()
        local goro = require "goro"
        local context = goro.context
        local N = 3000
        for _ = 1, math.max(1, 10 // (tonumber(os.getenv "GORO_SLOW") or 1)) do
          local root = context.with_cancel(context.background())
          local middle = context.with_cancel(root)
          local last = middle
          local all = {}
          for i = 1, N do
            last = context.with_cancel(i % 3 == 0 and last or middle)
            all[i] = last
          end
          local out = goro.chan(4)
          for _, c in ipairs { root, root, middle, middle } do
            goro.go(function()
              c:cancel()
              out:send(last:err() or "not reached")
            end)
          end
          root:cancel()
          for i = 1, N do assert(all[i]:err() == "canceled") end
          for _ = 1, 4 do assert(out:recv() == "canceled") end
        end
      end, { env = env })
    end)

    it("who hears of the parent may cancel the child meanwhile", function()
      passes(function()
        local goro = require "goro"
        local context = goro.context
        for _ = 1, 200 do
          local parent = context.with_cancel(context.background())
          local child = context.with_cancel(parent)
          goro.go(function() parent:done():recv() child:cancel() end)
          parent:cancel()
          assert(child:err() == "canceled" and select(2, child:done():recv(30)) == false)
        end
      end, { env = env })
    end)

    it("random trees, cancelled at random, lose nobody and leak nothing", function()
      passes(function()
        local goro = require "goro"
        local testing = require "goro.testing"
        local context, time = goro.context, goro.time
        local slow = tonumber(os.getenv "GORO_SLOW") or 1
        local woken = goro.chan(10000)

        -- Each makes children of what it has, lets others wait for them, cancels some, forgets some.
        local function worker(root, n)
          local mine, waiting = { root }, 0
          for i = 1, n do
            local parent = mine[math.random(#mine)]
            local what = math.random(6)
            local c
            if what == 1 then c = context.with_timeout(parent, math.random() * 0.002)
            elseif what == 2 then c = context.with_value(parent, i, { i })
            elseif what == 3 and #mine > 1 then
              c = table.remove(mine, math.random(2, #mine))
              if math.random(2) == 1 then pcall(c.cancel, c, { "cause", i }) end
              c = nil
            else c = context.with_cancel(parent)
            end
            if c then
              mine[#mine + 1] = c
              if math.random(3) == 1 then
                waiting = waiting + 1
                goro.go(function()
                  local done = math.random(2) == 1 and c:done() or context.with_cancel(c):done()
                  if math.random(4) == 1 then done:recv(0.001) end
                  done:recv()
                  if math.random(2) == 1 then collectgarbage() end
                  woken:send(true)
                end)
              end
            end
            if math.random(10) == 1 then goro.gosched() end
          end
          return waiting
        end

        local function round()
          local root, counts = context.with_cancel(context.background()), goro.chan(8)
          for _ = 1, 4 do goro.go(function() counts:send(worker(root, 60)) end) end
          goro.sleep(math.random() * 0.002)
          local early = math.random(2) == 1
          if early then root:cancel() end
          local total = 0
          for _ = 1, 4 do total = total + counts:recv() end
          root:cancel()
          for _ = 1, total do assert(woken:recv(60)) end
          assert(woken:len() == 0)
        end
        local function settle()
          local limit = time.mono() + 20
          while goro.num_goroutine() > 1 and time.mono() < limit do goro.sleep(0.001) end
          goro.sleep(0.005)
          collectgarbage() collectgarbage()
        end
        for _ = 1, 5 do round() end
        settle()
        local before = testing.live()
        for _ = 1, math.max(2, 40 // slow) do round() end
        settle()
        assert(testing.live() <= before + 100, testing.live() - before)
      end, { env = env })
    end)
  end)
end

it("without memory, contexts raise or work, and nothing is leaked", function()
  passes(function()
    local goro = require "goro"
    local testing = require "goro.testing"
    local context = goro.context
    local value = { list = { 1, 2, ("long"):rep(100) } }
    local root = context.with_cancel(context.background())
    local function once()
      local c = context.with_value(context.with_timeout(context.with_cancel(root), 100), "a key", value)
      local child = context.with_cancel(c)
      assert(child:value "a key".list[2] == 2)
      local done = child:done()
      local parent = context.with_deadline(c, goro.time.now() + 50)
      parent:cancel { "cause", value }
      assert(parent:cause()[2].list[1] == 1)
      local last = context.with_timeout(parent, 0.001)
      last:done():recv()
      child:cancel()
      assert(select(2, done:recv()) == false)
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
