-- SPDX-License-Identifier: MIT
--
-- The stacks of threads: C code that recurses deeply has in a goroutine what it would have in the main script.

local helper = require "spec.helper"

local _, it_runs = helper.embedding(it, pending, "ctest.so")

-- Each of eight goroutines at once uses so many kilobytes of its thread's stack.
local program = [[
local goro, ctest = require "goro", require "ctest"
local bytes = tonumber(arg[1]) * 1024
local g = goro.group()
local n = goro.sync.atomic()
for _ = 1, 8 do
  g:go(function()
    assert(ctest.recurse(bytes) > 0)
    table.sort({ 2, 1 }, function(a, b) ctest.recurse(bytes // 2) n:add(1) return a < b end)
  end)
end
g:wait()
assert(n:load() == 8)
print "ok"
]]

local function has(kilobytes, limits)
  local r = helper.run_script(program, { timeout = 60, args = { tostring(kilobytes) }, wrap = limits and
    ("sh -c '%s; exec \"$0\" \"$@\"'"):format(limits), env = helper.with_ctest {} })
  assert.is_true(r.code == 0 and r.stdout == "ok\n", helper.describe(r))
end

describe("a thread's stack", function()
  it_runs("has what the main stack has by default: 4 MB of C recursion work", function() has(4096, "ulimit -S -s 8192") end)
  it_runs("has what ulimit -s says", function() has(3000, "ulimit -S -s 4096") end)
  -- A sanitizer needs more stack and address space than these leave to it.
  if not os.getenv "GORO_SANITIZE" then
    it_runs("has 8 MB where the main stack's is unlimited", function() has(7000, "ulimit -S -s unlimited") end)
    it_runs("has at least 1 MB", function() has(800, "ulimit -S -s 256") end)
    it_runs("has 1 MB where address space is short", function() has(800, "ulimit -S -s 8192; ulimit -v 262144") end)
  end
end)
