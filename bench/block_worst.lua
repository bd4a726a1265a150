-- SPDX-License-Identifier: MIT
-- block_worst: twenty goroutines block for 100 ms in foreign C code (LuaSocket's sleep), on two places, beside one that sleeps 1 ms at a time:
-- how late that one comes at worst, in ms.
local goro = require "goro"
local now = require "bench.clock"
goro.maxprocs(2)

local done, stop, worst = goro.chan(20), goro.chan(), goro.chan(1)
goro.go(function()
  local most, last = 0, now()
  repeat
    goro.sleep(0.001)
    local t = now()
    most = math.max(most, t - last - 0.001)
    last = t
    local stopped = select(2, stop:recv(0)) == false
  until stopped
  worst:send(most)
end)
for _ = 1, 20 do
  goro.go(function()
    require "socket".sleep(0.1)
    done:send(true)
  end)
end
for _ = 1, 20 do done:recv() end
stop:close()
local most = worst:recv()
print(("block_worst %.2f ms"):format(most * 1000))
