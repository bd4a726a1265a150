-- SPDX-License-Identifier: MIT
-- pubsub.lua [-p publishers] [-s subscribers] [-k slow] [messages]: a hub through which publishers
-- (2) reach subscribers (3) of topics, so many messages each (1000). One goroutine owns the list of
-- subscribers; all else is channels. A subscriber that does not keep up misses messages, and holds
-- nobody up: so many of them are slow (1). Prints what each subscriber got and missed.

local goro = require "goro"

local function usage(message)
  io.stderr:write("pubsub: ", message, "\nusage: pubsub.lua [-p publishers] ",
    "[-s subscribers] [-k slow ones] [messages]\n")
  os.exit(2)
end

local function parse(args)
  local given, i = { p = 2, s = 3, k = 1 }, 1
  while args[i] do
    local option = args[i]:match "^%-([psk])$"
    local value = math.tointeger(tonumber(option and args[i + 1] or args[i]))
    if not value or value < 0 then
      local problem = option and "-%s needs a number" or "'%s' is no number of messages"
      usage(problem:format(option or args[i]))
    end
    if not option and given.n then usage "more than one number of messages" end
    given[option or "n"] = value
    i = i + (option and 2 or 1)
  end
  if given.k > given.s then usage "more slow subscribers than subscribers" end
  return given.p, given.s, given.k, given.n or 1000
end

-- The hub: subscribe with { topic = , inbox = , missed = }, publish with { topic = , … }. It ends
-- when `publish` is closed, and closes the inboxes.
local function hub(subscribe, publish)
  local topics = {}
  local function deliver(message)
    for _, s in ipairs(topics[message.topic] or {}) do
      if not s.inbox:try_send(message, s.patient and math.huge or 0) then
        s.missed = s.missed + 1
      end
    end
  end
  local more = true
  while more do
    goro.select {
      { recv = subscribe, function(s)
        topics[s.topic] = topics[s.topic] or {}
        table.insert(topics[s.topic], s)
        s.missed = 0
        s.ready:close()
      end },
      { recv = publish, function(message, open)
        more = open
        if open then deliver(message) end
      end },
    }
  end
  for _, list in pairs(topics) do
    for _, s in ipairs(list) do
      s.result:send(s.missed)
      s.inbox:close()
    end
  end
end

local function subscriber(name, slow, subscribe)
  local me = {
    topic = "news", patient = not slow, inbox = goro.chan(slow and 1 or 16),
    result = goro.chan(1), ready = goro.chan(),
  }
  subscribe:send(me)
  me.ready:recv()
  return goro.chan(1), function(done)
    local got, last = 0, {}
    for message in me.inbox:range() do
      assert((last[message.from] or 0) < message.number, "out of order")
      last[message.from] = message.number
      got = got + 1
      if slow then goro.sleep(0.0005) end
    end
    done:send { name = name, got = got, missed = me.result:recv() }
  end
end

local publishers, subscribers, slow, messages = parse(arg)
local subscribe, publish = goro.chan(), goro.chan()
goro.go(hub, subscribe, publish)

local ends = {}
for i = 1, subscribers do
  local done, run = subscriber(("subscriber %d"):format(i), i > subscribers - slow, subscribe)
  goro.go(run, done)
  ends[i] = done
end

do
  local g <close> = goro.group()
  for p = 1, publishers do
    g:go(function()
      for number = 1, messages do publish:send { topic = "news", from = p, number = number } end
      publish:send { topic = "gossip", from = p } -- nobody listens
    end)
  end
end
publish:close()

local sent = publishers * messages
for i = 1, subscribers do
  local r = ends[i]:recv()
  assert(r.got + r.missed == sent, "messages were lost or doubled")
  if i <= subscribers - slow then
    assert(r.missed == 0, "a patient subscriber has missed something")
  end
  local got = r.missed == 0 and ("got all %d"):format(sent) or "got some and missed some"
  print(("%s: %s"):format(r.name, got))
end
print(("%d messages published"):format(sent))
