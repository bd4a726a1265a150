-- SPDX-License-Identifier: MIT
-- echo.lua's work for luv: one loop on one thread, callbacks.
local uv = require "luv"

local CONNS, SECONDS = 100, 2
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(CONNS, function()
  local conn = uv.new_tcp()
  server:accept(conn)
  conn:nodelay(true)
  conn:read_start(function(_, data)
    if data then conn:write(data) else conn:close() end
  end)
end)

local port = server:getsockname().port
local start = uv.hrtime()
local stop = start + SECONDS * 1000000000
local all, open = {}, CONNS
for _ = 1, CONNS do
  local conn = uv.new_tcp()
  conn:connect("127.0.0.1", port, function(err)
    assert(not err, err)
    conn:nodelay(true)
    local message, got = ("x"):rep(64), 0
    local before = uv.hrtime()
    conn:read_start(function(_, data)
      got = got + #data
      if got < 64 then return end
      got = 0
      local after = uv.hrtime()
      all[#all + 1] = (after - before) / 1000
      before = after
      if after < stop then
        conn:write(message)
        return
      end
      conn:close()
      open = open - 1
      if open == 0 then server:close() end
    end)
    conn:write(message)
  end)
end
uv.run()
local seconds = (uv.hrtime() - start) / 1e9
table.sort(all)
print(("echo %.0f persec"):format(#all / seconds))
print(("echo_p99 %.0f us"):format(all[math.ceil(#all * 0.99)]))
