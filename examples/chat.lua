-- SPDX-License-Identifier: MIT
-- chat.lua [address]: a chat over TCP. The first line that a client sends is its name; each further
-- line goes to all others.
--
-- Three kinds of goroutines share nothing and talk through channels: the room, which alone knows
-- who is there; for each client a reader, which tells the room what comes, and a writer, which
-- sends what the room says. A client that does not read fills its writer's channel; the room does
-- not wait for it, but throws it out.
--
-- Ctrl-C (or SIGTERM) ends it gracefully: nobody new is let in, the room says so and lets all go,
-- and the script ends when each has been told.

local goro = require "goro"
local net = require "goro.net"

-- What the room is told: { kind = "join" | "say" | "leave" | "end", name =, text =, out = }
local function room(events)
  local outs, open = {}, true
  local function tell_all(text, except)
    for name, out in pairs(outs) do
      if name ~= except and not out:try_send(text) then
        out:close()
        outs[name] = nil
      end
    end
  end
  for event in events:range() do
    local name = event.name
    if event.kind == "join" then
      local free = open and outs[name] == nil
      event.answer:send(free)
      if free then
        tell_all(("* %s has come"):format(name))
        outs[name] = event.out
      end
    elseif event.kind == "say" then
      tell_all(("<%s> %s"):format(name, event.text), name)
    elseif event.kind == "end" then
      open = false
      tell_all "* the room is closed"
      for _, out in pairs(outs) do out:close() end
      outs = {}
    elseif outs[name] == event.out then
      outs[name] = nil
      event.out:close()
      tell_all(("* %s has gone"):format(name))
    end
  end
end

local function write_out(conn, out)
  for text in out:range() do
    if not conn:write(text, "\n") then break end
  end
  conn:close()
end

local function serve(conn, events, clients)
  local client <close> = conn
  client:max_line(1000)
  client:set_timeout(60) -- to say a name, and to take what the room says
  client:write("your name?\n")
  local name = client:read "l"
  name = name and name:match "^%s*(.-)%s*$"
  if not name or name == "" then return end
  local out, answer = goro.chan(100), goro.chan(1)
  events:send { kind = "join", name = name, out = out, answer = answer }
  if not answer:recv() then
    client:write("that name is taken\n")
    return
  end
  client:write("welcome\n")
  clients:go(write_out, client, out)
  while true do
    local line = client:read("l", math.huge)
    if not line then break end
    events:send { kind = "say", name = name, text = line:gsub("\r$", "") }
  end
  events:send { kind = "leave", name = name, out = out }
end

local listener, message = net.listen("tcp", arg and arg[1] or "127.0.0.1:0")
if not listener then
  io.stderr:write("chat: ", message, "\n")
  os.exit(1)
end
local signals = goro.signal.notify("INT", "TERM")
goro.go(function()
  signals:recv()
  goro.signal.stop(signals) -- a second one ends the script at once
  listener:close()
end)

print("listening at " .. listener:addr())
io.stdout:flush()
local events = goro.chan()
local clients = goro.group {
  on_error = function(err) io.stderr:write("chat: ", tostring(err), "\n") end,
}
goro.go(room, events)
while true do
  local conn, why, code = listener:accept()
  if conn then clients:go(serve, conn, events, clients)
  elseif code == "ECANCELED" or code == "EBADF" then break -- closed while this waited, or before
  else io.stderr:write("chat: ", why, "\n") end
end
events:send { kind = "end" }
clients:wait()
print "bye"
