-- SPDX-License-Identifier: MIT
-- output.lua - busted's output for ./tools/test: failures and reasons for skipping in full, then one line with the counts.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function say(kind, one)
    io.write(("%s %s (%s:%s)\n"):format(kind, one.name or "?", one.trace and one.trace.short_src or "?",
      one.trace and one.trace.currentline or "?"))
    local message = one.message
    if message then io.write("  ", (tostring(type(message) == "string" and message or require "pl.pretty".write(message)):gsub("\n", "\n  ")), "\n") end
    if one.trace and one.trace.traceback and options.verbose then io.write(one.trace.traceback, "\n") end
  end

  handler.suiteEnd = function()
    for _, one in ipairs(handler.failures) do say("FAILED", one) end
    for _, one in ipairs(handler.errors) do say("FAILED", one) end
    for _, one in ipairs(handler.pendings) do say("SKIPPED", one) end
    io.write(("GORO-SPEC %d %d %d\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount, handler.pendingsCount))
    return nil, true
  end
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
