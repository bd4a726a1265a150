-- SPDX-License-Identifier: MIT
-- goro.net without memory, at each allocation in turn; and in programs whose states come and go (spec/embed/sockets.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "sockets")

local PRELUDE = [[
  local goro, net = require "goro", require "goro.net"
  local faults = require "spec.faults"
  -- Without a child: while one begins, a pipe's other end is still open here.
  local function count() return #assert(goro.fs.list "/proc/self/fd") end
  local function each_fault(once)
    pcall(once)
    faults.settle()
    local before = count()
    local _, failures = faults.each(once)
    assert(count() <= before, count() .. " " .. before)
    assert(failures > 0, "nothing ever failed")
  end
]]

describe("without memory", function()
  local function survives(name, body)
    it(name, function()
      local r = helper.run_script(PRELUDE .. body .. "\nio.stdout:write('done')", { timeout = 120 })
      assert.equal("done", r.stdout, helper.describe(r))
    end)
  end

  survives("dial, listen and accept raise, and leave nothing open", [[
    each_fault(function()
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      assert(c:remote_addr() == l:addr() and s:local_addr() == l:addr())
    end)]])

  survives("read, write and lines raise or work", [[
    each_fault(function()
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      c:write("one\ntwo\n", ("x"):rep(100000), "\nrest")
      c:shutdown()
      assert(s:read "l" == "one" and s:read "L" == "two\n" and s:read(100001) == ("x"):rep(100000) .. "\n")
      for piece in s:lines(2) do assert(piece == "re" or piece == "st") end
    end)]])

  survives("waits of goroutines and timeouts raise or work", [[
    local l = net.listen("tcp", "127.0.0.1:0")
    local c = net.dial("tcp", l:addr())
    local s = l:accept()
    each_fault(function()
      local line, message, code = s:read("l", 0.001)
      assert(line == nil and code == "ETIMEDOUT", message)
      goro.run(function()
        c:write("ping\n")
        assert(s:read "l" == "ping")
      end)
      s:read(nil, 0.001)
    end)]])

  survives("udp and lookup raise or work", [[
    each_fault(function()
      local u <close> = net.udp("127.0.0.1:0")
      local v <close> = net.udp()
      v:send("hello", u:local_addr())
      local data, from = u:recv(5)
      assert(data == "hello" and from:find "^127")
      assert(net.lookup("127.0.0.1")[1] == "127.0.0.1")
      local x, message = net.dial("tcp", "nonsense")
      assert(x == nil and message == "EINVAL: missing port in address: nonsense")
    end)]])
end)

describe("a program with Lua inside", function()
  local function it_passes(name, case, n)
    it_runs(name, function()
      local asan = os.getenv "ASAN_OPTIONS"
      local env = { ASAN_OPTIONS = asan and case == "fork" and asan .. ":detect_leaks=0" or asan }
      local r = helper.run_script("", { lua = program, bare = true, args = { case, tostring(n or 1) }, timeout = 120, env = env })
      assert.is_true(r.code == 0 and r.stdout:find "ok\n$" ~= nil, helper.describe(r))
    end)
  end

  it_passes("opens and closes states with connections, and keeps no descriptor", "churn", 30)
  it_passes("closes one of two states that have connections", "two")
  it_passes("forks while goroutines wait for I/O", "fork")
end)
