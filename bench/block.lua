-- SPDX-License-Identifier: MIT
-- block: twenty goroutines block for 100 ms in foreign C code (LuaSocket's sleep), on two places, beside one that sleeps 1 ms at a time:
-- the time until all are through, and how late that one comes at worst, in ms.
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
local start = now()
for _ = 1, 20 do
  goro.go(function()
    require "socket".sleep(0.1)
    done:send(true)
  end)
end
for _ = 1, 20 do done:recv() end
local total = now() - start
stop:close()
print(("block_total %.2f ms\nblock_worst %.2f ms"):format(total * 1000, worst:recv() * 1000))
