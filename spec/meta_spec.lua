-- SPDX-License-Identifier: MIT
-- lua/goro/meta.lua tells editors of each function that goro has, and of no other; so does README of each module.

local goro = require "goro"

local function slurp(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

-- class name -> { function name -> true }: what meta.lua declares for `local x = {}` under ---@class.
local function declared()
  local classes, of_variable, class = {}, {}, nil
  for line in slurp "lua/goro/meta.lua":gmatch "[^\n]*" do
    class = line:match "^%-%-%-@class ([%w_.]+)" or class
    local variable = line:match "^local ([%w_]+) = {}$"
    if variable then
      assert(not of_variable[variable], variable .. " is declared twice")
      of_variable[variable], classes[class] = class, {}
    end
    local owner, name = line:match "^function ([%w_]+)[.:]([%w_]+)%("
    if owner then classes[assert(of_variable[owner], line)][name] = true end
  end
  return classes
end

local function functions_of(t)
  local names = {}
  for name, v in pairs(t) do
    if type(v) == "function" then names[name] = true end
  end
  return names
end

describe("lua/goro/meta.lua", function()
  local classes = declared()

  it("declares what each module has", function()
    assert.same(functions_of(goro), classes.goro)
    local n = 0
    for name, module in pairs(goro) do
      if type(module) == "table" then
        n = n + 1
        local class = name == "context" and "goro.context.module" or "goro." .. name
        assert.is_table(classes[class], class)
        assert.same(functions_of(module), classes[class], class)
      end
    end
    assert.is_true(n >= 8)
  end)

  it("names the modules as fields, and the version", function()
    local text = slurp "lua/goro/meta.lua"
    for name, v in pairs(goro) do
      if type(v) ~= "function" then assert.is_truthy(text:find("\n---@field " .. name .. " ", 1, true), name) end
    end
    assert.is_truthy(text:find(goro._VERSION, 1, true))
    assert.equal("goro 0.2.0", goro._VERSION)
    local cmake = slurp "CMakeLists.txt":match "project%(goro VERSION ([%d.]+)"
    assert.equal(goro._VERSION, "goro " .. cmake)
  end)
end)

describe("README", function()
  it("names each module", function()
    local text = slurp "README.md"
    for name, v in pairs(goro) do
      if type(v) == "table" then assert.is_truthy(text:find("goro." .. name, 1, true), name) end
    end
  end)
end)
