-- SPDX-License-Identifier: MIT
-- goro.setup: functions that run in each new goroutine before its own.
-- luacheck: ignore 111 112 113 431
-- (They set globals; and what runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local passes, raises = helper.passes, helper.raises

describe("goro.setup", function()
  it("runs in goroutines that are started afterwards, before their function, in the order of the calls", function()
    passes(function()
      local goro = require "goro"
      local start = goro.chan()
      local early = goro.group()
      early:go(function()
        start:recv()
        assert(ORDER == nil)
      end)
      goro.setup(function() ORDER = { 1 } end)
      goro.setup(function() ORDER[#ORDER + 1] = 2 end)
      local suffix = 3
      goro.setup(function() ORDER[#ORDER + 1] = suffix end)
      suffix = 4
      assert(ORDER == nil, "it ran in the main script")
      assert(goro.run(function(...) return table.concat(ORDER, ",") .. select("#", ...) .. ... end, "x", nil) == "1,2,32x")
      start:send(true)
      early:wait()
      goro.setup(nil)
      assert(goro.run(function() return ORDER end) == nil)
    end)
  end)

  it("is for whatever starts goroutines", function()
    passes(function()
      local goro = require "goro"
      goro.setup(function() READY = true end)
      local out = goro.chan(8)
      local function ready() out:send(READY) return READY end
      goro.go(ready)
      assert(goro.run(ready))
      local g = goro.group()
      g:go(ready)
      g:wait()
      assert(goro.map({ 1 }, ready)[1])
      local wg = goro.sync.waitgroup()
      wg:go(ready)
      wg:wait()
      goro.time.after_func(0, ready)
      goro.run(function() goro.go(ready) end)
      for _ = 1, 7 do assert(out:recv() == true) end
    end)
  end)

  it("may wait, and its error is the goroutine's", function()
    passes(function()
      local goro = require "goro"
      local go_on = goro.chan()
      goro.setup(function()
        goro.sleep(0.001)
        NUMBER = go_on:recv()
        if NUMBER < 0 then
          local function negative() error { number = NUMBER } end
          negative()
        end
      end)
      goro.go(function()
        go_on:send(7)
      end)
      go_on:send(1) -- for that one
      assert(goro.run(function() return NUMBER end) == 7)
      local wg = goro.sync.waitgroup()
      local ok, err = pcall(function()
        local g = goro.group()
        g:go(function() error "this must not run" end)
        go_on:send(-1)
        g:wait()
      end)
      assert(not ok and err.number == -1)
      assert(goro.traceback():find "in %a+ 'negative'")
      assert(wg:wait(0))
    end)
  end)

  it("raises as a panic where nobody waits, and may end the goroutine", function()
    local r = helper.run_script [[
      local goro = require "goro"
      goro.setup(function() error "not ready" end)
      goro.go(function() print "this must not run" end)
      print(pcall(goro.sleep, 10))
      goro.setup(nil)
      goro.setup(function() goro.goexit() end)
      print(select("#", goro.run(function() print "this must not run" end)))
    ]]
    assert.equal("false\tjob.lua:2: not ready\n0\n", r.stdout)
    assert.is_truthy(r.stderr:find "^goro: panic: job.lua:2: not ready\nstack traceback:.*created by goro.go at job.lua:3\n$", r.stderr)
  end)

  it("that fails is the last: a group's on_error is told, and nothing of the goroutine's own runs", function()
    passes(function()
      local goro = require "goro"
      local told = goro.chan(8)
      goro.setup(function() error("not ready", 0) end)
      goro.setup(function() told:send "a second setup" end)
      local g = goro.group { on_error = function(err) told:send(err) end }
      g:go(function() told:send "the function" end)
      g:wait()
      assert(told:recv() == "not ready" and told:len() == 0)
    end)
  end)

  it("comes before the modules that the goroutine's function names", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    local f = assert(io.open(dir .. "/conf.lua", "w"))
    f:write "return { level = LEVEL or 'default', set = function(self, v) self.level = v end }"
    f:close()
    helper.passes_script([[
      local goro = require "goro"
      package.path = (...) .. "/?.lua"
      local conf = require "conf"
      conf:set "mine"
      assert(goro.run(function() return conf.level end) == "default")
      goro.setup(function() LEVEL = "from setup" end)
      assert(goro.run(function() return conf.level end) == "from setup")
      goro.setup(function() conf:set "fine" end)
      assert(goro.run(function() return conf.level end) == "fine")
      assert(conf.level == "mine")
    ]], { args = { dir } })
    os.execute("rm -rf " .. dir)
  end)

  it("may make the globals strict: what the function brings along is set all the same", function()
    passes(function()
      local goro = require "goro"
      function helper_function() return 1 end
      goro.setup(function()
        setmetatable(_G, {
          __newindex = function(_, k) error("global '" .. k .. "' is not declared", 2) end,
          __index = function(_, k) error("global '" .. k .. "' is not declared", 2) end,
        })
      end)
      assert(goro.run(function() return helper_function() end) == 1)
      local ok, err = pcall(goro.run, function() return undeclared end)
      assert(not ok and err:find "global 'undeclared' is not declared$", err)
    end)
  end)

  it("lets a hook see the goroutine's lines, as a tool for coverage does, and write what it saw when the state ends", function()
    local name = os.tmpname()
    local out = helper.passes_script([[
      local goro = require "goro"
      local name = ...
      goro.setup(function()
        local lines = {}
        debug.sethook(function(_, line) lines[line] = (lines[line] or 0) + 1 end, "l")
        setmetatable(lines, { __gc = function()
          debug.sethook()
          local list = {}
          for line in pairs(lines) do list[#list + 1] = line end
          table.sort(list)
          local f = io.open(name, "a")
          f:write(table.concat(list, " "), "\n")
          f:close()
        end })
        KEPT = lines
      end)
      goro.run(function(yes)
        local x = 1
        if yes then
          x = 2
        else
          x = 3
        end
        return x
      end, true)
      io.write(io.open(name):read "a") -- the state was closed before its results came
    ]], { args = { name } })
    os.remove(name)
    assert.is_truthy(out:find(" 18 19 20 24", 1, true), out)
    assert.is_nil(out:find " 22", out)
  end)

  it("closes the states one at a time, before it is told that the goroutine has ended: what they add to a file is all there", function()
    local name = os.tmpname()
    for _, how in ipairs { "run", "group", "map", "waitgroup" } do
      local out = helper.passes_script([[
        local goro = require "goro"
        local name, how, n = ...
        n = tonumber(n)
        local function add()
          local f = io.open(name)
          local count = f:read "n" or 0
          f:close()
          f = io.open(name, "w")
          f:write(count + 1)
          f:close()
        end
        io.open(name, "w"):close()
        goro.setup(function() ON_EXIT = setmetatable({}, { __gc = add }) end)
        if how == "run" then
          for _ = 1, n do goro.run(function() end) end
        elseif how == "map" then
          local list = {}
          for i = 1, n do list[i] = i end
          goro.map(list, function(x) return x end, { limit = n })
        else
          local g = how == "group" and goro.group() or goro.sync.waitgroup()
          for _ = 1, n do g:go(function() end) end
          g:wait()
        end
        goro.setup(nil)
        print(io.open(name):read "a")
      ]], { args = { name, how, helper.rounds(100) } })
      assert.equal(helper.rounds(100), tonumber(out), how)
    end
    os.remove(name)
  end)

  it("does not hold up a state whose finalizer waits for another goroutine", function()
    passes(function()
      local goro = require "goro"
      local inner = goro.chan(2)
      goro.setup(function()
        ON_EXIT = setmetatable({}, { __gc = function()
          if INNER then return end
          inner:send(goro.run(function()
            INNER = true
            return 7
          end))
        end })
      end)
      goro.run(function() end)
      assert(inner:recv() == 7)
    end)
  end)

  it("runs no setup in goroutines that it starts itself", function()
    passes(function()
      local goro = require "goro"
      goro.setup(function()
        _G["LEVEL"] = 1 -- a name that functions give is a global that they bring along
        _G["INNER"] = goro.run(function() return _G["LEVEL"] == nil end)
      end)
      assert(goro.run(function() return _G["INNER"] end))
      assert(goro.run(function() return goro.run(function() return _G["LEVEL"] end) end) == 1)
    end)
  end)

  it("leaves tracebacks and levels as they are", function()
    passes(function()
      local goro = require "goro"
      local function levels()
        local n = 0
        while debug.getinfo(n + 1) do n = n + 1 end
        return n .. debug.traceback():gsub("%d+", "") .. tostring(coroutine.isyieldable()) .. tostring(select(2, coroutine.running()))
      end
      local before = goro.run(levels)
      goro.setup(function() return 1, 2, 3 end)
      assert(goro.run(levels) == before)
    end)
  end)

  it("copies its function, and says what cannot be sent", function()
    local co = coroutine.create(print)
    helper.raises_match("^cannot send upvalue 'co' %(thread%) of function at .*goro_setup_spec.lua:%d+$",
      function() goro.setup(function() return co end) end)
  end)

  it("refuses what is no function", function()
    raises("bad argument #1 to 'setup' (function or nil expected, got no value)", function() goro.setup() end)
    raises("bad argument #1 to 'setup' (function or nil expected, got table)", function() goro.setup {} end)
    raises("bad argument #1 to 'setup' (function or nil expected, got string)", function() goro.setup "x" end)
  end)

  it("may be changed while goroutines are started, and loses no memory", function()
    passes(function(rounds)
      local goro = require "goro"
      local testing = require "goro.testing"
      rounds = tonumber(rounds)
      local function all(n)
        local g = goro.group()
        for w = 1, 4 do
          g:go(function()
            for i = 1, n do
              goro.setup(function() COUNT = (COUNT or 0) + 1 end)
              goro.run(function() return COUNT end)
              goro.time.after_func(100, function() end):stop()
              if i % (w + 1) == 0 then goro.setup(nil) end
            end
          end)
        end
        g:wait()
        goro.setup(nil)
      end
      all(50)
      local function live()
        collectgarbage()
        local limit = os.time() + 60
        local least = math.huge
        while os.time() < limit do
          local now = testing.live()
          if now == least then return now end
          least = now
          goro.sleep(0.05)
        end
      end
      local before = live()
      all(rounds)
      all(rounds)
      local after = live()
      assert(after <= before + 40, before .. " blocks, " .. after .. " afterwards")
      assert(goro.run(function() return COUNT end) == nil)
    end, { args = { helper.rounds(300) } })
  end)
end)
