-- SPDX-License-Identifier: MIT
-- ratelimit.lua [-r rate] [-b burst] [-j N] [requests]: so many requests (30) by many clients at
-- once, but no more than `rate` (100) begin in a second once a burst of so many (5) is used up, and
-- no more than N (3) are at work at a time. A ticker fills a bucket with tokens, from which each
-- request takes one; a semaphore counts those at work. Prints how long it took, at least how long
-- it had to take, and the most at once.

local goro = require "goro"
local sync = require "goro.sync"
local time = require "goro.time"

local function usage(message)
  io.stderr:write("ratelimit: ", message,
    "\nusage: ratelimit.lua [-r rate] [-b burst] [-j N] [how many requests]\n")
  os.exit(2)
end

local function parse(args)
  local given, i = { r = 100, b = 5, j = 3 }, 1
  while args[i] do
    local option = args[i]:match "^%-([rbj])$"
    local value = math.tointeger(tonumber(option and args[i + 1] or args[i]))
    if option and (not value or value < 1) then
      usage(("-%s needs an integer of at least 1"):format(option))
    end
    if not option and (given.n or not value or value < 0) then
      usage(("'%s' is no number of requests"):format(args[i]))
    end
    given[option or "n"] = value
    i = i + (option and 2 or 1)
  end
  return given.r, given.b, given.j, given.n or 30
end

local rate, burst, limit, requests = parse(arg)

-- The bucket: a channel with room for a burst. When it is full, a tick is lost.
local bucket = goro.chan(burst)
for _ = 1, burst do bucket:send(true) end
local start = time.mono() -- before the first tick is due
local ticker = time.ticker(1 / rate)
goro.go(function(ticks)
  for _ in ticks:range() do bucket:try_send(true) end
end, ticker.c)

local at_work, counts = sync.semaphore(limit), sync.map()
do
  local g <close> = goro.group()
  for i = 1, requests do
    g:go(function()
      bucket:recv()
      at_work:acquire()
      local now = counts:update("now", function(n) return (n or 0) + 1 end)
      counts:update("most", function(n) return math.max(n or 0, now) end)
      goro.sleep(0.005 + i % 3 * 0.005) -- the work
      counts:update("now", function(n) return n - 1 end)
      counts:update("served", function(n) return (n or 0) + 1 end)
      at_work:release()
    end)
  end
end
ticker:stop()

local took, least = time.mono() - start, math.max(0, requests - burst - 1) / rate
local served, most = counts:get "served" or 0, counts:get "most" or 0
print(("%d requests served, at most %d at once"):format(served, most))
local verdict = took >= least and "kept" or "BROKEN"
print(("took %.2f s, the rate allows no less than %.2f s: %s"):format(took, least, verdict))
