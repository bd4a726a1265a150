-- SPDX-License-Identifier: MIT
-- The traceback of a script that Ctrl-C has ended in a call of goro names the script's lines and the
-- call, and nothing of what goro does inside: it used to begin with [string "return"]:1.

local helper = require "spec.helper"

local waits = {
  ["goro.sleep"] = "goro.sleep(1000)",
  ["goro.run"] = "goro.run(function() require 'goro'.sleep(1000) end)",
  ["goro.map"] = "goro.map({ 1 }, function() require 'goro'.sleep(1000) end)",
  ["goro.select"] = "goro.select { { recv = goro.chan() }, timeout = 1000 }",
  ["recv"] = "goro.chan():recv(1000)",
  ["wait"] = "goro.sync.waitgroup(1):wait(1000)",
  ["lock"] = "local m = goro.sync.mutex() m:lock() m:lock(1000)",
  ["goro.process.run"] = "goro.process.run('sleep 1000')",
  ["read"] = "local l = goro.net.listen('tcp', '127.0.0.1:0') goro.net.dial('tcp', l:addr()):read()",
  ["close"] = "do local g <close> = goro.group() g:go(goro.sleep, 1000) end",
}

describe("Ctrl-C in a call of goro", function()
  for call, line in pairs(waits) do
    it("shows the line of the script: " .. call, function()
      local r = helper.run_script(([[
        local goro = require "goro"
        goro.go(function()
          local goro = require "goro"
          repeat goro.sleep(0.001) until not goro.runtime.dump():find "main goroutine, running"
          require "ctest".kill(2)
          goro.sleep(1000)
        end)
        %s
      ]]):format(line), { env = helper.with_ctest(), timeout = 30 })
      assert.equal(1, r.code)
      local pattern = "^[^\n]*: job.lua:8: interrupted!\nstack traceback:\n"
        .. "\t%[C%]: in %a+ '" .. call .. "'\n\tjob.lua:8: in main chunk\n\t%[C%]: in %?\n$"
      assert.is_truthy(r.stderr:find(pattern), helper.describe(r))
    end)
  end
end)
