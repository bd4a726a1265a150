-- SPDX-License-Identifier: MIT
-- A program that is started with standard descriptors closed: no socket, file or pipe gets their numbers.

local helper = require "spec.helper"

describe("closed at the start", function()
  for _, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-" } do
    it("'" .. closed .. "' is /dev/null from then on", function()
      local report = os.tmpname()
      helper.run_function(function(path, redirections)
        local goro = require "goro"
        local ok, why = pcall(function()
          local fs = goro.fs
          for number, mark in pairs { ["0"] = "<&-", ["1"] = ">&-", ["2"] = "2>&-" } do
            local is_closed = (" " .. redirections .. " "):find(" " .. mark .. " ", 1, true) ~= nil
            local target = assert(fs.readlink("/proc/self/fd/" .. number))
            assert(not is_closed or target == "/dev/null", number .. target)
          end
          local l <close> = assert(goro.net.listen("tcp", "127.0.0.1:0"))
          local c <close> = assert(goro.net.dial("tcp", l:addr()))
          local s <close> = assert(l:accept())
          goro.run(function()
            print "to nobody"
            io.stdout:write "to nobody"
            io.stdout:flush()
            io.stderr:write "to nobody"
          end)
          c:write "to the peer\n"
          assert(s:read() == "to the peer\n")
          c:shutdown()
          assert(s:read() == nil)
          s:shutdown()
          assert(c:read() == nil)
          local r = assert(goro.process.run { "sh", "-c", "readlink /proc/self/fd/0; echo out; echo err >&2" })
          assert(r.code == 0 and r.stdout:find "out\n$" and r.stderr == "err\n", r.stderr)
          r = assert(goro.process.run({ "sh", "-c", "echo fine" }, { stderr = "inherit" }))
          assert(r.stdout == "fine\n")
        end)
        local f = io.open(path, "w")
        f:write(ok and "ok" or why)
        f:close()
      end, { args = { report, closed }, wrap = ([[sh -c 'exec "$@" %s' sh]]):format(closed) })
      local f = assert(io.open(report))
      local said = f:read "a"
      f:close()
      os.remove(report)
      assert.equal("ok", said)
    end)
  end
end)
