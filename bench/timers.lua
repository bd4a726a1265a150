-- SPDX-License-Identifier: MIT
-- timers [n]: 100,000 goroutines that sleep up to 100 ms, and how long until all have ended; 100,000 timers within 100 ms, and how late the latest 1 % of
-- them fire; how late a lone sleeper wakes (the median); what it takes to make and stop a timer, and to set one anew.
local goro = require "goro"
local now = require "bench.clock"
local time = goro.time

local n = tonumber(arg[1]) or 100000
local LONE, SETS = 100, 300000

local function some_ms(i) return (i * 7919 % n) / n * 0.1 end

local function all_sleepers()
  local out = goro.chan(n)
  local sleep = goro.sleep
  local start = time.mono()
  for i = 1, n do goro.go(function(s) sleep(s) out:send(true) end, some_ms(i)) end
  for _ = 1, n do out:recv() end
  return time.mono() - start
end

local function all_timers()
  local due, timers, late = {}, {}, {}
  for i = 1, n do
    local s = 0.3 + some_ms(i)
    due[i] = time.now() + s
    timers[i] = goro.after(s)
  end
  for i = 1, n do late[i] = timers[i]:recv() - due[i] end
  table.sort(late)
  return late[math.ceil(n * 0.99)]
end

local function lone_sleeper()
  local late = {}
  for i = 1, LONE do
    local before = time.mono()
    goro.sleep(0.002)
    late[i] = time.mono() - before - 0.002
  end
  table.sort(late)
  return late[LONE // 2]
end

local function per_timer(f)
  local start = now()
  for _ = 1, SETS do f() end
  return (now() - start) / SETS * 1e9
end

print(("sleepers_total %.1f ms"):format(goro.run(all_sleepers) * 1e3))
print(("timers_p99 %.2f ms"):format(goro.run(all_timers) * 1e3))
print(("sleep_late %.1f us"):format(goro.run(lone_sleeper) * 1e6))
print(("timer_stop %.1f ns"):format(goro.run(function() return per_timer(function() time.timer(1000):stop() end) end)))
print(("timer_reset %.1f ns"):format(goro.run(function()
  local t = time.timer(1000)
  return per_timer(function() t:reset(1000) end)
end)))
