-- SPDX-License-Identifier: MIT
-- ops NAME N: does the operation NAME N times in one goroutine; ops --list names them all, in order. run counts their instructions.
local goro = require "goro"
package.path = (arg[0]:match "^(.*/)" or "./") .. "?.lua;" .. package.path
local mono, sleep, sync, context = goro.time.mono, goro.sleep, goro.sync, goro.context
local module = require "module"

local Class = {}
Class.__index = Class
for i = 1, 20 do Class["method" .. i] = function(self) return self.x + i end end

local object = setmetatable({ x = 1, y = 2 }, Class)
local mutex, map, once = sync.mutex(), sync.map(), sync.once(function() return 1 end)
local ten, nested, records = {}, {}, {}
for i = 1, 10 do ten["field" .. i] = i end
for i = 1, 10 do nested[i] = { id = i, tags = { "a", "b" }, at = { x = i, y = -i } } end
for i = 1, 100 do records[i] = { id = i, name = "n" .. i, ok = true } end

-- Goroutines that run f, sixteen at a time.
local function spawn(f, ...)
  local args = table.pack(...)
  return function(n)
    local all = sync.waitgroup()
    for i = 1, n do
      all:go(f, table.unpack(args, 1, args.n))
      if i % 16 == 0 then all:wait() end
    end
    all:wait()
  end
end

-- v goes through a channel from one goroutine to another.
local function stream(v)
  return function(n)
    local c, all = goro.chan(64), sync.waitgroup()
    all:go(function() for _ = 1, n do c:recv() end end)
    for _ = 1, n do c:send(v) end
    all:wait()
  end
end

-- f(n) in a goroutine that is there already: what is counted is f alone.
local function times(make)
  return function(n)
    local f = make()
    for _ = 1, n do f() end
  end
end

local list = {}
local function op(name, f) list[#list + 1] = { name = name, f = f } end

op("go", function(n)
  local go = goro.go
  for i = 1, n do
    go(function() end)
    if i % 16 == 0 then goro.gosched() end
  end
end)
op("spawn_empty", spawn(function() end))
op("spawn_string_method", spawn(function() return ("x"):rep(3) end))
op("spawn_sleep0", spawn(function() sleep(0) end))
op("spawn_mutex", spawn(function() mutex:lock() mutex:unlock() end))
op("spawn_submodule", spawn(function() return mono() end))
op("spawn_own_module", spawn(function() return module.add(1, 2) end))
op("spawn_object", spawn(function() return object:method3() end))
op("spawn_table_argument", spawn(function(t) return t.field1 end, ten))
op("run", function(n) for i = 1, n do goro.run(function(x) return x end, i) end end)

op("stream_integer", stream(1))
op("stream_string100", stream(("s"):rep(100)))
op("stream_table10", stream(ten))
op("stream_nested", stream(nested))
op("stream_object", stream(object))
op("stream_records100", stream(records))
op("stream_function", stream(function(x) return x + 1 end))
op("stream_channel", function(n) return stream(goro.chan())(n) end)

op("pingpong", function(n)
  local there, back = goro.chan(), goro.chan()
  goro.go(function() for _ = 1, n do back:send(there:recv()) end end)
  for i = 1, n do
    there:send(i)
    back:recv()
  end
end)
op("fanin", function(n)
  local c, producers = goro.chan(128), 50
  for _ = 1, producers do goro.go(function() for _ = 1, n // producers do c:send(1) end end) end
  for _ = 1, n // producers * producers do c:recv() end
end)
op("range", function(n)
  local c = goro.chan(64)
  goro.go(function()
    for i = 1, n do c:send(i) end
    c:close()
  end)
  for _ in c:range() do end
end)
op("select8", function(n)
  local channels, cases = {}, {}
  for i = 1, 8 do
    channels[i] = goro.chan(16)
    cases[i] = { recv = channels[i] }
  end
  goro.go(function() for i = 1, n do channels[i % 8 + 1]:send(i) end end)
  for _ = 1, n do goro.select(cases) end
end)
op("select_default", times(function()
  local c = goro.chan()
  return function() return goro.select { { recv = c }, default = true } end
end))
op("recv_timeout", times(function()
  local c = goro.chan(1)
  return function()
    c:send(1)
    return c:recv(1)
  end
end))

op("mutex", times(function()
  return function()
    mutex:lock()
    mutex:unlock()
  end
end))
op("mutex_with", times(function()
  local f = function() end
  return function() mutex:with(f) end
end))
op("rwmutex_read", times(function()
  local rw = sync.rwmutex()
  return function()
    rw:rlock()
    rw:runlock()
  end
end))
op("semaphore", times(function()
  local s = sync.semaphore(2)
  return function()
    s:acquire()
    s:release()
  end
end))
op("atomic_add", times(function()
  local a = sync.atomic()
  return function() a:add(1) end
end))
op("once", times(function() return once end))
op("map_set", function(n) for i = 1, n do map:set(i % 1000, i) end end)
op("map_get", function(n)
  for i = 1, 1000 do map:set(i, i) end
  for i = 1, n do map:get(i % 1000) end
end)
op("map_update", function(n)
  local f = function(v) return (v or 0) + 1 end
  for i = 1, n do map:update(i % 1000, f) end
end)

op("timer_stop", times(function() return function() goro.time.timer(1000):stop() end end))
op("sleep0", times(function() return function() sleep(0) end end))
op("context", times(function()
  local background = context.background()
  return function() context.with_cancel(background):cancel() end
end))
op("group", function(n)
  local g = goro.group()
  for i = 1, n do
    g:go(function() end)
    if i % 16 == 0 then g:wait() end
  end
  g:wait()
end)
op("goro_map", function(n)
  local items = {}
  for i = 1, n do items[i] = i end
  goro.map(items, function(x) return x end)
end)
op("gosched", times(function() return goro.gosched end))
op("coroutine", times(function()
  return coroutine.wrap(function() while true do coroutine.yield() end end)
end))

if arg[1] == "--list" then
  for _, o in ipairs(list) do print(o.name) end
  return
end
goro.maxprocs(1)
for _, o in ipairs(list) do
  if o.name == arg[1] then return goro.run(o.f, assert(math.tointeger(arg[2]), "how often?")) end
end
error(("no operation '%s'; see ops --list"):format(arg[1]))
