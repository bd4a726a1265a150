-- SPDX-License-Identifier: MIT
-- What belongs to the whole process: the locale, which goroutines can only ask for, and that warnings are on.

local helper = require "spec.helper"

describe("os.setlocale in a goroutine", function()
  it("may ask, and raises otherwise; in the main script it is Lua's", function()
    helper.passes(function()
      local goro = require "goro"
      local function asks()
        return os.setlocale(), os.setlocale(nil), os.setlocale(nil, "numeric"), os.setlocale(nil, "all")
      end
      local a, b, c, d = goro.run(asks)
      assert(a == "C" and b == "C" and c == "C" and d == "C")
      local function sets(locale, category)
        local ok, err = pcall(os.setlocale, locale, category)
        assert(not ok and err:find("a goroutine cannot set the locale, which is the whole process's (set it in the main script", 1, true), err)
        return (select(2, pcall(function() os.setlocale(locale) end)))
      end
      for _, locale in ipairs { "C", "", "POSIX", "nothing such" } do goro.run(sets, locale) end
      goro.run(sets, "C", "numeric")
      assert(goro.run(sets, "C"):find "^.*process_wide_spec.lua:%d+: a goroutine")
      local why = goro.run(function() return select(2, pcall(os.setlocale, {})) end)
      assert(why:find "string expected, got table", why)
      why = goro.run(function() return select(2, pcall(os.setlocale, nil, "nothing")) end)
      assert(why:find "invalid option 'nothing'", why)
      assert(os.setlocale "C" == "C" and not os.setlocale "nothing such")
      local f = os.setlocale
      assert(goro.run(function() return os.setlocale end) == f and goro.run(function() return f == os.setlocale end))
    end)
  end)
end)

describe("warnings", function()
  local function stderr_of(source, ...)
    local r = helper.run_script("", { bare = true, args = { ..., "-e", source } })
    assert.equal(0, r.code, helper.describe(r))
    return r.stderr
  end

  local SAYS = [[
    local goro = require "goro"
    local function says(text) goro.run(function() warn(text) end) end
  ]]

  it("under lua -W are on in goroutines, and in those that they start", function()
    local out = stderr_of(SAYS .. [[
      says "one"
      goro.run(function() goro.run(function() warn("two", " in pieces") end) end)
      local done = goro.chan()
      goro.time.after_func(0, function()
        warn "three"
        done:close()
      end)
      done:recv()
      warn "@off"
      says "not this"
    ]], "-W")
    assert.equal("Lua warning: one\nLua warning: two in pieces\nLua warning: three\n", out)
  end)

  it("are as the main script has them when the goroutine is started", function()
    local out = helper.run_script([[
      warn "@on"
    ]] .. SAYS .. [[
      says "one"
      local go_on = goro.chan()
      local g = goro.group()
      g:go(function()
        go_on:recv()
        warn "two"
      end)
      warn "@off"
      says "not this"
      go_on:send(true)
      g:wait()
      warn "@on"
      says "three"
    ]])
    assert.equal(0, out.code)
    assert.equal("Lua warning: one\nLua warning: two\nLua warning: three\n", out.stderr)
  end)

  it("are off at first; what a goroutine switches is its own and its children's", function()
    local r = helper.run_script(SAYS .. [[
      says "not this"
      goro.run(function()
        warn "@on"
        warn "one"
        goro.run(function() warn "two" warn "@off" warn "nor this" end)
        warn "three"
        warn "@off"
        goro.run(function() warn "nor that" end)
      end)
      says "nothing"
      warn "nothing"
    ]])
    assert.equal(0, r.code)
    assert.equal("Lua warning: one\nLua warning: two\nLua warning: three\n", r.stderr)
  end)
end)
