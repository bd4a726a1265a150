-- SPDX-License-Identifier: MIT
-- oneway [n]: an integer from one goroutine to another through a channel with room for 128.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 1000000
local pipe = goro.chan(128)

local function produce()
  for i = 1, messages do pipe:send(i) end
  pipe:close()
end

local function consume()
  local sum = 0
  for v in pipe:range() do sum = sum + v end
  return sum
end

local start = now()
goro.go(produce)
local sum = goro.run(consume)
local took = now() - start
assert(sum == messages * (messages + 1) // 2, "messages were lost")
print(("oneway %.1f ns"):format(took / messages * 1e9))
