-- SPDX-License-Identifier: MIT
-- goro.sync.map: keys, values that are copied, update, snapshots, from the script and from goroutines.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"
local sync = require "goro.sync"

local passes, passes_anywhere, raises = helper.passes, helper.passes_anywhere, helper.raises

local NAN = 0 / 0

local function results(...) return { n = select("#", ...), ... } end

describe("a map", function()
  it("holds what was set, until it is deleted", function()
    local m = sync.map()
    assert.same({ n = 1 }, results(m:get "k"))
    assert.same({ n = 0 }, results(m:set("k", 1)))
    assert.equal(1, m:get "k")
    m:set("k", "two")
    assert.equal("two", m:get "k")
    assert.equal(1, m:len())
    assert.equal(1, #m)
    assert.same({ n = 1, "two" }, results(m:delete "k"))
    assert.same({ n = 1 }, results(m:delete "k"))
    assert.same({ n = 1 }, results(m:get "k"))
    m:set("k", false)
    assert.is_false(m:get "k")
    assert.equal(1, #m)
    m:set("k", nil)
    m:set("absent", nil)
    assert.equal(0, #m)
  end)

  it("has keys as Lua's tables have", function()
    local m = sync.map()
    local c, d = goro.chan(), goro.chan()
    local keys = {
      0, 1, -1, math.maxinteger, math.mininteger, 0.5, -0.5, 1e300, math.huge, -math.huge, 2 ^ 63, true, false, "", "1", "a\0b", "a\0c",
      ("long"):rep(1000), ("long"):rep(1000) .. "er", c, d, c:sender(), c:receiver(), m,
    }
    for i, k in ipairs(keys) do m:set(k, i) end
    assert.equal(#keys, #m)
    for i, k in ipairs(keys) do assert.equal(i, m:get(k)) end
    m:set(3, "integer")
    assert.equal("integer", m:get(3.0))
    m:set(4.0, "float")
    assert.equal("float", m:get(4))
    m:set(-0.0, "zero")
    assert.equal("zero", m:get(0))
    assert.is_nil(m:get "3")
    for _, k in ipairs(keys) do m:delete(k) end
    assert.equal(2, #m)
    local k = next({ m:pairs() }) and m:pairs()
    assert.equal("function", type(k))
  end)

  it("copies values in and out", function()
    local m = sync.map()
    local t = { 1, { x = "y" }, f = function(n) return n + 1 end, c = goro.chan(1) }
    t.self = t
    m:set("t", t)
    t[1] = "changed"
    local a, b = m:get "t", m:get "t"
    assert.is_false(a == b)
    assert.equal(1, a[1])
    assert.equal("y", b[2].x)
    assert.equal(a, a.self)
    assert.equal(8, a.f(7))
    assert.equal(t.c, a.c)
    local long = ("x"):rep(100000)
    m:set("long", long)
    assert.equal(long, m:get "long")
    assert.equal(long, m:delete "long")
    for _, v in ipairs { 1, 1.5, true, false, "", "short", ("thirty one characters are many!") } do
      m:set("v", v)
      assert.equal(v, m:get "v")
      assert.equal(math.type(v), math.type(m:get "v"))
    end
  end)

  it("gets or sets", function()
    local m = sync.map()
    local t = {}
    assert.same({ n = 2, 1, false }, results(m:get_or_set("k", 1)))
    assert.same({ n = 2, 1, true }, results(m:get_or_set("k", 2)))
    local v, there = m:get_or_set("t", t)
    assert.equal(t, v)
    assert.is_false(there)
    v, there = m:get_or_set("t", 1)
    assert.is_true(there)
    assert.is_false(v == t)
    assert.same({ n = 2, nil, false }, results(m:get_or_set("none", nil)))
    assert.equal(2, #m)
  end)

  it("updates", function()
    local m = sync.map()
    local function count(n) return (n or 0) + 1 end
    assert.same({ n = 1, 1 }, results(m:update("k", count)))
    assert.same({ n = 1, 2 }, results(m:update("k", count)))
    assert.equal(2, m:get "k")
    assert.same({ n = 1, nil }, results(m:update("k", function() end)))
    assert.equal(0, #m)
    assert.is_nil(m:update("k", function(v) assert(v == nil) end))
    assert.equal(0, #m)
    local t = { 1 }
    assert.equal(t, m:update("t", function() return t end))
    assert.same({ 1 }, m:get "t")
    assert.same({ 1, 2 }, m:update("t", function(v) v[2] = 2 return v, "ignored" end))
    assert.same({ 1, 2 }, m:get "t")
  end)

  it("leaves an entry as it was when its update fails", function()
    local m = sync.map()
    local err = { "an error" }
    m:set("k", { 1 })
    local ok, e = pcall(m.update, m, "k", function(v) v[1] = 2 error(err) end)
    assert.is_false(ok)
    assert.equal(err, e)
    assert.same({ 1 }, m:get "k")
    assert.is_false((pcall(m.update, m, "k", function() return coroutine.create(print) end)))
    assert.same({ 1 }, m:get "k")
    assert.is_false((pcall(m.update, m, "none", error)))
    assert.is_nil(m:get "none")
    assert.equal(1, #m)
    m:update("k", function() return "free" end)
    assert.equal("free", m:get "k")
  end)

  it("lets an update touch other keys, and update them", function()
    local m = sync.map()
    m:update("a", function()
      m:set("b", 1)
      m:update("b", function(b)
        m:set("c", b)
        return m:update("d", function() return 4 end)
      end)
      return "a"
    end)
    assert.same({ "a", 4, 1, 4 }, { m:get "a", m:get "b", m:get "c", m:get "d" })
  end)

  it("waits inside an update, in coroutines too", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.map()
      assert(m:update("k", function() goro.sleep(0.001) return 1 end) == 1)
      local co = coroutine.wrap(function()
        return m:update("k", function(v)
          goro.sleep(0.001)
          local more = coroutine.yield(v)
          goro.sleep(0.001)
          return v + more
        end)
      end)
      assert(co() == 1)
      assert(not pcall(m.get, m, "k"))
      assert(co(10) == 11)
      assert(m:get "k" == 11)
      -- where Lua cannot yield
      table.sort({ 1, 2, 3 }, function(a, b)
        m:update("k", function(v) goro.sleep(0.001) return v + 1 end)
        return a < b
      end)
      assert(m:get "k" > 11)
    end)
  end)

  it("frees the key when a coroutine is closed or collected inside an update", function()
    local m = sync.map()
    local co = coroutine.create(function() m:update("k", coroutine.yield) end)
    assert(coroutine.resume(co))
    raises("bad argument #1 to 'get' (this goroutine is updating the key)", function() m:get "k" end)
    coroutine.close(co)
    assert.is_nil(m:get "k")
    co = coroutine.create(function() m:update("k", coroutine.yield) end)
    assert(coroutine.resume(co))
    co = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal(1, m:update("k", function() return 1 end))
  end)

  it("is the same everywhere", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m = goro.sync.map()
      local back = goro.run(function(n)
        m:set("from", "goroutine")
        m:set("self", m)
        assert(m:get "self" == m and rawequal(m:get "self", m))
        return n
      end, m)
      assert(rawequal(back, m))
      assert(m:get "from" == "goroutine")
      assert(tostring(m) == goro.run(tostring, m))
      m:delete "self"
    end)
  end)

  it("says what it is", function()
    assert.is_truthy(tostring(sync.map()):find "^goro%.sync%.map: 0x%x+$")
    assert.equal("goro.sync.map", getmetatable(sync.map()).__name)
    assert.is_false(sync.map() == sync.map())
  end)

  it("can be sent by the function's name, and its methods", function()
    assert.equal(5, goro.run(function(new, set, get)
      local m = new()
      set(m, 1, 5)
      return get(m, 1)
    end, sync.map, sync.map().set, sync.map().get))
  end)
end)

describe("pairs of a map", function()
  it("gives each entry once", function()
    local m = sync.map()
    local all = {}
    for i = 1, 1000 do
      local k = i % 3 == 0 and "k" .. i or i
      m:set(k, i)
      all[k] = i
    end
    for _, each in ipairs { function() return m:pairs() end, function() return pairs(m) end } do
      local seen = {}
      for k, v in each() do
        assert.is_nil(seen[k])
        seen[k] = v
      end
      assert.same(all, seen)
    end
  end)

  it("is a snapshot", function()
    local m = sync.map()
    for i = 1, 100 do m:set(i, { i }) end
    local sum = 0
    for k, v in m:pairs() do
      m:delete(k)
      m:set(k + 1000, v)
      sum = sum + v[1]
    end
    assert.equal(5050, sum)
    assert.equal(100, #m)
  end)

  it("shows a key that is being updated as it was", function()
    local m = sync.map()
    m:set("k", 1)
    m:update("k", function()
      local n = 0
      for k, v in m:pairs() do
        assert.same({ "k", 1 }, { k, v })
        n = n + 1
      end
      assert.equal(1, n)
      assert.equal(1, m:len())
      return 2
    end)
    m:update("new", function()
      assert.equal(1, m:len())
      for k in m:pairs() do assert.equal("k", k) end
      return 1
    end)
    assert.equal(2, m:len())
  end)

  it("may be left early, and carries objects as keys", function()
    local m = sync.map()
    local c = goro.chan()
    m:set(c, c:sender())
    for k, v in m:pairs() do
      assert.equal(c, k)
      assert.equal(c:sender(), v)
    end
    for i = 1, 10 do m:set(i, {}) end
    for _ in m:pairs() do break end -- luacheck: ignore 512
    local f, s = m:pairs()
    f(s)
    for _ = 1, 20 do f(s) end
    assert.is_nil((f(s)))
    assert.is_false(pcall(f, {}))
    assert.is_false(pcall(f))
  end)

  it("of an empty map gives nothing", function()
    for _ in sync.map():pairs() do error "an entry" end
  end)
end)

describe("misuse of a map", function()
  local m = sync.map()
  it("is told at the caller's line", function()
    raises("bad argument #1 to 'get' (key is nil)", function() m:get() end)
    raises("bad argument #1 to 'set' (key is nil)", function() m:set(nil, 1) end)
    raises("bad argument #1 to 'set' (key is nan)", function() m:set(NAN, 1) end)
    raises("bad argument #1 to 'update' (key is nan)", function() m:update(NAN, print) end)
    for _, call in ipairs { "get", "set", "delete", "get_or_set", "update" } do
      local function with(k, what)
        local text = "bad argument #1 to '%s' (key must be a string, number, boolean, light userdata or object of goro, got %s)"
        raises(text:format(call, what), load(("local m, k = ... return function() m:%s(k, print) end"):format(call), "=here")(m, k), 1)
      end
      with({}, "table")
      with(print, "function")
      with(io.stdout, "FILE*")
      with(coroutine.create(print), "thread")
    end
    raises("bad argument #2 to 'set' (value expected)", function() m:set(1) end)
    raises("bad argument #2 to 'get_or_set' (value expected)", function() m:get_or_set(1) end)
    raises("bad argument #2 to 'update' (function expected, got no value)", function() m:update(1) end)
    raises("bad argument #2 to 'update' (function expected, got table)", function() m:update(1, {}) end)
    raises("cannot send message.x (thread)", function() m:set(1, { x = coroutine.create(print) }) end)
    raises("bad argument #1 to 'get' (goro.sync.map expected, got table)", function() m.get {} end)
    assert.equal(0, #m)
  end)

  it("is to touch the key that is being updated", function()
    local calls = {
      get = function() m:get "k" end, set = function() m:set("k", 1) end, delete = function() m:delete "k" end,
      get_or_set = function() m:get_or_set("k", 1) end, update = function() m:update("k", print) end,
    }
    for name, call in pairs(calls) do
      m:update("k", function()
        raises(("bad argument #1 to '%s' (this goroutine is updating the key)"):format(name), call)
        return 1
      end)
    end
    assert.equal(1, m:delete "k")
  end)
end)

describe("goroutines that want the same key", function()
  it("count right", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function(rounds)
        local goro = require "goro"
        rounds = tonumber(rounds)
        local m, done = goro.sync.map(), goro.chan()
        local function work(w)
          math.randomseed(w)
          for i = 1, rounds do
            local k = math.random(3)
            pcall(m.update, m, k, function(v)
              if i % 50 == 0 then goro.sleep(0.0001) end
              if i % 7 == 0 then error "not now" end
              return (v or 0) + 1
            end)
            if i % 10 == 0 then
              m:get(k)
              assert(select(2, m:get_or_set(k, 0)) or m:get(k))
            end
          end
          done:send(true)
        end
        for w = 1, 10 do goro.go(work, w) end
        for _ = 1, 10 do done:recv() end
        assert(m:get(1) + m:get(2) + m:get(3) == 10 * (rounds - rounds // 7))
      end, { env = { GOROMAXPROCS = procs }, args = { tostring(helper.rounds(1000)) } })
    end
  end)

  it("get it first come, first served, whatever they want", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m, log, go = goro.sync.map(), goro.chan(100), goro.chan()
      goro.go(function()
        m:update("k", function() go:send(true) go:recv() return 1 end)
      end)
      go:recv()
      local waiting = 0
      local function queue(f, ...)
        goro.go(f, ...)
        waiting = waiting + 1
        repeat
          goro.sleep(0.001)
          local _, n = goro.runtime.dump():gsub("map update", "")
        until n == waiting
      end
      queue(function() log:send { "get", m:get "k" } end)
      queue(function() m:set("k", 2) log:send { "set", 2 } end)
      queue(function() log:send { "update", m:update("k", function(v) goro.sleep(0.005) return v * 10 end) } end)
      queue(function() log:send { "get_or_set", (m:get_or_set("k", 7)) } end)
      queue(function() log:send { "delete", m:delete "k" } end)
      queue(function() log:send { "get_or_set", (m:get_or_set("k", 8)) } end)
      queue(function() log:send { "get", m:get "k" } end)
      go:send(true)
      local said = {}
      for i = 1, 7 do
        local e = log:recv()
        said[i] = e[1] .. " " .. e[2]
      end
      table.sort(said) -- they are told by several goroutines
      said = table.concat(said, ", ")
      assert(said == "delete 20, get 1, get 8, get_or_set 20, get_or_set 8, set 2, update 20", said)
    end)
  end)

  it("get it when its goroutine ends in the update", function()
    passes_anywhere(function()
      local goro = require "goro"
      local m, in_it = goro.sync.map(), goro.chan()
      m:set("k", 1)
      goro.go(function()
        local _ <close> = setmetatable({}, { __close = function() assert(m:get "k" == 1) in_it:send "closed" end })
        m:update("k", function() in_it:send(true) goro.sleep(0.01) goro.goexit() end)
      end)
      in_it:recv()
      local waiter = goro.chan()
      goro.go(function() waiter:send(m:get "k") end)
      assert(in_it:recv() == "closed")
      assert(waiter:recv() == 1)
      assert(m:update("k", function(v) return v + 1 end) == 2)
      -- exits where Lua cannot yield
      goro.go(function()
        table.sort({ 1, 2, 3 }, function() m:update("k", function() in_it:send(true) goro.goexit() end) end)
      end)
      in_it:recv()
      assert(m:get "k" == 2)
    end)
  end)

  it("are shown in dumps and in the deadlock report", function()
    passes(function()
      local goro = require "goro"
      local m, go = goro.sync.map(), goro.chan()
      goro.go(function() m:update("k", function() go:send(true) go:recv() end) end)
      go:recv()
      goro.go(function() m:get "k" end)
      local text
      for _ = 1, 1000 do
        text = goro.runtime.dump()
        if text:find "map update" then break end
        goro.sleep(0.001)
      end
      assert(text:find("map update", 1, true), text)
      local ok, err = pcall(m.set, m, "k", 1)
      assert(not ok and err:find("all goroutines are asleep - deadlock!\n", 1, true) and err:find("map update", 1, true), err)
      goro.go(function() go:send(true) end)
      m:set("k", 2)
      assert(m:get "k" == 2)
    end)
  end)

  it("end with the script while they wait or update", function()
    for _, procs in ipairs { "1", "8" } do
      passes(function()
        local goro = require "goro"
        local m, started = goro.sync.map(), goro.chan()
        for _ = 1, 20 do
          goro.go(function() started:send(true) m:update("k", function() goro.sleep(100) end) end)
          goro.go(function() started:send(true) table.sort({ 1, 2 }, function() m:get "k" end) end)
          goro.go(function()
            local _ <close> = setmetatable({}, { __close = function() pcall(m.get, m, "k") end })
            started:send(true)
            m:set("k", { 1 })
          end)
        end
        for _ = 1, 60 do started:recv() end
        goro.sleep(0.01)
      end, { env = { GOROMAXPROCS = procs } })
    end
  end)
end)

describe("a large map", function()
  it("gives memory back, also when it goes with all its entries", function()
    passes(function(n)
      local goro = require "goro"
      n = tonumber(n)
      local function bytes() collectgarbage() return goro.runtime.stats().bytes end
      goro.run(print)
      local before = bytes()
      local m = goro.sync.map()
      for i = 1, n do m:set(i, i) end
      assert(m:len() == n)
      local full = bytes() - before
      local counted = full > 0 -- a sanitizer's allocator does not tell
      assert(full < n * 110, full / n)
      for i = 1, n do assert(m:delete(i) == i) end
      assert(m:len() == 0)
      assert(not counted or bytes() - before < full / 20, bytes() - before)
      for i = 1, n do m:set("key" .. i, { i }) end
      local c = goro.chan(1)
      for i = 1, n // 10 do -- a chain of maps, each in the one before
        local inner = goro.sync.map()
        inner:set(1, c)
        c = inner
        if i % 1000 == 0 then collectgarbage() end
        if i >= 2000 then break end
      end
      m, c = nil, nil -- luacheck: ignore 311
      collectgarbage()
      assert(not counted or bytes() - before < full / 2, bytes() - before)
    end, { args = { tostring(helper.rounds(200000)) } })
  end)

  it("keeps each entry while others come and go", function()
    passes(function(n)
      local goro = require "goro"
      n = tonumber(n)
      local m, done = goro.sync.map(), goro.chan()
      for i = 1, 1000 do m:set(-i, i) end
      local function churn(w)
        for _ = 1, 3 do
          for i = 1, n do m:set(w * n + i, "value" .. i) end
          for i = 1, n do assert(m:delete(w * n + i) == "value" .. i) end
        end
        done:send(true)
      end
      for w = 1, 3 do goro.go(churn, w) end
      local ended = 0
      repeat
        local sum, seen = 0, {}
        for k, v in m:pairs() do
          assert(not seen[k])
          seen[k] = true
          if k < 0 then sum = sum + v end
        end
        assert(sum == 500500, sum)
        if done:recv(0) then ended = ended + 1 end
      until ended == 3
      assert(#m == 1000)
    end, { args = { tostring(helper.rounds(3000)) } })
  end)
end)

describe("without memory, a map", function()
  it("raises or works, and loses nothing", function()
    passes(function()
      local goro = require "goro"
      local testing = require "goro.testing"
      local function once()
        local m = goro.sync.map()
        for i = 1, 20 do m:set(i, i) end
        m:set("t", { { 1 }, ("x"):rep(100) })
        m:set("s", ("x"):rep(100))
        m:get_or_set("u", { 1 })
        assert(m:get "t"[1][1] == 1 and #m:get "s" == 100)
        m:update("t", function(t) t[3] = 3 return t end)
        local n = 0
        for _ in m:pairs() do n = n + 1 end
        assert(n == 23 and m:delete "s" and m:len() == 22)
      end
      once()
      local failures, n = 0, 0
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok, err = pcall(once)
        local made = testing.fail_at(0)
        if not ok then
          failures = failures + 1
          assert(tostring(err):find("not enough memory", 1, true), err)
        end
        collectgarbage()
      until made < n
      assert(failures > 3, failures .. " of " .. n)
      collectgarbage()
      local live = testing.live()
      for _ = 1, 3 do once() collectgarbage() end
      assert(testing.live() <= live + 5, testing.live() - live)
    end)
  end)
end)
