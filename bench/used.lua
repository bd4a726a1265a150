-- SPDX-License-Identifier: MIT
-- used [n]: 100,000 goroutines that have each lived a little: printed a line, used `string` and `table` and a Lua module that they required. Then they wait
-- on a channel. Resident memory of one, and the time from the first start until all are there, divided by their number.
-- What they print goes to /dev/null: so the program runs itself once more, and that one tells its figures through stderr.
if arg[1] ~= "child" then
  local child <close> = assert(io.popen(("'%s' '%s' child %s 2>&1 >/dev/null"):format(arg[-1], arg[0], arg[1] or "")))
  io.write(child:read "a")
  return
end

local goro = require "goro"
local now = require "bench.clock"

local count = tonumber(arg[2]) or 100000
local ready, gate = goro.chan(), goro.chan()

local function resident()
  local file <close> = assert(io.open "/proc/self/status")
  return assert(tonumber(file:read("a"):match "VmRSS:%s*(%d+) kB"), "no VmRSS in /proc/self/status") * 1024
end

local function live(i)
  local words = require "bench.words"
  local line = words.line((" goroutine %d of many "):format(i))
  local list = {}
  for word in pairs(words.count(line.words)) do list[#list + 1] = word end
  table.sort(list)
  print(tostring(line), table.concat(list, ","), line:longest())
  ready:send(true)
  gate:recv()
end

collectgarbage()
local before, start = resident(), now()
for i = 1, count do goro.go(live, i) end
for _ = 1, count do ready:recv() end
local took = now() - start
goro.sleep(0.3) -- each has said that it lives; now they reach the gate
assert(goro.num_goroutine() == count + 1, "not all goroutines are there")
io.stderr:write(("used_bytes %.0f bytes\nused_us %.2f us\n"):format((resident() - before) / count, took / count * 1e6))
