-- SPDX-License-Identifier: MIT
-- echo.lua [address]: a TCP server that sends each line back, one goroutine for each connection. Listens at the address, or at a free port of this machine, and prints
-- where. A client that says nothing for a minute is sent away.

local goro = require "goro"
local net = require "goro.net"

local function serve(conn)
  local client <close> = conn
  client:set_timeout(60)
  while true do
    local line = client:read "L"
    if not line or not client:write(line) then return end
  end
end

local listener, message = net.listen("tcp", arg and arg[1] or "127.0.0.1:0")
if not listener then
  io.stderr:write("echo: ", message, "\n")
  os.exit(1)
end
print("listening at " .. listener:addr())
io.stdout:flush()
while true do
  local conn, why, code = listener:accept()
  if conn then goro.go(serve, conn)
  elseif code == "ECANCELED" then break
  else io.stderr:write("echo: ", why, "\n") end
end
