-- SPDX-License-Identifier: MIT
-- echo: 100 connections over loopback in one process, each sends 64 bytes and waits for them, again and again. Requests a second, and the time that 99 of 100 stay below.
local goro = require "goro"
local net = require "goro.net"
local now = require("socket").gettime

local CONNS, SECONDS = 100, 2
local listener = assert(net.listen("tcp", "127.0.0.1:0"))
goro.go(function()
  while true do
    local conn = listener:accept()
    if not conn then return end
    goro.go(function()
      while true do
        local data = conn:read()
        if not data or not conn:write(data) then return end
      end
    end)
  end
end)

local out, address = goro.chan(CONNS), listener:addr()
local stop = now() + SECONDS
local start = now()
for _ = 1, CONNS do
  goro.go(function()
    local conn = assert(net.dial("tcp", address))
    local message, times, n = ("x"):rep(64), {}, 0
    local before = now()
    while before < stop do
      assert(conn:write(message))
      assert(conn:read(64))
      local after = now()
      n = n + 1
      times[n] = (after - before) * 1e6
      before = after
    end
    out:send(times)
  end)
end
local all = {}
for _ = 1, CONNS do
  local times = out:recv()
  table.move(times, 1, #times, #all + 1, all)
end
local seconds = now() - start
table.sort(all)
print(("echo %.0f persec"):format(#all / seconds))
print(("echo_p99 %.0f us"):format(all[math.ceil(#all * 0.99)]))
