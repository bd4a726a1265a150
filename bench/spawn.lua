-- SPDX-License-Identifier: MIT
-- spawn [n]: what it costs to start a goroutine that does nothing, and to be rid of it. A goroutine starts them a hundred at a
-- time and lets others run until all hundred are gone, so no channel is measured along with them.
local goro = require "goro"
local now = require "bench.clock"

local BATCH = 100
local batches = (tonumber(arg[1]) or 20000) // BATCH

local function nothing() end

local function driver()
  local before = goro.num_goroutine()
  for _ = 1, batches do
    for _ = 1, BATCH do goro.go(nothing) end
    while goro.num_goroutine() > before do goro.gosched() end
  end
end

local start = now()
goro.run(driver)
print(("spawn %.1f ns"):format((now() - start) / (batches * BATCH) * 1e9))
