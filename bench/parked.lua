-- SPDX-License-Identifier: MIT
-- parked [n]: resident memory of a goroutine that waits on a channel, with 100,000 of them on the same one.
local goro = require "goro"

local count = tonumber(arg[1]) or 100000
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
local before = resident()
for _ = 1, count do goro.go(wait) end
for _ = 1, count do ready:recv() end
goro.sleep(0.3) -- each has said that it runs; now they reach the gate
assert(goro.num_goroutine() == count + 1, "not all goroutines are there")
print(("parked %.0f bytes"):format((resident() - before) / count))
