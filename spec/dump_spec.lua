-- SPDX-License-Identifier: MIT
-- goro.runtime.dump and SIGQUIT: what every goroutine does, with its traceback, also of those that run.

local helper = require "spec.helper"
local it = helper.interrupting(it, pending)

local env = helper.with_ctest { GOROMAXPROCS = 4 }

local goroutines = [[
local goro = require "goro"
local ch = goro.chan()
local function receiver()
  ch:recv() -- line 4
end
goro.go(function() receiver() end)
goro.go(function() goro.sleep(1000) end) -- line 7
goro.go(function() goro.select { { recv = ch }, { recv = goro.chan() } } end) -- line 8
goro.go(function() while true do end end) -- line 9
goro.go(function() coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)() end) -- line 10
goro.go(function() os.execute "sleep 5" end) -- line 11
goro.go(function() require "ctest".sleep(5) end) -- line 12
goro.go(function() table.sort({ 1, 2 }, function() ch:recv() end) end) -- line 13
goro.go(function() local function f(n) if n == 0 then ch:recv() end f(n - 1) return 1 end f(1000) end) -- line 14
goro.sleep(0.2)
]]

-- A goroutine that runs answers for itself. One to whom the system gives no CPU while the dump waits does not, and is told like one in
-- C code: then the dump is made again.
local settled = [[(function()
  for _ = 1, 100 do local text = goro.runtime.dump() if select(2, text:gsub("%(in C code", "")) == 1 then return text end end
end)()]]

local function entries(text)
  local list = {}
  for head, body in text:gmatch "(%a[^\n]*):\n(.-)\n\n" do list[#list + 1] = { head = head, body = body } end
  return list
end

local function find(list, head, body)
  for _, e in ipairs(list) do
    if e.head:find(head) and e.body:find(body, 1, true) then return e end
  end
  error(("no entry with head '%s' and '%s' in:\n%s"):format(head, body, table.concat((function()
    local all = {}
    for i, e in ipairs(list) do all[i] = e.head .. "\n" .. e.body end
    return all
  end)(), "\n")), 2)
end

local function check(list)
  local waits = find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:4: in ")
  assert.is_truthy(waits.body:find("job.lua:6: in function <job.lua:6>", 1, true), waits.body)
  assert.is_truthy(waits.body:find("created by goro.go at job.lua:6", 1, true), waits.body)
  find(list, "^goroutine, sleep, %d+%.%d s$", "job.lua:7: in ")
  find(list, "^goroutine, select, %d+%.%d s$", "job.lua:8: in ")
  find(list, "^goroutine, run", "job.lua:9: in ")
  local nested = find(list, "^goroutine, run", "job.lua:10: in ")
  assert.is_truthy(nested.body:find("created by goro.go at job.lua:10", 1, true), nested.body)
  find(list, "^goroutine, system call, %d+%.%d s$", "job.lua:11: in ")
  find(list, "^goroutine, running$", "(in C code") -- line 12: nobody may look at it
  find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:13: in ")
  local deep = find(list, "^goroutine, chan receive, %d+%.%d s$", "job.lua:14: in ")
  assert.is_truthy(deep.body:find("skipping 98%d levels"), deep.body)
  assert.equal(10, #list)
end

describe("the dump", function()
  it("tells of every goroutine", function()
    local r = helper.run_script(goroutines .. ("print(%s)"):format(settled:gsub("\n", " ")), { env = env, timeout = 30 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    local list = entries(r.stdout)
    check(list)
    find(list, "^main goroutine, running$", "job.lua:16: in main chunk")
  end)

  it("can be made by a goroutine", function()
    local r = helper.run_script(goroutines:gsub("\ngoro%.sleep%(0%.2%)\n", "\n")
      .. ("print(goro.run(function() goro.sleep(0.2) return (%s) end))"):format(settled:gsub("\n", " ")), { env = env, timeout = 30 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    local list = entries(r.stdout)
    find(list, "^goroutine, running$", "created by goro.run at job.lua:15")
    find(list, "^main goroutine, goro.run, %d+%.%d s$", "job.lua:15: in main chunk")
  end)

  it("is printed at SIGQUIT, and the program goes on", function()
    -- Five times: to one of them each goroutine has the CPU to answer.
    local send = "goro.go(function() for _ = 1, 5 do goro.sleep(0.2) require 'ctest'.kill(3) end end) "
    for _, main in ipairs { "goro.sleep(1.5)", "local now = require 'ctest'.now local start = now() while now() - start < 1.5 do end" } do
      local r = helper.run_script(goroutines .. send .. main .. " print 'went on'", { env = env, timeout = 30 })
      assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
      local ok, why
      for dump in (r.stderr:gsub("main goroutine", "\0%0") .. "\0"):gmatch "(main goroutine[^\0]*)" do
        local list = {}
        for _, e in ipairs(entries(dump)) do -- but the one that sends the signal
          if not e.body:find("job.lua:16: in function <job.lua:16>", 1, true) then list[#list + 1] = e end
        end
        ok, why = pcall(function()
          check(list)
          find(list, "^main goroutine", "job.lua:16: in main chunk")
        end)
        if ok then break end
      end
      assert.is_true(ok, tostring(why))
    end
  end)

  it("may be made while thousands of goroutines come, go and wait", function()
    helper.passes(function(rounds)
      local goro = require "goro"
      local done, ch = goro.chan(100), goro.chan()
      for _ = 1, 1000 do goro.go(function() done:send(1) ch:recv() end) end
      for _ = 1, 1000 do done:recv() end
      goro.sleep(0.1)
      goro.go(function() while true do goro.go(function() goro.gosched() done:try_send(1, 0) end) goro.gosched() end end)
      goro.go(function() while true do done:recv() end end)
      for _ = 1, tonumber(rounds) do
        local _, n = goro.runtime.dump():gsub("chan receive", "")
        assert(n >= 1000, n)
      end
      ch:close()
    end, { args = { helper.rounds(30) }, env = env, timeout = 120 })
  end)
end)

-- The form of an entry is free here; what must be in it is not.
describe("the dump tells", function()
  local function dumped(source, mode)
    local r = helper.run_script(source .. "\nprint(require 'goro.runtime'.dump())", { env = env, timeout = 30 })
    assert.is_true(r.code == 0 and r.stderr == "", helper.describe(r))
    return (mode and r.stdout or entries(r.stdout)), r.stdout
  end

  for _, case in ipairs {
    { "a send", "ch:send(1)", "chan send" },
    { "a receive from a view", "ch:receiver():recv(100)", "chan receive" },
    { "a range", "for _ in ch:range() do end", "chan receive" },
    { "a select that nothing can end", "goro.select {}", "select" },
    { "a select with a send", "goro.select { { send = ch, value = 1 }, timeout = 100 }", "select" },
    { "a sleep in a coroutine", "coroutine.wrap(function() goro.sleep(100) end)()", "sleep" },
    { "a sleep in pcall", "pcall(goro.sleep, 100)", "sleep" },
    { "a receive in __close", "do local x <close> = setmetatable({}, { __close = function() ch:recv() end }) end", "chan receive" },
    { "a receive in a metamethod", "local x = setmetatable({}, { __index = function() ch:recv() end }).x", "chan receive" },
    { "a loop in pcall", "pcall(function() while true do end end)", "run" },
    { "a loop in a comparator", "table.sort({ 2, 1 }, function() while true do end end)", "run" },
    { "a loop in __close", "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end", "run" },
    { "a loop under a hook of its own", "debug.sethook(function() end, 'l') while true do end", "run" },
    { "a loop of short C calls", "while true do ('x'):rep(100):find('y', 1, true) end", "run" },
    { "a command that is read", "local s = io.popen 'sleep 1':read 'a'", nil },
  } do
    it("of " .. case[1], function()
      local list, text, at
      for _ = 1, 3 do -- one that has no CPU for a while cannot answer
        list, text = dumped(([[
        local goro = require "goro"
        local ch = goro.chan()
        goro.go(function()
          %s
          return 1
        end)
        goro.sleep(0.2)]]):format(case[2]))
        assert.equal(2, #list, text)
        for _, e in ipairs(list) do
          if not e.head:find "^main" then at = e end
        end
        if at.body:find("job.lua:4: in ", 1, true) then break end
      end
      assert.is_truthy(at.body:find("job.lua:4: in ", 1, true), text)
      assert.is_truthy(at.body:find("created by goro.go at job.lua:3", 1, true), text)
      assert.is_truthy(not case[3] or at.head:find(case[3], 1, true), text)
    end)
  end

  it("of the main script alone when there is nobody else", function()
    local list, text = dumped "require 'goro'"
    assert.equal(1, #list, text)
    assert.is_truthy(list[1].head:find "^main goroutine, running", text)
    assert.is_truthy(list[1].body:find("job.lua:2: in main chunk", 1, true), text)
  end)

  it("of as many as num_goroutine counts", function()
    local list, text = dumped([[
      local goro = require "goro"
      local ch = goro.chan()
      for _ = 1, 50 do goro.go(function() ch:recv() end) end
      for _ = 1, 20 do goro.go(function() goro.sleep(100) end) end
      for _ = 1, 6 do goro.go(function() while true do end end) end
      goro.sleep(0.2)
      assert(goro.num_goroutine() == 77)]])
    assert.equal(77, #list)
    local function heads(word) return select(2, text:gsub("goroutine, [^\n]*" .. word, "")) end
    assert.equal(50, heads "chan receive")
    assert.equal(20, heads "sleep")
    assert.is_true(heads "run" >= 6)
  end)

  it("since when, and that grows", function()
    local text = dumped([[
      local goro = require "goro"
      goro.go(function() goro.chan():recv() end)
      goro.sleep(0.1)
      print(goro.runtime.dump())
      goro.sleep(1)]], "text")
    local first, second = text:match "chan receive, ([%d.]+) s.-chan receive, ([%d.]+) s"
    assert.is_truthy(first, text)
    local grown = tonumber(second) - tonumber(first)
    assert.is_true(grown >= 0.9 and grown < helper.limit(10), text) -- a digit after the point may be rounded either way
  end)

  it("the same wherever it is asked for", function()
    helper.passes(function()
      local goro = require "goro"
      local ch = goro.chan()
      goro.go(function() ch:recv() end)
      goro.sleep(0.05)
      local function ask()
        local text = goro.runtime.dump()
        assert(type(text) == "string" and text:find("chan receive", 1, true) and text:find "main goroutine", text)
        return text
      end
      local asked = 0
      local function count() ask() asked = asked + 1 end
      pcall(count)
      coroutine.wrap(count)()
      table.sort({ 2, 1 }, function() count() return false end)
      string.gsub("x", "x", count)
      setmetatable({}, { __gc = count })
      collectgarbage()
      collectgarbage()
      do local x <close> = setmetatable({}, { __close = count }) end -- luacheck: ignore 211
      assert(asked >= 6, asked)
      goro.run(function() assert(goro.runtime.dump():find("chan receive", 1, true)) end)
      goro.run(function() table.sort({ 2, 1 }, function() assert(goro.runtime.dump():find("chan receive", 1, true)) end) end)
    end, { env = env, timeout = 30 })
  end)
end)

describe("dumps disturb nobody:", function()
  it("what runs meanwhile computes the same, and its hook counts the same", function()
    helper.passes_script([[
      local function work(rounds)
        local counts, x = 0, 7
        for _ = 1, rounds do
          debug.sethook(function() counts = counts + 1 end, "", 1000)
          for _ = 1, 300000 do x = x * 48271 % 2147483647 end
          debug.sethook()
          local t = {}
          for i = 1, 500 do x = x * 48271 % 2147483647 t[i] = x end
          table.sort(t, function(a, b) return a > b end)
          x = x + t[250]
          for v in coroutine.wrap(function() for i = 1, 200 do coroutine.yield(i) end end) do x = (x + v) % 2147483647 end
        end
        return counts .. " " .. x
      end
      local rounds = tonumber((...))
      local expected = work(rounds)
      local goro = require "goro"
      local done = goro.chan(3)
      for _ = 1, 3 do goro.go(function() done:send(work(rounds)) end) end
      local dumps, got = 0, 0
      while got < 3 do
        local v, ok = done:recv(0.001)
        if ok then
          assert(v == expected, v .. " in place of " .. expected)
          got = got + 1
        end
        local text = goro.runtime.dump()
        assert(text:find "main goroutine")
        dumps = dumps + 1
      end
      assert(dumps > 2, dumps)
    ]], { args = { helper.rounds(20) }, env = helper.with_ctest { GOROMAXPROCS = 2 }, timeout = 120 })
  end)
end)

describe("SIGQUIT", function()
  it("may come often", function()
    local r = helper.run_script([[
      local goro = require "goro"
      for _ = 1, 4 do goro.go(function() while true do end end) end
      goro.run(function()
        for _ = 1, 20 do require "ctest".kill(3) goro.sleep(0.02) end
      end)
      print "went on"]], { env = env, timeout = 60 })
    assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
    local _, n = r.stderr:gsub("main goroutine", "")
    assert.is_true(n >= 1 and n <= 20, n) -- signals that come while one is at work are one
  end)

  for what, main in pairs {
    ["waits in recv"] = "goro.chan():recv(0.6)", ["computes in a comparator"] =
      "local now = require 'ctest'.now local start = now() table.sort({ 2, 1 }, function() while now() - start < 0.6 do end return false end)",
    ["sleeps in C"] = "require 'ctest'.sleep(0.6)", ["waits in run"] = "goro.run(goro.sleep, 0.6)",
  } do
    it("prints while the main script " .. what .. ", which goes on", function()
      local r = helper.run_script(([[
        local goro = require "goro"
        goro.go(function() goro.chan():recv() end)
        goro.go(function() while true do end end)
        goro.go(function() for _ = 1, 3 do goro.sleep(0.1) require "ctest".kill(3) end goro.sleep(100) end)
        %s
        print "went on"]]):format(main), { env = env, timeout = 30 })
      assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
      local list = entries(r.stderr)
      find(list, "chan receive", "job.lua:2: in ")
      find(list, "run", "job.lua:3: in ")
      find(list, "^main goroutine", "")
    end)
  end

  it("comes from outside, too", function()
    local path = os.tmpname()
    local r = helper.run_script([[
      local goro = require "goro"
      goro.go(function() goro.chan():recv() end)
      goro.sleep(0.05)
      local f = io.open(os.getenv "GORO_READY", "w") f:write "x" f:close()
      goro.sleep(1)
      print "went on"]], { timeout = 30, env = helper.with_ctest { GORO_READY = path, GOROMAXPROCS = 2 },
        wrap = [[sh -c '"$@" & pid=$!; until [ -s "$GORO_READY" ]; do sleep 0.01; done; kill -QUIT $pid; wait $pid; exit $?' sh]] })
    os.remove(path)
    assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
    local list = entries(r.stderr)
    find(list, "chan receive", "job.lua:2: in ")
    find(list, "^main goroutine, sleep", "job.lua:5: in main chunk")
  end)
end)
