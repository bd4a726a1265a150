-- SPDX-License-Identifier: MIT
-- Look-ups of names: how many threads they take, what ends them, what they say when descriptors are short. In a program
-- whose host names mean what the test says (spec/embed/hosts.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "hosts")

local PRELUDE = [[
  local goro, net = require "goro", require "goro.net"
  -- Threads of this process by name.
  local function threads(name)
    local n, all = 0, 0
    for id in io.popen "ls /proc/$PPID/task":lines() do
      local f = io.open(("/proc/self/task/%s/comm"):format(id))
      if f then
        all = all + 1
        if f:read "l" == name then n = n + 1 end
        f:close()
      end
    end
    return n, all
  end
  local function eventually(f, what)
    local limit = goro.time.mono() + 30 * SLOW
    while not f() do
      assert(goro.time.mono() < limit, what)
      goro.sleep(0.01)
    end
  end
]]

describe("look-ups", function()
  local function looks_up(name, body, opts)
    it_runs(name, function()
      local all = { lua = program }
      for k, v in pairs(opts or {}) do all[k] = v end
      local r = helper.run_script(("SLOW = %s\n%s\n%s\nio.stdout:write 'done'"):format(helper.slow, PRELUDE, body), all)
      assert.equal("done", helper.ended_well(r))
    end)
  end

  local MANY = [[
    name("*", 0.05, "127.0.0.1")
    local left, most, most_of_all = goro.sync.waitgroup(), 0, 0
    local found = goro.sync.atomic(0)
    for i = 1, 300 do
      left:go(function()
        if assert(net.lookup("host" .. i, i % 2 == 0 and { timeout = 100 } or nil))[1] == "127.0.0.1" then found:add(1) end
      end)
    end
    repeat
      local n, all = threads "goro-resolver"
      most, most_of_all = math.max(most, n), math.max(most_of_all, all)
    until left:wait(0.02)
    assert(found:load() == 300)
    assert(asked() == 300)
  ]]

  looks_up("of three hundred names share a few threads", MANY .. [[
    assert(most > 1 and most <= 16, most)
    assert(most_of_all <= 16 + 12, most_of_all)]], { env = { GOROMAXPROCS = 2 } })

  looks_up("heed GOROMAXTHREADS", MANY .. "assert(most == 2, most)", { env = { GOROMAXTHREADS = 2 } })

  looks_up("leave no thread behind when none is wanted for some seconds", [[
    name("host", 0.01, "127.0.0.1")
    assert(net.lookup "host" and threads "goro-resolver" == 1)
    eventually(function() return threads "goro-resolver" == 0 end, "the thread stays")
    assert(net.lookup "host")]])

  looks_up("of one name that wait in the queue are asked once", [[
    name("host", 0.3, "127.0.0.1")
    local left = goro.sync.waitgroup()
    for _ = 1, 300 do left:go(function() assert(net.lookup "host") end) end
    left:wait()
    assert(asked() < 100, asked())]])

  looks_up("that nobody waits for any more leave the queue", [[
    name("*", 0.2, "127.0.0.1")
    local left = goro.sync.waitgroup()
    for i = 1, 300 do left:go(function() net.lookup("host" .. i, { timeout = 0.05 }) end) end
    left:wait()
    assert(net.lookup "other")
    assert(asked() < 200, asked())]])

  looks_up("are waits like others: in dumps, in a coroutine, in a comparator; no deadlock meanwhile", [[
    name("slow", 1, "127.0.0.1")
    local out = goro.chan()
    goro.go(function() out:send(assert(net.lookup "slow")[1]) end)
    goro.go(function()
      table.sort({ 1, 2 }, function(a, b) assert(net.lookup "slow") return a < b end)
      out:send(coroutine.wrap(function() return (assert(net.lookup "slow"))[1] end)())
    end)
    eventually(function()
      local _, n = goro.runtime.dump():gsub("host look%-up", "")
      return n == 2
    end, "not in the dump")
    assert(out:recv() == "127.0.0.1" and out:recv() == "127.0.0.1")
    local ok, e = pcall(out.recv, out)
    assert(not ok and e:find "deadlock", e)]])

  looks_up("for a listener, a UDP socket and a datagram wait too, and let others run", [[
    name("slow", 0.5, "127.0.0.1")
    local ticks, done = goro.sync.atomic(0), goro.sync.atomic(false)
    goro.maxprocs(1)
    goro.go(function() while not done:load() do ticks:add(1) goro.sleep(0.001) end end)
    local l = assert(net.listen("tcp", "slow:0"))
    local u = assert(net.udp "slow:0")
    local port = u:local_addr():match "%d+$"
    assert(u:send("x", "slow:" .. port) == u and u:recv() == "x")
    goro.run(function()
      assert(u:send("y", "slow:" .. port) == u and u:recv() == "y")
      assert(net.dial("tcp", "slow:" .. l:addr():match "%d+$"))
    end)
    done:store(true)
    assert(ticks:load() > 20, ticks:load())
    for _, f in ipairs { function() return net.listen("tcp", "none:0") end, function() return net.udp "none:0" end,
                         function() return u:send("x", "none:1") end, function() return net.lookup "none" end,
                         function() return net.dial("tcp", "none:1") end } do
      local r, m, c = f()
      assert(r == nil and c == "EAI_NONAME" and m:find "^EAI_NONAME: no such host: none", m)
    end]])

  it_runs("may be under way when a state closes, and when the next one opens", function()
    local second = os.tmpname()
    local f = assert(io.open(second, "w"))
    assert(f:write [[
      local goro = require "goro"
      assert(goro.net.lookup("slow")[1] == "127.0.0.1" and goro.net.lookup("other")[1] == "127.0.0.1")
      goro.run(function() assert(goro.net.lookup("slow")[1] == "127.0.0.1") end)
      io.stdout:write "done"]])
    f:close()
    local r = helper.run_script([[
      local goro = require "goro"
      name("slow", 0.5, "127.0.0.1")
      name("other", 0, "127.0.0.1")
      for i = 1, 40 do goro.go(function() goro.net.lookup("slow") end) end
      while asked() == 0 do goro.sleep(0.001) end]], { lua = program, args = { second } })
    os.remove(second)
    assert.equal("done", helper.ended_well(r))
  end)

  it("say so when there is no descriptor for them", function()
    helper.passes_anywhere(function()
      local net, keep = require "goro.net", {}
      repeat keep[#keep + 1] = io.open "/dev/null" until select(3, io.open "/dev/null")
      for _, host in ipairs { "localhost", "surely-none.invalid" } do
        local r, m, c = net.lookup(host)
        assert(r == nil and c == "EMFILE" and m == "EMFILE: too many open files: " .. host, m)
        r, m, c = net.dial("tcp", host .. ":1")
        assert(r == nil and c == "EMFILE" and m == "EMFILE: too many open files: " .. host .. ":1", m)
      end
      for _, f in ipairs(keep) do f:close() end
      assert(net.lookup "localhost")
    end, { wrap = "prlimit --nofile=40:40" })
  end)
end)
