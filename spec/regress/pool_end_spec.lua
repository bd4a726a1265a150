-- SPDX-License-Identifier: MIT
-- pool_end_spec.lua - what once went wrong when the last host closed. Memory errors show for certain in the sanitizer runs only.

local helper = require "spec.helper"

local function ends_well(source, rounds)
  for _ = 1, rounds do
    local r = helper.run_script(source, { timeout = 60 })
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("", r.stderr)
  end
end

describe("the pool's end", function()
  it("does not look at the channel of a wait that was over (a stale wait reason locked a freed channel)", function()
    ends_well([[
      local goro = require "goro"
      for _ = 1, 8 do
        local ch = goro.chan()
        goro.go(function()
          ch:recv()
          ch = nil
          collectgarbage() collectgarbage()
          local others = {}
          while true do
            for i = 1, 100 do others[i] = goro.chan(1) end
            goro.gosched()
          end
        end)
        goro.sleep(0.005)
        ch:send(1)
      end
      collectgarbage() collectgarbage()
      goro.sleep(0.02)
    ]], 3)
  end)

  it("frees a select's message once, also when it was taken and the select had not run on yet", function()
    ends_well([[
      local goro = require "goro"
      local a, b = goro.chan(), goro.chan()
      for _ = 1, 50 do
        goro.go(function() goro.select { { send = a, value = { "x" } }, { send = b, value = { "y" } } } end)
      end
      goro.sleep(0.01)
      for _ = 1, 25 do a:recv() b:recv() end
    ]], 20)
  end)

  it("takes no goroutine from a queue when it has ended outside of it (a crash, once in some hundred ends)", function()
    for _ = 1, helper.rounds(100) do
      local r = helper.run_script([[
        local goro = require "goro"
        for _ = 1, 3 do goro.go(function() table.sort({ 1, 2 }, function() while true do end end) end) end
        goro.sleep(0.03)
        os.exit(3, true)]], { env = { GOROMAXPROCS = 2 } })
      assert.is_true(r.code == 3 and r.stderr == "", helper.describe(r))
    end
  end)
end)
