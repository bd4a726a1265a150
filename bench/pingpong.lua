-- SPDX-License-Identifier: MIT
-- pingpong [n]: a round trip (two messages) between two goroutines over two unbuffered channels.
local goro = require "goro"
local now = require "bench.clock"

local trips = tonumber(arg[1]) or 500000
local ping, pong = goro.chan(), goro.chan()

local function echo()
  for v in ping:range() do pong:send(v) end
end

local function serve()
  local sum = 0
  for i = 1, trips do
    ping:send(i)
    sum = sum + pong:recv()
  end
  ping:close()
  return sum
end

local start = now()
goro.go(echo)
local sum = goro.run(serve)
local took = now() - start
assert(sum == trips * (trips + 1) // 2, "messages were lost")
print(("pingpong %.1f ns"):format(took / trips * 1e9))
