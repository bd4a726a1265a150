-- SPDX-License-Identifier: MIT
-- A goroutine is plain Lua: what the programs of spec/conformance/ do in a state that knows nothing of goro, they do in a goroutine,
-- however the code came there and whatever its state started with. spec/conformance/runner.lua says what a program is and where it is run.
--
-- The measure is not written down: plain Lua itself says, in the same run, what each case gives. So this holds for each version of Lua.

local helper = require "spec.helper"

local runner = "spec/conformance/runner.lua"
local stock = os.getenv "GORO_STOCK_LUA" -- the one without a sanitizer's runtime

local programs = {
  "strings", "numbers", "tables", "metatables", "functions", "coroutines", "errors", "gc", "loading", "debugging", "utf8", "os", "globals",
}

-- Where goro is documented to differ: "mode program: case" or "program: case" → why. The outcome is not looked at there.
local differs = {
  ["gc: generational: the mode at first"] = "new states are incremental; the program lua5.4 switches its own to generational",
  ["host debugging: getinfo: base functions have no upvalues"] = "print in the main script's state is goro's, which finds that state by an upvalue",
}

-- The modes of the runner: what each case must be equal to there, and the environment.
local modes = {
  { "host", "script" }, { "body", "script" }, { "convoy", "script" }, { "body", "script", { GOROIMAGE = 0 } },
  { "run", "each" }, { "argument", "each" }, { "upvalue", "each" }, { "message", "each" }, { "late", "each" }, { "nested", "each" },
  { "run", "each", { GOROIMAGE = 0 } },
}

-- One file of what is printed and of what is warned, in order.
local merged = [[sh -c 'exec "$@" 2>&1' sh]]

-- What each case gave, by its name, and the names in order.
local function parse(text)
  local names, given = {}, {}
  for line in text:gmatch "[^\n]*\n?" do
    local name = line:match "^== (.*)\n$"
    if name then
      names[#names + 1], given[name] = name, ""
    elseif #names > 0 then
      given[names[#names]] = given[names[#names]] .. line
    end
  end
  return names, given
end

local function run(mode, program, opts)
  opts.args, opts.timeout, opts.wrap = { mode, ("spec/conformance/%s.lua"):format(program) }, 120, merged
  local r = helper.run_script(([[arg[0] = %q assert(loadfile(arg[0]))(...)]]):format(runner), opts)
  local names, given = parse(r.stdout)
  return names, given, r
end

local measured = {}

-- What plain Lua gives: { names, given }.
local function measure(kind, program)
  local key = kind .. " " .. program
  if not measured[key] then
    local names, given, r = run(kind, program, { lua = stock })
    assert.is_true(r.code == 0 and #names > 0, helper.describe(r))
    measured[key] = { names = names, given = given }
  end
  return measured[key]
end

local function compare(mode, kind, program, env)
  local plain = measure(kind, program)
  local _, given, r = run(mode, program, { env = env })
  local wrong = {}
  for _, name in ipairs(plain.names) do
    local excused = differs[program .. ": " .. name] or differs[mode .. " " .. program .. ": " .. name]
    if not excused and given[name] ~= plain.given[name] then
      wrong[#wrong + 1] = ("%s\n  plain: %s  here:  %s"):format(name, plain.given[name], given[name] or "nothing\n")
    end
  end
  assert.is_true(#wrong == 0, ("%d cases differ:\n%s"):format(#wrong, table.concat(wrong, "\n", 1, math.min(#wrong, 20))))
  assert.is_true(r.code == 0, helper.describe(r))
end

for _, program in ipairs(programs) do
  describe("conformance of " .. program, function()
    for _, way in ipairs(modes) do
      local mode, kind, env = table.unpack(way)
      it(("%s%s is as plain Lua"):format(mode, env and " without images" or ""), function() compare(mode, kind, program, env) end)
    end
  end)
end

describe("warnings", function()
  -- A goroutine that waits for this one may go on before its state is closed.
  it("of errors in finalizers come when a state is closed, too", function()
    local r = helper.run_function(function()
      require "goro".run(function()
        warn "@on"
        setmetatable({}, { __gc = function() error("at the end", 0) end })
      end)
    end)
    assert.are.equal("Lua warning: error in __gc (at the end)\n", (r.stderr:gsub("%(job.lua:%d+: ", "(")))
    assert.are.equal(0, r.code)
  end)

  it("of goroutines at the same time keep their lines", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      local done = goro.chan()
      for i = 1, 8 do
        goro.go(function()
          warn "@on"
          for _ = 1, 100 do warn(("x"):rep(i * 20), "+", ("y"):rep(i * 20), "+", ("x"):rep(i * 20)) end
          done:send(true)
        end)
      end
      for _ = 1, 8 do done:recv() end
    end, { env = { GOROMAXPROCS = 4 } })
    local n = 0
    for line in r.stderr:gmatch "[^\n]*\n" do
      local a, b, c = line:match "^Lua warning: (x+)%+(y+)%+(x+)\n$"
      assert.is_truthy(a and #a == #b and a == c, line)
      n = n + 1
    end
    assert.are.equal(800, n)
  end)
end)

it("there are many cases, and each exception names one", function()
  local n, known = 0, {}
  for _, program in ipairs(programs) do
    for _, name in ipairs(measure("each", program).names) do
      n = n + 1
      known[program .. ": " .. name] = true
    end
  end
  assert.is_true(n >= 1200, n)
  for name in pairs(differs) do assert.is_truthy(known[name] or known[name:gsub("^%a+ ", "")], name) end
end)
