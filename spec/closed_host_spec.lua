-- SPDX-License-Identifier: MIT
-- A state that closes while others are open ends its goroutines, as by goexit (spec/embed/states.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(helper.interrupting(it, pending), pending, "states")
local env = helper.with_ctest { GOROMAXPROCS = 2 }

-- What a goroutine of the state that closes does; `ch` is a channel that nobody else uses.
local bodies = {
  ["loops"] = "while true do end",
  ["loops in pcall that catches all"] = "while true do pcall(function() while true do end end) end",
  ["loops in coroutines"] = "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
  ["loops in a comparator"] = "table.sort({ 3, 1, 2 }, function() while true do end end)",
  ["loops in pcall in a comparator"] = "table.sort({ 3, 1, 2 }, function() while true do pcall(function() while true do end end) end end)",
  ["loops under somebody's C pcall"] = "require 'ctest'.catch(function() while true do end end) while true do end",
  ["loops, with a hook of its own"] = "debug.sethook(function() pcall(error) end, '', 100) while true do end",
  ["loops in gsub's callback"] = "string.gsub('x', 'x', function() while true do end end)",
  ["waits to receive"] = "ch:recv()",
  ["waits to receive, and catches all"] = "while true do pcall(ch.recv, ch) end",
  ["waits in a coroutine"] = "coroutine.wrap(function() pcall(ch.recv, ch) end)()",
  ["waits where it cannot yield"] = "table.sort({ 3, 1, 2 }, function() ch:recv() end)",
  ["waits where it cannot yield, and catches all"] = "table.sort({ 3, 1, 2 }, function() while true do pcall(ch.recv, ch) end end)",
  ["waits in select"] = "goro.select { { recv = ch }, { send = goro.chan(), value = 1 } }",
  ["waits in run"] = "goro.run(function() ch:recv() end)",
  ["waits for a group"] = "local g = goro.group() g:go(function() ch:recv() end) g:wait()",
  ["waits in map"] = "goro.map({ 1, 2, 3 }, function() ch:recv() end)",
  ["waits for a mutex"] = "local m = goro.sync.mutex() m:lock() m:lock()",
  ["waits for a connection"] = "local l = goro.net.listen('tcp', '127.0.0.1:0') l:accept()",
  ["waits to read"] = "local l = goro.net.listen('tcp', '127.0.0.1:0') local c = goro.net.dial('tcp', l:addr()) c:read()",
  ["waits for a child"] = "goro.process.run { 'sleep', '5' }",
  ["sleeps"] = "goro.sleep(1000)",
  ["sends to itself without end"] = "local c = goro.chan(1) while true do c:send(1) c:recv() end",
  ["starts others without end"] = "while true do goro.go(function() while true do end end) goro.gosched() end",
  ["lets others run without end"] = "while true do goro.gosched() end",
  ["sleeps in C for a moment, again and again"] = "while true do pcall(nap, 0.005) end",
  ["has an after_func that starts itself"] = "local t = goro.time local function f() t.after_func(0.001, f) end f() ch:recv()",
}
local names = {}
for name in pairs(bodies) do names[#names + 1] = name end
table.sort(names)

local function runs(source, opts)
  local all = { lua = program, env = env, timeout = 30 }
  for k, v in pairs(opts or {}) do all[k] = v end
  return helper.run_script("local goro = require 'goro' " .. source, all)
end

-- The code runs in a state of its own, which then closes; `check` runs in the one that stays. Returns what that prints.
local function passes(code, check)
  local r = runs(("local s = open(%q) close(s) %s"):format(("local goro, add, nap = require 'goro', add, nap local ch = goro.chan() %s"):format(code), check))
  return helper.ended_well(r)
end

describe("a state that closes while another is open ends its goroutine that", function()
  for _, name in ipairs(names) do
    it_runs(name, function()
      assert.equal("1\n", passes(([[
        for _ = 1, 3 do
          goro.go(function()
            local x <close> = setmetatable({}, { __close = function() add(1) end })
            add(3)
            %s
            add(2)
          end)
        end
        repeat goro.sleep(0.005) until add(3, 0) == 3]]):format(bodies[name]), [[
        print(goro.num_goroutine())
        assert(add(1, 0) == 3, add(1, 0)) -- each __close has run, and nothing after the end
        assert(add(2, 0) == 0)
        local ok, err = pcall(function() goro.chan():recv() end)
        assert(not ok and err:find "deadlock", err) -- nothing is left that could wake anybody
      ]]))
    end)
  end

  it_runs("has not begun yet, or is one of many", function()
    assert.equal("1\n", passes("for _ = 1, 2000 do goro.go(function() while true do end end) end", "print(goro.num_goroutine())"))
  end)
end)

describe("what the goroutines of a state that closes do at their end", function()
  it_runs("may wait, lock and send", function()
    passes([[
      local m, done = goro.sync.mutex(), goro.chan(1)
      local wg = goro.sync.waitgroup()
      goro.go(function()
        local x <close> = setmetatable({}, { __close = function() goro.sleep(0.05) m:lock() add(1) m:unlock() done:send(1) end })
        add(3)
        ch:recv()
      end)
      wg:go(function()
        local x <close> = setmetatable({}, { __close = function() assert(done:recv(5) == 1) add(1) end })
        add(3)
        while true do end
      end)
      goro.go(function() -- its join is told
        local x <close> = setmetatable({}, { __close = function() assert(wg:wait(5)) add(1) end })
        add(3)
        table.sort({ 2, 1 }, function() ch:recv() end)
      end)
      repeat goro.sleep(0.005) until add(3, 0) == 3]],
      "assert(add(1, 0) == 3, add(1, 0)) assert(goro.num_goroutine() == 1)")
  end)

  it_runs("runs innermost first, through coroutines and pcall", function()
    passes([[
      goro.go(function()
        local a <close> = setmetatable({}, { __close = function() assert(add(1) == 3) end })
        coroutine.wrap(function()
          local b <close> = setmetatable({}, { __close = function() assert(add(1) == 2) end })
          pcall(function()
            local c <close> = setmetatable({}, { __close = function() assert(add(1) == 1) end })
            add(3)
            ch:recv()
          end)
        end)()
      end)
      repeat goro.sleep(0.005) until add(3, 0) == 1]], "assert(add(1, 0) == 3)")
  end)

  for what, body in pairs {
    loops = "while true do end", ["loops in pcall"] = "while true do pcall(function() while true do end end) end", waits = "goro.chan():recv()",
    ["waits again and again"] = "local c = goro.chan() while true do pcall(c.recv, c) end",
  } do
    for where, wait in pairs { ["a wait"] = "ch:recv()", ["a loop"] = "while true do end", ["a comparator"] = "table.sort({ 2, 1 }, function() ch:recv() end)" } do
      it_runs(("is cut short when it %s, in the __close of %s"):format(what, where), function()
        passes(([[
          goro.go(function()
            local x <close> = setmetatable({}, { __close = function() %s end })
            add(3)
            %s
          end)
          repeat goro.sleep(0.005) until add(3, 0) == 1]]):format(body, wait), "assert(goro.num_goroutine() == 1)")
      end)
    end
  end

  it_runs("is told as ever when it fails", function()
    local r = runs [[
      local s = open [=[
        local goro = require "goro"
        goro.go(function() local x <close> = setmetatable({}, { __close = function() error "at the end" end }) goro.chan():recv() end)
        goro.sleep(0.01)]=]
      close(s) assert(goro.num_goroutine() == 1)]]
    assert.is_true(r.code == 0 and r.stderr:find "^goro: panic: [^\n]*at the end\n" ~= nil, helper.describe(r))
  end)
end)

describe("a goroutine that sits in foreign C when its state closes", function()
  it_runs("is left behind, told of, and ends when it is back", function()
    local r = runs [[
      local s = open [=[
        local goro, nap, add = require 'goro', nap, add
        for _ = 1, 2 do
          goro.go(function()
            local x <close> = setmetatable({}, { __close = function() add(1) end })
            add(3)
            nap(5)
            add(2)
          end)
        end
        repeat goro.sleep(0.005) until add(3, 0) == 2]=]
      close(s)
      print(goro.num_goroutine())
      repeat goro.sleep(0.01) until goro.num_goroutine() == 1
      assert(add(1, 0) == 2 and add(2, 0) == 0)]]
    assert.is_true(r.code == 0 and r.stdout == "3\n", helper.describe(r))
    assert.equal("goro: 2 goroutines of a closed Lua state did not end, and are left behind\n", r.stderr)
  end)
end)

describe("a state that stays", function()
  it_runs("sees nothing of a hundred others, and goes on", function()
    local out = helper.ended_well(runs [[
      local mine = goro.chan()
      goro.go(function() for i = 1, 1e9 do mine:send(i) end end)
      for _ = 1, 100 do
        local s = open [=[
          local goro = require "goro"
          for _ = 1, 3 do goro.go(function() while true do end end) goro.go(function() goro.chan():recv() end) end
          goro.time.after_func(3600, print)
          goro.gosched()]=]
        close(s)
        mine:recv()
        assert(goro.num_goroutine() == 2)
      end
      print((mine:recv()))]])
    assert.equal("101\n", out)
  end)
end)
