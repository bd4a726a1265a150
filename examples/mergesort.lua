-- SPDX-License-Identifier: MIT
-- mergesort.lua [n] [seed]: sorts n random numbers (100000) by a parallel mergesort: the list is
-- halved until there is a piece for each CPU, each piece is sorted by a goroutine, and each two
-- neighbours are merged by another. Checks the result and prints a few of the numbers.

local goro = require "goro"

local n, seed = math.tointeger(tonumber(arg[1] or 100000)), math.tointeger(tonumber(arg[2] or 1))
if not n or not seed or n < 0 or arg[3] then
  io.stderr:write "usage: mergesort.lua [how many numbers] [seed]\n"
  os.exit(2)
end

local function merge(a, b)
  local out, i, j = table.move(a, 1, 0, 1, {}), 1, 1
  for k = 1, #a + #b do
    if j > #b or (i <= #a and a[i] <= b[j]) then
      out[k], i = a[i], i + 1
    else
      out[k], j = b[j], j + 1
    end
  end
  return out
end

-- Lists are copied on their way: that is cheap beside sorting them, so pieces are few and large.
local function sort(list, pieces)
  if pieces < 2 or #list < 2 then
    table.sort(list)
    return list
  end
  local middle = #list // 2
  local halves = { table.move(list, 1, middle, 1, {}), table.move(list, middle + 1, #list, 1, {}) }
  local sorted = goro.map(halves, function(half) return sort(half, pieces // 2) end)
  return merge(sorted[1], sorted[2])
end

math.randomseed(seed)
local list, sum = {}, 0
for i = 1, n do
  list[i] = math.random(1000000)
  sum = sum + list[i]
end

local sorted = sort(list, 2 * goro.num_cpu())
assert(#sorted == n, "numbers were lost")
for i = 1, n do
  assert(i == 1 or sorted[i - 1] <= sorted[i], "not in order")
  sum = sum - sorted[i]
end
assert(sum == 0, "other numbers came out")
print(("%d numbers in order"):format(n))
if n > 0 then
  local least, middle, greatest = sorted[1], sorted[(n + 1) // 2], sorted[n]
  print(("the least %d, the middle %d, the greatest %d"):format(least, middle, greatest))
end
