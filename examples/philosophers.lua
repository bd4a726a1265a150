-- SPDX-License-Identifier: MIT
-- philosophers.lua [n] [meals]: n philosophers (5) sit around a table with a fork between each two.
-- Each thinks, takes both forks, eats, so many times (20). Were each to take the left fork first,
-- all might sit there with one fork for ever; so each takes the lower-numbered one first. Prints
-- how often each has eaten, and how many ate at once at most. After Edsger Dijkstra.

local goro = require "goro"
local sync = require "goro.sync"

local n, meals = math.tointeger(tonumber(arg[1] or 5)), math.tointeger(tonumber(arg[2] or 20))
if not n or not meals or n < 2 or meals < 0 or arg[3] then
  io.stderr:write "usage: philosophers.lua [philosophers, at least 2] [meals]\n"
  os.exit(2)
end

local forks, table_ = {}, sync.map()
for i = 1, n do forks[i] = sync.mutex() end

local function philosopher(i)
  local left, right = i, i % n + 1
  local first, second = forks[math.min(left, right)], forks[math.max(left, right)]
  for _ = 1, meals do
    goro.sleep(math.random() * 0.001) -- thinks
    local _ <close> = first:guard()
    local _ <close> = second:guard()
    for _, fork in ipairs { left, right } do
      local holder, taken = table_:get_or_set("fork " .. fork, i)
      assert(not taken, ("fork %d is in the hands of %s and %s"):format(fork, holder, i))
    end
    local eating = table_:update("eating", function(k) return (k or 0) + 1 end)
    table_:update("most", function(k) return math.max(k or 0, eating) end)
    goro.sleep(math.random() * 0.001) -- eats
    table_:update("eating", function(k) return k - 1 end)
    table_:update(i, function(k) return (k or 0) + 1 end)
    for _, fork in ipairs { left, right } do table_:delete("fork " .. fork) end
  end
end

local g = goro.group()
for i = 1, n do g:go(philosopher, i) end
g:wait()

for i = 1, n do print(("philosopher %d has eaten %d times"):format(i, table_:get(i) or 0)) end
local most = table_:get "most" or 0
assert(most <= n // 2, "more ate than there are pairs of forks")
print(("never more than %d at once"):format(n // 2))
