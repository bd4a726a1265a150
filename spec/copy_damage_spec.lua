-- SPDX-License-Identifier: MIT
-- Copying: messages whose bytes and numbers have been spoiled on the way (goro.testing.damage). None ever is, so only the hostile build
-- looks at them first; there the receiver raises "corrupt message: …" or another error, or gets something else than was sent, and neither
-- crashes nor loses memory nor is confused afterwards. Under a sanitizer nothing is read outside of a message either.
--
-- The seed is random, unless GORO_SEED gives it, and stands in the message of a failure.

local helper = require "spec.helper"

local function spoil(seed, rounds, size)
  local kit, goro, testing = require "spec.copy_helper", require "goro", require "goro.testing"
  local graphs = require "spec.copy_graphs".new()
  seed, rounds, size = math.tointeger(tonumber(seed)), tonumber(rounds), tonumber(size)
  math.randomseed(seed)

  -- What the graphs have not.
  local Handle = { name = "handle" }
  Handle.__index = Handle
  function Handle.__goro(h) return function(n, list) return { n = n, list = list } end, h.n, { h.n, ("long"):rep(30) } end
  Named = { here = true } -- luacheck: ignore
  Lost = { co = coroutine.create(print), list = { io.tmpfile(), [io.tmpfile()] = 1 } } -- luacheck: ignore
  local deep = {}
  for _ = 1, 40 do deep = { deep, key = deep } end
  local special = {
    setmetatable({ n = 1 }, Handle), { Handle, setmetatable({ n = 2 }, Handle) },
    function() return Named, string.format end, -- luacheck: ignore
    function() return Lost, Named end, -- luacheck: ignore
    deep, { _G, print, math.pi, require "spec.copy_helper", kit.describe, testing.live },
    { goro.chan().send, goro.chan, coroutine.wrap, getmetatable "".__index },
    setmetatable({}, { __mode = "k", __name = "weak" }), ("long"):rep(100), "s", 5, nil,
  }

  -- All that can be reached can be walked; nothing of it is called.
  local function walk(root)
    local seen, queue, n = { [root] = true }, { root }, 0
    local function add(v)
      local kind = type(v)
      if kind == "string" then n = n + #v end
      if (kind ~= "table" and kind ~= "function") or seen[v] then return end
      seen[v] = true
      queue[#queue + 1] = v
    end
    while #queue > 0 and n < 1e6 do
      local v = table.remove(queue)
      n = n + 1
      if type(v) == "table" then
        add(debug.getmetatable(v))
        for k, x in next, v do
          add(k)
          add(x)
        end
      else
        for i = 1, 255 do
          local name, x = debug.getupvalue(v, i)
          if not name then break end
          add(x)
        end
      end
    end
  end

  local said = {}
  local function once(round, ...)
    local result = table.pack(pcall(testing.damage, seed + round, ...))
    if result[1] then
      walk(result)
      said.changed = (said.changed or 0) + 1
    else
      local e = tostring(result[2]):match "corrupt message: .*" or "other errors"
      said[e] = (said[e] or 0) + 1
    end
  end
  local function all(from, to)
    for round = from, to do
      if round % 3 == 0 then once(round, special[round // 3 % #special + 1])
      else once(round, graphs.graph(math.random(1, size)), round % 5 == 0 and special[round // 5 % #special + 1] or nil) end
      if round % 40 == 0 then collectgarbage() end
    end
    collectgarbage()
    collectgarbage()
  end

  all(1, 100)
  local before = testing.live()
  all(101, rounds)
  local more = testing.live() - before
  assert(more <= 16, ("seed %d: %d blocks more"):format(seed, more))

  -- Here all is as before, also for a goroutine that has got nothing yet.
  local names = graphs.known()
  for i = 1, 20 do
    local v = graphs.graph(size)
    local shape, way = kit.describe(v, names), kit.ways[i % #kit.ways + 1]
    kit.eq_graphs(shape, kit.describe(way.through(v), names), ("seed %d, graph %d afterwards"):format(seed, i))
  end
  assert(goro.run(function(h) return h.n end, special[1]) == 1)

  -- In states that have little of the standard library, one message each.
  for round = 1, rounds // 20 do
    local v = round % 2 == 0 and special[round // 2 % #special + 1] or graphs.graph(3)
    pcall(goro.run, function() pcall(testing.damage, seed + rounds + round, v) end)
  end

  local kinds = 0
  for what, n in pairs(said) do
    kinds = kinds + 1
    if os.getenv "GORO_TELL" then print(n, what) end
  end
  assert(rounds < 5000 or kinds > 15 and said.changed and said["other errors"], ("seed %d: %d kinds"):format(seed, kinds))
end

local function run(rounds, size)
  local seed = tonumber(os.getenv "GORO_SEED" or "") or (os.time() * 1000 + math.random(999)) & 0x7fffffff
  local out = helper.passes(spoil, { args = { seed, helper.rounds(rounds), size }, timeout = 120 })
  if #out > 0 then io.stderr:write(out) end
end

describe("damaged messages are refused or are others, and nothing breaks:", function()
  local hostile = os.getenv "GORO_HOSTILE" and it or pending
  hostile("small ones", function() run(60000, 4) end)
  hostile("larger ones", function() run(6000, 60) end)
end)
