-- SPDX-License-Identifier: MIT
-- The memory of states: what Lua counts, what a state holds, that the system gets it back, and a system that has none.

local helper = require "spec.helper"

local system_alloc = os.getenv "GORO_STOCK_LUA" ~= nil -- a sanitizer's build: each block is the system's

local function not_for_sanitizers(name, test)
  it(name, function()
    if system_alloc then pending "a sanitizer's allocator keeps freed memory, and wants terabytes of addresses" else test() end
  end)
end

describe("accounting:", function()
  it("collectgarbage 'count' is what plain Lua says for the same program", function()
    helper.passes(function()
      local function growth()
        collectgarbage() collectgarbage()
        local out, before = {}, collectgarbage "count"
        local kept = { {}, {}, {}, {} }
        local function tell()
          collectgarbage() collectgarbage()
          out[#out + 1] = collectgarbage "count" - before
        end
        for i = 1, 1000 do kept[1][i] = { i } end
        tell()
        for i = 1, 1000 do kept[2][i] = ("%d"):format(i):rep(20) end
        tell()
        kept[3] = ("x"):rep(1000000)
        tell()
        for i = 1, 1000 do kept[4][i] = function() return kept, i end end
        tell()
        kept = nil
        tell()
        return out
      end
      local here = growth()
      local there = require "goro".run(growth)
      for i = 1, #here do assert(math.abs(here[i] - there[i]) < 2, here[i] .. " here, " .. there[i] .. " there") end
    end)
  end)

  it("the dump tells what each goroutine holds", function()
    helper.passes(function()
      local goro = require "goro"
      local gate, ready = goro.chan(), goro.chan()
      local function hold(n) local s = ("x"):rep(n) ready:send(true) gate:recv() return s end
      local function held()
        local all = {}
        for kilobytes in goro.runtime.dump():gmatch "\tholds (%d+) KB\n" do all[#all + 1] = tonumber(kilobytes) end
        table.sort(all)
        return all
      end
      goro.go(hold, 10)
      goro.go(hold, 1000000)
      ready:recv() ready:recv()
      goro.sleep(0.05)
      local all = held()
      assert(#all == 2, #all)
      -- the string's buffer is garbage beside the string
      assert(all[1] >= 4 and all[1] < 100 and all[2] >= 976 and all[2] < 2200, table.concat(all, ", "))
      -- what was given back is not held any more
      goro.go(function()
        local t = {}
        for round = 1, 20 do
          for i = 1, 5000 do t[i] = i end
          t = { ("y"):rep(100000 * round + #t) }
          collectgarbage()
        end
        t[1] = #t[1]
        collectgarbage() collectgarbage()
        ready:send(true)
        gate:recv()
      end)
      ready:recv()
      goro.sleep(0.05)
      all = held()
      assert(#all == 3 and all[2] < 400, table.concat(all, ", "))
    end)
  end)

  it("stats().bytes has what states hold, small or big", function()
    if system_alloc then return pending "a sanitizer's allocator does not tell mallinfo2 what is in use" end
    helper.passes(function()
      local goro = require "goro"
      local gate, ready = goro.chan(), goro.chan()
      goro.run(function() end)
      local before = goro.runtime.stats().bytes
      for _ = 1, 1000 do goro.go(function() ready:send(true) gate:recv() end) end
      for _ = 1, 1000 do ready:recv() end
      local each = (goro.runtime.stats().bytes - before) / 1000
      assert(each > 4000 and each < 100000, each)
      gate:close()
      for _ = 1, 1000 do if goro.num_goroutine() == 1 then break end goro.sleep(0.01) end
      local left = goro.runtime.stats().bytes - before
      assert(left < 4 << 20, left) -- threads keep some for the next ones
    end)
  end)
end)

describe("after a burst the system gets its memory back,", function()
  local function burst(count, sprinkled)
    local goro = require "goro"
    count, sprinkled = tonumber(count), sprinkled == "sprinkled"
    local function resident()
      local f <close> = assert(io.open "/proc/self/statm")
      return select(2, f:read("n", "n")) * 4096
    end
    local ready, gate, long = goro.chan(100), goro.chan(), goro.chan()
    local function hold(i) -- of several sizes
      local t = {}
      for k = 1, i % 7 * 60 do t[k] = { k } end
      ready:send(true);
      (sprinkled and i % 100 == 0 and long or gate):recv()
      return t
    end
    goro.run(function() end)
    local before = resident()
    for i = 1, count do goro.go(hold, i) end
    for _ = 1, count do ready:recv(60) end
    local full = resident() - before
    gate:close()
    local stay = sprinkled and count // 100 or 0
    for _ = 1, 6000 do
      if goro.num_goroutine() <= stay + 1 then break end
      goro.sleep(0.01)
    end
    local left
    for _ = 1, 200 do -- nothing is done to bring it about
      left = resident() - before
      if left < full / 8 then break end
      goro.sleep(0.05)
    end
    assert(full > count * 4000 and left < full / 8 + (32 << 20), ("%d bytes, then %d"):format(full, left))
    assert(goro.num_goroutine() == stay + 1)
    long:close()
    -- and what was given back can be had again
    for i = 1, 1000 do goro.go(hold, i) end
    for _ = 1, 1000 do assert(ready:recv(60)) end
  end

  for _, kind in ipairs { "all", "sprinkled" } do
    not_for_sanitizers(kind == "all" and "while the program is idle" or "though some goroutines between the others live on", function()
      helper.passes(burst, { args = { helper.rounds(20000), kind }, timeout = 120 })
    end)
  end
end)

describe("a goroutine that lives on gives back what it does not need any more,", function()
  local function shrinks(script)
    return function() helper.passes(script, { goroutine = true }) end
  end

  not_for_sanitizers("once it has been collected and others have run", shrinks(function()
    local goro = require "goro"
    local function held() return tonumber(goro.runtime.dump():match "\tholds (%d+) KB\n") * 1024 end
    local function make(n)
      local t = {}
      for i = 1, n do t[i] = { id = i, name = ("%d"):format(i) } end
      return t
    end
    for _ = 1, 3 do
      local t = make(200000)
      assert(#t == 200000 and held() > 20e6, held())
      t = nil -- luacheck: ignore
      collectgarbage()
      goro.gosched()
      assert(held() < 2e6, held())
    end
  end))

  not_for_sanitizers("and keeps what stands between it, whole", shrinks(function()
    local goro = require "goro"
    local function held() return tonumber(goro.runtime.dump():match "\tholds (%d+) KB\n") * 1024 end
    local function make(n)
      local t = {}
      for i = 1, n do t[i] = { id = i, name = ("%d"):format(i):rep(i % 50) } end
      return t
    end
    local function whole(kept)
      for i, e in pairs(kept) do assert(e.id == i and e.name == ("%d"):format(i):rep(i % 50)) end
    end
    local t, kept = make(200000), {}
    local full = held()
    for i = 1, 100000, 7 do kept[i] = t[i] end
    for i = 100001, 200000, 5000 do kept[i] = t[i] end
    t = nil -- luacheck: ignore
    collectgarbage()
    goro.gosched()
    local some = held()
    assert(some > 0.4 * full and some < 0.8 * full, some / full)
    whole(kept)
    local again = make(150000)
    whole(again)
    whole(kept)
    again, kept = nil -- luacheck: ignore
    collectgarbage()
    for _ = 1, 10000 do goro.gosched() end -- a vain look is not repeated at once
    assert(held() < 0.1 * full, held() / full)
  end))
end)

describe("with no memory in the system", function()
  local function limited(body, kilobytes)
    local r = helper.run_script([[
      local goro = require "goro"
      io.stderr:setvbuf "no"
      local function nomem(ok, err) assert(not ok and tostring(err):find("not enough memory", 1, true), err) end
      local stop, done = goro.chan(1), goro.chan(1)
      goro.go(function() -- this one goes on all the while
        local n, stopped = 0, false
        local function step()
          stopped = stop:recv(0)
          local t = {}
          for i = 1, 100 do t[i] = i end
          n = n + 1
        end
        while not stopped do
          pcall(step) -- it may be the one whose memory is missing
          goro.gosched()
        end
        done:send(n)
      end)
      goro.sleep(0.01)
    ]] .. body .. [[
      stop:send(true)
      while true do
        local ok, n = pcall(done.recv, done)
        if ok then assert(n > 0) break end
        nomem(ok, n) -- a panic of one of many
      end
      print "went on"]], { timeout = 120, env = { GOROMAXPROCS = 2 }, wrap = ([[sh -c 'ulimit -v %d; exec "$@"' sh]]):format(kilobytes) })
    assert.is_true(r.code == 0 and r.stdout == "went on\n", helper.describe(r))
  end

  not_for_sanitizers("who eats it gets an error, and others go on", function()
    limited([[
      for _ = 1, 3 do
        nomem(pcall(goro.run, function() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end))
        nomem(pcall(goro.run, function() local s = "x" while true do s = s .. s end end))
        nomem(pcall(goro.run, function() local t = {} while true do t[#t + 1] = #t end end))
        nomem(pcall(goro.run, function() local c = goro.chan(1 << 20) while true do c:send(("x"):rep(10000)) end end))
        nomem(pcall(goro.run, function() -- caught inside; but then there may be none for the result either
          local t = {}
          local ok, err = pcall(function() while true do t = { t } end end)
          t = nil
          if not ok then error(err, 0) end
        end))
      end
    ]], 300000)
  end)

  not_for_sanitizers("goro.go raises, what was started ends, and it can be done again", function()
    limited([[
      for _ = 1, 3 do
        local gate, begun = goro.chan(), 0
        nomem(pcall(function()
          while true do
            goro.go(function() local t = {} for i = 1, 100 do t[i] = {} end gate:recv() end)
            begun = begun + 1
            if begun % 100 == 0 then goro.gosched() end
          end
        end))
        assert(begun > 100, begun)
        gate:close()
        repeat
          local fine, n = pcall(goro.num_goroutine)
          if not fine then nomem(fine, n) else pcall(goro.sleep, 0.001) end
        until fine and n == 2
      end
      assert(goro.run(function() return 7 end) == 7)
    ]], 300000)
  end)
end)
