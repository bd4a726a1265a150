-- SPDX-License-Identifier: MIT
-- parked1m [n]: a million goroutines that wait: resident bytes of each, seconds to start them all, and what is left of each a second after
-- they have ended.
local goro = require "goro"
local now = require "bench.clock"

local count = tonumber(arg[1]) or 1000000
local ready, gate = goro.chan(), goro.chan()

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return assert(tonumber(kilobytes), "no VmRSS in /proc/self/status") * 1024
end

local function wait()
  ready:send(true)
  gate:recv()
end

collectgarbage()
local before, start = resident(), now()
for _ = 1, count do goro.go(wait) end
for _ = 1, count do ready:recv() end
local seconds = now() - start
goro.sleep(0.3) -- each has said that it runs; now they reach the gate
assert(goro.num_goroutine() == count + 1, "not all goroutines are there")
print(("parked1m %.0f bytes"):format((resident() - before) / count))
print(("parked1m_start %.2f s"):format(seconds))
gate:close()
while goro.num_goroutine() > 1 do goro.sleep(0.01) end
goro.sleep(1)
print(("parked1m_left %.0f bytes"):format(math.max(0, resident() - before) / count))
