-- SPDX-License-Identifier: MIT
-- parked1m [n]: a million goroutines that wait: resident bytes of each, seconds to start them all, and what is left of each a second after
-- they have ended. Where memory does not suffice, as many as fit in two thirds of it; the seconds are then a million's at the same rate.
local goro = require "goro"
local now = require "bench.clock"

local MILLION, BATCH = 1000000, 1000
local count = tonumber(arg[1]) or MILLION
local ready, gate = goro.chan(), goro.chan()

local function bytes(path, name)
  local file = assert(io.open(path))
  local kilobytes = file:read("a"):match(name .. ":%s*(%d+) kB")
  file:close()
  return assert(tonumber(kilobytes), name) * 1024
end

local function resident() return bytes("/proc/self/status", "VmRSS") end

local function wait()
  ready:send(true)
  gate:recv()
end

collectgarbage()
local before, start = resident(), now()
local budget, started = bytes("/proc/meminfo", "MemAvailable") * 2 // 3, 0
repeat
  for _ = 1, BATCH do goro.go(wait) end
  started = started + BATCH
  for _ = 1, BATCH do ready:recv() end
until started >= count or resident() > budget
local seconds = (now() - start) * count / started
count = started
goro.sleep(0.3) -- each has said that it runs; now they reach the gate
assert(goro.num_goroutine() == count + 1, "not all goroutines are there")
print(("parked1m %.0f bytes"):format((resident() - before) / count))
print(("parked1m_start %.2f s"):format(seconds))
gate:close()
while goro.num_goroutine() > 1 do goro.sleep(0.01) end
goro.sleep(1)
print(("parked1m_left %.0f bytes"):format(math.max(0, resident() - before) / count))
