-- SPDX-License-Identifier: MIT
-- goro in programs in C++ (spec/embed/exceptions.cpp): exceptions pass through goro's calls, and a Lua that is built as C++ works.

local helper = require "spec.helper"

local program, with_c = helper.embedding(it, pending, "exceptions")
local program_cxx, with_cxx = helper.embedding(it, pending, "exceptions_cxx")

-- An exception of a function that goro calls, in the main script. {name, code}; f throws.
local calls = {
  { "mutex:with", "goro.sync.mutex():with(f)" },
  { "rwmutex:rwith", "goro.sync.rwmutex():rwith(f)" },
  { "map:update", "goro.sync.map():update('k', f)" },
  { "select", "local c = goro.chan(1) c:send(1) goro.select { { recv = c, f } }" },
  { "select's default", "goro.select { default = f }" },
  { "a __goro metamethod", "goro.chan(1):send(setmetatable({}, { __goro = f }))" },
  { "a group's block", "local g <close> = goro.group() g:go(function() end) f()" },
  { "a message's function", "local c = goro.chan(1) c:send(setmetatable({}, { __goro = function() return f end })) c:recv()" },
  { "an error's tostring", "goro.fs.write_file(setmetatable({}, { __name = 'x' }), f())" },
}

describe("a program in C++", function()
  with_c("uses goro, and goro.h", function()
    local out = helper.ended_well(helper.run_script([[
      local goro = require "goro"
      local c = goro.chan(1)
      assert(send(c) and c:recv() == "from C++")
      assert(goro.run(function() return 6 * 7 end) == 42 and language == "C")
      local g <close> = goro.group()
      for _ = 1, 20 do g:go(function() calls(goro.sleep, 0.001) assert(not pcall(calls, error)) end) end
    ]], { lua = program }))
    -- Errors of a Lua in C jump over what is on the C++ stack.
    assert.equal("closed, 20 living\n", out)
  end)

  for _, call in ipairs(calls) do
    with_c("catches what was thrown through " .. call[1], function()
      local out = helper.ended_well(helper.run_script(([[
        local goro = require "goro"
        local f = throws
        goro.go(function() while true do goro.sleep(0.001) end end)
        calls(function() %s end)
      ]]):format(call[2]), { lua = program }))
      assert.equal("caught: thrown in C++\nclosed, 0 living\n", out)
    end)
  end
end)

describe("a Lua that is built as C++", function()
  with_cxx("runs goroutines that raise, yield, wait, exit, are pre-empted", function()
    local out = helper.ended_well(helper.run_script([[
      local goro = require "goro"
      assert(language == "C++")
      local c = goro.chan(1)
      assert(send(c) and c:recv() == "from C++")
      local done = goro.sync.waitgroup()
      for i = 1, 20 do
        done:go(function()
          local ok, err = pcall(calls, error, i)
          assert(not ok and err == i)
          ok, err = pcall(calls, goro.run, function() error { i } end)
          assert(not ok and err[1] == i)
          table.sort({ 3, 1, 2 }, function(a, b) goro.sleep(0.0001) return a < b end)
          local co = coroutine.wrap(function() coroutine.yield(1) goro.sleep(0.001) error "in co" end)
          assert(co() == 1 and not pcall(co))
          for _ = 1, 1000000 do end
          if i % 2 == 0 then goro.goexit() end
        end)
      end
      done:wait()
      assert(living() == 0, living())
    ]], { lua = program_cxx }))
    assert.equal("closed, 0 living\n", out)
  end)

  with_cxx("makes a C++ exception the end of the goroutine", function()
    local out = helper.ended_well(helper.run_script([[
      local goro = require "goro"
      local ok, err = pcall(goro.run, throws)
      assert(not ok and err == "a C++ exception that nobody caught", err)
      ok, err = pcall(goro.run, function() local x <close> = setmetatable({}, { __close = function() end }) calls(throws) end)
      assert(not ok and err == "a C++ exception that nobody caught", err)
      assert(goro.traceback():find "in function 'calls'", goro.traceback())
      local m = goro.sync.mutex()
      -- Lua's own pcall does not catch it either where it could yield.
      assert(not pcall(goro.run, function() pcall(m.with, m, throws) end))
      assert(m:try_lock())
      m:unlock()
      assert(not pcall(goro.run, function() m:with(throws) end))
      assert(m:try_lock())
      assert(not pcall(goro.run, function() coroutine.wrap(throws)() end))
      assert(not pcall(goro.map, { 1, 2, 3 }, throws))
      assert(not pcall(goro.sync.once(throws)))
      assert(goro.run(function() return "still alive" end) == "still alive")
      assert(living() == 0, living())
    ]], { lua = program_cxx }))
    assert.equal("closed, 0 living\n", out)
  end)

  for _, call in ipairs(calls) do
    with_cxx("catches what was thrown through " .. call[1], function()
      local out = helper.ended_well(helper.run_script(([[
        local goro = require "goro"
        local f = throws
        goro.go(function() while true do goro.sleep(0.001) end end)
        for _ = 1, 3 do assert(not pcall(calls, function() %s end)) end
      ]]):format(call[2]), { lua = program_cxx }))
      assert.equal("closed, 0 living\n", out)
    end)
  end
end)
