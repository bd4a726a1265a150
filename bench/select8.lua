-- SPDX-License-Identifier: MIT
-- select8 [n]: a select over eight channels of which one is ready. One goroutine puts a message into one of them and selects, so
-- that nobody waits; the send is in the figure.
local goro = require "goro"
local now = require "bench.clock"

local WAYS = 8
local rounds = tonumber(arg[1]) or 500000

local function driver()
  local chans, cases = {}, {}
  for i = 1, WAYS do
    chans[i] = goro.chan(1)
    cases[i] = { recv = chans[i] }
  end
  for i = 1, rounds do
    local way = i % WAYS + 1
    chans[way]:send(i)
    local index, v = goro.select(cases)
    if index ~= way or v ~= i then error("select took the wrong case") end
  end
end

local start = now()
goro.run(driver)
print(("select8 %.1f ns"):format((now() - start) / rounds * 1e9))
