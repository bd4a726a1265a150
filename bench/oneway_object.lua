-- SPDX-License-Identifier: MIT
-- oneway_object [n]: as oneway, but each message is an object of a class with twenty methods, which both sides know after the first.
local goro = require "goro"
local now = require "bench.clock"

local messages = tonumber(arg[1]) or 200000
local pipe = goro.chan(128)

local Account = { kind = "account", rate = 0.5 }
Account.__index = Account
function Account.new(id) return setmetatable({ id = id, balance = 0 }, Account) end
function Account:add(n) self.balance = self.balance + n end
function Account:get() return self.balance end
for i = 1, 17 do
  Account["method" .. i] = function(self, x)
    if x > self.balance then error("account " .. tostring(self.id) .. " has only " .. self.balance) end
    return Account.new(self.id + i)
  end
end

local function produce()
  for i = 1, messages do pipe:send(Account.new(i)) end
  pipe:close()
end

local function consume()
  local sum = 0
  for account in pipe:range() do
    account:add(account.id)
    sum = sum + account:get()
  end
  return sum
end

local start = now()
goro.go(produce)
local sum = goro.run(consume)
local took = now() - start
assert(sum == messages * (messages + 1) // 2, "messages were lost")
print(("oneway_object %.1f ns"):format(took / messages * 1e9))
