-- SPDX-License-Identifier: MIT
-- What goroutines inherit is packed once for many of them.

local passes = require "spec.helper".passes

describe("what is inherited", function()
  it("may itself start goroutines while it is packed", function()
    passes(function()
      local goro = require "goro"
      local done, depth = goro.chan(10), 0
      local maker = setmetatable({}, {
        __goro = function()
          if depth < 3 then
            depth = depth + 1
            goro.go(function() done:send(_G.arg[1] ~= nil) end)
            depth = depth - 1
          end
          return function(...) return { ... } end, "made"
        end,
      })
      _G.arg = { "one", maker }
      goro.go(function() done:send(_G.arg[1] == "one" and _G.arg[2][1] == "made") end)
      assert(done:recv(30))
    end)
  end)
end)
