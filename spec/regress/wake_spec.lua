-- SPDX-License-Identifier: MIT
-- wake_spec.lua - wake-ups that were once lost.

local helper = require "spec.helper"

local function prints_done(source)
  local r = helper.run_script(source .. "\nio.write 'done'", { timeout = 60 })
  assert.equal("done", r.stdout, helper.describe(r))
end

describe("a wake-up is not lost", function()
  it("when the main script is readied before it has blocked (it went to sleep on a note that nobody would wake)", function()
    prints_done(([[
      local goro = require "goro"
      local c, n = goro.chan(1), %d
      goro.go(function() while true do c:send(1) end end)
      goro.go(function() while true do c:send(1) end end)
      for _ = 1, n do assert(c:recv(20) == 1) end
    ]]):format(helper.rounds(300000)))
  end)

  it("when maxprocs is lowered under an M that looks for work (it slept on, counted as looking)", function()
    prints_done(([[
      local goro = require "goro"
      local done = goro.chan(64)
      for i = 1, %d do
        goro.maxprocs(i %% 8 + 1)
        for _ = 1, 4 do goro.go(function() goro.gosched() done:send(true) end) end
        for _ = 1, 4 do assert(done:recv(20)) end
      end
    ]]):format(helper.rounds(1500)))
  end)
end)
