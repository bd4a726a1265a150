-- SPDX-License-Identifier: MIT
-- faults.lua - what specs of failing allocations share; used in the child that the spec runs.
--
-- A goroutine that finds no memory to begin with, or to tell how it ended, is a panic. It is met by
-- the main script's next goro call, whichever that is, and it may come at any moment until the
-- goroutine has gone. So after a failure every goro call is made under pcall until no other
-- goroutine is there and nothing is left to be met: that is settle().

local goro = require "goro"
local testing = require "goro.testing"

local faults = {}

local function of_memory(err)
  if not tostring(err):find("not enough memory", 1, true) then error(err, 0) end
end

--- Waits until the main script is the only goroutine. Returns the number of panics that were met
-- meanwhile, all of them for want of memory.
function faults.settle()
  local met, until_ = 0, os.time() + 60
  local function call(f, ...)
    local ok, result = pcall(f, ...)
    if ok then return result end
    of_memory(result)
    met = met + 1
  end
  while call(goro.num_goroutine) ~= 1 do
    if os.time() > until_ then
      error("there are goroutines left\n" .. tostring(call(goro.runtime.dump)), 0)
    end
    call(goro.sleep, 0.0005)
  end
  -- A goroutine posts its panic before it goes: between the look for panics and the count it may
  -- have done both.
  while not call(goro.num_goroutine) do end -- luacheck: ignore 542
  collectgarbage()
  collectgarbage()
  return met
end

--- Runs `once` with allocation 1, 2, 3 … of goro failing (with `many`: so many in a row), until
-- none of it fails any more. What `once` raises must be for want of memory. Returns how many times
-- it was run, and how many times anything failed.
function faults.each(once, many)
  local n, failures, made = 0, 0
  repeat
    n = n + 1
    testing.fail_at(n, many)
    local ok, err = pcall(once)
    made = testing.fail_at(0)
    if not ok then
      failures = failures + 1
      of_memory(err)
    end
    failures = failures + faults.settle()
  until made < n
  return n, failures
end

return faults
