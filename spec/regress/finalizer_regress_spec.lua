-- SPDX-License-Identifier: MIT
-- Lua does not call each finalizer: with the C stack used up it warns, and frees the userdata all the same. goro's list of what a state
-- holds lay in such userdata, and was broken by the next one that left it.

local helper = require "spec.helper"

describe("a finalizer that Lua could not call", function()
  it("leaves nothing behind that is used", function()
    local out = helper.passes(function()
      local goro, testing = require "goro", require "goro.testing"
      local function run(rounds)
        local deepest = 0
        local function deeper(n)
          deepest = math.max(deepest, n)
          for _ = 1, 30 do goro.chan(1):send { n } end
          string.gsub("x", "x", function() deeper(n + 1) end)
        end
        for _ = 1, rounds do
          pcall(deeper, 1)
          for i = 1, 300 do local _ = ("x"):rep(i % 60 + 20) .. i end
          local c = goro.chan(1)
          c:send { c:cap() }
          assert(c:recv()[1] == 1)
        end
        collectgarbage()
        collectgarbage()
        return deepest
      end
      local rounds = math.max(10, math.floor(30 / (tonumber(os.getenv "GORO_SLOW") or 1)))
      assert(run(rounds) > 100)
      for _ = 1, 2 do assert(goro.run(run, rounds) > 100) end
      -- When a goroutine's state ends, what it lost goes too.
      collectgarbage()
      collectgarbage()
      local before = testing.live()
      for _ = 1, 3 do goro.run(run, rounds) end
      local until_ = os.time() + 20
      while goro.num_goroutine() > 1 and os.time() < until_ do goro.sleep(0.001) end
      collectgarbage()
      collectgarbage()
      assert(testing.live() - before < 50, testing.live() - before)
      print "done"
    end)
    assert.equal("done\n", out)
  end)
end)
