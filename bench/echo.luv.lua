-- SPDX-License-Identifier: MIT
-- echo, over luv: the same 100 connections by callbacks on libuv's loop, both ends on one thread.
local uv = require "luv"
local now = require("socket").gettime

local CONNS, SECONDS = 100, 2
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
end))

local port = server:getsockname().port
local all, running = {}, CONNS
local start = now()
local stop = start + SECONDS
for _ = 1, CONNS do
  local conn, message = uv.new_tcp(), ("x"):rep(64)
  conn:connect("127.0.0.1", port, function(err)
    assert(not err, err)
    conn:nodelay(true)
    local before, got = now(), 0
    conn:read_start(function(_, data)
      got = got + #data
      if got < 64 then return end
      local after = now()
      all[#all + 1] = (after - before) * 1e6
      before, got = after, 0
      if after < stop then
        conn:write(message)
        return
      end
      conn:close()
      running = running - 1
      if running == 0 then server:close() end
    end)
    conn:write(message)
  end)
end
uv.run()
local seconds = now() - start
table.sort(all)
print(("echo %.0f persec"):format(#all / seconds))
print(("echo_p99 %.0f us"):format(all[math.ceil(#all * 0.99)]))
