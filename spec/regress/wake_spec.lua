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

  it("when nobody but a stopped timer's sleeper is left (the deadlock was reported when that timer would have fired)", function()
    prints_done [[
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() c:recv(1000) end)
      c:send(1)
      local ok, err = pcall(c.recv, c)
      assert(not ok and err:find "deadlock")
    ]]
  end)

  it("of a timer that was added when the last looking M had just given its place up (it got it back, and minded the goroutine only)", function()
    for _ = 1, helper.rounds(60) do
      prints_done [[
        local goro = require "goro"
        local function late() return io.popen "sleep 2":read "a" end
        for _ = 1, 3 do goro.go(late) end
        local start = os.time()
        goro.sleep(0.01)
        assert(os.time() - start < 2)
      ]]
    end
  end)

  it("of a sleeping main script while all places are busy (its timer was looked at each 61st round only)", function()
    prints_done [[
      local goro = require "goro"
      for _ = 1, 8 do goro.go(function() while true do end end) end
      local start = os.time()
      for _ = 1, 50 do goro.sleep(0.01) end -- 600 ms and more each, then
      assert(os.time() - start <= 15)
    ]]
  end)
end)
