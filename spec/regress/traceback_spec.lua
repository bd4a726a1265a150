-- SPDX-License-Identifier: MIT
-- The traceback of an uncaught error was taken by a call in the thread that the error had ended: a Lua that checks the use of its API
-- aborted. It is read in another way now, and must be the text that debug.traceback gives at the same place.

local helper = require "spec.helper"

describe("the traceback of an uncaught error", function()
  it("is debug.traceback's, whatever is on the stack", function()
    helper.passes(function()
      local goro = require "goro"
      -- Each runs `thrower` somewhere: what it throws is told by a handler there, or by the goroutine's end.
      local places = {
        function(thrower) thrower() end,
        function(thrower) return thrower() end,
        function(thrower) return setmetatable({}, { __index = function(_, k) thrower(k) end }).field end,
        function(thrower) table.sort({ 1, 2, 3 }, function() thrower() end) end,
        function(thrower) string.gsub("x", "x", thrower) end,
        function(thrower) require "goro.sync".mutex():with(thrower) end,
        function(thrower) local _ <close> = setmetatable({}, { __close = function() end }) thrower() end,
        function(thrower) for _ in thrower do end end,
        function(thrower) load("local f = ... f()", "=loaded")(thrower) end,
        function(thrower) load("local f = ... f()", "@" .. ("long"):rep(40))(thrower) end,
      }
      load "function global_function(thrower) thrower() end" ()
      places[#places + 1] = function(thrower) _G.global_function(thrower) end
      for depth = 1, 60 do
        local function deep(thrower, n) if n == 0 then thrower() else deep(thrower, n - 1) end end
        places[#places + 1] = function(thrower) deep(thrower, depth) end
      end
      for i, place in ipairs(places) do
        for _, how in ipairs { "error", "assert", "nil" } do
          local function thrower()
            if how == "error" then error "thrown" end
            if how == "assert" then assert(false, "thrown") end
            local none = nil
            none()
          end
          local function whole() place(thrower) place = nil end
          local expected = goro.run(function(f)
            local co = coroutine.create(f)
            assert(not coroutine.resume(co))
            return debug.traceback(co)
          end, whole)
          assert(not pcall(goro.run, whole))
          local got = goro.traceback()
          assert(expected == got, ("%d, %s\n%s\n--\n%s"):format(i, how, expected, got))
        end
      end
    end)
  end)
end)
