-- SPDX-License-Identifier: MIT
-- What accept makes of the system's refusals: in a program that has an accept4 of its own (spec/embed/accepts.c). It used to try
-- again at once, for ever, after each error that it did not know.

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "accepts")

describe("accept", function()
  local function accepts(name, body)
    it_runs(name, function()
      local r = helper.run_script([[
        local goro = require "goro"
        local net = goro.net
        local l <close> = assert(net.listen("tcp", "127.0.0.1:0"))
        ]] .. body .. " io.stdout:write 'done'", { lua = program })
      assert.equal("done", helper.ended_well(r))
    end)
  end

  accepts("passes over connections that are gone", [[
    for _, name in ipairs { "ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EINTR" } do
      refuse(errno[name], 3)
      local c <close> = assert(net.dial("tcp", l:addr()))
      local s <close> = assert(l:accept(60))
    end]])

  accepts("tells what may last, and tries again after a pause", [[
    for _, name in ipairs { "EPERM", "EACCES", "ENOSYS", "EMFILE", "ENOMEM" } do
      refuse(errno[name])
      local c <close> = assert(net.dial("tcp", l:addr()))
      local before, start, told = asked(), goro.time.mono(), 0
      repeat
        local r, message, code = l:accept()
        assert(r == nil and code == name and message:find("^" .. name .. ": .+: 127.0.0.1:%d+$"), message)
        told = told + 1
      until goro.time.mono() - start > 0.2
      assert(told >= 2 and told < 20 and asked() - before < 40, told)
      refuse(0, 0)
      local s <close> = assert(l:accept(60))
    end]])
end)
