-- SPDX-License-Identifier: MIT
-- Copying: random graphs of tables, functions, classes, pointers and shared upvalues, sent through goroutines.
--
-- Each graph is described as a list of lines by a walk whose order depends on its shape alone (kit.describe),
-- here, in the goroutine that got it, and here again after it has come back: the three must be equal. Classes
-- must be the very same objects, so they are leaves of the walk. Objects that serve as keys carry marks, which
-- order them; others do not, so that the empty table and the bare function are met too.
--
-- The seed is random, unless GORO_SEED gives it, and stands in the message of a failure.

local helper = require "spec.helper"

-- As a child's main script: arguments are the seed, how many graphs, and how large.
local function fuzz(seed, rounds, size)
  local kit, goro = require "spec.copy_helper", require "goro"
  seed, rounds, size = math.tointeger(tonumber(seed)), tonumber(rounds), tonumber(size)
  local random = math.random

  -- What each state has one of, made once for all rounds.
  local leaves, classes, channels = {}, {}, {}
  for i = 1, 4 do channels[i] = goro.chan() end
  for i = 1, 5 do
    local class = { id = i, shared = channels }
    class.__index = class
    if i % 2 == 0 then class.__eq = function(a, b) return rawequal(a, b) end end
    if i > 2 then setmetatable(class, { __index = classes[i - 1] }) end
    classes[i] = class
  end
  local function known()
    local names = {}
    for i, c in ipairs(channels) do names[c] = "channel " .. i end
    for i, class in ipairs(classes) do names[class] = "class " .. i end
    return names
  end
  for _, v in ipairs { string.format, table.insert, math.floor, print, io.stdout, io.stderr, string, math } do
    leaves[#leaves + 1] = v
  end
  for _, c in ipairs(channels) do leaves[#leaves + 1] = c end
  for _, class in ipairs(classes) do leaves[#leaves + 1] = class end

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

  -- `marked` objects may be keys. Every object may be a value anywhere, of itself too.
  local function graph(n)
    local objects, marked, tables, setters = {}, {}, {}, {}
    local count = 0
    local function any()
      local dice = random(10)
      if dice <= 4 then return scalar() end
      if dice <= 5 then return leaves[random(#leaves)] end
      return objects[random(#objects)]
    end

    local function add_table()
      local t = {}
      count = count + 1
      if random(3) == 1 then
        t.mark = count
        marked[#marked + 1] = t
      end
      if random(4) == 1 then setmetatable(t, classes[random(#classes)]) end
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
      if random(4) == 1 then add_functions() else add_table() end
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
    return root
  end

  -- A goroutine describes what it got, with the classes as it has them, and returns both.
  local function there(v, names)
    local kit = require "spec.copy_helper" -- luacheck: ignore 431
    if random(3) == 1 then collectgarbage() end
    return v, kit.describe(v, names)
  end

  -- It serves message after message, so that it meets the same classes again and again.
  local requests, replies = goro.chan(1), goro.chan()
  goro.go(function()
    for m in requests:range() do
      local v, lines = there(m.v, m.names)
      replies:send { v, lines }
    end
    replies:close()
  end)

  math.randomseed(seed)
  for round = 1, rounds do
    local what = ("seed %d, graph %d of %d with %d objects"):format(seed, round, rounds, size)
    local v, names = graph(random(1, size)), known()
    local shape = kit.describe(v, names)

    local back, lines = goro.run(there, v, names)
    kit.eq_graphs(shape, lines, what .. ", in a goroutine")
    kit.eq_graphs(shape, kit.describe(back, names), what .. ", back from it")

    assert(requests:send({ v = v, names = names }, 60))
    local reply = replies:recv(60)
    kit.eq_graphs(shape, reply[2], what .. ", in a message")
    kit.eq_graphs(shape, kit.describe(reply[1], names), what .. ", in the message that came back")

    -- Through a chain of three, as upvalue, result and error value.
    local ok, e = pcall(goro.run, function()
      local x = goro.run(function() return goro.run(function(y) return y end, v) end)
      error(x)
    end)
    assert(not ok)
    kit.eq_graphs(shape, kit.describe(e, names), what .. ", through three goroutines")
    kit.eq_graphs(shape, kit.describe(v, names), what .. ", the sender's own")

    -- An unsendable value somewhere in it: refused, by name, and nothing else happens.
    local place = back[random(#back)]
    if type(place) == "table" and not names[place] then
      rawset(place, "bad", coroutine.create(print))
      ok, e = pcall(requests.send, requests, back)
      assert(not ok and e:find "cannot send " and e:find("(thread)", 1, true), what)
      assert(requests:len() == 0, what)
    end
  end
  requests:close()
  assert(select("#", replies:recv(60)) == 2)
end

local function run(rounds, size)
  local seed = tonumber(os.getenv "GORO_SEED" or "") or (os.time() * 1000 + math.random(999)) & 0x7fffffff
  helper.passes(fuzz, { args = { seed, helper.rounds(rounds), size }, timeout = 120 })
end

describe("copying random graphs", function()
  it("keeps their shape: many small ones", function() run(400, 6) end)
  it("keeps their shape: middle-sized ones", function() run(100, 60) end)
  it("keeps their shape: large ones", function() run(10, 1500) end)
end)
