-- SPDX-License-Identifier: MIT
-- States that are cloned from an image: nobody can tell them from states that were opened one by one.

local helper = require "spec.helper"
local passes = helper.passes

local sanitized = os.getenv "GORO_SANITIZE" ~= nil

describe("the image", function()
  it("is used, unless GOROIMAGE=0 or a sanitizer forbids it", function()
    local on = helper.passes_script [[print(require "goro".runtime.stats().image)]]
    assert.equal(sanitized and "off: each block is the system's, for a sanitizer\n" or os.getenv "GOROIMAGE" == "0" and "off: GOROIMAGE=0\n" or "on\n", on)
    if sanitized then return end
    assert.equal("off: GOROIMAGE=0\n", helper.passes_script([[print(require "goro".runtime.stats().image)]], { env = { GOROIMAGE = 0 } }))
  end)

  -- What a goroutine finds, as text: names, types, sizes; the same from a clone and from a state that was opened.
  local function inventory()
    local goro = require "goro"
    print(goro.run(function()
      local out, seen = {}, {}
      local function walk(path, t, depth)
        if seen[t] or depth > 4 then return end
        seen[t] = true
        local keys = {}
        for k in pairs(t) do keys[#keys + 1] = k end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, k in ipairs(keys) do
          if type(k) == "string" then
            local v = t[k]
            out[#out + 1] = path .. "." .. k .. ": " .. type(v) .. (type(v) ~= "function" and type(v) ~= "table" and type(v) ~= "userdata" and " " .. tostring(v) or "")
            if type(v) == "table" then walk(path .. "." .. k, v, depth + 1) end
          end
        end
      end
      walk("_G", _G, 0)
      walk("string", getmetatable "", 0)
      walk("file", getmetatable(io.stdout), 0)
      walk("loaded", package.loaded, 0)
      for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package" } do
        assert(_G[name] == package.loaded[name] and _G[name] == require(name), name)
      end
      assert(debug.getregistry()[2] == _G and rawequal(getmetatable("").__index, string))
      return table.concat(out, "\n")
    end))
  end

  it("gives what opening the libraries gives", function()
    local cloned, opened = passes(inventory), passes(inventory, { env = { GOROIMAGE = 0 } })
    assert.is_true(#cloned > 3000)
    assert.equal(opened, cloned)
  end)

  it("gives each goroutine its own random numbers, and its own everything", function()
    passes(function()
      local goro = require "goro"
      local seen, done = {}, goro.chan(100)
      for _ = 1, 100 do
        goro.go(function()
          for _, t in ipairs { _G, string, getmetatable "", package.loaded } do
            assert(t.mine == nil)
            t.mine = 1
          end
          done:send(math.random(0))
        end)
      end
      for _ = 1, 100 do
        local r = done:recv(30)
        assert(not seen[r])
        seen[r] = true
      end
    end)
  end)

  it("lets a state grow, collect and shrink like any other", function()
    passes(function()
      local goro = require "goro"
      local before, most, after = goro.run(function()
        collectgarbage()
        local start = collectgarbage "count"
        local t = {}
        for i = 1, 20000 do t[i] = { i, tostring(i), ("x"):rep(i % 300) } end
        local grown = collectgarbage "count"
        for i = 1, 20000 do assert(t[i][1] == i and t[i][2] == tostring(i) and #t[i][3] == i % 300) end
        t = #t
        collectgarbage() collectgarbage()
        assert(t == 20000)
        return start, grown, collectgarbage "count"
      end)
      assert(most > before + 2000 and after < before + 200, ("%g, %g, %g"):format(before, most, after))
    end)
  end)
end)

describe("a state that is dropped", function()
  it("has run its finalizers, wherever they came from", function()
    for _, way in ipairs {
      "setmetatable({}, { __gc = note })",
      "debug.setmetatable({}, { __gc = note })",
      "coroutine.wrap(function() setmetatable({}, { __gc = note }) end)()",
      "require 'goro'.chan(1):send(setmetatable({}, { __gc = function() end, __goro = function() return function() end end })) note()",
    } do
      helper.passes_script(([[
        local goro = require "goro"
        local noted = goro.chan(10)
        goro.go(function() local function note() noted:send(true) end %s end)
        assert(noted:recv(30))
      ]]):format(way))
    end
  end)

  it("has closed its files", function()
    for _, way in ipairs {
      "io.open(name, 'w'):write 'text'", "io.output(name) io.write 'text'", "io.popen('cat >' .. name, 'w'):write 'text'",
    } do
      helper.passes_script(([[
        local goro = require "goro"
        local name = os.tmpname()
        goro.run(function() %s end)
        local text
        for _ = 1, 300 do -- run's results come before the state's end
          local f <close> = io.open(name)
          text = f:read "a"
          if text == "text" then break end
          goro.sleep(0.01)
        end
        os.remove(name)
        assert(text == "text", text)
      ]]):format(way))
    end
  end)

  it("gives its memory back, a hundred thousand times, and after a burst", function()
    if sanitized then
      pending "a sanitizer keeps freed memory for a while, to catch who still uses it"
      return
    end
    passes(function(rounds)
      local goro = require "goro"
      rounds = tonumber(rounds)
      local function bytes()
        local f <close> = io.open "/proc/self/statm"
        return select(2, f:read("n", "n")) * 4096
      end
      local function wave(n)
        local ch, done = goro.chan(), goro.chan(n)
        for i = 1, n do goro.go(function() local t = {} for k = 1, 50 do t[k] = { k } end ch:recv() done:send(#t + i * 0) end) end
        ch:close()
        for _ = 1, n do assert(done:recv(60) == 50) end
      end
      local function settled() -- a goroutine ends a little after its last message
        for _ = 1, 200 do
          if goro.num_goroutine() == 1 then break end
          goro.sleep(0.05)
        end
        wave(10)
        goro.sleep(0.05)
        return bytes()
      end
      for _ = 1, 20 do wave(rounds // 40) end
      local before = settled()
      for _ = 1, 20 do wave(rounds // 40) end
      local after = settled()
      assert(after < before * 1.5 + (80 << 20), ("%d, then %d"):format(before, after)) -- as much is kept for reuse at most
      wave(rounds // 4)
      local grown = bytes()
      local rest = settled()
      assert(rest < grown / 2 + (80 << 20), ("%d in the burst, then %d"):format(grown, rest))
    end, { args = { helper.rounds(100000) }, timeout = 240 })
  end)

  it("and setmetatable says what it always said", function()
    local source = [[
      local out = {}
      for _, args in ipairs { {}, { 1 }, { {} }, { {}, 1 }, { setmetatable({}, { __metatable = 1 }), {} }, { "x", {} } } do
        out[#out + 1] = tostring((select(2, pcall(setmetatable, table.unpack(args, 1, 2)))))
        out[#out + 1] = tostring((select(2, pcall(function() setmetatable(table.unpack(args, 1, 2)) end))))
      end
      out[#out + 1] = tostring((select(2, pcall(io.open))))
      out[#out + 1] = tostring((select(2, pcall(io.lines, "/nonexistent"))))
      out[#out + 1] = tostring((select(2, pcall(function() io.open({}) end))))
      out[#out + 1] = tostring((select(2, pcall(function() io.input("/nonexistent") end))))
      out[#out + 1] = tostring((select(2, pcall(function() debug.setmetatable({}, 1) end))))
      return (table.concat(out, "\n"):gsub("0x%x+", "ADDRESS"))]]
    helper.passes_script(("local f = function() %s end\nassert(require 'goro'.run(f) == f(), require 'goro'.run(f) .. '\\n--\\n' .. f())"):format(source))
  end)
end)
