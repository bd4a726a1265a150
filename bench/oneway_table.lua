-- SPDX-License-Identifier: MIT
-- oneway_table [n]: as oneway, but each message is a table of ten fields, which is copied on its way.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 200000
local pipe = goro.chan(128)

local function produce()
  local record = {
    id = 0, name = "gopher", path = "/usr/share/lua", size = 4096, ratio = 0.75,
    ready = true, owner = "moon", group = "lua", count = 12, weight = 1.5,
  }
  for i = 1, messages do
    record.id = i
    pipe:send(record)
  end
  pipe:close()
end

local function consume()
  local sum = 0
  for record in pipe:range() do sum = sum + record.id end
  return sum
end

local start = now()
goro.go(produce)
local sum = goro.run(consume)
local took = now() - start
assert(sum == messages * (messages + 1) // 2, "messages were lost")
print(("oneway_table %.1f ns"):format(took / messages * 1e9))
