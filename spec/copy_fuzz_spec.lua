-- SPDX-License-Identifier: MIT
-- Copying: random graphs of tables, functions, classes, pointers and shared upvalues, sent through goroutines.
--
-- Each graph is described as a list of lines by a walk whose order depends on its shape alone (kit.describe),
-- here, in the goroutine that got it, and here again after it has come back: the three must be equal. Classes
-- must be the very same objects, so they are leaves of the walk. The graphs are spec/copy_graphs.lua's.
--
-- The seed is random, unless GORO_SEED gives it, and stands in the message of a failure.

local helper = require "spec.helper"

-- As a child's main script: arguments are the seed, how many graphs, and how large.
local function fuzz(seed, rounds, size)
  local kit, goro = require "spec.copy_helper", require "goro"
  local graphs = require "spec.copy_graphs".new()
  seed, rounds, size = math.tointeger(tonumber(seed)), tonumber(rounds), tonumber(size)
  local random = math.random

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
    local v, names = graphs.graph(random(1, size)), graphs.known()
    local shape = kit.describe(v, names)

    local back, lines = goro.run(there, v, names)
    kit.eq_graphs(shape, lines, what .. ", in a goroutine")
    kit.eq_graphs(shape, kit.describe(back, names), what .. ", back from it")

    assert(requests:try_send({ v = v, names = names }, 60))
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
