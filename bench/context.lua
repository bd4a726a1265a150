-- SPDX-License-Identifier: MIT
-- context [n]: a tree of 10,000 contexts, ten children each, of which a tenth has a deadline, is made and cancelled from its root; and one child
-- after the other is made of a parent that lives on, and cancelled. Both in ns a context.
local goro = require "goro"
local now = require "bench.clock"
local context = goro.context

local CONTEXTS, WAYS = 10000, 10
local rounds = tonumber(arg[1]) or 20

local function tree()
  local all = { context.with_cancel(context.background()) }
  for i = 2, CONTEXTS do
    local parent = all[(i - 2) // WAYS + 1]
    all[i] = i % 10 == 0 and context.with_timeout(parent, 1000) or context.with_cancel(parent)
  end
  return all
end

local made, cancelled = 0, 0
collectgarbage "generational"
for _ = 1, rounds do
  local start = now()
  local all = tree()
  local between = now()
  all[1]:cancel()
  local stop = now()
  if all[CONTEXTS]:err() ~= "canceled" then error "the last has not ended" end
  made, cancelled = made + (between - start), cancelled + (stop - between)
  all = nil -- luacheck: ignore 311
  collectgarbage()
end
local parent = context.with_cancel(context.background())
local start = now()
for _ = 1, rounds * CONTEXTS do context.with_cancel(parent):cancel() end
local churned = now() - start
local n = rounds * CONTEXTS
print(("context_make %.1f ns"):format(made / n * 1e9))
print(("context_cancel %.1f ns"):format(cancelled / n * 1e9))
print(("context_child %.1f ns"):format(churned / n * 1e9))
