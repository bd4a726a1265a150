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
      for _ = 1, 200 do -- it goes back piece by piece
        if rest < grown / 2 + (80 << 20) then break end
        goro.sleep(0.05)
        rest = bytes()
      end
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

-- What its code does not name is not in a goroutine's state at first: nobody can tell.
describe("a state with few globals", function()
  it("is small, and grows when code that names more arrives", function()
    if sanitized or os.getenv "GOROIMAGE" == "0" then pending "there are no images" return end
    passes(function()
      local goro = require "goro"
      local least = goro.run(function() return collectgarbage "count" end)
      local all = goro.run(function() return collectgarbage "count", require end)
      assert(least < 11 and all > 22, ("%s KB, %s KB"):format(least, all))
      local ch = goro.chan(1)
      ch:send(function() return collectgarbage "count", require "string" == string end)
      local more, same = goro.run(function(c) return c:recv()() end, ch)
      assert(more > 22 and same)
    end)
  end)

  it("has the string library for methods and arithmetic that name nothing", function()
    passes(function()
      local goro = require "goro"
      local function sum(a, b) return a + b end
      local function field(s, k) return s[k] end
      assert(goro.run(sum, "10", 1) == 11 and goro.run(sum, 2, "0x10") == 18 and goro.run(function(s) return -s end, "2") == -2)
      assert(goro.run(function(a, b) return a - b, a * b, a / b, a // b, a % b, a ^ b end, "7", "2") == 5)
      assert(goro.run(field, "x", "upper") == string.upper and goro.run(field, "x", "nosuch") == nil)
      assert(goro.run(function(s, m) return s[m](s, 3) end, "ab", "rep") == "ababab")
      assert(goro.run(function(s) return (s:lower()) end, "AB") == "ab")
      local ok, why = pcall(goro.run, sum, "x", 1)
      local _, plain = pcall(sum, "x", 1)
      assert(not ok and why == plain, why)
      ok, why = pcall(goro.run, function(s) return s.y.z end, "x")
      assert(not ok and why:find "attempt to index a nil value %(field 'y'%)")
      -- opened by the trap, it is the library that a name finds later, in the same state
      local ch = goro.chan(1)
      ch:send(function(f) return string.upper == f and getmetatable "".__index == string and rawget(_G, "string") == package.loaded.string end)
      assert(goro.run(function(c, s) local f = s.upper return c:recv()(f) end, ch, "x"))
    end)
  end)

  -- luacheck: push ignore 111 112 113 121 122
  it("leaves alone what the code has assigned before", function()
    passes(function()
      local goro = require "goro"
      local ch = goro.chan(1)
      local function look() return rawget(_G, "print"), rawget(_G, "string"), rawget(_G, "arg"), rawget(_G, "type") ~= nil, mine end
      ch:send(look)
      local p, s, a, t, m = goro.run(function(c)
        print, string, arg, mine = nil, 7, nil, 8
        return c:recv()()
      end, ch)
      assert(p == nil and s == 7 and a == nil and t and m == 8)
      ch:send(look)
      p, s, a, t = goro.run(function(c) return c:recv()() end, ch)
      assert(p == print and s == string and type(a) == "table" and t)
    end)
  end)

  it("hands on what it inherited, though it does not have it", function()
    passes(function()
      local goro = require "goro"
      package.path = package.path .. ";/nowhere/?.lua"
      package.preload.made_here = function(...) return { name = ..., path = package.path } end
      arg = { "one", n = 2 }
      local out = goro.chan(1)
      goro.go(function(c) -- has neither go's library nor package
        goro.go(function(d)
          local m = require "made_here"
          d:send { m.name, m.path == package.path, package.path, _G.arg[1], arg.n, #package.searchers }
        end, c)
      end, out)
      local r = out:recv(30)
      assert(r[1] == "made_here" and r[2] and r[3] == package.path and r[4] == "one" and r[5] == 2 and r[6] == 4)
      package.path, arg = "?", nil -- a change counts from the next goroutine on
      assert(goro.run(function() return package.path end) == "?" and goro.run(function() return _G.arg end) == nil)
    end)
  end)

  -- luacheck: pop

  it("finds everything by _ENV, by a variable that holds the globals, by functions of modules", function()
    passes(function()
      local goro = require "goro"
      local globals, upper = _G, string.upper
      assert(goro.run(function() local env = _ENV return env["string"] ~= nil and env._G == env end))
      assert(goro.run(function() return globals.math.floor(2.5) end) == 2)
      local joined = nil
      local function get() return joined, print end
      local function named() return print end
      debug.upvaluejoin(get, 1, named, 1) -- what is named's _ENV is get's variable too
      assert(goro.run(function(_, f) return f()["math"] ~= nil end, named, get))
      assert(goro.run(function(f, s) return f(s), s:len() end, upper, "x") == "X")
      assert(goro.run(function(t) return t.concat { 1, 2 } end, table) == "12")
      assert(goro.run(load "local _ENV = {} x = 1 return x" --[[@as function]]) == 1)
      assert(goro.run(load(string.dump(function() return math.type(1) end, true))) == "integer")
      assert(goro.run(function() return goro.runtime.stats().threads end) > 0)
    end)
  end)

  it("says that memory is short when the rest cannot be opened, and can be asked again", function()
    passes(function()
      local goro, testing = require "goro", require "goro.testing"
      local ch = goro.chan(2)
      for n = 1, 60 do
        local function all() return require "string" == string and io.stdout ~= nil end
        ch:send(all)
        ch:send(all)
        local ok, first, again = goro.run(function(c, nth, fail_at)
          fail_at(nth)
          local done, why = pcall(c.recv, c)
          fail_at(0)
          return done, why, c:recv()()
        end, ch, n, testing.fail_at)
        assert((ok or tostring(first):find "memory") and again, first)
      end
    end)
  end)
end)
