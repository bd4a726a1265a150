-- SPDX-License-Identifier: MIT
-- Objects that neither Lua nor goro made, in goroutines: a program's own functions and modules (spec/embed/things.c). Each is
-- finalized, however its goroutine ends. States without such objects go in one piece, which costs a tenth.

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "things")

-- The script's things, all finalized.
local function finalizes(n, source)
  return function()
    local out = helper.ended_well(helper.run_script("local goro = require 'goro'\n" .. source, { lua = program }))
    assert.equal(("made %d, finalized %d\n"):format(n, n), out)
  end
end

describe("objects of a program's own", function()
  it_runs("made by a registered function", finalizes(10, "goro.run(function() for _ = 1, 10 do thing() end end)"))

  it_runs("made by a module in package.preload", finalizes(10, [[
    goro.run(function() local t = require "things" for _ = 1, 10 do t.thing() end end)]]))

  it_runs("made by a function that package.preload gives away", finalizes(1, [[
    goro.run(function() package.preload.things().thing() end)]]))

  it_runs("made where another finalizer is", finalizes(10, [[
    goro.run(function() setmetatable({}, { __gc = function() end }) for _ = 1, 10 do thing() end end)]]))

  it_runs("tables, too", finalizes(5, "goro.run(function() for _ = 1, 5 do gone() end end)"))

  it_runs("made in callbacks, metamethods, coroutines", finalizes(9, [[
    goro.run(function() pcall(string.gsub, "x", ".", thing) end)
    goro.run(function() ("x"):gsub(".", function() thing() end) end)
    goro.run(function() coroutine.wrap(thing)() end)
    goro.run(function() coroutine.wrap(function() coroutine.yield(thing()) end)() end)
    goro.run(function() return setmetatable({}, { __index = thing }).x and nil end)
    goro.run(function() pcall(thing) end)
    goro.run(function() wrap(thing) end)
    goro.run(function() wrap(function() thing() end) end)
    goro.run(function() local ch = goro.chan(1) ch:send(thing) ch:recv()() end)]]))

  it_runs("made in a message's function, and by what a message brings", finalizes(2, [[
    local ch = goro.chan()
    goro.go(function() ch:send(function() return thing() end) ch:send(thing) end)
    local f, g = ch:recv(), ch:recv()
    goro.run(function() f() end)
    goro.run(function() g() end)]]))

  it_runs("made in a finalizer, and in a block that is left at the end", finalizes(4, [[
    goro.run(function() setmetatable({}, { __gc = function() thing() end }) collectgarbage() end)
    goro.run(function() local _ <close> = setmetatable({}, { __close = function() thing() end }) end)
    goro.run(function() local _ <close> = setmetatable({}, { __close = function() thing() end }) goro.goexit() end)
    pcall(goro.run, function() local _ <close> = setmetatable({}, { __close = function() thing() end }) error "x" end)]]))

  it_runs("of goroutines that wait when the program closes its state", finalizes(6, [[
    local ready = goro.chan()
    goro.go(function() local t = thing() ready:send(1) goro.chan():recv() return t end)
    goro.go(function()
      local _ <close> = setmetatable({}, { __close = function() thing() end })
      ready:send(1)
      goro.sleep(1000)
    end)
    goro.go(function()
      local _ <close> = setmetatable({}, { __close = function() coroutine.wrap(thing)() wrap(thing) end })
      ready:send(1)
      goro.sleep(1000)
    end)
    goro.go(function() local t = { gone(), thing() } ready:send(1) goro.chan():recv() return t end)
    for _ = 1, 4 do ready:recv() end]]))

  it("are no concern of goroutines with Lua's and goro's own", function()
    helper.passes(function()
      local goro = require "goro"
      local testing = require "goro.testing"
      local function all()
        local long = ("x"):rep(5000)
        assert(#table.concat({ long, long, long }, ",") == 15002)
        assert(#long:gsub("x", "yy") == 10000 and long:upper():lower():reverse() == long)
        for w in ("a b c"):gmatch "%a" do assert(#w == 1) end
        assert(#("%s%s"):format(long, long) == 10000 and #string.pack("s4", long) == 5004)
        assert(utf8.char(228, 8364) == "ä€" and #utf8.char(table.unpack({ 8364, 8364 })) == 6)
        assert(math.random(3) <= 3 and os.date "%Y" and #debug.traceback(long) > 5000)
        assert(load("return " .. ("1 + "):rep(1000) .. "1")() == 1001)
        assert(select(2, pcall(error, long)) == long and tostring(setmetatable({}, { __name = "n" })))
        local co = coroutine.wrap(function(...) for i = 1, 3 do coroutine.yield(i, (...):rep(300)) end end)
        co "abcde" co()
        table.sort({ 3, 1, 2 }, function(a, b) return a < b end)
        require "goro.time".now()
        local ch, m, map = goro.chan(2), goro.sync.mutex(), goro.sync.map()
        ch:send { long, ch } ch:send(m)
        assert(ch:recv()[1] == long and ch:recv() == m)
        m:with(function() map:set("k", long) end)
        map:update("k", function(s) return s .. "y" end)
        for _, v in map:pairs() do assert(#v == 5001) end
        goro.select { { recv = ch }, timeout = 0 }
        local g <close> = goro.group { limit = 2 }
        g:go(function() return 1 end)
        assert(goro.map({ 1, 2, 3 }, function(x) return x * 2 end)[3] == 6)
        assert(goro.sync.once(function() return 7 end)() == 7)
        local _ <close> = goro.time.timer(100)
        assert(goro.context.with_cancel(goro.context.background()):err() == nil)
        goro.fs.read_file "/dev/null"
        local walk = goro.fs.walk "/proc/self/fd"
        walk()
        return #goro.runtime.dump() > 0
      end
      for _ = 1, 20 do pcall(goro.run, all) goro.run(function() end) goro.run(function() return goro.chan() end) end
      -- Smaller states that get the rest later.
      local later = goro.chan(1)
      for _ = 1, 5 do
        later:send(all)
        goro.run(function() pcall(later:recv()) end)
      end
      while goro.num_goroutine() > 1 do goro.sleep(0.001) end
      assert(goro.run(all))
      assert(testing.closed() == 0, testing.closed())
      goro.run(function() setmetatable({}, { __gc = function() end }) end)
      repeat goro.sleep(0.001) until testing.closed() == 1
    end)
  end)
end)
