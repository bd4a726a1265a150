-- SPDX-License-Identifier: MIT
-- idle.lua's work for luv: the server's ends have a callback each, and a read that is started.
local uv = require "luv"

local COUNT = 9000

local function resident()
  local file = assert(io.open "/proc/self/status")
  local kilobytes = file:read("a"):match "VmRSS:%s*(%d+) kB"
  file:close()
  return assert(tonumber(kilobytes), "no VmRSS in /proc/self/status") * 1024
end

local server, conns, before = uv.new_tcp(), {}, nil
server:bind("127.0.0.1", 0)
server:listen(4096, function()
  local conn = uv.new_tcp()
  server:accept(conn)
  conn:read_start(function(_, data)
    if data then conn:write(data) else conn:close() end
  end)
end)

local port = server:getsockname().port
local function open()
  local conn = uv.new_tcp()
  conns[#conns + 1] = conn
  conn:connect("127.0.0.1", port, function(err)
    assert(not err, err)
    conn:read_start(function(_, data)
      assert(data == "hello")
      conn:read_stop()
      if #conns == 100 then
        collectgarbage()
        before = resident()
      end
      if #conns < COUNT + 100 then return open() end
      collectgarbage()
      print(("idle %.0f bytes"):format((resident() - before) / COUNT))
      os.exit(0, false)
    end)
    conn:write("hello")
  end)
end
open()
uv.run()
