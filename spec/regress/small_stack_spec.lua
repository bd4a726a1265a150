-- SPDX-License-Identifier: MIT
-- A program's own thread with a small stack: reads of sockets ran over its end, past the guard, into other memory.

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "small")

local script = [[
  local goro = require "goro"
  local listener = assert(goro.net.listen("tcp", "127.0.0.1:0"))
  goro.go(function()
    local conn <close> = listener:accept()
    conn:write "hello\n"
  end)
  print(goro.net.dial("tcp", listener:addr()):read "l")
  goro.run(function() end)
]]

local function run(kb) return helper.run_script(script, { lua = program, env = { GORO_TEST_STACK = kb } }) end

describe("a thread of a program's own", function()
  it_runs("with a stack that is too small is told so", function()
    for _, kb in ipairs { 32, 64, 96 } do
      local r = run(kb)
      assert.equal(1, r.code, helper.describe(r))
      assert.is_truthy(r.stderr:find("goro needs a thread with at least 128 KB of stack, this one has %d+ KB left"), r.stderr)
    end
  end)

  it_runs("with the least stack reads from a socket", function()
    assert.equal("hello\n", helper.ended_well(run(128)))
  end)
end)
