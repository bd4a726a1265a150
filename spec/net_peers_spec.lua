-- SPDX-License-Identifier: MIT
-- goro.net against programs that other people wrote: curl, netcat, socat, LuaSocket, redis-server.

local helper = require "spec.helper"

describe("peers:", function()
  it("curl is served", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local url = "http://" .. l:addr()
      goro.go(function()
        while true do
          local conn = l:accept()
          if not conn then return end
          goro.go(function()
            local c <close> = conn
            while true do
              local request = c:read "l"
              if not request then return end
              local method, path = request:match "^(%u+) (%S+) HTTP/1%.[01]\r$"
              local length = 0
              for line in c:lines() do
                if line == "\r" then break end
                length = tonumber(line:lower():match "^content%-length: (%d+)") or length
              end
              local body = method == "GET" and path:rep(1000) or c:read(length):upper()
              c:write("HTTP/1.1 200 OK\r\nContent-Length: ", #body, "\r\n\r\n", body)
            end
          end)
        end
      end)
      local function curl(args)
        local f = io.popen("curl -sS --max-time 20 " .. args .. " 2>&1")
        local text = f:read "a"
        assert(f:close(), text)
        return text
      end
      assert(curl(url .. "/abc") == ("/abc"):rep(1000))
      assert(curl(("%s/a %s/b"):format(url, url)) == ("/a"):rep(1000) .. ("/b"):rep(1000)) -- one connection, kept alive
      local out = goro.chan(8)
      for i = 1, 8 do
        goro.go(function()
          local big = ("x" .. i):rep(200000)
          local name = os.tmpname()
          local f = io.open(name, "w")
          f:write(big)
          f:close()
          local text = curl("--data-binary @" .. name .. " " .. url .. "/up")
          os.remove(name)
          out:send(text == big:upper())
        end)
      end
      for _ = 1, 8 do assert(out:recv()) end
    end)
  end)

  it("netcat talks, as client and as server", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local host, port = l:addr():match "^(.*):(%d+)$"
      goro.go(function()
        local c <close> = l:accept()
        for line in c:lines() do c:write(line:reverse(), "\n") end
      end)
      local f = io.popen(("printf 'abc\\ndefg\\n' | timeout 20 nc -N %s %s"):format(host, port))
      assert(f:read "a" == "cba\ngfed\n")
      f:close()
      local path = os.tmpname()
      os.remove(path)
      local server = io.popen(("printf 'from nc' | timeout 20 nc -lU -N %s"):format(path))
      local c
      for _ = 1, 200 do
        c = net.dial("unix", path)
        if c then break end
        goro.sleep(0.02)
      end
      assert(c:write("to nc\n") and c:shutdown())
      assert(c:read "a" == "from nc")
      assert(server:read "a" == "to nc\n")
      server:close()
      os.remove(path)
    end)
  end)

  it("socat carries between a Unix socket and TCP, both ends being ours", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local name = "goro-socat-" .. math.random(1 << 40)
      local f = io.popen(("timeout 30 socat ABSTRACT-LISTEN:%s TCP:%s & echo $!"):format(name, l:addr()))
      local pid = f:read "l"
      goro.go(function()
        local c <close> = l:accept()
        c:write(c:read "a":reverse())
      end)
      local c
      for _ = 1, 200 do
        c = net.dial("unix", "@" .. name)
        if c then break end
        goro.sleep(0.02)
      end
      local data = ("0123456789"):rep(100000)
      assert(c:write(data) and c:shutdown())
      assert(c:read "a" == data:reverse())
      c:close()
      os.execute("kill " .. pid .. " 2>/dev/null")
      f:close()
    end)
  end)

  it("LuaSocket, as client and as server", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local l <close> = net.listen("tcp", "127.0.0.1:0")
      local address = l:addr()
      goro.go(function()
        local s = require "socket".connect(address:match "^(.*):", tonumber(address:match "%d+$"))
        s:send("hello\n")
        assert(s:receive "*l" == "HELLO")
        s:close()
      end)
      local c <close> = l:accept()
      c:write(c:read "L":upper())
      assert(c:read() == nil)
      local port = goro.chan(1)
      goro.go(function()
        local server = require "socket".bind("127.0.0.1", 0)
        port:send((select(2, server:getsockname())))
        local s = server:accept()
        s:send("from LuaSocket: " .. s:receive(5))
        s:close()
      end)
      local d <close> = assert(net.dial("tcp", "127.0.0.1:" .. port:recv()))
      d:write("12345")
      assert(d:read "a" == "from LuaSocket: 12345")
    end)
  end)

  it("redis-server answers, also to requests sent ahead", function()
    helper.passes(function()
      local goro, net = require "goro", require "goro.net"
      local path = os.tmpname()
      os.remove(path)
      local log = path .. ".log"
      local f = io.popen(("timeout 60 redis-server --port 0 --unixsocket %s --save '' --appendonly no --dir /tmp --logfile %s >/dev/null 2>&1 & echo $!")
        :format(path, log))
      local pid = f:read "l"
      local function command(...)
        local parts = { ("*%d\r\n"):format(select("#", ...)) }
        for _, word in ipairs { ... } do parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#word, word) end
        return table.concat(parts)
      end
      local function reply(c)
        local line = assert(c:read "l"):sub(1, -2)
        local kind, rest = line:sub(1, 1), line:sub(2)
        if kind ~= "$" then return kind == ":" and tonumber(rest) or rest end
        return c:read(tonumber(rest) + 2):sub(1, -3)
      end
      local c
      for _ = 1, 500 do
        c = net.dial("unix", path)
        if c then break end
        goro.sleep(0.02)
      end
      assert(c:write(command("PING")) and reply(c) == "PONG")
      local binary = ("\0\r\n$5\n"):rep(50000)
      assert(c:write(command("SET", "key", binary)) and reply(c) == "OK")
      assert(c:write(command("GET", "key")) and reply(c) == binary)
      goro.go(function()
        for i = 1, 5000 do c:write(command("INCRBY", "n", tostring(i))) end
      end)
      local sum = 0
      for i = 1, 5000 do
        sum = sum + i
        assert(reply(c) == sum)
      end
      local out = goro.chan(20)
      for _ = 1, 20 do
        goro.go(function()
          local own <close> = net.dial("unix", path)
          for _ = 1, 200 do
            own:write(command("INCR", "m"))
            reply(own)
          end
          out:send(true)
        end)
      end
      for _ = 1, 20 do out:recv() end
      assert(c:write(command("GET", "m")) and reply(c) == "4000")
      c:write(command("SHUTDOWN", "NOSAVE"))
      assert(c:read() == nil)
      f:close()
      os.execute("kill " .. pid .. " 2>/dev/null")
      os.remove(log)
    end)
  end)
end)
