-- SPDX-License-Identifier: MIT
-- Random graphs of tables, functions, classes, metatables, pointers and shared upvalues, for the specs of copying. In the children alone.
--
-- Objects that serve as keys carry marks, which order them (kit.describe); others do not, so that the empty table and the bare function are met too.

local graphs = {}

local random = math.random

local scalars = {
  function() return random(-10, 10) end,
  function() return random(0) end,
  function() return random() end,
  function() return (random(-100, 100) / 4) end,
  function() return ({ 0.0, -0.0, 1 / 0, -1 / 0, 0 / 0, 2.0 ^ 53, 1e300 })[random(7)] end,
  function() return ({ math.maxinteger, math.mininteger, 0, 1 << 31, 1 << 32 })[random(5)] end,
  function() return random(2) == 1 end,
  function() return ("abc\0"):rep(random(0, 15)):sub(1, random(0, 45)) end,
  function() return "k" .. random(50) end,
  function() return ("%d"):format(random(0)):rep(random(40)) end,
}
local function scalar() return scalars[random(#scalars)]() end

local function make_classes(channels)
  local classes = {}
  for i = 1, 5 do
    local class = { id = i, shared = channels }
    class.__index = class
    if i % 2 == 0 then class.__eq = function(a, b) return rawequal(a, b) end end
    if i > 2 then setmetatable(class, { __index = classes[i - 1] }) end
    classes[i] = class
  end
  return classes
end

--- What a state has one of, made once for all graphs: known() names it, for kit.describe; graph(n) makes a graph of about n objects, and
-- tells which of them are metatables.
function graphs.new()
  local goro = require "goro"
  local channels = {}
  for i = 1, 3 do channels[i] = goro.chan() end
  channels[4], channels[5] = channels[1]:sender(), channels[1]:receiver()
  local classes = make_classes(channels)
  local leaves = { string.format, table.insert, math.floor, print, io.stdout, io.stderr, string, math }
  table.move(channels, 1, #channels, #leaves + 1, leaves)
  table.move(classes, 1, #classes, #leaves + 1, leaves)

  local function known()
    local names = {}
    for i, c in ipairs(channels) do names[c] = "channel " .. i end
    for i, class in ipairs(classes) do names[class] = "class " .. i end
    return names
  end

  -- `marked` objects may be keys. Every object may be a value anywhere, of itself too.
  local function graph(n)
    local objects, marked, tables, metatables, setters = {}, {}, {}, {}, {}
    local count = 0
    local function any()
      local dice = random(10)
      if dice <= 4 then return scalar() end
      if dice <= 5 then return leaves[random(#leaves)] end
      return objects[random(#objects)]
    end

    -- A metatable is one in each state, with what it leads to there: so those of a graph lead to nothing else of it.
    local function add_metatable()
      local mt = {}
      for _ = 1, random(0, 4) do mt["m" .. random(20)] = random(3) == 1 and leaves[random(#leaves)] or scalar() end
      metatables[#metatables + 1], objects[#objects + 1] = mt, mt
    end

    -- One in four is of a class that all graphs share; some share a metatable of their graph.
    local function add_table()
      local t = {}
      count = count + 1
      if random(3) == 1 then
        t.mark = count
        marked[#marked + 1] = t
      end
      local dice = random(8)
      if dice <= 2 then setmetatable(t, classes[random(#classes)]) end
      if dice == 3 and #metatables > 0 then setmetatable(t, metatables[random(#metatables)]) end
      objects[#objects + 1], tables[#tables + 1] = t, t
    end

    -- Two to five closures over some of three variables, which they share.
    local function add_functions()
      local a, b, c = scalar(), scalar(), nil
      count = count + 1
      local mark = count
      local made = {
        function() return a end,
        function(x) a, b = b, x return b end,
        function() return mark, b, c end,
        function(x) c = x return type(x), a end,
        function() return function() return a, b, c end end,
        function() return tostring(c) end,
        function() return 5 end,
      }
      setters[#setters + 1] = function() b, c = any(), any() end
      for _ = 1, random(2, 5) do
        local k = random(#made)
        objects[#objects + 1] = made[k]
        if k == 3 then marked[#marked + 1] = made[k] end
      end
    end

    for _ = 1, n do
      local dice = random(12)
      if dice == 1 then add_metatable() elseif dice <= 4 then add_functions() else add_table() end
    end
    add_table()
    for _, set in ipairs(setters) do set() end
    for _, t in ipairs(tables) do
      for _ = 1, random(0, 6) do
        local key
        local dice = random(8)
        if dice <= 2 then key = rawlen(t) + 1 end
        if dice == 3 and #marked > 0 then key = marked[random(#marked)] end
        if dice == 4 then key = leaves[random(#leaves)] end
        if key == nil then key = scalar() end
        if key == key then rawset(t, key, any()) end
      end
    end
    local root = {}
    for i, o in ipairs(objects) do
      if i <= 3 or random(5) == 1 then root[#root + 1] = o end
    end
    local is_metatable = {}
    for _, mt in ipairs(metatables) do is_metatable[mt] = true end
    return root, is_metatable
  end

  return { graph = graph, known = known }
end

return graphs
