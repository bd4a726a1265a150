-- SPDX-License-Identifier: MIT
-- What every connection must do, whatever it is made of: the properties that Go's golang.org/x/net/nettest checks, for TCP, IPv6 and Unix sockets, at 1, 2 and 8 places.
-- And stress: many connections, many goroutines on one, everything checked by sums.

local helper = require "spec.helper"

-- A script that runs `body` with both ends of a connection of each kind: c1 and c2, in a host and in a goroutine.
local PAIRS = [[
local goro, net, socket = require "goro", require "goro.net", require "socket"
local function pair(network, address)
  local l <close> = assert(net.listen(network, address))
  local c1 = assert(net.dial(network, l:addr()))
  return c1, assert(l:accept(10))
end
-- Waits for n goroutines, each of which sends to `done` when it is through.
local done = goro.chan(1000)
local function wait(n) for _ = 1, n do done:recv() end end
local function each()
  local body = function(c1, c2)
BODY
  end
  for network, address in pairs { tcp = "127.0.0.1:0", tcp6 = "[::1]:0", unix = "@goro-" .. math.random(1 << 40) } do
    local c1, c2 = pair(network, address)
    body(c1, c2)
    c1:close()
    c2:close()
  end
end
each()
goro.run(each)
]]

local function both_ends(name, body, opts)
  for _, procs in ipairs { 1, 2, 8 } do
    it(("%s (GOROMAXPROCS=%d)"):format(name, procs), function()
      local o = { env = { GOROMAXPROCS = procs } }
      for k, v in pairs(opts or {}) do o[k] = v end
      helper.passes_script((PAIRS:gsub("BODY", function() return body end)), o)
    end)
  end
end

describe("both ends of a connection", function()
  both_ends("carry data to and fro", [[
    goro.go(function()
      for _ = 1, 100 do
        local n = tonumber(c2:read "l")
        local data = c2:read(n)
        assert(#data == n)
        c2:write(n, "\n", data)
      end
      done:send(1)
    end)
    for i = 1, 100 do
      local data = ("%d "):format(i):rep(i * 10)
      c1:write(#data, "\n", data)
      assert(tonumber(c1:read "l") == #data and c1:read(#data) == data)
    end
    wait(1)]])

  both_ends("carry 8 MB in both directions at once, unchanged", [[
    local function sum(s)
      local a = 0
      for i = 1, #s, 509 do a = (a * 31 + s:byte(i)) % 1000003 end
      return a
    end
    local parts = {}
    for i = 1, 8 do parts[i] = string.pack(">I8", i * 0x9E3779B97F4A7C15):rep(1 << 17) end
    local data = table.concat(parts)
    local expected = sum(data)
    for _, c in ipairs { c1, c2 } do
      goro.go(function()
        for at = 1, #data, 70001 do assert(c:write(data:sub(at, at + 70000))) end
        c:shutdown()
        done:send(1)
      end)
      goro.go(function()
        local got = c:read "a"
        assert(#got == #data and sum(got) == expected)
        done:send(1)
      end)
    end
    wait(4)]])

  both_ends("have limits of time that are past, near and none", [[
    assert(select(3, c1:read(nil, 0)) == "ETIMEDOUT")
    assert(select(3, c1:read(nil, -5)) == "ETIMEDOUT")
    local start = socket.gettime()
    assert(select(3, c1:read(nil, 0.05)) == "ETIMEDOUT")
    local took = socket.gettime() - start
    assert(took >= 0.049, took)
    c1:set_timeout(0)
    assert(select(3, c1:read()) == "ETIMEDOUT")
    c1:set_timeout(math.huge)
    c2:write("here")
    assert(c1:read(nil, 10) == "here")
    c2:write("x")
    goro.sleep(0.05)
    assert(c1:read(nil, 0) == "x") -- a limit that is past still gives what is there
    for i = 1, 100 do
      c2:write(i, "\n")
      goro.sleep(i % 10 == 0 and 0.001 or 0)
      assert(c1:read("l", 0) == tostring(i) and select(3, c1:read(nil, 0)) == "ETIMEDOUT")
    end]])

  both_ends("time out again and again beside data that comes", [[
    goro.go(function()
      for i = 1, 50 do
        c2:write(i, "\n")
        goro.sleep(0.001)
      end
      done:send(1)
    end)
    local got, late = 0, 0
    while got < 50 do
      local line, _, code = c1:read("l", 0.0005)
      if line then
        got = got + 1
        assert(tonumber(line) == got)
      else
        assert(code == "ETIMEDOUT")
        late = late + 1
      end
    end
    wait(1)]])

  both_ends("serve many readers and writers at once, each byte once", [[
    local N, M = 10, 50
    for i = 1, N do
      goro.go(function()
        for k = 1, M do
          assert(c1:write(("%03d:%05d\n"):format(i, k)))
          if k % 10 == i then goro.gosched() end
        end
        done:send(1)
      end)
    end
    local seen, out = {}, goro.chan(N * M)
    for _ = 1, N do
      goro.go(function()
        for _ = 1, M do out:send(c2:read "l") end
        done:send(1)
      end)
    end
    for _ = 1, N * M do
      local line = out:recv()
      assert(#line == 9 and not seen[line], line)
      seen[line] = true
    end
    wait(2 * N)]])

  both_ends("may be closed by anybody while others use them", [[
    for i = 1, 6 do
      goro.go(function()
        while c1:read() do end
        done:send(1)
      end)
      goro.go(function()
        local block = ("x"):rep(1000 * i)
        while c1:write(block) do end
        done:send(1)
      end)
      goro.go(function()
        while c2:write("y") and c2:read(1) do end
        done:send(1)
      end)
    end
    goro.sleep(0.02)
    for i = 1, 3 do
      goro.go(function()
        c1:close()
        done:send(i)
      end)
    end
    wait(21)
    assert(select(3, c1:read()) == "EBADF" and select(3, c1:write("x")) == "EBADF")]])

  both_ends("end one after the other: the rest is read first", [[
    c1:write("last words")
    c1:close()
    assert(c2:read(4) == "last" and c2:read() == " words" and c2:read() == nil and c2:read() == nil)
    assert(select(3, c2:write(("x"):rep(100000))) == nil or true)]])

  both_ends("present a peer that has gone to who writes", [[
    c2:close()
    local code
    for _ = 1, 1000 do
      code = select(3, c1:write(("x"):rep(10000)))
      if code then break end
      goro.sleep(0.001)
    end
    assert(code == "EPIPE" or code == "ECONNRESET", code)]])
end)

describe("peers that are not as they should be", function()
  it("send garbage: every byte of it arrives, in whatever way it is read", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      for seed = 1, 20 do
        math.randomseed(seed)
        local parts = {}
        for i = 1, 2000 do -- with zeros and newlines, alone and in rows
          parts[i] = math.random(4) == 1 and ("\0\n\r\255"):rep(math.random(9)) or string.pack("<I8", math.random(0)):rep(math.random(40))
        end
        local garbage = table.concat(parts)
        goro.go(function()
          local c <close> = net.dial("tcp", l:addr())
          local at = 1
          while at <= #garbage do
            local n = math.random(5000)
            c:write(garbage:sub(at, at + n - 1))
            at = at + n
          end
        end)
        local s <close> = l:accept()
        s:max_line(1 << 10)
        local got, n = {}, 0
        repeat
          local how = math.random(3)
          local piece, message, code = s:read(how == 1 and "L" or how == 2 and math.random(3000) or nil)
          if code == "EMSGSIZE" then piece = assert(s:read(1000)) -- nothing is lost by a line that is too long
          else assert(code == nil, message) end
          n = n + 1
          got[n] = piece
        until not piece
        assert(table.concat(got) == garbage)
      end
    end)
  end)

  it("vanish: killed in the middle of a line, or never reading", function()
    helper.passes(function(interpreter)
      local goro, net, process = require "goro", require "goro.net", require "goro.process"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      for _, reads in ipairs { true, false } do
        local peer <close> = assert(process.spawn { interpreter, "-e", [[
          local c = assert(require "goro.net".dial("tcp", arg[1]))
          c:write "half a li"
          require "goro".sleep(100)
        ]], "-", l:addr() })
        peer.stdin:close()
        local s <close> = assert(l:accept(60))
        goro.go(function()
          goro.sleep(0.05)
          peer:kill "KILL"
        end)
        if reads then
          local rest, _, code = s:read "l"
          assert(rest == "half a li" or code == "ECONNRESET", code)
        end
        local code
        repeat code = select(3, s:write(("x"):rep(100000))) until code
        assert(code == "EPIPE" or code == "ECONNRESET", code)
      end
    end, { args = { helper.interpreter() } })
  end)
end)

describe("many connections", function()
  for _, procs in ipairs { 1, 2, 8 } do
    it(("come, talk and go (GOROMAXPROCS=%d)"):format(procs), function()
      helper.passes(function(rounds)
        local goro, net = require "goro", require "goro.net"
        local l = net.listen("tcp", "127.0.0.1:0")
        goro.go(function()
          while true do
            local c = l:accept()
            if not c then return end
            goro.go(function()
              local s <close> = c
              local sum = 0
              for line in s:lines() do
                sum = sum + tonumber(line)
                s:write(sum, "\n")
              end
            end)
          end
        end)
        local out, address = goro.chan(64), l:addr()
        rounds = tonumber(rounds)
        for i = 1, 64 do
          goro.go(function()
            for k = 1, rounds do
              local c <close> = assert(net.dial("tcp", address, { timeout = 60 }))
              local sum = 0
              for n = 1, k % 7 + 1 do
                assert(c:write(n * i, "\n"))
                sum = sum + n * i
                assert(tonumber(c:read "l") == sum)
              end
            end
            out:send(true)
          end)
        end
        for _ = 1, 64 do out:recv() end
        l:close()
      end, { env = { GOROMAXPROCS = procs }, args = { helper.rounds(30) } })
    end)
  end

  it("may be 20,000 at once, as far as the limit of descriptors goes", function()
    local r = helper.run_function(function(n, interpreter)
      local goro, net, process = require "goro", require "goro.net", require "goro.process"
      local l = net.listen("unix", "@goro-many-" .. math.random(1 << 40))
      local f = io.open "/proc/self/limits"
      n = math.min(tonumber(n), f:read "a":match "Max open files%s+%d+%s+(%d+)" - 100)
      f:close()
      -- The other ends are in a process of their own.
      local clients <close> = assert(process.spawn { interpreter, "-e", [[
        local net, address, n = require "goro.net", arg[1], tonumber(arg[2])
        local conns = {}
        for i = 1, n do conns[i] = assert(net.dial("unix", address)) end
        for i = 1, n do assert(conns[i]:write(i, "\n")) end
        for i = 1, n do assert(conns[i]:read "l" == tostring(i)) end
        io.write "all"
      ]], "-", l:addr(), tostring(n) })
      clients.stdin:close()
      local come, all_there = goro.chan(), goro.chan()
      for _ = 1, n do
        local c = assert(l:accept(60))
        goro.go(function()
          local line = c:read "L"
          come:send(true)
          all_there:recv()
          c:write(line)
          c:read()
        end)
      end
      for _ = 1, n do come:recv() end
      all_there:close()
      assert(clients.stdout:read "a" == "all", clients.stderr:read "a")
      print(n)
    end, { args = { helper.rounds(20000), helper.interpreter() }, timeout = 300 })
    assert.is_true(tonumber(helper.ended_well(r)) >= 100)
  end)
end)
