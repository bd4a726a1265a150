-- SPDX-License-Identifier: MIT
-- The examples of goro.net, as servers that others talk to, and that end gracefully.

local helper = require "spec.helper"

-- Runs `talk(address, server, ended)` beside the example, whose address it has printed. `server:kill(…)` sends it a signal, and then ended() checks that it says good-bye.
local function beside(example, talk)
  helper.passes_script(([[
    local goro, net, process = require "goro", require "goro.net", require "goro.process"
    local server <close> = assert(process.spawn({ %q, "examples/%s.lua" }))
    server.stdout:set_timeout(60)
    local address = server.stdout:read "l":match "^listening at (.*)$"
    local function ended()
      local rest, code, signal = server.stdout:read "a", server:wait(60)
      assert(rest == "bye\n" and code == 0, ("%%s %%s %%s"):format(rest, code, signal))
    end
    load(%q, "talk", "b")(net, address, server, ended)
  ]]):format(helper.interpreter(), example, string.dump(talk)))
end

describe("the example", function()
  it("echo sends lines back, and says when it cannot listen", function()
    beside("echo", function(net, address)
      local a <close> = assert(net.dial("tcp", address))
      local b <close> = assert(net.dial("tcp", address))
      a:write("one\ntw")
      b:write("three\n")
      assert(b:read("l", 10) == "three" and a:read("l", 10) == "one")
      a:write("o\n")
      assert(a:read("l", 10) == "two")
    end)
    local r = helper.run_script([[arg = { [0] = "echo", "127.0.0.1:99999" } dofile "examples/echo.lua"]])
    assert.equal(1, r.code, helper.describe(r))
    assert.equal("echo: EINVAL: invalid port in address: 127.0.0.1:99999\n", r.stderr)
  end)

  it("echo ends gracefully: nobody new, but all who are there are served to their end", function()
    beside("echo", function(net, address, server, ended)
      local a <close> = assert(net.dial("tcp", address))
      a:write("before\n")
      assert(a:read("l", 10) == "before")
      server:kill "INT"
      local code
      for _ = 1, 500 do
        local c
        c, _, code = net.dial("tcp", address)
        if code == "ECONNREFUSED" then break end -- one that was in the queue when the listener closed is reset
        if c then c:close() end
        require "goro".sleep(0.02)
      end
      assert(code == "ECONNREFUSED", code)
      a:write("after\n")
      assert(a:read("l", 10) == "after")
      a:close()
      ended()
    end)
  end)

  it("echo ends at once at the second signal", function()
    beside("echo", function(net, address, server)
      local a <close> = assert(net.dial("tcp", address))
      a:write("x\n")
      assert(a:read("l", 10) == "x")
      for _ = 1, 500 do
        server:kill "TERM"
        local code, signal, failure = server:wait(0.05)
        if failure ~= "ETIMEDOUT" then
          assert(code == nil and signal == "TERM", tostring(code) .. " " .. tostring(signal))
          return
        end
      end
      error "still there"
    end)
  end)

  it("chat carries what each says to the others, and lets all go in the end", function()
    beside("chat", function(net, address, server, ended)
      local function join(name)
        local c = assert(net.dial("tcp", address))
        c:set_timeout(10)
        assert(c:read "l" == "your name?")
        c:write(name, "\n")
        return c, c:read "l"
      end
      local a, hello = join("anna")
      assert(hello == "welcome")
      local b = join("  bert ")
      assert(a:read "l" == "* bert has come")
      local _, no = join("anna")
      assert(no == "that name is taken")
      a:write("hi\r\nthere\n")
      assert(b:read "l" == "<anna> hi" and b:read "l" == "<anna> there")
      b:write("hello\n")
      b:shutdown()
      assert(a:read "l" == "<bert> hello" and a:read "l" == "* bert has gone")
      local c = join("carl")
      server:kill "TERM"
      assert(a:read "l" == "* carl has come" and a:read "l" == "* the room is closed" and a:read "l" == nil)
      assert(c:read "l" == "* the room is closed" and c:read "l" == nil)
      ended()
    end)
  end)
end)
