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

describe("failures", function()
  it_runs("have one name and one text each, whatever the system says", function()
    local r = helper.run_script([[
      local net = require "goro".net
      local seen = {}
      for n = 1, 133 do
        local l <close> = assert(net.listen("tcp", "127.0.0.1:0"))
        local c <close> = assert(net.dial("tcp", l:addr()))
        refuse(n, 1)
        local conn, message, code = l:accept(60)
        if not conn then
          local name, text = message:match "^(E%w+): (.+): 127"
          assert(name, message)
          assert(name == code and not seen[name] and not text:find "[Uu]nknown system" or name:find "^ERRNO", message)
          seen[name] = text
        end
      end
      assert(seen.ENOEXEC == "exec format error" and seen.EDQUOT == "disk quota exceeded" and seen.EPERM == "operation not permitted")
      assert(seen.ESTALE and seen.EBADFD and seen.EKEYEXPIRED and not seen.EAGAIN)
      io.stdout:write "done"]], { lua = program })
    assert.equal("done", helper.ended_well(r))
  end)

  it("of a program that is none name it once", function()
    helper.passes(function()
      local goro = require "goro"
      local path = os.tmpname()
      assert(goro.fs.write_file(path, "\127ELF nothing") and goro.fs.chmod(path, 493))
      local r, message, code = goro.process.run { path }
      os.remove(path)
      assert(r == nil and code == "ENOEXEC" and message == "ENOEXEC: exec format error: " .. path, message)
    end)
  end)
end)
