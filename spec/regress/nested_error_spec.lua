-- SPDX-License-Identifier: MIT
-- What is told of an error that passes through several goroutines, or cannot be sent: its text and where it was thrown.

local helper = require "spec.helper"

local function passes(body)
  return helper.passes_script([[
    local goro = require "goro"
    local function fails(f, ...)
      local ok, err = pcall(goro.run, f, ...)
      assert(not ok)
      return err
    end
  ]] .. body)
end

describe("an error that cannot be sent", function()
  it("keeps its text, and says why", function()
    passes [[
      local co = coroutine.create(print)
      local function raise(how)
        local value = { co = coroutine.create(print) }
        if how then setmetatable(value, { __tostring = how == "raises" and error or function() return "boo\0hoo" end }) end
        error(value)
      end
      local why = " (cannot send error value.co (thread))"
      assert(fails(raise) == "(error object is a table value)" .. why)
      assert(fails(raise, true) == "boo\0hoo" .. why)
      assert(fails(raise, "raises") == "(error object is a table value)" .. why)
      assert(fails(function() error(coroutine.create(print)) end) == "(error object is a thread value) (cannot send error value (thread))")
      local f = fails(function() error(io.tmpfile()) end)
      assert(f:find "^file %(0x%x+%) %(cannot send error value %(FILE%*%)%)$", f)
    ]]
  end)

  it("is printed so when it is a panic, and raised so in the main script", function()
    local r = helper.run_script [[
      local goro = require "goro"
      goro.go(function()
        local function thrower() error(setmetatable({ co = coroutine.create(print) }, { __tostring = function() return "boo" end })) end
        thrower()
      end)
      local ok, err = pcall(function() while true do goro.sleep(1) end end)
      io.write(err)
    ]]
    assert.equal("boo (cannot send error value.co (thread))", r.stdout)
    assert.is_truthy(r.stderr:find("goro: panic: boo (cannot send error value.co (thread))\nstack traceback:", 1, true), r.stderr)
    assert.is_truthy(r.stderr:find("job.lua:3: in local 'thrower'", 1, true), r.stderr)
  end)
end)

describe("the traceback of an error that has passed through goroutines", function()
  local PRELUDE = [[
    local function check(how, err)
      local text = goro.traceback()
      local at = text:find("in %a+ 'deepest'")
      assert(at, text)
      local again = assert(text:find("raised again where it was waited for:", 1, true), text)
      assert(at < again, text)
      assert(text:find("'" .. how .. "'", again) or text:find("'goro." .. how .. "'", again), text)
      assert(select(2, text:gsub("stack traceback:", "")) == 1, text)
      assert(err:find "deep down$", err)
    end
    local function deepest() error "deep down" end
  ]]

  it("begins where it was thrown: run", function()
    passes(PRELUDE .. [[
      check("run", fails(function() goro.run(function() deepest() end) end))
      check("run", fails(function() goro.run(function() goro.run(function() deepest() end) end) end))
      assert(select(2, goro.traceback():gsub("raised again", "")) == 2)
    ]])
  end)

  it("begins where it was thrown: a group's wait, a group's block, map, a once", function()
    passes(PRELUDE .. [[
      check("wait", fails(function()
        local g = goro.group()
        g:go(function() deepest() end)
        g:wait()
      end))
      check("map", fails(function() goro.map({ 1 }, function() deepest() end) end))
      check("map", fails(function() goro.map({ 1 }, function() goro.run(function() deepest() end) end) end))
      local once = goro.sync.once(function() goro.run(function() deepest() end) end)
      check("run", fails(function() once() end))
      fails(function()
        local g <close> = goro.group()
        g:go(function() deepest() end)
      end)
      assert(goro.traceback():find "in %a+ 'deepest'")
    ]])
  end)

  it("is that of the error itself, when another one follows it", function()
    passes [[
      local function first() error "one" end
      local function second() error "two" end
      fails(function()
        pcall(goro.run, function() first() end)
        second()
      end)
      local text = goro.traceback()
      assert(not text:find "'first'" and not text:find "raised again" and text:find "in %a+ 'second'", text)
      fails(function() -- caught and raised as it is: where it was thrown
        local _, err = pcall(goro.run, function() first() end)
        error(err, 0)
      end)
      assert(goro.traceback():find "in %a+ 'first'", goro.traceback())
    ]]
  end)

  it("does not grow without end along a chain", function()
    passes [[
      local function nest(n)
        if n == 0 then error "bottom" end
        require "goro".run(nest, n - 1)
      end
      assert(fails(nest, 300):find "bottom$")
      assert(#goro.traceback() < 20000)
      assert(goro.traceback():find "^stack traceback:\n\t%[C%]: in function 'error'")
    ]]
  end)

  it("is printed with a panic, also when the error is a table", function()
    local r = helper.run_script [[
      local goro = require "goro"
      goro.go(function()
        goro.run(function()
          local function deepest() error { code = 1 } end
          deepest()
        end)
      end)
      local ok, err = pcall(function() while true do goro.sleep(1) end end)
      print(err.code)
    ]]
    assert.equal("1\n", r.stdout)
    assert.is_truthy(r.stderr:find "^goro: panic: %(error object is a table value%)\nstack traceback:\n.*job.lua:4: in %a+ 'deepest'.*raised again", r.stderr)
  end)
end)
