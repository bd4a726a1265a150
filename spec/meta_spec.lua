-- SPDX-License-Identifier: MIT
-- lua/goro/meta.lua tells editors of each function and method that goro has, and of no other;
-- README names each module.

local goro = require "goro"

local function slurp(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

-- class name -> { function name -> true }: what meta.lua declares for `local x = {}` under
-- ---@class.
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

  it("declares the methods of the objects that goro makes", function()
    local sync, time = goro.sync, goro.time
    local listener <close> = assert(goro.net.listen("tcp", "127.0.0.1:0"))
    local conn <close> = assert(goro.net.dial("tcp", listener:addr()))
    local udp <close> = assert(goro.net.udp())
    local file <close> = assert(goro.fs.open "README.md")
    for class, object in pairs {
      ["goro.chan"] = goro.chan(), ["goro.context"] = goro.context.background(),
      ["goro.net.listener"] = listener, ["goro.net.conn"] = conn, ["goro.net.udp"] = udp,
      ["goro.fs.file"] = file, ["goro.sync.mutex"] = sync.mutex(),
      ["goro.sync.rwmutex"] = sync.rwmutex(), ["goro.sync.cond"] = sync.cond(sync.mutex()),
      ["goro.sync.semaphore"] = sync.semaphore(1), ["goro.sync.waitgroup"] = sync.waitgroup(),
      ["goro.sync.atomic"] = sync.atomic(), ["goro.sync.map"] = sync.map(),
    } do
      local names = functions_of(getmetatable(object).__index)
      if class == "goro.sync.rwmutex" then -- its other methods are the mutex's
        for name in pairs(classes["goro.sync.mutex"]) do names[name] = nil end
      end
      assert.same(classes[class], names, class)
    end
    local timer, ticker <close> = time.timer(1), time.ticker(1)
    for class, object in pairs {
      ["goro.time.timer"] = timer, ["goro.time.ticker"] = ticker, ["goro.group"] = goro.group(),
    } do
      for name in pairs(classes[class]) do
        assert.is_function(object[name], class .. ":" .. name)
      end
    end
    timer:stop()
  end)

  it("names the modules as fields, and the version", function()
    local text = slurp "lua/goro/meta.lua"
    for name, v in pairs(goro) do
      if type(v) ~= "function" then
        assert.is_truthy(text:find("\n---@field " .. name .. " ", 1, true), name)
      end
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
