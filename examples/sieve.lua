-- SPDX-License-Identifier: MIT
-- sieve.lua [n]: the first n primes (25), by a chain of goroutines: each takes the numbers that its
-- neighbour lets through, the first of them is prime, and passes on those which that prime does not
-- divide. After Doug McIlroy's coroutines and Rob Pike's Newsqueak.

local goro = require "goro"

local n = math.tointeger(tonumber(arg[1] or 25))
if not n or n < 0 or arg[2] then
  io.stderr:write "usage: sieve.lua [how many primes]\n"
  os.exit(2)
end

local function numbers(out)
  local i = 2
  while true do
    out:send(i)
    i = i + 1
  end
end

local function filter(inp, out, prime)
  for i in inp:range() do
    if i % prime ~= 0 then out:send(i) end
  end
end

local ch = goro.chan()
goro.go(numbers, ch)
for _ = 1, n do
  local prime = ch:recv()
  print(prime)
  local out = goro.chan()
  goro.go(filter, ch, out, prime)
  ch = out
end
-- The goroutines still wait to send; they end with the script.
