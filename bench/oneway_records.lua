-- SPDX-License-Identifier: MIT
-- oneway_records [n]: as oneway_table, but each message is a list of a hundred such records.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 5000
local pipe = goro.chan(16)

local function produce()
  local records = {}
  for i = 1, 100 do
    records[i] = {
      id = i, name = "gopher", path = "/usr/share/lua", size = 4096, ratio = 0.75,
      ready = true, owner = "moon", group = "lua", count = 12, weight = 1.5,
    }
  end
  for _ = 1, messages do pipe:send(records) end
  pipe:close()
end

local function consume()
  local sum = 0
  for records in pipe:range() do sum = sum + records[100].id end
  return sum
end

local start = now()
goro.go(produce)
local sum = goro.run(consume)
local took = now() - start
assert(sum == messages * 100, "messages were lost")
print(("oneway_records %.1f ns"):format(took / messages * 1e9))
