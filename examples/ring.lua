-- SPDX-License-Identifier: MIT
-- ring.lua [n] [rounds]: a ring of n goroutines (1000) passes a number around (100 times); each
-- adds one. Prints the sum, n * rounds.

local goro = require "goro"

local n, rounds = math.tointeger(tonumber(arg[1] or 1000)), math.tointeger(tonumber(arg[2] or 100))
if not n or not rounds or n < 1 or rounds < 0 or arg[3] then
  io.stderr:write "usage: ring.lua [goroutines] [rounds]\n"
  os.exit(2)
end

local function member(inp, out)
  for token in inp:range() do out:send(token + 1) end
  out:close() -- the end goes around like the number
end

local first = goro.chan()
local last = first
for _ = 1, n do
  local out = goro.chan()
  goro.go(member, last, out)
  last = out
end

local token = 0
for _ = 1, rounds do
  first:send(token)
  token = last:recv()
end
first:close()
assert(select(2, last:recv()) == false)
print(token)
