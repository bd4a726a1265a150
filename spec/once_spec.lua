-- SPDX-License-Identifier: MIT
-- What a once gives is copied once into each state.
-- luacheck: ignore 431, globals Inner
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("a once gives", function()
  it("the same values at each call in one state, and a copy to each other state", function()
    passes_anywhere(function()
      local goro = require "goro"
      local once = goro.sync.once(function()
        local t = { list = {} }
        return t, nil, "text", t.list, nil
      end)
      local function look(mark)
        local a, b = table.pack(once()), table.pack(once())
        assert(a.n == 5 and b.n == 5 and a[3] == "text" and b[3] == "text")
        assert(a[2] == nil and a[5] == nil)
        assert(rawequal(a[1], b[1]) and rawequal(a[4], b[4]) and rawequal(a[1].list, a[4]))
        assert(a[1].mark == nil)
        a[1].mark = mark
        assert(once().mark == mark)
        collectgarbage() collectgarbage()
        assert(rawequal(a[1], (once())))
      end
      for i = 1, 3 do goro.run(look, i) end
      look(4)
      goro.run(look, 5)
    end)
  end)

  it("the same function, long string, and nothing", function()
    passes_anywhere(function()
      local goro = require "goro"
      local sync = goro.sync
      local counter = sync.once(function()
        local n = 0
        return function() n = n + 1 return n end
      end)
      local none, one_nil = sync.once(function() end), sync.once(function() return nil end)
      local long = sync.once(function() return ("x"):rep(1 << 20) end)
      local function look()
        assert(rawequal(counter(), counter()))
        assert(counter()() == 1 and counter()() == 2)
        assert(select("#", none()) == 0 and select("#", none()) == 0)
        assert(select("#", one_nil()) == 1 and select("#", one_nil()) == 1)
        assert(#long() == 1 << 20 and long() == long())
      end
      for _ = 1, 2 do goro.run(look) end
      look()
    end)
  end)

  it("the same values in all coroutines and finalizers of a state", function()
    passes(function()
      local goro = require "goro"
      local slow = setmetatable({}, { __goro = function()
        return function()
          local goro = require "goro"
          goro.sleep(0.01)
          return { built = true }
        end
      end })
      local once = goro.sync.once(function() return slow end)
      goro.run(function() once() end)
      goro.run(function()
        local function finalized()
          return setmetatable({}, { __gc = function() Inner = once() end })
        end
        local other = coroutine.create(function() return (once()) end)
        local first = once()
        local _, second = assert(coroutine.resume(other))
        assert(first.built and rawequal(first, second))
        finalized()
        collectgarbage() collectgarbage()
        assert(rawequal(Inner, first))
      end)
    end)
  end)

  it("the same error", function()
    passes_anywhere(function()
      local goro = require "goro"
      local once = goro.sync.once(function() error { code = 7 } end)
      pcall(goro.run, function() once() end)
      local _, a = pcall(once)
      local _, b = pcall(once)
      assert(a.code == 7 and rawequal(a, b))
      assert(goro.traceback():find "in function 'error'")
    end)
  end)

  it("its values only as long as the state holds it", function()
    passes_anywhere(function()
      local goro = require "goro"
      local values = setmetatable({}, { __mode = "v" })
      do
        local sync = goro.sync
        local loop = sync.once(function() return {} end)
        values[1] = loop()
        values[1].once = loop -- it holds its own once
        values[2] = loop
        values[3] = sync.once(function() return {} end)
        values[4] = values[3]()
      end
      for _ = 1, 3 do collectgarbage() end
      assert(next(values) == nil)
    end)
  end)

  it("them without copying: a call costs no memory", function()
    passes_anywhere(function()
      local goro = require "goro"
      local once = goro.sync.once(function()
        local t = {}
        for i = 1, 20000 do t["key" .. i] = i end
        return t
      end)
      goro.run(function() once() end)
      once()
      collectgarbage() collectgarbage()
      collectgarbage "stop"
      local before = collectgarbage "count"
      for _ = 1, 1000 do once() end
      assert(collectgarbage "count" - before < 100, collectgarbage "count" - before)
    end)
  end)
end)

describe("indexing a sync.map", function()
  local m = goro.sync.map()
  local text = "attempt to index a goro.sync.map (use map:get(k) and map:set(k, v))"

  it("is misuse that names get and set", function()
    local k = "key"
    helper.raises(text, function() return m.key end)
    helper.raises(text, function() return m[k] end)
    helper.raises(text, function() return m[1] end)
    helper.raises(text, function() return m[m] end)
    helper.raises(text, function() m.key = 1 end)
    helper.raises(text, function() m[1] = nil end)
    helper.raises(text, function() m.get = print end)
    helper.raises(text, function() m:no_method() end)
    assert.equal(0, #m)
  end)

  it("finds the methods", function()
    m:set("key", 1)
    assert.equal(1, m:get "key")
    assert.equal(m.get, goro.sync.map().get)
    assert.is_truthy(tostring(m):find "^goro%.sync%.map: 0x")
    for k, v in pairs(m) do assert.same({ "key", 1 }, { k, v }) end
    m:delete "key"
  end)
end)
