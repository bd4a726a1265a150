-- SPDX-License-Identifier: MIT
-- The code of functions is known once for the process, and code that often starts goroutines has an image of its own: nobody can tell.
-- luacheck: ignore 111 113 121

local helper = require "spec.helper"
local passes = helper.passes

describe("a function that starts goroutines again and again", function()
  it("has fresh variables, constants, globals and upvalues in each of them", function()
    passes(function()
      local goro = require "goro"
      helping = function(x) return x + 1 end
      local results, captured = goro.chan(16), { n = 1 }
      local function counter()
        local n = 0
        return function() n = n + 1 return n end
      end
      local count = counter()
      local function work(i, t)
        assert(left == nil and captured.n == 1 and count() == 1 and t[1] == i)
        left, captured.n = i, i
        local text = ("%d|%s|%s"):format(i, "a constant that is longer than forty characters, to be no short string", 2.5)
        results:send { helping(i), text, count(), math.type(i), select("#", table.unpack({}, 1, 3)) }
      end
      for i = 1, 300 do
        goro.go(work, i, { i })
        local r = results:recv()
        assert(r[1] == i + 1 and r[2] == i .. "|a constant that is longer than forty characters, to be no short string|2.5")
        assert(r[3] == 2 and r[4] == "integer" and r[5] == 3)
      end
    end)
  end)

  it("may be started with different upvalues, environments and needs", function()
    passes(function()
      local goro = require "goro"
      local function make(n, f) return function(...) return n, f and f(...) end end
      for i = 1, 300 do
        local n, r = goro.run(make(i, i % 3 == 0 and string.upper or i % 3 == 1 and function(s) return s .. i end or nil), "x")
        assert(n == i and r == (i % 3 == 0 and "X" or i % 3 == 1 and "x" .. i or nil))
      end
      local function named() return value end
      for i = 1, 200 do
        value = i
        assert(goro.run(named) == i)
      end
      value = nil
      assert(goro.run(named) == nil)
      local env = setmetatable({ value = "mine" }, { __index = _G })
      local other = load("return function() return value end", "=other", "t", env)()
      for _ = 1, 200 do assert(goro.run(other) == "mine") end
    end)
  end)

  it("may assign to what is standard, or name all there is", function()
    passes(function()
      local goro = require "goro"
      for _ = 1, 200 do
        assert(goro.run(function() print = nil return print == nil and type(pcall) end) == "function")
        assert(goro.run(function() local n = 0 for _ in pairs(_G) do n = n + 1 end return n end) > 20)
        assert(goro.run(function() return require "string" == string and math.random() ~= nil end))
        assert(goro.run(function() return ("x"):rep(3) .. "10" + 1 end) == "xxx11")
      end
      assert(print)
      local seen = {}
      for _ = 1, 200 do
        local n = goro.run(function() return math.random(0) end)
        assert(not seen[n], "two goroutines drew the same numbers")
        seen[n] = true
      end
    end)
  end)

  it("keeps its positions in messages, its goexit, its __close and its finalizers", function()
    passes(function()
      local goro = require "goro"
      local ended = goro.chan(8)
      local function fails(i)
        local _ <close> = setmetatable({}, { __close = function() ended:send(i) end })
        if i % 2 == 0 then goro.goexit() end
        error("at " .. i)
      end
      for i = 1, 150 do
        local ok, e = pcall(goro.run, fails, i)
        assert(ended:recv() == i and ok == (i % 2 == 0) and (ok or e:match "^.*:%d+: at (%d+)$" == tostring(i)), e)
      end
      for i = 1, 150 do
        goro.run(function(n) setmetatable({}, { __gc = function() ended:send(n) end }) end, i)
        assert(ended:recv() == i)
      end
    end)
  end)

  it("is started by many goroutines at once", function()
    passes(function()
      local goro = require "goro"
      goro.maxprocs(4)
      local results = goro.chan(64)
      local function leaf(a, b) results:send(a * 1000 + b) end
      local function branch(a) for b = 1, 200 do goro.go(leaf, a, b) end end
      for a = 1, 20 do goro.go(branch, a) end
      local seen = {}
      for _ = 1, 4000 do seen[results:recv()] = true end
      for a = 1, 20 do for b = 1, 200 do assert(seen[a * 1000 + b]) end end
    end)
  end)

  it("gets an image where there are any, and only when it is started often", function()
    passes(function()
      local goro, testing = require "goro", require "goro.testing"
      local on = goro.runtime.stats().image == "on"
      local function f(x) return x end
      for i = 1, 60 do assert(goro.run(f, i) == i) end
      assert(testing.image_bytes() == 0)
      for i = 1, 60 do assert(goro.run(f, i) == i) end
      assert((testing.image_bytes() > 0) == on)
    end)
  end)
end)

describe("the table of code", function()
  it("is bounded, and a function that fell out of it is known again", function()
    passes(function()
      local goro = require "goro"
      local function resident()
        local file <close> = assert(io.open "/proc/self/status")
        return tonumber(file:read "a":match "VmRSS:%s*(%d+) kB")
      end
      helping = { 1 }
      local function code(i) return load(("return function() local s = %q return %d, helping[1], #s end"):format(("z"):rep(20000), i))() end
      for i = 1, 600 do assert(goro.run(code(i)) == i) end
      collectgarbage()
      local before = resident()
      for i = 601, 2000 do assert(goro.run(code(i)) == i) end
      collectgarbage()
      -- A sanitizer's allocator keeps freed memory.
      local more = os.getenv "GORO_STOCK_LUA" and 0 or resident() - before
      assert(more < 16 << 10, "it grows by " .. more .. " KB")
      for i = 1, 20 do assert(select(2, goro.run(code(i))) == 1) end
    end)
  end)
end)

describe("goro.vet", function()
  local script = [[
    local goro = require "goro"
    VET
    local n, m, k = 0, 0, 0
    local function f()
      k = k + n
      local own = 1
      local function inner() own = own + 1 m = 2 end
      inner()
      helper_global = 1
    end
    goro.run(f) goro.run(f)
    goro.run(function() return n end)
  ]]
  local function said(vet, env)
    local r = helper.run_script((script:gsub("VET", vet)), { env = env, name = "vet" })
    assert.equal(0, r.code)
    return r.stderr
  end

  it("warns once of a function that assigns to captured variables", function()
    local text = said("goro.vet = true assert(goro.vet == true and rawget(goro, 'vet') == nil)")
    assert.matches("^%S+:5: assigns to captured variable 'k', which is a copy\n%S+:7: assigns to captured variable 'm', which is a copy\n$", text)
  end)

  it("is off at first, unless GORO_VET says otherwise", function()
    assert.equal("", said("assert(goro.vet == false)"))
    assert.equal("", said("assert(goro.vet == false)", { GORO_VET = 0 }))
    assert.matches("captured variable 'k'", said("assert(goro.vet == true)", { GORO_VET = 1 }))
    assert.equal("", said("goro.vet = false", { GORO_VET = 1 }))
  end)

  it("does without lines where the code has none", function()
    local r = helper.run_script [[
      local goro = require "goro"
      goro.vet = true
      local n = 0
      local f = load(string.dump(function() n = 1 end, true))
      debug.setupvalue(f, 1, 1)
      goro.run(f)
    ]]
    assert.equal(0, r.code)
    assert.matches("assigns to captured variable '.*', which is a copy\n$", r.stderr)
  end)
end)
