-- SPDX-License-Identifier: MIT
-- idle: resident memory, in the server, of a TCP connection that says nothing, with 10,000 of them; each has a goroutine that waits for what it says.
-- The clients are a process of their own, for a process may not have so many descriptors: this program again, with the address.
local goro = require "goro"
local net, process = require "goro.net", require "goro.process"

local COUNT = 10000

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return assert(tonumber(kilobytes), "no VmRSS in /proc/self/status") * 1024
end

if arg[1] then
  local conns = {}
  for i = 1, COUNT do conns[i] = assert(net.dial("tcp", arg[1])) end
  assert(#conns == COUNT)
  io.read "a" -- until the server has gone
  os.exit(0)
end

local function serve(conn)
  local client <close> = conn
  while true do
    local data = client:read()
    if not data or not client:write(data) then return end
  end
end

local listener = assert(net.listen("tcp", "127.0.0.1:0"))
goro.run(function() end) -- the pool is there
collectgarbage()
local before = resident()
local clients = assert(process.spawn { "lua5.4", arg[0], listener:addr() })
for _ = 1, COUNT do
  goro.go(serve, (assert(listener:accept(60))))
end
collectgarbage()
goro.sleep(0.5) -- they reach their reads
print(("idle %.0f bytes"):format((resident() - before) / COUNT))
clients:kill()
clients:wait()
