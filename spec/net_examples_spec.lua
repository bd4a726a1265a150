-- SPDX-License-Identifier: MIT
-- The examples of goro.net, as servers that others talk to.

local helper = require "spec.helper"

-- Runs `talk(address)` beside the example, whose address it has printed.
local function beside(example, talk)
  helper.passes_script(([[
    local net = require "goro.net"
    local server = io.popen("timeout 60 %s examples/%s.lua & echo $!")
    local pid = server:read "l"
    local address = server:read "l":match "^listening at (.*)$"
    local ok, err = pcall(load(%q, "talk", "b"), net, address)
    os.execute("kill " .. pid .. " 2>/dev/null")
    server:close()
    assert(ok, err)
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

  it("chat carries what each says to the others", function()
    beside("chat", function(net, address)
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
    end)
  end)
end)
