-- SPDX-License-Identifier: MIT
-- goro.group and goro.map: nothing of them is left behind, the first error is raised with its value and traceback, limits hold.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"
local context = require "goro.context"

local passes, passes_anywhere, raises = helper.passes, helper.passes_anywhere, helper.raises

local function results(...) return { n = select("#", ...), ... } end

describe("a group", function()
  it("waits for all", function()
    passes_anywhere(function()
      local goro = require "goro"
      local g, c = goro.group(), goro.chan(100)
      assert(select("#", g:wait()) == 0)
      for i = 1, 20 do
        assert(select("#", g:go(function(...)
          goro.sleep(0.001 * (i % 5))
          c:send(select("#", ...) + i)
        end, nil, i, nil)) == 0)
      end
      g:wait()
      assert(c:len() == 20)
      local sum = 0
      for _ = 1, 20 do sum = sum + c:recv() end
      assert(sum == 210 + 60)
      g:go(function() c:send "again" end)
      g:wait()
      assert(c:len() == 1)
    end)
  end)

  it("raises the first error, with its value and where it was thrown", function()
    passes_anywhere(function()
      local goro = require "goro"
      local g = goro.group()
      local class = { __tostring = function() return "class" end }
      local second = goro.chan()
      g:go(function()
        local function thrower() error(setmetatable({ code = 7 }, class)) end
        thrower()
      end)
      g:go(function() second:recv() error "the second" end)
      g.ctx:done():recv()
      assert(g.ctx:err() == "canceled")
      assert(g.ctx:cause().code == 7 and getmetatable(g.ctx:cause()) == class)
      second:send(true)
      for _ = 1, 2 do
        local ok, err = pcall(g.wait, g)
        assert(not ok and err.code == 7 and getmetatable(err) == class)
        assert(goro.traceback():find("in upvalue 'thrower'", 1, true) or goro.traceback():find("thrower", 1, true), goro.traceback())
      end
    end)
  end)

  it("has errors of any kind as the cause of its context", function()
    local values = { "text", ("long"):rep(100), 1, 1.5, true, false, { 1, { 2 } }, print, goro.chan(), math.huge }
    for _, v in ipairs(values) do
      local g = goro.group()
      g:go(function() error(v, 0) end)
      local ok, err = pcall(g.wait, g)
      assert.is_false(ok)
      assert.same(v, err)
      assert.same(v, g.ctx:cause())
    end
    local g = goro.group()
    g:go(function() error() end)
    assert.same({ n = 2, false, nil }, results(pcall(g.wait, g)))
  end)

  it("cancels what hangs on its context, and is cancelled by its parent", function()
    local parent = context.with_cancel(context.background())
    local g = goro.group { ctx = parent }
    local child = context.with_cancel(g.ctx)
    assert.is_nil(child:err())
    assert.is_true(rawequal(g.ctx, g.ctx))
    g:go(error, "enough")
    assert.is_false((pcall(g.wait, g)))
    assert.equal("canceled", child:err())
    assert.equal("enough", child:cause())
    assert.is_nil(parent:err())
    local h = goro.group { ctx = parent }
    parent:cancel "over"
    assert.equal("over", h.ctx:cause())
    h:go(function() end)
    h:wait()
  end)

  it("runs no more at once than its limit, first come, first served", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function()
        local goro = require "goro"
        for _, limit in ipairs { 1, 3 } do
          local g, counts = goro.group { limit = limit }, goro.sync.map()
          for _ = 1, 30 do
            g:go(function()
              local now = counts:update("running", function(n) return (n or 0) + 1 end)
              counts:update("most", function(n) return math.max(n or 0, now) end)
              goro.sleep(0.001)
              counts:update("running", function(n) return n - 1 end)
            end)
          end
          g:wait()
          assert(counts:get "most" <= limit and counts:get "running" == 0)
        end
        local g, order, hold = goro.group { limit = 1 }, goro.chan(10), goro.chan()
        g:go(function() hold:recv() end)
        for i = 1, 5 do
          goro.go(function() g:go(function() order:send(i) end) end)
          repeat
            goro.sleep(0.001)
            local _, n = goro.runtime.dump():gsub("group wait", "")
          until n == i
        end
        hold:send(true)
        for i = 1, 5 do assert(order:recv() == i) end
        g:wait()
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)

  it("keeps its places when something cannot be started", function()
    local g = goro.group { limit = 1 }
    for _ = 1, 3 do
      raises("cannot send argument #2 (thread)", function() g:go(print, coroutine.create(print)) end)
    end
    g:go(function() end)
    g:wait()
    raises("cannot send argument #2 (thread)", function() goro.group():go(print, coroutine.create(print)) end)
  end)

  it("counts a goroutine that exits as ended", function()
    local g = goro.group { limit = 2 }
    for _ = 1, 10 do g:go(goro.goexit) end
    assert.same({ n = 0 }, results(g:wait()))
  end)

  it("is the same everywhere", function()
    passes_anywhere(function()
      local goro = require "goro"
      local g, c = goro.group { limit = 3 }, goro.chan(10)
      local back = goro.run(function()
        g:go(function() g:go(function() c:send "inner" end) end)
        return g
      end)
      assert(rawequal(back, g) and back.ctx == g.ctx)
      assert(goro.run(function() return g.ctx end) == g.ctx)
      g:wait()
      assert(c:recv(0) == "inner")
      assert(tostring(g):find "^goro%.group: 0x%x+$" and getmetatable(g).__name == "goro.group")
      assert(g.nothing == nil and g[1] == nil)
    end)
  end)

  it("refuses what is misuse", function()
    local g = goro.group()
    raises("bad argument #1 to 'go' (function expected, got no value)", function() g:go() end)
    raises("bad argument #1 to 'go' (function expected, got table)", function() g:go {} end)
    raises("bad argument #1 to 'group' (table expected, got number)", function() goro.group(1) end)
    raises("bad argument #1 to 'group' ('limit' must be at least 1)", function() goro.group { limit = 0 } end)
    raises("bad argument #1 to 'group' ('limit' must be at least 1)", function() goro.group { limit = -3 } end)
    raises("bad argument #1 to 'group' ('limit': number has no integer representation)", function() goro.group { limit = 1.5 } end)
    raises("bad argument #1 to 'group' ('limit': number expected, got string)", function() goro.group { limit = "2" } end)
    raises("bad argument #1 to 'group' ('ctx': goro.context expected, got number)", function() goro.group { ctx = 1 } end)
    raises("bad argument #1 to 'group' ('ctx': goro.context expected, got goro.chan)", function() goro.group { ctx = goro.chan() } end)
    assert.is_truthy(goro.group { limit = math.huge })
    assert.is_truthy(goro.group { limit = 2.0 })
  end)

  it("shows in dumps and in the deadlock report", function()
    passes(function()
      local goro = require "goro"
      local g = goro.group { limit = 1 }
      g:go(function() goro.chan():recv() end)
      goro.go(function() g:go(print) end)
      goro.go(function() g:wait() end)
      repeat
        goro.sleep(0.001)
        local _, n = goro.runtime.dump():gsub("group wait", "")
      until n == 2
      local ok, err = pcall(g.wait, g)
      assert(not ok and err:find "all goroutines are asleep %- deadlock!\n" and err:find("group wait", 1, true), err)
    end)
  end)

  it("is waited for where Lua cannot yield", function()
    passes_anywhere(function()
      local goro = require "goro"
      table.sort({ 1, 2, 3 }, function(a, b)
        local g <close> = goro.group { limit = 1 }
        for _ = 1, 3 do g:go(function() goro.sleep(0.001) end) end
        g:wait()
        return a < b
      end)
      local co = coroutine.wrap(function()
        local g <close> = goro.group()
        g:go(function() goro.sleep(0.01) end)
        return "waited"
      end)
      assert(co() == "waited")
    end)
  end)
end)

describe("leaving the block of a group", function()
  it("waits, whichever way it is left", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(10)
      local function slow() goro.sleep(0.02) c:send "ended" end
      local function ended() assert(select(2, c:recv(0)) == true, "not waited for") end
      do
        local g <close> = goro.group()
        g:go(slow)
      end
      ended()
      local function returns()
        local g <close> = goro.group()
        g:go(slow)
        return 1, 2
      end
      assert(select("#", returns()) == 2)
      ended()
      for _ = 1, 2 do -- luacheck: ignore 512
        local g <close> = goro.group()
        g:go(slow)
        break
      end
      ended()
      assert(not pcall(function()
        local g <close> = goro.group()
        g:go(slow)
        error "left"
      end))
      ended()
      local co = coroutine.create(function()
        local g <close> = goro.group()
        g:go(slow)
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
      ended()
      goro.run(function()
        local g <close> = goro.group()
        g:go(slow)
        goro.goexit()
      end)
      ended()
    end)
  end)

  it("by an error cancels, and that error goes on", function()
    passes_anywhere(function()
      local goro = require "goro"
      local seen = goro.chan(1)
      local mine = { "mine" }
      local ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(function(ctx)
          ctx:done():recv()
          seen:send(ctx:cause())
          error "a consequence"
        end, g.ctx)
        error(mine)
      end)
      assert(not ok and err == mine)
      assert(seen:recv()[1] == "mine")
      ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(function() g.ctx:done():recv() end)
        error(coroutine.create(print))
      end)
      assert(not ok and type(err) == "thread")
    end)
  end)

  it("raises the first error, if nobody has been told of it", function()
    passes_anywhere(function()
      local goro = require "goro"
      local ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(error, "untold")
      end)
      assert(not ok and err == "untold")
      ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(error, "told")
        assert(not pcall(g.wait, g))
      end)
      assert(ok, err)
      ok, err = pcall(function() -- what went wrong first
        local g <close> = goro.group()
        g:go(error, "the first")
        g.ctx:done():recv()
        error "because of it"
      end)
      assert(not ok and err == "the first")
      ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(error, "told")
        g:wait()
      end)
      assert(not ok and err == "told")
    end)
  end)

  it("waits also when a panic comes meanwhile, and raises it then", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local c = goro.chan(1)
      local ok, err = pcall(function()
        local g <close> = goro.group()
        g:go(function() goro.sleep(0.05) c:send "ended" end)
        goro.go(error, "a panic")
      end)
      assert(not ok and err == "a panic", err)
      assert(c:recv(0) == "ended")
      c = goro.chan(1)
      ok, err = pcall(goro.map, { 1, 2, 3 }, function(i)
        if i == 1 then goro.go(error, "another") end
        goro.sleep(0.05)
        return i
      end)
      assert(not ok and err == "another", err)
    end)
    assert.equal(0, r.code, helper.describe(r))
  end)

  it("ends with the script", function()
    passes(function()
      local goro = require "goro"
      local started = goro.chan()
      for i = 1, 10 do
        goro.go(function()
          local g <close> = goro.group { limit = 2 }
          for j = 1, 5 do
            if j == 3 then started:send(true) end
            g:go(function() if i % 2 == 0 then goro.sleep(100) end goro.chan():recv() end)
          end
        end)
      end
      for _ = 1, 10 do started:recv() end
      goro.sleep(0.01)
    end)
  end)
end)

describe("goro.map", function()
  it("keeps the list's order", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes_anywhere(function()
        local goro = require "goro"
        local list = {}
        for i = 1, 200 do list[i] = i end
        for _, opts in ipairs { {}, { limit = 1 }, { limit = 7 }, { limit = 1000 }, { limit = math.huge } } do
          local out = goro.map(list, function(v, i)
            assert(v == i)
            if v % 20 == 0 then goro.sleep(math.random() * 0.002) end
            return { v * 2 }, "ignored"
          end, opts)
          assert(#out == 200)
          for i = 1, 200 do assert(out[i][1] == i * 2) end
        end
        assert(#goro.map({}, error) == 0)
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)

  it("takes and gives values of every kind", function()
    assert.same({ 2, 4, 6 }, goro.map({ 1, 2, 3 }, function(n) return n * 2 end))
    assert.same({ "A", "B" }, goro.map({ "a", "b" }, string.upper))
    local c = goro.chan()
    assert.equal(c, goro.map({ { c } }, function(t) return t[1] end)[1])
    local out = goro.map({ 1, 2, 3 }, function(n) if n ~= 2 then return n end end)
    assert.same({ 1, nil, 3 }, out)
    local up = { x = 1 }
    assert.same({ 2, 3 }, goro.map({ 1, 2 }, function(n) return n + up.x end))
    local proxy = setmetatable({}, { __len = function() return 3 end, __index = function(_, i) return i * 10 end })
    assert.same({ 10, 20, 30 }, goro.map(proxy, function(v) return v end))
  end)

  it("raises the first error, and starts no more", function()
    passes_anywhere(function()
      local goro = require "goro"
      local list, ran = {}, goro.sync.map()
      for i = 1, 1000 do list[i] = i end
      local ok, err = pcall(goro.map, list, function(v)
        ran:set(v, true)
        local function thrower() error { at = v } end
        if v == 5 then thrower() end
        goro.sleep(0.0005)
      end, { limit = 4 })
      assert(not ok and err.at == 5)
      assert(goro.traceback():find("thrower", 1, true), goro.traceback())
      assert(#ran < 100, #ran)
      local n = #ran
      goro.sleep(0.01)
      assert(#ran == n, "left behind")
      assert(not pcall(goro.map, { 1 }, function() return coroutine.create(print) end))
    end)
  end)

  it("goes on when its function exits", function()
    local list = {}
    for i = 1, 50 do list[i] = i end
    local out = goro.map(list, function(v)
      if v % 2 == 0 then goro.goexit() end
      return v
    end, { limit = 3 })
    for i = 1, 50 do assert.equal(i % 2 == 1 and i or nil, out[i]) end
  end)

  it("runs no more at once than its limit", function()
    local goro = goro
    local counts = goro.sync.map()
    goro.map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, function()
      local now = counts:update("running", function(n) return (n or 0) + 1 end)
      counts:update("most", function(n) return math.max(n or 0, now) end)
      goro.sleep(0.002)
      counts:update("running", function(n) return n - 1 end)
    end, { limit = 3 })
    assert.is_true(counts:get "most" <= 3 and counts:get "most" > 1)
  end)

  it("may be nested, and called anywhere", function()
    passes_anywhere(function()
      local goro = require "goro"
      local out = goro.map({ 1, 2, 3 }, function(i)
        return goro.map({ 1, 2, 3 }, function(j) return i * j end)
      end)
      assert(out[3][2] == 6)
      table.sort({ 3, 1, 2 }, function(a, b)
        local m = goro.map({ a, b }, function(v) goro.sleep(0.001) return v end)
        return m[1] < m[2]
      end)
      assert(coroutine.wrap(function() return goro.map({ 1 }, function() return 1 end)[1] end)() == 1)
    end)
  end)

  it("runs 256 at a time for I/O", function()
    helper.passes(function()
      local goro = require "goro"
      local now, items = goro.sync.atomic(), {}
      for i = 1, 600 do items[i] = i end
      local gate = goro.sync.semaphore(600)
      gate:acquire(600)
      goro.go(function()
        repeat goro.sleep(0.01) until now:load() == 256
        goro.sleep(0.05)
        assert(now:load() == 256)
        gate:release(600)
      end)
      local results = goro.map(items, function(i)
        now:add(1)
        gate:acquire()
        now:add(-1)
        return i
      end, { limit = "io" })
      assert(#results == 600)
    end)
  end)

  it("refuses what is misuse", function()
    raises("bad argument #1 to 'map' (table expected, got number)", function() goro.map(1, print) end)
    raises("bad argument #2 to 'map' (function expected, got nil)", function() goro.map({}, nil) end)
    raises("bad argument #3 to 'map' (table expected, got number)", function() goro.map({}, print, 3) end)
    raises("bad argument #3 to 'map' ('limit' must be at least 1)", function() goro.map({}, print, { limit = 0 }) end)
    raises("bad argument #3 to 'map' ('limit': number expected, got string)", function() goro.map({}, print, { limit = "8" }) end)
    raises("cannot send argument #1[2] (thread)", function() goro.map({ 1, coroutine.create(print) }, print) end)
    local co = coroutine.create(print)
    raises("cannot send upvalue 'co' (thread) of function at " .. debug.getinfo(1, "S").short_src .. ":" .. debug.getinfo(1, "l").currentline + 1,
      function() goro.map({ 1 }, function() return co end) end)
  end)

  it("takes 100,000 items quickly", function()
    passes(function(n)
      local goro = require "goro"
      n = tonumber(n)
      local list = {}
      for i = 1, n do list[i] = i end
      local out = goro.map(list, function(v) return v + 1 end)
      for i = 1, n do assert(out[i] == i + 1) end
      assert(#out == n and goro.runtime.stats().spawned < 1000)
    end, { args = { tostring(helper.rounds(100000)) }, timeout = 10 })
  end)
end)

describe("groups under stress", function()
  it("lose, double and leave nothing", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function(rounds)
        local goro = require "goro"
        rounds = tonumber(rounds)
        local ended = goro.sync.map()
        local function round(r)
          math.randomseed(r)
          local began = 0
          local fails, leaves = math.random(4) == 1, math.random(4) == 1
          local limit = math.random(3) == 1 and math.random(1, 5) or nil
          local ok, err = pcall(function()
            local g <close> = goro.group { limit = limit }
            for i = 1, math.random(20) do
              g:go(function(what)
                local _ <close> = setmetatable({}, { __close = function() ended:update(r, function(n) return (n or 0) + 1 end) end })
                if what == 1 then goro.sleep(0.0002) elseif what == 2 then goro.gosched() elseif what == 3 then goro.goexit()
                elseif what == 4 and fails then error("failed " .. r, 0)
                elseif what == 5 and fails then g.ctx:done():recv(0.005) end
              end, math.random(6))
              began = i
              if i == 10 and leaves then error("left " .. r, 0) end
            end
          end)
          assert((ended:delete(r) or 0) == began, "not all had ended")
          if not ok then assert(err == "failed " .. r or err == "left " .. r, err) end
          assert(ok or fails or leaves)
        end
        goro.map((function() local l = {} for i = 1, rounds do l[i] = i end return l end)(), round, { limit = 6 })
        assert(#ended == 0)
        for _ = 1, 1000 do
          if goro.num_goroutine() == 1 then return end
          goro.sleep(0.001)
        end
        error "left behind"
      end, { env = { GOROMAXPROCS = procs }, args = { tostring(helper.rounds(300)) } })
    end
  end)

  it("give their memory back", function()
    passes(function()
      local goro = require "goro"
      local testing = require "goro.testing"
      local function once()
        pcall(function()
          local g <close> = goro.group { limit = 2 }
          for i = 1, 5 do g:go(function() if i == 3 then error { ("x"):rep(100) } end end) end
        end)
        pcall(goro.map, { 1, { 2 }, "three" }, function(v, i) if i == 3 then error "three" end return v end)
        goro.map({ 1, { 2 }, "three" }, function(v) return v end)
      end
      local function live()
        for _ = 1, 100 do
          if goro.num_goroutine() == 1 then break end
          goro.sleep(0.001)
        end
        collectgarbage() collectgarbage()
        return testing.live()
      end
      for _ = 1, 20 do once() end
      local before = live()
      for _ = 1, 100 do once() end
      assert(live() <= before + 10, live() - before)
    end)
  end)

  it("raise or work without memory", function()
    local r = helper.run_function(function()
      local goro, faults = require "goro", require "spec.faults"
      local function once()
        local c = goro.chan(10)
        do
          local g <close> = goro.group { limit = 2 }
          for i = 1, 3 do g:go(function(v) c:send(v) end, { i }) end
        end
        assert(c:len() == 3)
        assert(goro.map({ 1, { 2 } }, function(v) return v end, { limit = 2 })[2][1] == 2)
      end
      once()
      local n, failures = faults.each(once)
      assert(failures > 3, failures .. " of " .. n)
    end, { timeout = 120 })
    assert.equal(0, r.code, helper.describe(r))
  end)
end)
