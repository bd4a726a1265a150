-- SPDX-License-Identifier: MIT
-- sync [n]: a mutex that nobody else wants (lock and unlock), an atomic and a wait group's add and done likewise; then a mutex that two goroutines for each core
-- want; the same when its holder lets others run, so that all of them wait for it; a rwmutex of which one call in a hundred is a writer's; a mutex handed to and fro by
-- a condition; and goroutines that a wait group starts and waits for. One operation each, of n (1000000; fewer where somebody waits).
local goro = require "goro"
local sync = require "goro.sync"
local now = require "bench.clock"

local n = tonumber(arg[1]) or 1000000
local cores = goro.num_cpu()

local function timed(name, times, f, ...)
  local start = now()
  goro.run(f, ...)
  print(("%s %.1f ns"):format(name, (now() - start) / times * 1e9))
end

timed("mutex_free", n, function()
  local m = sync.mutex()
  for _ = 1, n do
    m:lock()
    m:unlock()
  end
end)

timed("atomic_add", n, function()
  local a = sync.atomic()
  for _ = 1, n do a:add(1) end
  assert(a:load() == n)
end)

timed("waitgroup_add", n, function()
  local wg = sync.waitgroup()
  for _ = 1, n do
    wg:add(1)
    wg:done()
  end
  wg:wait()
end)

local workers = 2 * cores
local function all(f)
  local wg = sync.waitgroup()
  for _ = 1, workers do wg:go(f) end
  wg:wait()
end

timed("mutex_shared", n, function()
  local m = sync.mutex()
  all(function()
    for _ = 1, n // workers do
      m:lock()
      m:unlock()
    end
  end)
end)

timed("mutex_handed", n // 10, function()
  local m = sync.mutex()
  all(function()
    for _ = 1, n // 10 // workers do
      m:lock()
      goro.gosched()
      m:unlock()
    end
  end)
end)

timed("rwmutex_shared", n, function()
  local rw = sync.rwmutex()
  all(function()
    local x = 0
    for i = 1, n // workers do
      if i % 100 == 0 then
        rw:lock()
        x = x + 1
        rw:unlock()
      else
        rw:rlock()
        x = x + 1
        rw:runlock()
      end
    end
  end)
end)

timed("cond_pingpong", n // 5, function()
  local m, turn = sync.mutex(), sync.atomic(0)
  local c = sync.cond(m)
  local wg = sync.waitgroup()
  for me = 0, 1 do
    wg:go(function()
      m:lock()
      for _ = 1, n // 10 do
        while turn:load() ~= me do c:wait() end
        turn:store(1 - me)
        c:signal()
      end
      m:unlock()
    end)
  end
  wg:wait()
end)

timed("waitgroup_go", n // 5, function()
  local wg = sync.waitgroup()
  for _ = 1, n // 5 // 100 do
    for _ = 1, 100 do wg:go(function() end) end
    wg:wait()
  end
end)
