-- SPDX-License-Identifier: MIT
-- An error that goro.run, wait or map raises, and that nobody catches: the script's report is
-- followed by the traceback of where it was thrown.

local helper = require "spec.helper"

local PRELUDE = [[
  local goro = require "goro"
  local function f()
    local function thrower() error "boom" end
    thrower()
  end
]]

local function run(source, opts)
  return helper.run_script(PRELUDE .. source, opts or { timeout = 30 })
end

local HEAD = "goro: thrown in a goroutine: "

describe("an error of a goroutine that ends the script is told with where it was thrown", function()
  for name, source in pairs {
    run = "goro.run(f)",
    ["a function of the script"] = "local function main() goro.run(f) end main()",
    wait = "local g = goro.group() g:go(f) g:wait()",
    ["leaving a group's block"] = "do local g <close> = goro.group() g:go(f) end",
    map = "goro.map({ 1 }, f)",
    once = [[
      local once = goro.sync.once(f)
      goro.run(function() pcall(once) end)
      once()
    ]],
    ["another run"] = "goro.run(function() require 'goro'.run(f) end)",
    ["a file"] = [[
      local path = os.tmpname()
      local file = io.open(path, "w")
      file:write "require 'goro'.run(F)"
      file:close()
      F = f
      local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
      dofile(path)
    ]],
  } do
    it("by " .. name, function()
      local r = run(source)
      assert.equal(1, r.code)
      local at = r.stderr:find(HEAD .. "job.lua:3: boom\nstack traceback:\n.*in %a+ 'thrower'")
      assert.is_truthy(at, helper.describe(r))
      local report = r.stderr:sub(1, at - 1)
      assert.is_truthy(report:find "^[^\n]*: job.lua:3: boom\nstack traceback:\n\t")
      assert.is_nil(r.stderr:find(HEAD, at + 1, true), r.stderr)
    end)
  end

  it("when it is a table", function()
    local r = run [[
      local mt = { __tostring = function(e) return "code " .. e.code end }
      goro.run(function() error(setmetatable({ code = 7 }, mt)) end)
    ]]
    assert.equal(1, r.code)
    assert.is_truthy(r.stderr:find("\n" .. HEAD .. "code 7\nstack traceback:\n"), r.stderr)
  end)

  it("and its text stays what was thrown", function()
    local r = run [[
      local _ <close> = setmetatable({}, { __close = function(_, e) io.write(e) end })
      goro.run(f)
    ]]
    assert.is_truthy(r.stdout:find "^job.lua:3: boom\nstack traceback:\n[^\n]*'goro.run'\n")
    assert.is_truthy(r.stderr:find(HEAD, 1, true))
  end)
end)

describe("nothing is told", function()
  it("when the script catches it, in whatever way", function()
    local r = run [[
      pcall(goro.run, f)
      pcall(function() goro.run(f) end)
      xpcall(goro.run, debug.traceback, f)
      coroutine.resume(coroutine.create(goro.run), f)
      pcall(coroutine.wrap(function() goro.run(f) end))
      pcall(require, "no such module")
      package.preload.fails = function() goro.run(f) end
      pcall(require, "fails")
      pcall(table.sort, { 2, 1 }, function() goro.run(f) end)
      load(function() goro.run(f) end)
    ]]
    helper.ended_well(r)
  end)

  it("when the script comes from stdin, as the lines of a session do", function()
    local r = helper.run_script("", { bare = true, args = { "-" }, timeout = 30,
      stdin = PRELUDE .. "goro.run(f)" })
    assert.equal(1, r.code)
    assert.is_nil(r.stderr:find(HEAD, 1, true), r.stderr)
  end)
end)
