-- SPDX-License-Identifier: MIT
-- echo.lua [address]: a TCP server that sends each line back, one goroutine for each connection.
-- Listens at the address, or at a free port of this machine, and prints where. A client that says
-- nothing for a minute is sent away. Ctrl-C (or SIGTERM) ends it gracefully: nobody new is let in,
-- and it waits until those who are there have gone; a second one ends it at once, for the signals
-- are then the system's again.

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
local signals = goro.signal.notify("INT", "TERM")
goro.go(function()
  signals:recv()
  goro.signal.stop(signals)
  listener:close()
end)

print("listening at " .. listener:addr())
io.stdout:flush()
local clients = goro.group {
  on_error = function(err) io.stderr:write("echo: ", tostring(err), "\n") end,
}
while true do
  local conn, why, code = listener:accept()
  if conn then clients:go(serve, conn)
  elseif code == "ECANCELED" or code == "EBADF" then break -- closed while this waited, or before
  else io.stderr:write("echo: ", why, "\n") end
end
clients:wait()
print "bye"
