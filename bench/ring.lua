-- SPDX-License-Identifier: MIT
-- ring [n]: a token goes round a ring of 1000 goroutines over unbuffered channels; the cost of a hop.
local goro = require "goro"
local now = require "bench.clock"

local SIZE = 1000
local hops = tonumber(arg[1]) or 1000000
local done = goro.chan()
local links = {}
for i = 1, SIZE do links[i] = goro.chan() end

local function node(from, to)
  while true do
    local hop = from:recv()
    if hop >= hops then return done:send(hop) end
    to:send(hop + 1)
  end
end

for i = 1, SIZE do goro.go(node, links[i], links[i % SIZE + 1]) end
goro.sleep(0.1) -- all of them wait for the token before the clock starts
local start = now()
links[1]:send(0)
local last = done:recv()
local took = now() - start
assert(last == hops, "the token lost count")
print(("ring %.1f ns"):format(took / hops * 1e9))
