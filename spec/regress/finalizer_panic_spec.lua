-- SPDX-License-Identifier: MIT
-- finalizer_panic_spec.lua - a panic that came while the main script was in a finalizer was raised there, where Lua only warns of errors:
-- it was lost, and the status was 0.

local helper = require "spec.helper"

-- Its goroutine panics; %s is in a finalizer, and waits until that has happened.
local script = [[
  local goro = require "goro"
  local go = goro.chan()
  goro.go(function() go:recv() error "met" end)
  setmetatable({}, { __gc = function()
    go:send(true)
    while goro.num_goroutine() > 1 do %s end
    for _ = 1, 3 do goro.gosched() goro.sleep(0.001) assert(select(3, goro.chan():recv(0.001)) == "timeout") end
    io.stdout:write "finalized\n"
  end })
  collectgarbage()
]]
local told = "^goro: panic: job.lua:3: met\n"

describe("a panic that comes while the main script is in a finalizer", function()
  for _, wait in ipairs { "goro.sleep(0.001)", "goro.gosched()", "goro.run(function() end)" } do
    it("is raised by the next call outside of it, which is not in " .. wait, function()
      local r = helper.run_script(script:format(wait) .. "print(pcall(goro.gosched)) print(pcall(goro.gosched))")
      assert.equal("finalized\nfalse\tjob.lua:3: met\ntrue\n", r.stdout)
      assert.is_true(r.code == 0 and r.stderr:find(told) ~= nil, helper.describe(r))
    end)

    it("ends the script with status 1, also when no other call follows " .. wait, function()
      local r = helper.run_script(script:format(wait))
      assert.is_true(r.code == 1 and r.stdout == "finalized\n" and r.stderr:find(told) ~= nil, helper.describe(r))
    end)
  end

  it("ends the script with status 1 when finalizers at the end call goro", function()
    local r = helper.run_script [[
      local goro = require "goro"
      local go = goro.chan()
      goro.go(function() go:recv() error "met" end)
      kept = setmetatable({}, { __gc = function() for _ = 1, 100 do goro.gosched() end end })
      setmetatable({}, { __gc = function() go:send(true) while goro.num_goroutine() > 1 do goro.sleep(0.001) end end })
      collectgarbage()]]
    assert.is_true(r.code == 1 and r.stderr:find(told) ~= nil, helper.describe(r))
  end)

  it("ends a wait that goes on after a finalizer", function()
    -- The hook runs while the main script receives, makes a finalizer run, and the wait goes on.
    local r = helper.run_script [[
      local goro = require "goro"
      local go = goro.chan()
      goro.go(function() go:recv() goro.sleep(0.2) error "met" end)
      setmetatable({}, { __gc = function() goro.sleep(0.001) go:send(true) end })
      collectgarbage()
      print(pcall(function() return goro.chan():recv(20) end))]]
    assert.equal("false\tjob.lua:3: met\n", r.stdout)
    assert.equal(0, r.code, helper.describe(r))
  end)
end)
