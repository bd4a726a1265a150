-- SPDX-License-Identifier: MIT
-- UDP sockets may send to broadcast addresses, as in Go.

local helper = require "spec.helper"

describe("UDP", function()
  it("goes to broadcast addresses: a bound socket, one of both families, a dialled one", function()
    helper.passes_anywhere(function()
      local net = require "goro".net
      local all <close> = assert(net.udp "0.0.0.0:0")
      local address = "127.255.255.255:" .. all:local_addr():match "%d+$"
      local unbound <close> = assert(net.udp())
      local bound <close> = assert(net.udp "127.0.0.1:0")
      local dialled <close> = assert(net.dial("udp", address))
      for i, send in ipairs {
        function(s) return unbound:send(s, address) end, function(s) return bound:send(s, address) end, function(s) return dialled:write(s) end,
      } do
        assert(send("datagram " .. i))
        assert(all:recv(60) == "datagram " .. i)
      end
    end)
  end)
end)
