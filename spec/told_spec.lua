-- SPDX-License-Identifier: MIT
-- No error is lost: a group's on_error, and what goes to stderr when nobody has been told.
-- luacheck: ignore 431, globals mark
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

-- Runs the script, which ends with this code, and returns its stderr. `alone(n)` in it waits until
-- there are n goroutines, `failed(g)` until a member of g has failed.
local function stderr_of(source, code, env)
  local r = helper.run_script([[
    local goro = require "goro"
    local function alone(n)
      while goro.num_goroutine() > (n or 1) do goro.sleep(0.001) end
    end
    local function failed(g) g.ctx:done():recv() end
  ]] .. source, { timeout = 30, env = env })
  assert.is_true(r.code == (code or 0), helper.describe(r))
  return r.stderr
end

local function count(text, word)
  local _, n = text:gsub(word, "")
  return n
end

local NOTE = "%(nobody has waited for its group%)\n"

describe("on_error", function()
  it("gets each member's error and a traceback of where it was thrown", function()
    passes_anywhere(function()
      local goro = require "goro"
      for limit = 0, 1 do
        local errors = goro.chan(10)
        local g = goro.group {
          limit = limit > 0 and limit or nil,
          on_error = function(err, traceback) errors:send { err, traceback } end,
        }
        g:go(function() local function thrower() error { code = 7 } end thrower() end)
        g:go(function() error "text" end)
        g:go(function() error() end)
        g:go(function() coroutine.yield() end)
        assert(select("#", g:wait()) == 0)
        errors:close()
        local seen = {}
        for e in errors:range() do
          seen[type(e[1]) == "table" and e[1].code or tostring(e[1]):gsub("^.*:%d+: ", "")] = e[2]
        end
        assert(seen[7]:find("thrower", 1, true), seen[7])
        assert(seen.text:find("^stack traceback:\n"))
        assert(seen["nil"])
        assert(seen["attempt to yield from outside a coroutine"])
      end
    end)
  end)

  it("cancels nobody, and neither wait nor the block raises", function()
    passes_anywhere(function()
      local goro = require "goro"
      local told, go_on = goro.chan(), goro.chan()
      do
        local g <close> = goro.group { on_error = function(err) told:send(err) end }
        g:go(error, "first")
        assert(told:recv() == "first")
        assert(g.ctx:err() == nil)
        g:go(function() go_on:recv() error("second", 0) end)
        go_on:send(true)
        assert(told:recv() == "second")
        g:wait()
        assert(g.ctx:err() == nil)
        g:go(function() end)
      end
    end)
  end)

  it("runs in the goroutine that failed, after its __close, and may wait", function()
    passes_anywhere(function()
      local goro = require "goro"
      local log, go_on = goro.chan(4), goro.chan()
      local g = goro.group { on_error = function(err)
        log:send(mark)
        go_on:recv()
        log:send(err)
      end }
      g:go(function()
        mark = "global of this goroutine"
        local _ <close> = setmetatable({}, { __close = function() log:send "closed" end })
        error("late", 0)
      end)
      assert(log:recv() == "closed")
      assert(log:recv() == "global of this goroutine")
      go_on:send(true)
      assert(log:recv() == "late")
      g:wait()
    end)
  end)

  it("is told of an error in goexit's __close, and of arguments that cannot be built", function()
    passes_anywhere(function()
      local goro = require "goro"
      local errors = goro.chan(4)
      local g = goro.group {
        on_error = function(err, traceback) errors:send { err, type(traceback) } end,
      }
      g:go(function()
        local _ <close> = setmetatable({}, { __close = function() error("in __close", 0) end })
        goro.goexit()
      end)
      g:wait()
      local e = errors:recv(0)
      assert(e[1] == "in __close" and e[2] == "string")
      local function build() error("cannot be rebuilt", 0) end
      local unbuilt = setmetatable({}, { __goro = function() return build end })
      g:go(print, unbuilt)
      g:wait()
      e = errors:recv(0)
      assert(e[1] == "cannot be rebuilt" and e[2] == "string")
      g:go(goro.goexit)
      g:wait()
      assert(errors:len() == 0)
    end)
  end)

  it("is told of an error in a function of goro.setup, and the member does not run", function()
    passes(function()
      local goro = require "goro"
      local errors = goro.chan(4)
      local g = goro.group { on_error = function(err) errors:send(err) end }
      goro.setup(function() error("setup", 0) end)
      goro.setup(function() errors:send "the second" end)
      g:go(errors.send, errors, "the member")
      goro.setup(nil)
      g:wait()
      assert(errors:recv(0) == "setup" and errors:len() == 0)
    end)
  end)

  it("may end by goexit, and works in a group that was sent", function()
    passes_anywhere(function()
      local goro = require "goro"
      local errors = goro.chan(4)
      local g = goro.group { on_error = function(err) errors:send(err) goro.goexit() end }
      goro.run(function()
        g:go(error, "from afar")
        g:wait()
      end)
      assert(errors:recv(0) == "from afar")
    end)
  end)

  it("that fails itself is a panic, and the first error is not lost", function()
    local stderr = stderr_of([[
      local g = goro.group { on_error = function() error("handler", 0) end }
      g:go(error, "original")
      local ok, err = pcall(g.wait, g)
      if ok then ok, err = pcall(goro.sleep, 20) end
      assert(not ok and err == "handler", err)
      assert(pcall(g.wait, g))
    ]])
    assert.equal(1, count(stderr, "goro: panic: original\n"))
    assert.equal(1, count(stderr, "%(the group's on_error failed%)\n"))
    assert.equal(1, count(stderr, "goro: panic: handler\n"))
  end)

  it("is checked", function()
    helper.raises("bad argument #1 to 'group' ('on_error': function expected, got string)",
      function() goro.group { on_error = "print" } end)
    helper.raises_match("^cannot send argument #1%.on_error %(C function with upvalues%)$",
      function() goro.group { on_error = string.gmatch("x", "x") } end)
    local f <close> = io.tmpfile()
    helper.raises_match("^cannot send upvalue 'f' %(FILE%*%) of function at ",
      function() goro.group { on_error = function() f:write "x" end } end)
  end)
end)

describe("an error of a group that nobody was told of goes to stderr", function()
  it("when the group is dropped", function()
    local stderr = stderr_of [[
      local g = goro.group()
      g:go(function() local function thrower() error "boom" end thrower() end)
      failed(g)
      alone()
      g = nil
      collectgarbage() collectgarbage()
      io.stderr:write "dropped\n"
    ]]
    local before, after = stderr:match "^(.*)dropped\n(.*)$"
    assert.equal("", after)
    assert.is_truthy(before:find("^goro: panic: job.lua:%d+: boom\nstack traceback:\n.*thrower.*\n"
      .. "created by group:go at job.lua:%d+\n" .. NOTE .. "$"), before)
  end)

  it("when it is dropped before the member fails", function()
    local stderr = stderr_of [[
      local go_on = goro.chan()
      goro.group():go(function() go_on:recv() error "boom" end)
      collectgarbage() collectgarbage()
      go_on:send(true)
      alone()
      io.stderr:write "dropped\n"
    ]]
    assert.is_truthy(stderr:find("boom\n.*" .. NOTE .. "dropped\n$"), stderr)
  end)

  it("when the state that had it ends, or is lost with a coroutine", function()
    local stderr = stderr_of [[
      goro.run(function()
        local g = require "goro".group()
        g:go(error, "in a state")
        g.ctx:done():recv()
      end)
      alone()
      goro.run(function()
        local goro = require "goro"
        coroutine.wrap(function()
          local g = goro.group()
          g:go(error, "in a coroutine")
          g.ctx:done():recv()
          coroutine.yield()
        end)()
      end)
      alone()
      io.stderr:write "ended\n"
    ]]
    local pattern = "in a state\n.*in a coroutine\n.*" .. NOTE .. "ended\n$"
    assert.is_truthy(stderr:find(pattern), stderr)
  end)

  it("at the end of the script, whichever end it is; its status stays", function()
    for code, ending in pairs {
      [0] = "", [1] = "error 'end'", [3] = "os.exit(3)", [4] = "os.exit(4, true)",
      [5] = "goro.run(os.exit, 5)",
    } do
      local stderr = stderr_of([[
        G = goro.group()
        G:go(error, setmetatable({}, { __tostring = function() return "boom" end }))
        failed(G)
        H = goro.group()
        goro.go(function() failed(H) goro.sleep(1000) end)
        H:go(error, "bang")
        failed(H)
      ]] .. ending, code)
      assert.equal(1, count(stderr, "goro: panic: boom\n"), stderr)
      assert.equal(1, count(stderr, "goro: panic: bang\n"), stderr)
      assert.equal(2, count(stderr, NOTE), stderr)
    end
  end)

  it("once, and the first only", function()
    local stderr = stderr_of [[
      local g = goro.group()
      for i = 1, 10 do g:go(error, "error " .. i .. ".") end
      failed(g)
      alone()
    ]]
    assert.equal(1, count(stderr, "goro: panic: "), stderr)
  end)

  it("also with an error object without a text", function()
    local stderr = stderr_of [[
      local g = goro.group()
      g:go(error, {})
      failed(g)
    ]]
    assert.is_truthy(stderr:find("^goro: panic: %(error object is a table value%)\n"), stderr)
  end)

  it("but not when wait, or leaving the block, has told", function()
    assert.equal("", stderr_of [[
      local g = goro.group()
      g:go(error, "told")
      assert(not pcall(g.wait, g))
      g = nil
      assert(not pcall(function()
        local h <close> = goro.group()
        h:go(error, "told too")
      end))
      -- The error that leaves the block is the first; what members do because of it counts for
      -- nothing.
      local ok, err = pcall(function()
        local h <close> = goro.group()
        h:go(function() failed(h) error "later" end)
        error("block", 0)
      end)
      assert(not ok and err == "block")
      collectgarbage() collectgarbage()
    ]])
  end)

  it("but not when its members have not failed", function()
    assert.equal("", stderr_of [[
      local g = goro.group()
      g:go(function() end)
      g:go(goro.goexit)
      g:go(function() pcall(error, "caught") end)
      g:go(function() goro.sleep(1000) end)
      alone(2)
    ]])
  end)
end)

describe("an error in what a call has started and does not wait for", function()
  it("goes to stderr when a panic has ended goro.run", function()
    local stderr = stderr_of [[
      local go_on = goro.chan()
      goro.go(function()
        local goro = require "goro"
        repeat
          goro.sleep(0.001)
        until goro.runtime.dump():find("main goroutine, goro.run,", 1, true)
        error("panic", 0)
      end)
      local ok, err = pcall(goro.run, function() go_on:recv() error("late", 0) end)
      assert(not ok and err == "panic")
      go_on:send(true)
      alone()
      io.stderr:write "end\n"
    ]]
    local pattern = "goro: panic: late\n.*%(nobody waits any more for its goro%.run%)\nend\n$"
    assert.is_truthy(stderr:find(pattern), stderr)
  end)

  for what, call in pairs { ["goro.run"] = "goro.run, f", ["goro.map"] = "goro.map, { 1 }, f" } do
    it("goes to stderr when Ctrl-C has ended " .. what, function()
      local stderr = stderr_of(([[
        local go_on = goro.chan()
        local function f()
          local goro = require "goro"
          repeat
            goro.sleep(0.001)
          until goro.runtime.dump():find("main goroutine, %s,", 1, true)
          require "ctest".kill(2)
          -- (A pending timer puts the deadlock report off.)
          repeat local _, go = go_on:recv(0.01) until go
          error("late", 0)
        end
        local ok, err = pcall(%s)
        assert(not ok and err:find "interrupted!$", err)
        go_on:send(true)
        alone()
        collectgarbage() collectgarbage()
        io.stderr:write "end\n"
      ]]):format(what, call), 0, helper.with_ctest())
      local note = "%(nobody waits any more for its " .. what .. "%)\n"
      assert.is_truthy(stderr:find("^goro: panic: late\n.*" .. note .. "end\n$"), stderr)
    end)
  end

  it("is raised where somebody waits, and nowhere else", function()
    assert.equal("", stderr_of [[
      for _ = 1, 20 do
        assert(not pcall(goro.run, error, "told"))
        assert(not pcall(goro.map, { 1, 2 }, error))
      end
    ]])
  end)
end)
