-- SPDX-License-Identifier: MIT
-- idle: resident memory of a connection that is served by a goroutine which waits for data. 9,000 of them; both ends are in this process, the other ends are just open.
local goro = require "goro"
local net = require "goro.net"

local COUNT = 9000

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return assert(tonumber(kilobytes), "no VmRSS in /proc/self/status") * 1024
end

local ready = goro.chan()
local function serve(conn)
  while true do
    ready:send(true)
    local data = conn:read()
    if not data or not conn:write(data) then return end
  end
end

local listener = assert(net.listen("tcp", "127.0.0.1:0"))
local address, conns = listener:addr(), {}
local function open()
  local conn = assert(net.dial("tcp", address))
  conns[#conns + 1] = conn
  goro.go(serve, assert(listener:accept()))
  ready:recv()
  conn:write("hello")
  ready:recv()
  assert(conn:read(5) == "hello")
end

for _ = 1, 100 do open() end
collectgarbage()
local before = resident()
for _ = 1, COUNT do open() end
collectgarbage()
goro.sleep(0.3)
print(("idle %.0f bytes"):format((resident() - before) / COUNT))
