-- SPDX-License-Identifier: MIT
-- map [n]: set, get, update of n integer keys (100000), each several times by one goroutine; get of string keys; and all cores at once, nine
-- gets to one update. One operation each, the loop around it included.
local goro = require "goro"
local sync = require "goro.sync"
local now = require "bench.clock"

local n = tonumber(arg[1]) or 100000
local rounds = 10

local function timed(name, times, f, ...)
  local start = now()
  goro.run(f, ...)
  print(("%s %.1f ns"):format(name, (now() - start) / times * 1e9))
end

local m = sync.map()
timed("map_set", n * rounds, function()
  for _ = 1, rounds do
    for i = 1, n do m:set(i, i) end
  end
end)
timed("map_get", n * rounds, function()
  local sum = 0
  for _ = 1, rounds do
    for i = 1, n do sum = sum + m:get(i) end
  end
  assert(sum == rounds * n * (n + 1) // 2)
end)
timed("map_update", n * rounds, function()
  local function add(v) return v + 1 end
  for _ = 1, rounds do
    for i = 1, n do m:update(i, add) end
  end
end)
assert(m:get(n) == n + rounds)

local words = {}
for i = 1, 1000 do
  words[i] = "word" .. i
  m:set(words[i], i)
end
timed("map_get_string", n * rounds, function()
  local sum = 0
  for _ = 1, n * rounds // #words do
    for i = 1, #words do sum = sum + m:get(words[i]) end
  end
  assert(sum == n * rounds // #words * 500500)
end)

local cores = goro.num_cpu()
timed("map_shared", n * rounds, function()
  local done = goro.chan()
  for _ = 1, cores do
    goro.go(function()
      local function add(v) return v + 1 end
      for _ = 1, rounds do
        for i = 1, n // cores do
          if i % 10 == 0 then m:update(i, add) else m:get(i) end
        end
      end
      done:send(true)
    end)
  end
  for _ = 1, cores do done:recv() end
end)
