-- SPDX-License-Identifier: MIT
-- stall_loops: how late a goroutine that sleeps 1 ms at a time comes at worst, in ms, while eight others loop without end; two places.
local goro = require "goro"
local now = require "bench.clock"
goro.maxprocs(2)

local worst = goro.chan()
for _ = 1, 8 do goro.go(function() while true do end end) end
goro.go(function()
  local most, start = 0, now()
  local last = start
  repeat
    goro.sleep(0.001)
    local t = now()
    most = math.max(most, t - last - 0.001)
    last = t
  until t - start > 2
  worst:send(most)
end)
print(("stall_loops %.2f ms"):format(worst:recv() * 1000))
