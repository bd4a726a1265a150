-- SPDX-License-Identifier: MIT
-- oneway_mib [n]: as oneway, but each message is a string of a MiB, and there is room for 4. The figure is for a KiB.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 2000
local pipe = goro.chan(4)

local function produce()
  local line = ("0123456789abcdef"):rep(65536)
  for _ = 1, messages do pipe:send(line) end
  pipe:close()
end

local function consume()
  local sum = 0
  for v in pipe:range() do sum = sum + #v end
  return sum
end

local start = now()
goro.go(produce)
local sum = goro.run(consume)
local took = now() - start
assert(sum == messages * 1048576, "messages were lost")
print(("oneway_mib %.1f ns"):format(took / messages / 1024 * 1e9))
