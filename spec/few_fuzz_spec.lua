-- SPDX-License-Identifier: MIT
--
-- Random programs while threads come and go: goroutines of many kinds, on one place, two or eight, under a limit of threads or none,
-- while the system gives threads or refuses them by turns (spec/embed/few.c). Every goroutine ends with the number that is right for it,
-- or, where it would have had to keep its thread, with the error that says so; and every program ends.
--
-- GORO_FUZZ=programs (default 24) says how many; GORO_FUZZ_SEED where to begin. A failure names its seed.

local helper = require "spec.helper"

local programs = tonumber(os.getenv "GORO_FUZZ") or helper.rounds(24)
local first = tonumber(os.getenv "GORO_FUZZ_SEED") or 1
local few, it_rations = helper.embedding(it, pending, "few")

local program = [==[
local goro, ctest = require "goro", require "ctest"
local seed, procs = tonumber(arg[1]), tonumber(arg[2])
math.randomseed(seed)
goro.maxprocs(procs)

local function in_comparator(f)
  local result
  table.sort({ 2, 1 }, function(a, b) result = result or f() return a < b end)
  return result
end
local function in_callback(f) return (select(2, ("x"):gsub(".", function() f() end))) end

-- Each returns n.
local kinds = {
  function(n) return n end,
  function(n) local x = 0 for i = 1, 20000 do x = (x + i) % 7 end return n end,
  function(n) goro.sleep(0.001 * (n % 4)) return n end,
  function(n) for _ = 1, 20 do goro.gosched() end return n end,
  function(n) ctest.sleep(0.001 * (n % 3)) return n end,
  function(n) ctest.spin(0.001) return n end,
  function(n) local c = goro.chan(n % 3) goro.go(function() for i = 1, 10 do c:send(i) end c:close() end)
    local sum = 0 for v in c:range() do sum = sum + v end assert(sum == 55) return n end,
  function(n) assert(select(3, goro.chan():recv(0.002)) == "timeout") return n end,
  function(n) return goro.run(function() return goro.run(function() return n end) end) end,
  function(n) local g = goro.group { limit = 2 } for _ = 1, 5 do g:go(function() goro.sleep(0.001) end) end g:wait() return n end,
  function(n) return in_comparator(function() goro.sleep(0.001) return n end) end,
  function(n) return in_comparator(function() return goro.run(function() return n end) end) end,
  function(n) local c = goro.chan() goro.go(function() c:send(n) end) return in_comparator(function() return (c:recv()) end) end,
  function(n) in_callback(function() for _ = 1, 5 do goro.gosched() end end) return n end,
  function(n) local t = goro.time.mono() + 0.012 in_callback(function() while goro.time.mono() < t do end end) return n end,
  function(n) local c = goro.chan(1) return in_comparator(function() c:send(n) return (c:recv()) end) end,
  function(n) local a, b = goro.net.listen("tcp", "127.0.0.1:0"), n
    goro.go(function() local c = a:accept() if c then c:write(tostring(b), "\n") c:close() end end)
    local c = assert(goro.net.dial("tcp", a:addr())) local l = c:read "l" c:close() a:close() return tonumber(l) end,
  function(n) local ctx = goro.context.with_timeout(goro.context.background(), 0.003) ctx:done():recv() return n end,
  function(n) os.execute "true" return n end,
  function(n) local tk = goro.time.ticker(0.001) for _ = 1, 3 do tk.c:recv() end tk:stop() return n end,
}

local results, count = goro.chan(4), 40
local weather = goro.sync.atomic(true)
goro.go(function() end)
if seed % 4 > 0 then          -- else the system gives what it is asked for
  local x = seed
  goro.go(function()
    while weather:load() do
      x = (x * 1103515245 + 12345) % 2147483648
      ration(x // 65536 % 3 == 0 and 1000 or x // 65536 % 3 - 1)
      goro.sleep(0.0003 * (x // 262144 % 8))
    end
    ration(1000)
  end)
end
for i = 1, count do
  local f = kinds[math.random(#kinds)]
  local function task() results:send { i, pcall(f, i) } end
  if math.random(5) == 1 then ctest.sleep(0.001) end
  while not pcall(goro.go, task) do ration(1) end     -- no thread at all, which is told
end
local seen = {}
for _ = 1, count do
  if math.random(8) == 1 then goro.sleep(0.001) end
  local r, _, why = results:recv(20)
  if not r then error("seed " .. seed .. ": " .. tostring(why) .. "\n" .. goro.runtime.dump()) end
  assert(not seen[r[1]], "twice")
  seen[r[1]] = true
  assert(r[2] and r[3] == r[1] or not r[2] and tostring(r[3]):find "too many goroutines wait", "seed " .. seed .. ": " .. tostring(r[3]))
end
weather:store(false)
print "ok"
]==]

describe("random programs", function()
  for _, procs in ipairs { 1, 2, 8 } do
    it_rations(("end at maxprocs %d, whatever threads there are"):format(procs), function()
      for seed = first, first + programs - 1 do
        local limit = ({ false, 1, 2, 3 })[seed % 5] or false
        local r = helper.run_script(program, { timeout = 40, lua = few, args = { tostring(seed), tostring(procs) },
          env = helper.with_ctest { GOROMAXTHREADS = limit and tostring(limit) } })
        assert.is_true(r.code == 0 and r.stdout == "ok\n", ("seed %d, %s threads: %s"):format(seed, limit or "many", helper.describe(r)))
      end
    end)
  end
end)
