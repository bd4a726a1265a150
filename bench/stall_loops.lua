-- SPDX-License-Identifier: MIT
-- stall_loops, stall_p99: how late a goroutine that sleeps 1 ms at a time comes at worst, and 99 times in 100 at most, in ms, while a
-- hundred others loop without end; two places. Of the worsts of seven runs the median counts.
local goro = require "goro"
local now = require "bench.clock"
goro.maxprocs(2)

local worst = goro.chan()
for _ = 1, 100 do goro.go(function() while true do end end) end
goro.go(function()
  local late, start = {}, now()
  local last = start
  repeat
    goro.sleep(0.001)
    local t = now()
    late[#late + 1] = t - last - 0.001
    last = t
  until t - start > 2
  table.sort(late)
  worst:send { late[#late], late[math.ceil(#late * 0.99)] }
end)
local most, p99 = table.unpack((worst:recv()))
print(("stall_loops %.2f ms\nstall_p99 %.2f ms"):format(most * 1000, p99 * 1000))
