-- SPDX-License-Identifier: MIT
-- mainpong [n]: as pingpong, but one of the two is the main script, which stays on its own thread.
local goro = require "goro"
local now = require "bench.clock"

local trips = tonumber(arg[1]) or 50000
local ping, pong = goro.chan(), goro.chan()

local function echo()
  for v in ping:range() do pong:send(v) end
end

goro.go(echo)
local sum = 0
local start = now()
for i = 1, trips do
  ping:send(i)
  sum = sum + pong:recv()
end
local took = now() - start
ping:close()
assert(sum == trips * (trips + 1) // 2, "messages were lost")
print(("mainpong %.1f ns"):format(took / trips * 1e9))
