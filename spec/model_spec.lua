-- SPDX-License-Identifier: MIT
--
-- The Promela models of the park protocol, of select, of retaking a P, of the end of the pool, of a mutex and of looking for work: free of errors, and able to find errors.
--
-- All the work is done by model/check (it takes a minute or two); this file turns each of its runs into a test. The
-- names are asked for first, since busted wants to know its tests before it runs them; the searches run once, with
-- the first test.

local here = debug.getinfo(1, "S").source:match("^@(.*)[/\\][^/\\]*$") or "."
local check = "'" .. (here .. "/model/check"):gsub("'", "'\\''") .. "'"

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  local _, _, status = pipe:close()
  return lines, status
end

local function installed(program)
  local _, status = lines_of("command -v " .. program .. " 2>&1")
  return status == 0
end

describe("the Promela models", function()
  local names, listed = lines_of(check .. " --list")
  local said = {} -- name → verdict and finding
  local lines, status
  local have_spin = installed("spin")

  lazy_setup(function()
    if not have_spin then return end
    lines, status = lines_of(check .. " 2>&1")
    for _, line in ipairs(lines) do
      local verdict, name, finding = line:match("^(%a+) ([^:]+): (.*)$")
      if verdict then said[name] = { verdict = verdict, finding = finding } end
    end
  end)

  local function needs_spin(test)
    return function()
      if not have_spin then
        pending("spin is not installed (Debian: apt-get install spin)")
        return
      end
      test()
    end
  end

  it("are listed, each with at least three seeded mistakes", function()
    assert.equal(0, listed)
    local seeds = { ["park.pml"] = 0, ["select.pml"] = 0, ["retake.pml"] = 0, ["end.pml"] = 0, ["mutex.pml"] = 0, ["look.pml"] = 0 }
    for _, name in ipairs(names) do
      local model = name:match("^(%S+) with BUG_")
      if model then seeds[model] = seeds[model] + 1 end
    end
    for model, n in pairs(seeds) do assert.is_true(n >= 3, model .. " has " .. n) end
  end)

  for _, name in ipairs(names) do
    local wanted = name:find(" with BUG_", 1, true) and "is caught" or "is free of errors"
    it(name .. " " .. wanted, needs_spin(function()
      local run = said[name]
      assert.is_truthy(run, "no line for it; the script said:\n" .. table.concat(lines, "\n"))
      assert.equal("ok", run.verdict, run.finding)
    end))
  end

  it("are all as they should be, by the script's own account", needs_spin(function()
    assert.equal(0, status, table.concat(lines, "\n"))
    assert.equal(#names, #lines)
  end))
end)
