-- SPDX-License-Identifier: MIT
-- idle, over luv: the same server with a callback for each connection; the clients are a process of their own, this program again, with the port.
local uv = require "luv"

local COUNT = 10000

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return assert(tonumber(kilobytes), "no VmRSS in /proc/self/status") * 1024
end

if arg[1] then
  local conns = {}
  local function dial()
    local conn = uv.new_tcp()
    conns[#conns + 1] = conn
    conn:connect("127.0.0.1", tonumber(arg[1]), function(err)
      assert(not err, err)
      if #conns < COUNT then dial() end
    end)
  end
  dial()
  local input = uv.new_pipe(false)
  input:open(0)
  input:read_start(function(_, data) if not data then os.exit(0) end end) -- until the server has gone
  uv.run()
end

local accepted, before = 0, nil
local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
assert(server:listen(1024, function(err)
  assert(not err, err)
  local conn = uv.new_tcp()
  server:accept(conn)
  conn:nodelay(true)
  conn:read_start(function(_, data)
    if data then conn:write(data) else conn:close() end
  end)
  accepted = accepted + 1
  if accepted < COUNT then return end
  collectgarbage()
  print(("idle %.0f bytes"):format((resident() - before) / COUNT))
  os.exit(0)
end))
collectgarbage()
before = resident()
local input = uv.new_pipe(false)
assert(uv.spawn("lua5.4", { args = { arg[0], tostring(server:getsockname().port) }, stdio = { input, nil, 2 } }, function() end))
uv.run()
