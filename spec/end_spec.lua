-- SPDX-License-Identifier: MIT
-- The end of the script, whatever its goroutines do at that moment: prompt, silent, with the script's own status.

local helper = require "spec.helper"
local it = helper.interrupting(it, pending)

local build = os.getenv "GORO_BUILD_DIR" or "build"
local env = { LUA_CPATH = build .. "/embed/?.so;" .. os.getenv "LUA_CPATH", GOROMAXPROCS = 2 }

-- Bodies of goroutines; `ch` is a channel that nobody else uses.
local states = {
  ["loops"] = "while true do end",
  ["loops in pcall that catches all"] = "while true do pcall(function() while true do end end) end",
  ["loops in a coroutine"] = "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
  ["loops in a comparator"] = "table.sort({ 3, 1, 2 }, function() while true do end end)",
  ["loops in pcall in a comparator"] = "table.sort({ 3, 1, 2 }, function() while true do pcall(function() while true do end end) end end)",
  ["loops under somebody's C pcall"] = "require 'ctest'.catch(function() while true do end end) while true do end",
  ["loops in __close"] = "local x <close> = setmetatable({}, { __close = function() while true do end end })",
  ["loops in __gc"] = "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
  ["sleeps in C"] = "require 'ctest'.sleep(5)",
  ["computes in C"] = "require 'ctest'.spin(5)",
  ["waits to receive"] = "ch:recv()",
  ["waits to send"] = "ch:send(1)",
  ["waits in select"] = "goro.select { { recv = ch }, { send = goro.chan(), value = 1 } }",
  ["waits where it cannot yield"] = "table.sort({ 3, 1, 2 }, function() ch:recv() end)",
  ["waits in a coroutine"] = "coroutine.wrap(function() ch:recv() end)()",
  ["waits, and its __close loops"] = "local x <close> = setmetatable({}, { __close = function() while true do end end }) ch:recv()",
  ["waits, and its __close loops in a coroutine"] = [[
    local x <close> = setmetatable({}, { __close = function() coroutine.wrap(function() while true do pcall(error) end end)() end }) ch:recv()]],
  ["waits, and its __gc loops"] = "kept = setmetatable({}, { __gc = function() while true do end end }) ch:recv()",
  ["waits, and its __gc sleeps in C"] = "kept = setmetatable({}, { __gc = function() require 'ctest'.sleep(5) end }) ch:recv()",
  ["waits, and its __close waits"] = "local x <close> = setmetatable({}, { __close = function() ch:recv() end }) ch:recv()",
  ["sleeps"] = "goro.sleep(1000)",
  ["sleeps for ever"] = "goro.sleep(math.huge)",
  ["runs a command"] = "os.execute 'sleep 1'",
  ["reads from a command"] = "io.popen 'sleep 1':read 'a'",
  ["starts others without end"] = "while true do goro.go(function() while true do end end) goro.gosched() end",
  ["sends to itself without end"] = "local c = goro.chan(1) while true do c:send(1) c:recv() end",
}
local names = {}
for name in pairs(states) do names[#names + 1] = name end
table.sort(names)

-- What the script's own end is, its status, and what it says on stderr.
local ends = {
  { "", 0, "^$" },
  { "os.exit(0)", 0, "^$" },
  { "os.exit(3, true)", 3, "^$" },
  { "error 'at the end'", 1, "^[^\n]*lua[^\n]*: job.lua:%d+: at the end\nstack traceback:" },
}

describe("the script ends while a goroutine", function()
  for _, name in ipairs(names) do
    it(name, function()
      for _, e in ipairs(ends) do
        local r = helper.run_script(([[
          local goro = require "goro"
          local ch = goro.chan()
          for _ = 1, 3 do goro.go(function() %s end) end
          goro.sleep(0.03)
          %s]]):format(states[name], e[1]), { env = env, timeout = 30 })
        assert.is_true(r.code == e[2] and r.stdout == "" and r.stderr:find(e[3]) ~= nil, e[1] .. ": " .. helper.describe(r))
        -- 0.3 s for the end, and the rest for everything before it; a C call that lasts, or a child process, ends later
        assert.is_true(r.seconds < helper.limit(0.9), e[1] .. ": " .. r.seconds)
      end
    end)
  end

  it("or each of ten thousand has only just been started", function()
    local r = helper.run_script([[
      local goro = require "goro"
      for _ = 1, 10000 do goro.go(function() while true do end end) end
    ]], { env = env, timeout = 60 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
  end)

  it("exits with a status of its own", function()
    for _, surroundings in ipairs {
      "%s", "pcall(function() %s end)", "coroutine.wrap(function() %s end)()", "table.sort({ 2, 1 }, function() %s end)",
      "local x <close> = setmetatable({}, { __close = function() %s end })",
    } do
      local r = helper.run_script(([[
        local goro = require "goro"
        for _ = 1, 3 do goro.go(function() while true do end end) end
        goro.go(function() %s end)
        while true do end]]):format(surroundings:format "os.exit(7)"), { env = env, timeout = 30 })
      assert.is_true(r.code == 7 and r.stderr == "", surroundings .. ": " .. helper.describe(r))
    end
  end)
end)

describe("what a goroutine leaves behind", function()
  it("is written to its open files", function()
    local path = os.tmpname()
    helper.passes(function(name)
      local goro = require "goro"
      local ready = goro.chan()
      goro.go(function()
        local f = assert(io.open(name, "w"))
        f:write "to be written at the end"
        ready:send(true)
        goro.chan():recv()
        f:close()
      end)
      ready:recv(30)
    end, { args = { path } })
    local f <close> = assert(io.open(path))
    assert.equal("to be written at the end", f:read "a")
    os.remove(path)
  end)

  it("is finalized when it exits, wherever it is", function()
    for _, surroundings in ipairs {
      "%s", "pcall(function() %s end)", "coroutine.wrap(function() %s end)()", "table.sort({ 2, 1 }, function() %s end)",
      "string.gsub('x', 'x', function() %s end)", "local _ = setmetatable({}, { __index = function() %s end }).x",
      "pcall(coroutine.wrap(function() table.sort({ 2, 1 }, function() pcall(function() %s end) end) end))",
    } do
      helper.passes_script(([[
        local goro = require "goro"
        local log = goro.chan(10)
        goro.go(function()
          local a <close> = setmetatable({}, { __close = function() log:send "closed" end })
          kept = setmetatable({}, { __gc = function() log:send "finalized" end })
          %s
          log:send "went on"
        end)
        assert(log:recv(30) == "closed")
        assert(log:recv(30) == "finalized")
        assert(select(3, log:recv(0.02)) == "timeout")
      ]]):format(surroundings:format "goro.goexit()"), { env = env })
    end
  end)
end)

describe("SIGINT ends a script as it ends plain lua", function()
  for what, main in pairs {
    waits = "goro.chan():recv()", sleeps = "goro.sleep(100)", computes = "while true do end",
    ["waits in run"] = "goro.run(function() while true do end end)",
  } do
    it("when it " .. what, function()
      local r = helper.run_script(([[
        local goro = require "goro"
        for _ = 1, 4 do goro.go(function() while true do end end) end
        goro.go(function() goro.sleep(0.1) require "ctest".kill(2) end)
        %s]]):format(main), { env = env, timeout = 30 })
      assert.is_true(r.code == 1 and r.stderr:find "^[^\n]*lua[^\n]*: [^\n]*interrupted!\nstack traceback:\n" ~= nil, helper.describe(r))
      assert.is_true(r.seconds < helper.limit(2), r.seconds)
    end)
  end
end)
