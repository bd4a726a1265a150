-- SPDX-License-Identifier: MIT
-- Copying: random globals, in which some of the values cannot come along, seen by goroutines that name them.
--
-- The graphs are spec/copy_graphs.lua's, with threads, files, C functions with upvalues, tables with finalizers and values whose
-- __goro fails strewn in, and functions that name other globals. Each global is described here, what cannot come along as a numbered
-- leaf, and in the goroutine, the placeholders as such leaves: the same lines. The same in a goroutine's goroutine, and for messages.
--
-- The seed is random, unless GORO_SEED gives it, and stands in the message of a failure.

local helper = require "spec.helper"

local function fuzz(seed, rounds, size)
  local kit, goro = require "spec.copy_helper", require "goro"
  local graphs = require "spec.copy_graphs".new()
  local random = math.random
  seed, rounds, size = math.tointeger(tonumber(seed)), tonumber(rounds), tonumber(size)
  math.randomseed(seed)

  -- Of what cannot be sent: makers, and all that they have made.
  local made = setmetatable({}, { __mode = "k" })
  local Fails = { __goro = function(v) return v.missing.field end, __name = "Fails" }
  local Vague = { __goro = function() return 1 end }
  local Final = { __gc = function() end }
  local Owned = setmetatable({}, Final)
  local makers = {
    function() return coroutine.create(function() end) end,
    function() return assert(io.tmpfile()) end,
    function() return string.gmatch("a", "a") end,
    function() return setmetatable({ 1 }, Final) end,
    function() return setmetatable({ 2 }, Fails) end,
    function() return setmetatable({ 3 }, Vague) end,
    function() return setmetatable({ 4 }, Owned) end,
  }
  local function lost_one()
    local v = makers[random(#makers)]()
    made[v] = true
    return v
  end
  local function is_lost(v) return made[v] ~= nil end

  -- On the other side; nothing of this is carried.
  local function there(values, names)
    local kit = require "spec.copy_helper" -- luacheck: ignore 431
    if math.random(3) == 1 then collectgarbage() end
    return kit.describe(values, names, kit.is_placeholder)
  end

  local requests, replies = goro.chan(1), goro.chan()
  goro.go(function()
    local kit = require "spec.copy_helper" -- luacheck: ignore 431
    for m in requests:range() do
      local values = m.f()
      replies:send { kit.describe(values, m.names, kit.is_placeholder), values }
    end
    replies:close()
  end)

  local serial, found = 0, 0
  for round = 1, rounds do
    local what = ("seed %d, round %d of %d, %d objects"):format(seed, round, rounds, size)
    local names, globals = graphs.known(), {}
    local n = random(4)
    for i = 1, n do
      serial = serial + 1
      globals[i] = "g" .. serial
    end
    -- Each names all of them in a function of its own.
    local source = ("return function() return { %s } end"):format(table.concat(globals, ", "))
    local lost, all = {}, {}
    for i = 1, random(4) do lost[i] = lost_one() end
    for i = 1, n do
      local graph, is_metatable = graphs.graph(random(size))
      for _ = 1, random(0, 6) do
        local place = graph[random(#graph)]
        if type(place) == "table" and not names[place] and not is_metatable[place] then -- those are themselves again when they come back
          local v = lost[random(#lost)]
          if random(4) == 1 then rawset(place, v, "a pair that stays here") else rawset(place, "lost" .. random(3), v) end
        end
      end
      if random(3) == 1 then graph[#graph + 1] = assert(load(source, "=names"))() end
      if random(6) == 1 then graph = lost[random(#lost)] end
      all[i], _G[globals[i]] = graph, graph
    end
    local f = assert(load(source, "=names"))()
    local shape = kit.describe(all, names, is_lost)

    local lines, values = goro.run(function(...)
      local v = f()
      return there(v, ...), v
    end, names)
    kit.eq_graphs(shape, lines, what .. ", in a goroutine")
    kit.eq_graphs(shape, kit.describe(values, names, kit.is_placeholder), what .. ", back from it")

    lines = goro.run(function(...)
      return goro.run(function(...) return there(f(), ...) end, ...)
    end, names)
    kit.eq_graphs(shape, lines, what .. ", in a goroutine's goroutine")

    requests:send { f = f, names = names }
    local reply = replies:recv()
    kit.eq_graphs(shape, reply[1], what .. ", in a message")
    kit.eq_graphs(shape, kit.describe(reply[2], names, kit.is_placeholder), what .. ", in the reply")

    -- As an upvalue it raises, if there is something in it.
    local whole = pcall(goro.run, function() return all end)
    for _, line in ipairs(shape) do
      if line:find("lost #", 1, true) then
        found = found + 1
        assert(not whole, what)
      end
    end

    for _, name in ipairs(globals) do _G[name] = nil end
  end
  requests:close()
  assert(select("#", replies:recv()) == 2)
  assert(found > rounds / 2, ("seed %d: only %d could not come along"):format(seed, found))
end

local function run(rounds, size)
  local seed = tonumber(os.getenv "GORO_SEED" or "") or (os.time() * 1000 + math.random(999)) & 0x7fffffff
  helper.passes(fuzz, { args = { seed, helper.rounds(rounds), size }, timeout = 120 })
end

describe("random globals, parts of which cannot come along,", function()
  it("keep their shape: many small ones", function() run(400, 4) end)
  it("keep their shape: larger ones", function() run(60, 60) end)
end)
