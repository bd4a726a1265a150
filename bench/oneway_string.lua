-- SPDX-License-Identifier: MIT
-- oneway_string [n]: as oneway, but each message is a string of a hundred bytes.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 1000000
local pipe = goro.chan(128)

local function produce()
  local line = ("0123456789"):rep(10)
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
assert(sum == messages * 100, "messages were lost")
print(("oneway_string %.1f ns"):format(took / messages * 1e9))
