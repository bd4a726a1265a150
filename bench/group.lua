-- SPDX-License-Identifier: MIT
-- group [n]: a group of n goroutines (10000) that do next to nothing, without a limit and with one of 100; and goro.map over as many small items.
-- Each per goroutine or item.
local goro = require "goro"
local now = require "bench.clock"

local n = tonumber(arg[1]) or 10000
local rounds = 20

local function timed(name, f)
  local start = now()
  goro.run(f)
  print(("%s %.1f ns"):format(name, (now() - start) / n / rounds * 1e9))
end

local function run(limit)
  for _ = 1, rounds do
    local g <close> = goro.group { limit = limit }
    for i = 1, n do g:go(math.abs, i) end
    g:wait()
  end
end

timed("group", function() run() end)
timed("group_limit", function() run(100) end)
timed("group_map", function()
  local list = {}
  for i = 1, n do list[i] = i end
  for _ = 1, rounds do
    local out = goro.map(list, function(v) return v + 1 end)
    assert(out[n] == n + 1)
  end
end)
