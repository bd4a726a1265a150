-- SPDX-License-Identifier: MIT
-- cpu2 [n]: how many times the work gets done in the same time when two goroutines compute instead of one; 2 is perfect.
local goro = require "goro"
local now = require "bench.clock"

local steps = tonumber(arg[1]) or 30000000
local results = goro.chan()

local function compute(seed)
  local x = seed
  for _ = 1, steps do x = (x * 1103515245 + 12345) & 0x7fffffff end
  results:send(x)
end

local function measure(goroutines)
  local start = now()
  for _ = 1, goroutines do goro.go(compute, 42) end
  local first = results:recv()
  for _ = 2, goroutines do assert(results:recv() == first, "the results differ") end
  return now() - start
end

local one = measure(1)
local two = measure(2)
print(("cpu2 %.2f times"):format(2 * one / two))
