-- SPDX-License-Identifier: MIT
-- The end of the script, whatever its goroutines do at that moment: prompt, silent, with the script's own status.

local helper = require "spec.helper"
local it = helper.interrupting(it, pending)

local env = helper.with_ctest { GOROMAXPROCS = 2 }

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
  ["loops in a metamethod"] = "return setmetatable({}, { __index = function() while true do end end }).x",
  ["loops in gsub's callback"] = "string.gsub('x', 'x', function() while true do end end)",
  ["loops in an iterator"] = "for _ in function() while true do end end do end",
  ["loops in xpcall's handler"] = "xpcall(error, function() while true do end end)",
  ["loops in a require loader"] = "package.preload.mine = function() while true do end end require 'mine'",
  ["loops in its hook"] = "debug.sethook(function() while true do end end, '', 1) local x = 1",
  ["loops, and counts by a hook that catches all"] = "debug.sethook(function() pcall(error) end, '', 100) while true do pcall(function() while true do end end) end",
  ["waits for one that loops"] = "goro.run(function() while true do end end)",
  ["waits in pcall, and catches all"] = "while true do pcall(ch.recv, ch) end",
  ["sleeps in C, in a coroutine"] = "coroutine.wrap(function() require 'ctest'.sleep(5) end)()",
  ["sleeps in C, in a comparator"] = "table.sort({ 2, 1 }, function() require 'ctest'.sleep(5) end)",
  ["sleeps in C again and again, and catches all"] = "while true do pcall(require 'ctest'.sleep, 0.01) end",
  ["is one of many that loop"] = "for _ = 1, 10 do goro.go(function() while true do end end) end while true do end",
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

-- The time from the script's last statement to the moment when its status is known. The best of three: the machine may be busy.
describe("the script's end takes less than 0.3 s while a goroutine", function()
  for _, name in ipairs(names) do
    it(name, function()
      local best = math.huge
      for _ = 1, 3 do
        local r = helper.run_script(([[
          local goro, now = require "goro", require "ctest".now
          local ch = goro.chan()
          for _ = 1, 3 do goro.go(function() %s end) end
          goro.sleep(0.03)
          print(("at %%.6f"):format(now()))]]):format(states[name]), { env = env, timeout = 30 })
        local ended = helper.now()
        assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
        best = math.min(best, ended - assert(tonumber(r.stdout:match "^at ([%d.]+)\n$"), r.stdout))
        if best < 0.3 then break end
      end
      assert.is_true(best >= 0, "the clocks differ")
      assert.is_true(best < helper.limit(0.3), best)
    end)
  end

  it("has just been started, a thousand times", function()
    for _, e in ipairs(ends) do
      local r = helper.run_script(([[
        local goro = require "goro"
        for _ = 1, 1000 do goro.go(function() local x <close> = setmetatable({}, { __close = function() end }) while true do end end) end
        %s]]):format(e[1]), { env = env, timeout = 30 })
      assert.is_true(r.code == e[2] and r.stdout == "" and r.stderr:find(e[3]) ~= nil, e[1] .. ": " .. helper.describe(r))
      assert.is_true(r.seconds < helper.limit(1.5), e[1] .. ": " .. r.seconds)
    end
  end)

  it("reads from a pipe that stays open", function()
    local r = helper.run_script([[
      local goro = require "goro"
      goro.go(function() io.read "l" end)
      goro.sleep(0.03)
      io.stderr:write(""):flush()
    ]], { env = env, timeout = 30, wrap = [[sh -c 'mkfifo "$0.f" && { "$@" <>"$0.f"; s=$?; rm "$0.f"; exit $s; }' ]] .. helper.quote(os.tmpname()) })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    assert.is_true(r.seconds < helper.limit(0.9), r.seconds)
  end)
end)

describe("an error of the main script is told as by plain lua, busy goroutines or not:", function()
  for _, err in ipairs { "error 'text'", "error('text', 0)", "error()", "error {}", "error(setmetatable({}, { __tostring = function() return 'own' end }))",
    "error(12)", "local x = nil; x.y = 1" } do
    it(err, function()
      local plain = helper.run_script("\n" .. err)
      local r = helper.run_script(
        "local goro = require 'goro' for _ = 1, 4 do goro.go(function() while true do end end) end goro.sleep(0.01)\n" .. err, { env = env, timeout = 30 })
      assert.is_true(r.code == 1 and plain.code == 1, helper.describe(r))
      assert.equal(plain.stderr, r.stderr)
      assert.equal("", r.stdout)
    end)
  end
end)

describe("os.exit in a goroutine", function()
  -- %s is the call.
  local places = {
    "%s", "pcall(function() %s end)", "while true do pcall(function() %s end) end", "coroutine.wrap(function() %s end)()",
    "coroutine.wrap(function() pcall(coroutine.resume, coroutine.create(function() %s end)) end)()",
    "table.sort({ 2, 1 }, function() %s end)", "string.gsub('x', 'x', function() %s end)",
    "local x <close> = setmetatable({}, { __close = function() %s end })", "return setmetatable({}, { __index = function() %s end }).x",
    "xpcall(error, function() %s end)", "for _ in function() %s end do end", "package.preload.mine = function() %s end require 'mine'",
    "setmetatable({}, { __gc = function() %s end }) collectgarbage()", "require 'ctest'.catch(function() %s end)",
    "debug.sethook(function() debug.sethook() %s end, '', 1) local x = 1",
  }

  for _, place in ipairs(places) do
    it("ends the process: " .. place:format "os.exit", function()
      for _, e in ipairs { { "os.exit(7)", 7 }, { "os.exit(7, true)", 7 } } do
        local r = helper.run_script(([[
          local goro = require "goro"
          for _ = 1, 3 do goro.go(function() while true do end end) end
          goro.go(function() %s end)
          goro.chan():recv(20)
          error "it went on"]]):format(place:format(e[1])), { env = env, timeout = 30 })
        assert.is_true(r.code == e[2] and r.stderr == "", e[1] .. ": " .. helper.describe(r))
        assert.is_true(r.seconds < helper.limit(1.5), e[1] .. ": " .. r.seconds)
      end
    end)
  end

  it("knows true, false and nothing, and writes what was printed", function()
    for call, status in pairs { ["os.exit(true)"] = 0, ["os.exit(false)"] = 1, ["os.exit()"] = 0, ["os.exit(42)"] = 42 } do
      local r = helper.run_script(([[
        local goro = require "goro"
        goro.go(function() io.write "written" %s end)
        goro.chan():recv(20)
        error "it went on"]]):format(call), { env = env, timeout = 30 })
      assert.is_true(r.code == status and r.stderr == "" and r.stdout == "written", call .. ": " .. helper.describe(r))
    end
  end)

  it("ends the process whatever the main script does", function()
    for _, main in ipairs {
      "goro.chan():recv()", "goro.chan():send(1)", "goro.select {}", "goro.sleep(20)", "goro.run(function() while true do end end)",
      "while true do end", "table.sort({ 2, 1 }, function() while true do end end)", "while true do pcall(function() while true do end end) end",
      "require 'ctest'.sleep(5)", "require 'ctest'.spin(5)", "os.execute 'sleep 2'", "coroutine.wrap(function() goro.sleep(20) end)()",
    } do
      local r = helper.run_script(([[
        local goro = require "goro"
        for _ = 1, 2 do goro.go(function() while true do end end) end
        goro.go(function() goro.sleep(0.03) os.exit(9) end)
        %s]]):format(main), { env = env, timeout = 30 })
      assert.is_true(r.code == 9 and r.stderr == "", main .. ": " .. helper.describe(r))
      assert.is_true(r.seconds < helper.limit(1.5), main .. ": " .. r.seconds)
    end
  end)

  it("says nothing on stderr, however often the main script waits at that moment", function()
    local said = 0
    local rounds = helper.rounds(100)
    local last
    for _ = 1, rounds do
      local r = helper.run_script("local goro = require 'goro' goro.go(function() os.exit(5) end) goro.chan():recv(20)", { env = env, timeout = 30 })
      if r.code ~= 5 or r.stderr ~= "" then said, last = said + 1, r end
    end
    assert.is_true(said == 0, last and said .. " of " .. rounds .. ": " .. helper.describe(last))
  end)

  it("may be called by many at once", function()
    for _ = 1, helper.rounds(10) do
      local r = helper.run_script([[
        local goro = require "goro"
        for i = 1, 20 do goro.go(function() os.exit(i + 20) end) end
        goro.sleep(20)]], { env = env, timeout = 30 })
      assert.is_true(r.code and r.code > 20 and r.code <= 40 and r.stderr == "", helper.describe(r))
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

  for what, body in pairs {
    waits = "goro.chan():recv()", sleeps = "goro.sleep(1000)", loops = "while true do end", ["loops in pcall"] = "while true do pcall(function() while true do end end) end",
    ["loops in a comparator"] = "table.sort({ 2, 1 }, function() while true do end end)", ["waits in a coroutine"] = "coroutine.wrap(function() goro.chan():recv() end)()",
    ["sleeps in C"] = "require 'ctest'.sleep(5)",
  } do
    it("is in its open files when it " .. what, function()
      for _, finish in ipairs { "", "os.exit(0)", "os.exit(0, true)" } do
        local path = os.tmpname()
        helper.passes_script(([[
          local goro = require "goro"
          local name = ...
          local ready = goro.chan()
          goro.go(function()
            local f = assert(io.open(name, "w"))
            f:write "to be written at the end"
            ready:send(true)
            %s
            f:close()
          end)
          assert(ready:recv(20))
          goro.sleep(0.02)
          %s]]):format(body, finish), { args = { path }, env = env, timeout = 30 })
        local f <close> = assert(io.open(path))
        os.remove(path)
        assert.equal("to be written at the end", f:read "a")
      end
    end)
  end

  it("is finalized when the script ends while it waits", function()
    local path = os.tmpname()
    helper.passes(function(name)
      local goro = require "goro"
      local ready = goro.chan()
      for i = 1, 5 do
        goro.go(function()
          kept = setmetatable({}, { __gc = function() -- luacheck: ignore 111
            local f = io.open(name, "a")
            f:write(i, "\n")
            f:close()
          end })
          ready:send(true)
          if i % 2 == 0 then goro.chan():recv() end
          coroutine.wrap(function() goro.sleep(1000) end)()
        end)
      end
      for _ = 1, 5 do assert(ready:recv(20)) end
      goro.sleep(0.02)
    end, { args = { path }, env = env, timeout = 30 })
    local seen = {}
    for line in io.lines(path) do seen[#seen + 1] = line end
    os.remove(path)
    table.sort(seen)
    assert.equal("1 2 3 4 5", table.concat(seen, " "))
  end)

  it("is closed innermost first when it exits, and nothing else of it runs", function()
    helper.passes(function()
      local goro = require "goro"
      local log = goro.chan(100)
      goro.go(function()
        local function c(name) return setmetatable({}, { __close = function() goro.sleep(0.001) log:send(name) end }) end
        local a <close> = c "a" -- luacheck: ignore 211
        xpcall(function()
          local b <close> = c "b" -- luacheck: ignore 211
          coroutine.wrap(function()
            local d <close> = c "d" -- luacheck: ignore 211
            table.sort({ 2, 1 }, function()
              local e <close> = c "e" -- luacheck: ignore 211
              pcall(string.gsub, "x", "x", function()
                local f <close> = c "f" -- luacheck: ignore 211
                coroutine.wrap(function()
                  local g <close> = c "g" -- luacheck: ignore 211
                  pcall(function()
                    local h <close> = c "h" -- luacheck: ignore 211
                    pcall(goro.goexit)
                    log:send "after goexit"
                  end)
                  log:send "after pcall"
                end)()
                log:send "after wrap"
              end)
              log:send "after gsub"
            end)
            log:send "after sort"
          end)()
          log:send "after the outer wrap"
        end, function(err) log:send("handled " .. tostring(err)) return err end)
        log:send "after xpcall"
      end)
      local order = {}
      for i = 1, 7 do order[i] = log:recv(20) end
      assert(table.concat(order) == "hgfedba", table.concat(order, " "))
      assert(select(3, log:recv(0.05)) == "timeout")
    end, { env = env, timeout = 30 })
  end)

  it("is finalized when it exits in places of many kinds, run returning nothing", function()
    for _, place in ipairs {
      "%s", "while true do pcall(function() %s end) end", "while true do xpcall(function() %s end, function() while true do pcall(error) end end) end",
      "xpcall(error, function() %s end)", "for _ in function() %s end do end", "return setmetatable({}, { __add = function() %s end }) + 1",
      "return setmetatable({}, { __eq = function() %s end }) == setmetatable({}, {})", "return setmetatable({}, { __concat = function() %s end }) .. 'x'",
      "package.preload.mine = function() %s end require 'mine'", "pcall(load, function() %s end)",
      "local x <close> = setmetatable({}, { __close = function() %s end })",
      "pcall(function() local x <close> = setmetatable({}, { __close = function() %s end }) error 'x' end)",
      "for _ in next, { 1 }, nil, setmetatable({}, { __close = function() %s end }) do break end",
      "tostring(setmetatable({}, { __tostring = function() %s end }))",
      "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() %s end }) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
      "string.gsub('x', 'x', function() while true do pcall(function() %s end) end end)",
      "table.sort({ 3, 2, 1 }, function() coroutine.wrap(function() table.sort({ 2, 1 }, function() %s end) end)() end)",
    } do
      helper.passes_script(([[
        local goro = require "goro"
        goro.go(function() while true do end end)
        local log = goro.chan(10)
        assert(select("#", goro.run(function()
          local a <close> = setmetatable({}, { __close = function() log:send "closed" end })
          kept = setmetatable({}, { __gc = function() log:send "finalized" end })
          do %s end
          log:send "went on"
        end)) == 0)
        local first, second = log:recv(20), log:recv(20)
        assert(first == "closed" and second == "finalized", tostring(first) .. " " .. tostring(second))
        assert(select(3, log:recv(0.02)) == "timeout")
        assert(goro.num_goroutine() == 2)
      ]]):format(place:format "goro.goexit()"), { env = env, timeout = 30 })
    end
  end)

  -- Here somebody's C code catches the error that goexit is where it cannot yield; nothing of the goroutine may run after it all the same.
  for what, place in pairs {
    ["load's reader"] = "load(function() goro.goexit() end)", ["a C module's lua_pcall"] = "require 'ctest'.catch(function() goro.goexit() end)",
    ["load's reader, again and again"] = "while true do load(function() goro.goexit() end) end",
    ["a C module's lua_pcall, again and again"] = "while true do require 'ctest'.catch(function() goro.goexit() end) end",
  } do
    it("is closed when it exits in " .. what, function()
      helper.passes_script(([[
        local goro = require "goro"
        local log = goro.chan(10)
        goro.go(function()
          local a <close> = setmetatable({}, { __close = function() log:send "closed" end })
          do %s end
          for _ = 1, 100000 do end
          log:send "went on"
        end)
        local first = log:recv(5)
        assert(first == "closed", tostring(first))
        assert(select(3, log:recv(0.05)) == "timeout")
      ]]):format(place), { env = env, timeout = 30 })
    end)
  end

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

describe("SIGINT from the terminal", function()
  -- The shell sends it once the script says, through a file, that it is on its way.
  local wrap = [[sh -c '"$@" & pid=$!; until [ -s "$GORO_READY" ]; do sleep 0.01; done; sleep 0.05; kill -INT $pid; wait $pid; exit $?' sh]]
  -- A second one, for a script that the first does not reach.
  local twice = wrap:gsub("kill %-INT %$pid; ", "%0sleep 0.2; %0")
  local function interrupt(source, shell)
    local path = os.tmpname()
    local r = helper.run_script(source, { wrap = shell or wrap, timeout = 30,
      env = helper.with_ctest { GORO_READY = path, GOROMAXPROCS = env.GOROMAXPROCS } })
    os.remove(path)
    return r
  end
  local ready = "do local f = io.open(os.getenv 'GORO_READY', 'w') f:write 'x' f:close() end "
  local busy = "local goro = require 'goro' for _ = 1, 4 do goro.go(function() while true do end end) end "

  for what, main in pairs {
    receives = "goro.chan():recv()", sends = "goro.chan():send(1)", selects = "goro.select {}",
    ["waits in a comparator"] = "table.sort({ 2, 1 }, function() goro.sleep(100) end)", ["computes in a comparator"] = "table.sort({ 2, 1 }, function() while true do end end)",
    ["spawns without end"] = "while true do goro.run(function() end) end",
  } do
    it("ends a script that " .. what, function()
      local r = interrupt(busy .. ready .. main)
      assert.is_true(r.code == 1 and r.stdout == "" and r.stderr:find "^[^\n]*lua[^\n]*: [^\n]*interrupted!\nstack traceback:\n" ~= nil, helper.describe(r))
      assert.is_true(r.seconds < helper.limit(3), r.seconds)
    end)
  end

  -- lua.c sets its hook on the main thread only, and lets the next signal kill.
  it("kills, when it comes twice, what runs in a coroutine, as in plain lua", function()
    for _, main in ipairs { "coroutine.wrap(function() while true do end end)()", "coroutine.wrap(function() goro.sleep(100) end)()" } do
      local r = interrupt(busy .. ready .. main, twice)
      assert.is_true(r.signal == 2 or r.code == 1, helper.describe(r))
      assert.is_true(r.seconds < helper.limit(3), r.seconds)
    end
  end)

  it("says what plain lua says", function()
    local plain = interrupt(ready .. "while true do end")
    local r = interrupt(busy .. ready .. "while true do end")
    assert.is_true(plain.code == 1 and plain.stderr:find "interrupted!" ~= nil, helper.describe(plain))
    assert.equal(plain.stderr, r.stderr)
    assert.equal(1, r.code)
  end)

  it("may be caught by pcall, and goro works on", function()
    local r = interrupt(busy .. ready .. [[
      local ok, err = pcall(function() goro.chan():recv() end)
      assert(not ok and err:find "interrupted!", err)
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end c:close() end)
      local sum = 0
      for v in c:range() do sum = sum + v end
      assert(sum == 5050 and goro.run(function() return "works" end) == "works")
      print "went on"]])
    assert.is_true(r.code == 0 and r.stderr == "" and r.stdout == "went on\n", helper.describe(r))
  end)
end)
