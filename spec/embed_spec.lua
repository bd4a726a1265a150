-- SPDX-License-Identifier: MIT
-- goro in a program that has Lua inside (spec/embed/host.c): several host states, each on a thread of its own, one generation of them
-- after the other. Whatever happens in them, the program goes on, and its exit status is its own.

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "host")

local function host(threads, rounds, source, opts)
  local all = { lua = program, args = { tostring(threads), tostring(rounds) } }
  for k, v in pairs(opts or {}) do all[k] = v end
  return helper.run_script(source, all)
end

-- The lines of what it printed, in order: those of threads that run at once come in any.
local function sorted(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

local function repeated(n, line)
  local lines = {}
  for i = 1, n do lines[i] = line end
  return lines
end

describe("a program with Lua inside", function()
  it_runs("has a main goroutine in each of its states", function()
    local out = helper.ended_well(host(4, 5, [[
      local goro = require "goro"
      local jobs, results = goro.chan(), goro.chan(8)
      for _ = 1, 3 do
        goro.go(function() for n in jobs:range() do results:send(n * n) end end)
      end
      goro.go(function() for n = 1, 100 do jobs:send(n) end jobs:close() end)
      local sum = 0
      for _ = 1, 100 do sum = sum + results:recv() end
      assert(goro.run(function(...) return select("#", ...), ... end, nil, "x") == 2)
      print(sum)
    ]]))
    local expected = repeated(20, "338350")
    expected[21] = "end"
    assert.same(expected, sorted(out))
  end)

  it_runs("keeps each state's globals and modules to itself", function()
    local out = helper.ended_well(host(4, 2, [[
      local goro = require "goro"
      local number, round = ...
      assert(mine == nil)
      mine = number * 100 + round
      for _ = 1, 50 do
        assert(goro.run(function() return mine end) == number * 100 + round)
        goro.gosched()
      end
      assert(mine == number * 100 + round)
    ]]))
    assert.equal("end\n", out)
  end)

  it_runs("gets a panic in the state that the goroutine descends from", function()
    local r = host(2, 3, [[
      local goro = require "goro"
      local number = ...
      if number == 1 then
        -- by way of a goroutine that is over by then
        goro.go(function() goro.go(function() error("boom", 0) end) end)
        local ok, err = pcall(function() goro.chan():recv() end)
        print("thread 1", ok, err)
      else
        for _ = 1, 100 do goro.sleep(0.001) end
        print("thread 2", goro.run(function() return "unharmed" end))
      end
    ]])
    assert.equal(0, r.code, helper.describe(r))
    local expected = { "end" }
    for _ = 1, 3 do expected[#expected + 1] = "thread 1\tfalse\tboom" end
    for _ = 1, 3 do expected[#expected + 1] = "thread 2\tunharmed" end
    assert.same(expected, sorted(r.stdout))
    local _, told = r.stderr:gsub("goro: panic: boom\n", "")
    assert.equal(3, told, helper.describe(r))
  end)

  it_runs("goes on with its own status when a script has not met a panic", function()
    local r = host(1, 1, [[
      require "goro".go(function() error "unmet" end)
      repeat -- what goro has written to stderr, which is a file; no call of goro meets the panic
        local f <close> = io.open "/proc/self/fd/2"
      until f:read "a":find "created by goro.go at [^\n]+\n"
    ]])
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("end\n", r.stdout)
    assert.is_truthy(r.stderr:find("goro: panic: job.lua:1: unmet\n", 1, true), helper.describe(r))
  end)

  it_runs("gets errors as from any script", function()
    local out = helper.ended_well(host(1, 2, [[
      local goro = require "goro"
      goro.run(function() error({ "a table" }) end)
    ]]))
    assert.is_truthy(out:find "^thread 1: table: 0x%x+\nthread 1: table: 0x%x+\nend\n$", out)
  end)

  it_runs("closes a state while its goroutines wait and sleep, and may make new ones", function()
    local r = host(3, 4, [[
      local goro = require "goro"
      local ch = goro.chan()
      for i = 1, 30 do
        goro.go(function() ch:recv() end)
        goro.go(function() goro.sleep(i % 2 == 0 and 1000 or math.huge) end)
        goro.go(function() goro.select { { recv = ch }, { recv = goro.chan() }, timeout = 500 } end)
      end
      goro.gosched()
      assert(goro.num_goroutine() > 30)
      assert(goro.run(function() return 42 end) == 42)
    ]])
    assert.equal("end\n", helper.ended_well(r))
    assert.is_true(r.seconds < helper.limit(30), r.seconds)
  end)

  it_runs("reports a deadlock to the state that waits, and goes on", function()
    local out = helper.ended_well(host(1, 2, [[
      local goro = require "goro"
      local ok, err = pcall(function() return goro.chan():recv() end)
      print(ok, err:match "[^\n]*")
      print(goro.run(function() return "still alive" end))
    ]]))
    local once = "false\tall goroutines are asleep - deadlock!\nstill alive\n"
    assert.is_truthy(out:gsub("job%.lua:%d+: ", "") == once .. once .. "end\n", out)
  end)
end)
