-- SPDX-License-Identifier: MIT
-- oneway_string: as oneway, but each message is a string: one of a hundred bytes, then one of a MiB with room for 4, of which the figure is for a KiB.
local goro = require "goro"
local now = require "bench.clock"

local function produce(pipe, bytes, messages)
  local line = ("0123456789"):rep(bytes // 10 + 1):sub(1, bytes)
  for _ = 1, messages do pipe:send(line) end
  pipe:close()
end

local function consume(pipe)
  local sum = 0
  for v in pipe:range() do sum = sum + #v end
  return sum
end

local function measure(name, bytes, room, messages, unit)
  local pipe = goro.chan(room)
  local start = now()
  goro.go(produce, pipe, bytes, messages)
  local sum = goro.run(consume, pipe)
  local took = now() - start
  assert(sum == messages * bytes, "messages were lost")
  print(("%s %.1f ns"):format(name, took / messages / (bytes / unit) * 1e9))
end

measure("oneway_string", 100, 128, 1000000, 100)
measure("oneway_mib", 1048576, 4, 2000, 1024)
