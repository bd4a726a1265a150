-- SPDX-License-Identifier: MIT
-- Dialling hosts with several addresses (RFC 8305), and slow look-ups: in a program whose host names mean what the test says (spec/embed/hosts.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "hosts")

local PRELUDE = [[
  local goro, net, now = require "goro", require "goro.net", require "goro.time".mono
  -- An address (with a port that both families have here) which answers no further SYN: its listener's queue is full, and nobody accepts. What it returns keeps it so.
  local socket = require "socket"
  local function silent(host, port)
    local s = assert((host:find ":" and socket.tcp6 or socket.tcp4)())
    if host:find ":" then assert(s:setoption("ipv6-v6only", true)) end
    assert(s:bind(host, port))
    assert(s:listen(0))
    port = select(2, s:getsockname())
    local keep = { s }
    local address = (host:find ":" and "[%s]:%d" or "%s:%d"):format(host, port)
    repeat
      local c = net.dial("tcp", address, { timeout = 0.1 })
      keep[#keep + 1] = c
    until not c
    return tonumber(port), keep
  end
  local function accepting(host, port)
    local l = assert(net.listen("tcp", (host:find ":" and "[%s]:%d" or "%s:%d"):format(host, port)))
    return l, l:addr():match "%d+$"
  end
  local function took(f)
    local start = now()
    local a, b, c = f()
    return now() - start, a, b, c
  end
]]

describe("dial", function()
  local function dials(name, body)
    for _, where in ipairs { "main script", "goroutine" } do
      it_runs(name .. ", in the " .. where, function()
        local script = where == "goroutine" and ("require 'goro'.run(function() %s %s end)"):format(PRELUDE, body) or PRELUDE .. body
        local r = helper.run_script("SLOW = " .. helper.slow .. "\n" .. script .. "\nio.stdout:write 'done'", { lua = program })
        assert.equal("done", helper.ended_well(r))
      end)
    end
  end

  dials("goes to the next address at once when one refuses", [[
    local l, port = accepting("127.0.0.1", 0)
    name("host", 0, "::1", "127.0.0.2", "127.0.0.1")
    local t, c = took(function() return assert(net.dial("tcp", "host:" .. port)) end)
    assert(c:remote_addr() == l:addr() and t < 0.2 * SLOW, t)
    assert(net.dial("tcp4", "host:" .. port):remote_addr() == l:addr())
    local none, message, code = net.dial("tcp6", "host:" .. port)
    assert(none == nil and message == "ECONNREFUSED: connection refused: host:" .. port and code == "ECONNREFUSED", message)]])

  dials("starts the second family after 250 ms beside one that does not answer", [[
    local port, keep = silent("::1", 0)
    local l = accepting("127.0.0.1", port)
    name("host", 0, "::1", "::1", "::1", "127.0.0.1")
    local t, c = took(function() return assert(net.dial("tcp", "host:" .. port)) end)
    assert(c:remote_addr() == l:addr(), c:remote_addr())
    assert(t >= 0.249 and t < 0.7 * SLOW, t)
    local s <close> = assert(l:accept(5))
    c:write("x\n")
    assert(s:read("l", 5) == "x" and #keep > 0)]])

  dials("takes the first that answers, also one that was started earlier", [[
    local port, keep = silent("127.0.0.1", 0)
    name("host", 0, "127.0.0.1", "::1")
    local accepted = goro.chan(1)
    goro.go(function()
      goro.sleep(0.5)
      local l = net.listen("tcp", "[::1]:" .. port) -- too late: it has been refused
      accepted:send(l and l:accept(0.5) ~= nil or false)
    end)
    local t, c, message, code = took(function() return net.dial("tcp", "host:" .. port, { timeout = 1 }) end)
    assert(c == nil and t >= 0.99 and t < 3 * SLOW, t)
    assert(code == "ETIMEDOUT" and message == "ETIMEDOUT: connection timed out: host:" .. port, message)
    assert(accepted:recv() == false and #keep > 0)]])

  dials("tries twenty addresses that are silent, and ends within its limit", [[
    local port, keep = silent("127.0.0.1", 0)
    local list = {}
    for i = 1, 20 do list[i] = "127.0.0.1" end
    name("host", 0, table.unpack(list))
    local t, c, _, code = took(function() return net.dial("tcp", "host:" .. port, { timeout = 0.6 }) end)
    assert(c == nil and code == "ETIMEDOUT" and t >= 0.59 and t < 3 * SLOW and #keep > 0, t)]])

  dials("tells the first refusal when all refuse", [[
    local l, port = accepting("127.0.0.1", 0)
    l:close()
    name("host", 0, "127.0.0.1", "::1", "127.0.0.2")
    local none, message = net.dial("tcp", "host:" .. port)
    assert(none == nil and message == "ECONNREFUSED: connection refused: host:" .. port, message)]])

  dials("does not wait longer than its limit for a slow look-up, nor does lookup", [[
    name("slow", 1, "127.0.0.1")
    local l, port = accepting("127.0.0.1", 0)
    local t, c, message, code = took(function() return net.dial("tcp", "slow:" .. port, { timeout = 0.1 }) end)
    assert(c == nil and code == "ETIMEDOUT" and message == "ETIMEDOUT: connection timed out: slow:" .. port, message)
    assert(t >= 0.099 and t < 0.8 * SLOW, t)
    t, c, message, code = took(function() return net.lookup("slow", { timeout = 0.1 }) end)
    assert(c == nil and code == "ETIMEDOUT" and message == "ETIMEDOUT: connection timed out: slow" and t < 0.8 * SLOW, message)
    assert(select(3, net.lookup("slow", { timeout = 0 })) == "ETIMEDOUT")
    assert(asked() == 2)
    t, c = took(function() return assert(net.dial("tcp", "slow:" .. port, { timeout = 50 })) end)
    assert(t >= 0.99 and c:remote_addr() == l:addr())
    assert(table.concat(assert(net.lookup("slow", { timeout = 50 })), " ") == "127.0.0.1")
    assert(select(3, net.lookup("nowhere", { timeout = 50 })) == "EAI_NONAME")
    local begun, ended = asked()
    assert(begun == 5 and ended == 5)]])

  dials("lets others run while names are looked up, many at once", [[
    name("slow", 0.3, "127.0.0.1", "127.0.0.1", "::1")
    local out = goro.chan(100)
    local t = took(function()
      for i = 1, 50 do goro.go(function() out:send(table.concat(assert(net.lookup("slow", i % 2 == 0 and { timeout = 50 } or nil)), " ")) end) end
      for _ = 1, 50 do assert(out:recv() == "127.0.0.1 ::1") end
    end)
    assert(t < 3 * SLOW, t)]])

  dials("ends with the script while a look-up goes on", [[
    name("slow", 2, "127.0.0.1")
    goro.go(function() net.dial("tcp", "slow:1", { timeout = 0.05 }) end)
    goro.go(function() net.dial("tcp", "slow:1", { timeout = 10 }) end)
    assert(net.lookup("slow", { timeout = 0.1 }) == nil)]])
end)
