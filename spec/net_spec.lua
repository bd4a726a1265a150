-- SPDX-License-Identifier: MIT
-- goro.net over loopback: what API.md says of each call, errors, limits of time, closing, what dumps and reports say.

local helper = require "spec.helper"
local passes, anywhere = helper.passes, helper.passes_anywhere

describe("net.dial and net.listen", function()
  it("connect over tcp, tcp4, tcp6", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      for network, address in pairs { tcp = "127.0.0.1:0", tcp4 = "localhost:0", tcp6 = "[::1]:0" } do
        local l <close> = assert(net.listen(network, address))
        assert(l:addr():match(network == "tcp6" and "^%[::1%]:%d+$" or "^127%.0%.0%.1:%d+$"), l:addr())
        goro.go(function()
          local c <close> = assert(l:accept())
          c:write("to ", c:remote_addr(), " from ", c:local_addr())
        end)
        local c <close> = assert(net.dial(network, l:addr()))
        assert(c:remote_addr() == l:addr())
        assert(c:read "a" == ("to %s from %s"):format(c:local_addr(), l:addr()))
      end
    end)
  end)

  it("listen at all interfaces, for both families", function()
    passes(function()
      local net = require "goro.net"
      local l <close> = assert(net.listen("tcp", ":0"))
      local port = l:addr():match "^%[::%]:(%d+)$" or l:addr():match "^0%.0%.0%.0:(%d+)$"
      for _, host in ipairs { "127.0.0.1", "localhost", "" } do
        local c <close> = assert(net.dial("tcp", host .. ":" .. port))
        local s <close> = assert(l:accept(5))
        assert(s:remote_addr() == c:local_addr(), s:remote_addr() .. " " .. c:local_addr())
      end
    end)
  end)

  it("connect over Unix sockets, by path and by abstract name", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local path = os.tmpname()
      os.remove(path)
      local abstract = "goro-" .. path:gsub("%W", "")
      for _, name in ipairs { path, "@" .. abstract, "\0" .. abstract .. "-zero" } do
        local l <close> = assert(net.listen("unix", name))
        assert(l:addr() == name:gsub("^%z", "@"), l:addr())
        goro.go(function()
          local c <close> = assert(l:accept())
          c:write(c:read "a":upper())
        end)
        local c <close> = assert(net.dial("unix", name))
        c:write("abc")
        c:shutdown()
        assert(c:read "a" == "ABC")
        assert(select(3, net.listen("unix", name)) == "EADDRINUSE")
      end
      assert(select(3, net.dial("unix", path)) == "ENOENT") -- the listener's path goes with it
      assert(not os.remove(path))
    end)
  end)

  it("say what is wrong with an address", function()
    passes(function()
      local net = require "goro.net"
      local cases = {
        { "tcp", "localhost", "EINVAL: missing port in address: localhost" },
        { "tcp", "localhost:", "EINVAL: missing port in address: localhost:" },
        { "tcp", "[::1]", "EINVAL: missing port in address: [::1]" },
        { "tcp", "[::1:80", "EINVAL: missing ']' in address: [::1:80" },
        { "tcp", "[::1]x:80", "EINVAL: garbage between ']' and the port in address: [::1]x:80" },
        { "tcp", "::1:80", "EINVAL: too many colons in address (write [::1]:80): ::1:80" },
        { "tcp", "localhost:65536", "EINVAL: invalid port in address: localhost:65536" },
        { "tcp", "localhost:-1", "EINVAL: invalid port in address: localhost:-1" },
        { "tcp", "localhost:nosuchservice", "EINVAL: invalid port in address: localhost:nosuchservice" },
        { "tcp", "local\0host:80", "EINVAL: address with a zero in it: local\0host:80" },
        { "tcp", ("x"):rep(300) .. ":80", "EINVAL: host name too long: " .. ("x"):rep(300) .. ":80" },
        { "tcp", "", "EINVAL: missing port in address: " },
        { "tcp4", "[::1]:80", "EAI_ADDRFAMILY: address of another family: [::1]:80" },
        { "tcp6", "127.0.0.1:80", "EAI_ADDRFAMILY: address of another family: 127.0.0.1:80" },
        { "unix", "", "EINVAL: empty path: " },
        { "unix", "/tmp/a\0b", "EINVAL: path with a zero in it: /tmp/a\0b" },
        { "unix", ("x"):rep(200), "ENAMETOOLONG: path too long for a Unix socket: " .. ("x"):rep(200) },
        { "unix", "/no/such/path", "ENOENT: no such file or directory: /no/such/path" },
      }
      for _, case in ipairs(cases) do
        local network, address, expected = table.unpack(case)
        for _, f in ipairs { net.dial, net.listen } do
          local none, message, code = f(network, address)
          assert(none == nil and message == expected and code == expected:match "^[%w_]+", message)
        end
      end
    end)
  end)

  it("say that nobody listens, and that a name is unknown", function()
    passes(function()
      local net = require "goro.net"
      local l = net.listen("tcp", "127.0.0.1:0")
      local address = l:addr()
      l:close()
      local none, message, code = net.dial("tcp", address)
      assert(none == nil and message == "ECONNREFUSED: connection refused: " .. address and code == "ECONNREFUSED", message)
      none, message, code = net.dial("tcp", "nosuchhost.invalid:80")
      assert(none == nil and code:find "^EAI_", message)
      none, message, code = net.lookup("nosuchhost.invalid")
      assert(none == nil and code:find "^EAI_" and message:find ": nosuchhost.invalid$", message)
      assert(select(2, net.lookup "a\0b") == "EINVAL: host name with a zero in it: a\0b")
      assert(select(2, net.lookup "") == "EINVAL: empty host name: ")
      assert(select(2, net.lookup(("x"):rep(1000))):find "^EINVAL: host name too long: x")
      assert(net.lookup("127.0.0.1")[1] == "127.0.0.1" and #net.lookup("::1") == 1)
      local list, n = net.lookup("localhost"), 0
      for _, a in ipairs(list) do n = n + ((a == "127.0.0.1" or a == "::1") and 1 or 0) end
      assert(n >= 1)
    end)
  end)

  it("dial within a time", function()
    anywhere(function()
      local net, socket = require "goro.net", require "socket"
      local start = socket.gettime()
      -- A listener whose queue is full, and which nobody accepts from: the system answers no further SYN.
      local full = assert(socket.bind("127.0.0.1", 0, 0))
      local address = ("127.0.0.1:%d"):format(select(2, full:getsockname()))
      local conns = {}
      local message, code
      for i = 1, 10 do
        conns[i], message, code = net.dial("tcp", address, { timeout = 0.1 })
        if not conns[i] then break end
      end
      assert(message == "ETIMEDOUT: connection timed out: " .. address and code == "ETIMEDOUT", message)
      assert(socket.gettime() - start < 20)
      assert(select(3, net.dial("tcp", address, { timeout = 0 })) == "ETIMEDOUT")
    end)
  end)

  it("raise misuse at the caller's line", function()
    local net = require "goro.net"
    local known = "; known are tcp, tcp4, tcp6, unix"
    helper.raises_match("^bad argument #1 to '.*dial' %(invalid network 'sctp'" .. known .. ", udp%)$",
      function() net.dial("sctp", "x:1") end)
    helper.raises_match("^bad argument #1 to '.*listen' %(invalid network 'udp'" .. known .. "%)$",
      function() net.listen("udp", "x:1") end)
    helper.raises_match("^bad argument #1 to '.*dial' %(string expected, got no value%)$", function() net.dial() end)
    helper.raises_match("^bad argument #2 to '.*dial' %(string expected, got table%)$", function() net.dial("tcp", {}) end)
    helper.raises_match("^bad argument #3 to '.*dial' %(table expected, got number%)$", function() net.dial("tcp", "x:1", 1) end)
    helper.raises_match("^bad argument #3 to '.*dial' %(field 'timeout': number expected, got boolean%)$",
      function() net.dial("tcp", "x:1", { timeout = true }) end)
    helper.raises_match("^bad argument #3 to '.*listen' %(table expected, got number%)$", function() net.listen("tcp", "x:1", 1) end)
    helper.raises_match("^bad argument #1 to '.*lookup' %(string expected, got nil%)$", function() net.lookup(nil) end)
    helper.raises_match("^bad argument #1 to '.*udp' %(string expected, got table%)$", function() net.udp({}) end)
    local l <close> = net.listen("tcp", "127.0.0.1:0")
    local c <close> = net.dial("tcp", l:addr())
    helper.raises_match("^bad argument #1 to 'accept' %(number expected, got string%)$", function() l:accept("1") end)
    helper.raises_match("^bad argument #1 to 'read' %(invalid format%)$", function() c:read("x") end)
    helper.raises_match("^bad argument #1 to 'read' %(count must not be negative%)$", function() c:read(-1) end)
    helper.raises_match("^bad argument #1 to 'read' %(number has no integer representation%)$", function() c:read(1.5) end)
    helper.raises_match("^bad argument #2 to 'read' %(number expected, got nan%)$", function() c:read("l", 0 / 0) end)
    helper.raises_match("^bad argument #2 to 'write' %(string expected, got table%)$", function() c:write("a", {}) end)
    helper.raises_match("^bad argument #1 to 'nodelay' %(boolean expected, got nil%)$", function() c:nodelay(nil) end)
    helper.raises_match("^bad argument #1 to 'keepalive' %(out of range%)$", function() c:keepalive(-1) end)
    helper.raises_match("^bad argument #1 to 'max_line' %(limit must be positive%)$", function() c:max_line(0) end)
    helper.raises_match("^bad argument #1 to 'read' %(goro.net.conn expected, got goro.net.listener%)$", function() c.read(l) end)
  end)
end)

describe("a connection", function()
  it("reads what is there, counts, lines, all, and the end", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      goro.go(function()
        local c <close> = l:accept()
        c:write("one\ntwo\r\n\nfour", "\n", 12345, 1.5, "rest")
      end)
      local c <close> = net.dial("tcp", l:addr())
      assert(c:read "l" == "one")
      assert(c:read "L" == "two\r\n")
      assert(c:read "*l" == "")
      assert(c:read "L" == "four\n")
      assert(c:read(0) == "")
      assert(c:read(5) == "12345" and c:read(3) == "1.5")
      assert(c:read(100) == "rest")
      assert(c:read(0) == nil and c:read() == nil and c:read "l" == nil and c:read "L" == nil and c:read(1) == nil)
      assert(c:read "a" == "" and select("#", c:read()) == 1)
    end)
  end)

  it("reads lines over the borders of packets, and a last one without newline", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local lines = {}
      for i = 1, 200 do lines[i] = ("%d:"):format(i) .. ("x"):rep(i * i % 5000) end
      local text = table.concat(lines, "\n")
      goro.go(function()
        local c <close> = l:accept()
        local at, step = 1, 1
        while at <= #text do
          c:write(text:sub(at, at + step - 1))
          at, step = at + step, step * 7 % 3001 + 1
        end
      end)
      local c <close> = net.dial("tcp", l:addr())
      local n = 0
      for line in c:lines() do
        n = n + 1
        assert(line == lines[n])
      end
      assert(n == 200)
    end)
  end)

  it("iterates over pieces of each kind, and raises a failure", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      goro.go(function()
        while true do
          local c <close> = l:accept()
          if not c then return end
          c:write("ab\ncd\nef")
        end
      end)
      local function pieces(fmt)
        local c <close> = net.dial("tcp", l:addr())
        local list = {}
        for piece in c:lines(fmt) do list[#list + 1] = piece end
        return table.concat(list, "|")
      end
      assert(pieces(nil) == "ab|cd|ef" and pieces("L") == "ab\n|cd\n|ef" and pieces(3) == "ab\n|cd\n|ef")
      local c = net.dial("tcp", l:addr())
      local next, state = c:lines()
      c:close()
      local ok, message = pcall(function() return next(state) end)
      assert(not ok and message:find "EBADF: bad file descriptor: 127%.0%.0%.1", message)
    end)
  end)

  it("limits the length of a line", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      goro.go(function()
        local c <close> = l:accept()
        c:write(("a"):rep(100), "\n", ("b"):rep(101), "\n", ("c"):rep(300000), "\n", "end\n")
      end)
      local c <close> = net.dial("tcp", l:addr())
      c:max_line(100)
      assert(c:read "l" == ("a"):rep(100))
      local none, message, code = c:read "l"
      assert(none == nil and code == "EMSGSIZE" and message:find "^EMSGSIZE: line too long: 127", message)
      c:max_line(1000)
      assert(c:read "l" == ("b"):rep(101)) -- nothing is lost
      assert(select(3, c:read "l") == "EMSGSIZE")
      c:max_line(1 << 20)
      assert(c:read "l" == ("c"):rep(300000) and c:read "l" == "end" and c:read "l" == nil)
    end)
  end)

  it("writes nothing, many strings, and itself returns", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      assert(c:write() == c and c:write("") == c and c:write("", "") == c)
      local many = {}
      for i = 1, 200 do many[i] = tostring(i) end
      assert(c:write(table.unpack(many)) == c)
      c:shutdown()
      assert(s:read "a" == table.concat(many))
      goro.gosched()
    end)
  end)

  it("is held up by a slow reader", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      local size = 64 << 20
      local progress = goro.chan(1)
      goro.go(function()
        local block = ("x"):rep(1 << 20)
        for i = 1, size >> 20 do
          assert(c:write(block))
          progress:recv(0)
          progress:send(i)
        end
        c:shutdown()
      end)
      goro.sleep(0.3)
      assert((progress:recv(0) or 0) < 32) -- what the system's buffers hold
      assert(#s:read(size) == size)
      assert(s:read() == nil)
    end)
  end)

  it("times out, losing nothing", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      c:write("half a l")
      local none, message, code = s:read("l", 0.02)
      assert(none == nil and code == "ETIMEDOUT" and message == "ETIMEDOUT: connection timed out: " .. c:local_addr(), message)
      assert(select(3, s:read("l", 0)) == "ETIMEDOUT" and select(3, s:read(100, -1)) == "ETIMEDOUT")
      c:write("ine\n")
      assert(s:read("l", 5) == "half a line")
      s:set_timeout(0.02)
      assert(select(3, s:read()) == "ETIMEDOUT")
      assert(select(3, s:read(nil, 0.001)) == "ETIMEDOUT")
      s:set_timeout()
      assert(select(3, s:read(nil, 0.01)) == "ETIMEDOUT")
      s:set_timeout(0.05)
      local block, n = ("x"):rep(1 << 20), 0
      repeat
        local ok, _, why = s:write(block)
        n = n + 1
        assert(ok == s or (ok == nil and why == "ETIMEDOUT"))
      until not ok or n > 100
      assert(n <= 100)
      goro.sleep(0)
    end)
  end)

  it("wakes who reads, writes and accepts when it is closed", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l = net.listen("tcp", "127.0.0.1:0")
      local c = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      local codes = goro.chan(10)
      for _ = 1, 3 do -- one of them has the turn, two wait for it
        goro.go(function() codes:send((select(3, c:read "l"))) end)
        goro.go(function() codes:send((select(3, c:write(("x"):rep(1024):rep(20 << 10))))) end)
        goro.go(function() codes:send((select(3, l:accept()))) end)
      end
      local function waiting(what) return select(2, goro.runtime.dump():gsub(what, "")) end
      repeat goro.sleep(0.01) until waiting "goroutine, I/O read" == 3 and waiting "goroutine, I/O write" == 3 and waiting "goroutine, accept" == 3
      local address = l:addr()
      assert(c:close() == true and l:close() == true)
      local again = net.listen("tcp", address) -- the port is free at once
      assert(again:close())
      for _ = 1, 9 do assert(codes:recv() == "ECANCELED") end
      local none, message, code = c:read()
      assert(none == nil and code == "EBADF" and message == "EBADF: bad file descriptor: " .. address, message)
      assert(select(3, c:write("x")) == "EBADF" and select(3, c:write("")) == "EBADF" and select(3, l:accept(1)) == "EBADF")
      assert(c:close() == true and l:close() == true and select(3, c:shutdown()) == "EBADF")
      assert(select(3, c:nodelay(true)) == "EBADF" and c:remote_addr() == address and l:addr() == address)
      assert(s:read "a" ~= nil)
    end)
  end)

  it("half-closes", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      goro.go(function()
        local s <close> = l:accept()
        local all = s:read "a"
        s:write(#all, "\n")
      end)
      local c <close> = net.dial("tcp", l:addr())
      c:write(("x"):rep(100000))
      assert(c:shutdown() == true)
      local none, _, code = c:write("more")
      assert(none == nil and code == "EPIPE")
      assert(c:read "l" == "100000" and c:read() == nil)
    end)
  end)

  it("tells of a peer that resets", function()
    passes(function()
      local net, socket = require "goro.net", require "socket"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local peer = socket.connect("127.0.0.1", tonumber(l:addr():match "%d+$"))
      local s <close> = l:accept()
      local address = s:remote_addr()
      peer:setoption("linger", { on = true, timeout = 0 })
      peer:close()
      local none, message, code = s:read()
      assert(none == nil and code == "ECONNRESET" and message == "ECONNRESET: connection reset by peer: " .. address, message)
      assert(select(3, s:write("x")) == "EPIPE") -- and no SIGPIPE
    end)
  end)

  it("sets options", function()
    passes(function()
      local net = require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      assert(c:nodelay(false) == true and c:nodelay(true) == true)
      assert(c:keepalive(30) == true and c:keepalive(0) == true and c:keepalive() == true)
    end)
  end)

  it("is one object: equal, sendable, closed by <close>, named", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c = net.dial("tcp", l:addr())
      local ch = goro.chan()
      goro.go(function()
        ch:send(c)
        ch:send(l)
        ch:send { conn = c }
      end)
      assert(ch:recv() == c and ch:recv() == l and ch:recv().conn == c)
      assert(tostring(c):find "^goro.net.conn: 0x" and tostring(l):find "^goro.net.listener: 0x" and tostring(net.udp()):find "^goro.net.udp: 0x")
      goro.run(function()
        local own <close> = c
        assert(own == c)
      end)
      assert(select(3, c:read()) == "EBADF")
      local read = c.read
      goro.run(function() assert(select(3, read(c)) == "EBADF") end)
      assert(goro.net == net)
    end)
  end)

  it("works in coroutines, in pcall, and where the thread must be kept", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      goro.go(function()
        local s <close> = l:accept()
        for line in s:lines "L" do
          goro.sleep(0.002)
          s:write(line)
        end
      end)
      local c <close> = net.dial("tcp", l:addr())
      local function ask(x)
        assert(c:write(x, "\n"))
        return c:read "l"
      end
      assert(coroutine.wrap(function() return coroutine.wrap(ask)("a") end)() == "a")
      assert(select(2, pcall(ask, "b")) == "b")
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b) return tonumber(ask(a)) < tonumber(ask(b)) end)
      assert(table.concat(list) == "123")
      assert(("xyz"):gsub(".", ask) == "xyz")
      local big = ("z"):rep(300000)
      assert(("x"):gsub(".", function() return ask(big) end) == big)
    end)
  end)

  it("is read and written by one at a time, in order", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local c <close> = net.dial("tcp", l:addr())
      local s <close> = l:accept()
      local out = goro.chan(100)
      for i = 1, 20 do
        goro.go(function()
          local block = string.char(64 + i):rep(200000)
          for _ = 1, 3 do assert(c:write(block, block, "\n")) end
          out:send(true)
        end)
      end
      local seen = {}
      for _ = 1, 60 do
        local line = s:read "l"
        assert(#line == 400000 and line == line:sub(1, 1):rep(400000)) -- never another's bytes inside
        seen[line:sub(1, 1)] = (seen[line:sub(1, 1)] or 0) + 1
      end
      for i = 1, 20 do assert(seen[string.char(64 + i)] == 3) end
      for i = 1, 10 do
        goro.go(function() out:send { i, s:read "l" } end)
        repeat goro.sleep(0.001) until select(2, goro.runtime.dump():gsub("goroutine, I/O read", "")) == i
      end
      for _ = 1, 20 do assert(out:recv() == true) end
      for i = 1, 10 do
        c:write(i, "\n")
        local got = out:recv()
        assert(got[1] == i and got[2] == tostring(i))
      end
    end)
  end)
end)

describe("a UDP socket", function()
  it("sends to any address and receives from any", function()
    anywhere(function()
      local goro, net = require "goro", require "goro.net"
      local server <close> = assert(net.udp("127.0.0.1:0"))
      goro.go(function()
        while true do
          local data, from = server:recv()
          if not data then return end
          server:send(data:upper(), from)
        end
      end)
      local a <close> = net.udp()
      local b <close> = net.udp("127.0.0.1:0")
      for _, u in ipairs { a, b } do
        assert(u:send("hello", server:local_addr()) == u)
        local data, from = u:recv(5)
        assert(data == "HELLO" and from == server:local_addr())
        assert(u:send("", server:local_addr()))
        assert(u:recv(5) == "")
        local none, message, code = u:recv(0.01)
        assert(none == nil and code == "ETIMEDOUT" and message:find "^ETIMEDOUT: connection timed out: ", message)
      end
      local big = ("x"):rep(65507)
      assert(b:send(big, server:local_addr()) and b:recv(5) == big:upper())
      assert(select(3, b:send(big .. "x", server:local_addr())) == "EMSGSIZE")
      assert(select(2, b:send("x", "nowhere")) == "EINVAL: missing port in address: nowhere")
    end)
  end)

  it("is dialled like a connection, whose reads are datagrams", function()
    anywhere(function()
      local net = require "goro.net"
      local server <close> = net.udp("127.0.0.1:0")
      local c <close> = assert(net.dial("udp", server:local_addr()))
      assert(c:write("one ", "datagram") == c)
      local data, from = server:recv(5)
      assert(data == "one datagram" and from == c:local_addr())
      server:send("", from)
      server:send("reply", from)
      assert(c:read() == "" and c:read() == "reply" and select(3, c:read(nil, 0.01)) == "ETIMEDOUT")
      local ok, message = pcall(c.read, c, "l")
      assert(not ok and message:find "datagrams are read whole", message)
      server:close()
      c:write("x")
      assert(select(3, c:read(nil, 5)) == "ECONNREFUSED")
    end)
  end)

  it("wakes who waits when it is closed", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local u = net.udp("127.0.0.1:0")
      local codes = goro.chan(2)
      for _ = 1, 2 do goro.go(function() codes:send((select(3, u:recv()))) end) end
      repeat goro.sleep(0.01) until select(2, goro.runtime.dump():gsub("goroutine, I/O read", "")) == 2
      assert(u:close() == true)
      assert(codes:recv() == "ECANCELED" and codes:recv() == "ECANCELED")
      assert(u:close() == true and select(3, u:send("x", "127.0.0.1:9")) == "EBADF" and select(3, u:recv()) == "EBADF")
    end)
  end)
end)

describe("waiting for I/O", function()
  it("puts the deadlock report off; an open handle does not", function()
    local r = helper.run_function(function()
      local goro, net = require "goro", require "goro.net"
      local l = net.listen("tcp", "127.0.0.1:0")
      local c = net.dial("tcp", l:addr())
      goro.go(function()
        goro.sleep(0.05)
        c:write("late")
      end)
      local s = l:accept()
      assert(s:read() == "late")
      goro.go(function() select(1, s:read(nil, 0.1)) end)
      goro.chan():recv()
    end, { timeout = 20 })
    assert.equal(1, r.code, helper.describe(r))
    assert.is_truthy(r.stderr:find("all goroutines are asleep - deadlock!", 1, true), helper.describe(r))
  end)

  it("is shown in dumps", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l = net.listen("tcp", "127.0.0.1:0")
      local c = net.dial("tcp", l:addr())
      goro.go(function() c:read() end)
      goro.go(function() c:write(("x"):rep(1024):rep(20 << 10)) end)
      local s = l:accept() -- luacheck: ignore
      goro.go(function() l:accept() end)
      local dump
      for _ = 1, 100 do
        goro.sleep(0.05)
        dump = require "goro.runtime".dump()
        if dump:find("I/O read", 1, true) and dump:find("I/O write", 1, true) and dump:find("accept", 1, true) then return end
      end
      error(dump)
    end)
  end)

  it("ends with the script, whatever waits", function()
    for _, body in ipairs { "c:read()", "c:write(('x'):rep(1024):rep(20 << 10))", "l:accept()", "l:accept(1000)", "net.udp():recv()",
      "table.sort({ 3, 1, 2 }, function() c:read() end)", "coroutine.wrap(function() c:read() end)()",
      "local x <close> = setmetatable({}, { __close = function() c:read() end }) c:read()",
      "local x <close> = setmetatable({}, { __close = function() c:close() end }) c:read()",
      "net.dial('tcp', '192.0.2.1:9')", "while true do c:read(nil, 0) end" } do
      local r = helper.run_script(([[
        local goro, net = require "goro", require "goro.net"
        local l = net.listen("tcp", "127.0.0.1:0")
        local c = net.dial("tcp", l:addr())
        for i = 1, 4 do goro.go(function() %s end) end
        goro.sleep(0.05)
        print "end"]]):format(body), { timeout = 20 })
      assert.equal("end\n", helper.ended_well(r), body)
      assert.is_true(r.seconds < helper.limit(4), body .. helper.describe(r))
    end
  end)

  it("lets a hook run, whose error gives the turn back", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local l = net.listen("tcp", "127.0.0.1:0")
      local c = net.dial("tcp", l:addr())
      local s = l:accept()
      goro.go(function()
        goro.sleep(0.3)
        s:write("later\n")
      end)
      local fired = 0
      -- The hook is set while the main script waits, as lua.c's handler of SIGINT does; here by a finalizer's stand-in, a count hook.
      debug.sethook(function()
        fired = fired + 1
        if fired == 20 then
          debug.sethook()
          error "interrupted"
        end
      end, "", 1)
      local ok, message = pcall(function()
        local line = c:read "l"
        debug.sethook()
        return line
      end)
      assert(ok or message:find "interrupted")
      if not ok then assert(c:read "l" == "later") end
    end)
  end)
end)

describe("descriptors", function()
  it("are close-on-exec, and given back", function()
    passes(function()
      local goro, net = require "goro", require "goro.net"
      local function count() return #assert(goro.fs.list "/proc/self/fd") end -- without a child, whose pipe would count
      local function settles(n) -- who has said that it is done may still be about to close
        for _ = 1, 200 do
          collectgarbage()
          if count() == n then return end
          goro.sleep(0.01)
        end
        error(("%d descriptors, not %d"):format(count(), n))
      end
      local function round()
        local l <close> = net.listen("tcp", "127.0.0.1:0")
        local done = goro.chan(20)
        for _ = 1, 20 do
          goro.go(function()
            local c <close> = net.dial("tcp", l:addr())
            c:write("x")
            c:read()
            done:send(true)
          end)
        end
        local conns = {}
        for i = 1, 20 do
          conns[i] = l:accept()
          conns[i]:read()
        end
        local f = io.popen "ls -l /proc/self/fd"
        local listing = f:read "a"
        f:close()
        assert(not listing:find "socket:" and not listing:find "eventpoll", listing)
        for i = 1, 20 do conns[i]:close() end
        for _ = 1, 20 do done:recv() end
      end
      round()
      goro.sleep(0.2)
      collectgarbage()
      local before = count()
      for _ = 1, 10 do round() end
      settles(before)
      for _ = 1, 50 do -- forgotten ones are collected
        local l = net.listen("tcp", "127.0.0.1:0")
        local c, s = net.dial("tcp", l:addr()), l:accept()
        s:write("x")
        c:read()
        l, c, s = nil, nil, nil -- luacheck: ignore
      end
      settles(before)
    end)
  end)

  it("may run out: accept tells, does not spin, and goes on", function()
    passes(function()
      local goro, net, socket = require "goro", require "goro.net", require "socket"
      local l = net.listen("tcp", "127.0.0.1:0")
      local first = assert(net.dial("tcp", l:addr()))
      local served = assert(l:accept())
      local files = {}
      while true do
        local f = io.open("/dev/null")
        if not f then break end
        files[#files + 1] = f
      end
      files[#files]:close()
      files[#files] = nil
      local c = assert(net.dial("tcp", l:addr())) -- takes the last one
      local _, message, code = net.dial("tcp", l:addr())
      assert(code == "EMFILE", message)
      local start, told = socket.gettime(), 0
      while socket.gettime() - start < 0.3 do
        local none, why, name = l:accept()
        assert(none == nil and name == "EMFILE" and why == "EMFILE: too many open files: " .. l:addr(), why)
        told = told + 1
      end
      assert(told > 1 and told < 20, told)
      for i = 1, 5 do
        files[#files]:close()
        files[#files] = nil
        assert(i)
      end
      local s = assert(l:accept(5))
      s:write("served\n")
      assert(c:read "l" == "served")
      served:write("too")
      assert(first:read() == "too")
      goro.gosched()
    end, { wrap = "sh -c 'ulimit -n 64; exec \"$@\"' sh" })
  end)
end)
