-- SPDX-License-Identifier: MIT
-- conn:setvbuf and conn:flush: when gathered writes go out, in which order, and who is told when they cannot.

local helper = require "spec.helper"

-- A pair of connections. `silent(c)`: nothing comes for a moment. `fill(c)`, of a Unix socket, whose room does not grow:
-- writes until the system takes no more, and returns how much that was. `drain(s, tail)`: reads up to there; how much?
local PRELUDE = [[
  local goro = require "goro"
  local net = goro.net
  local function pair(network)
    local l <close> = assert(net.listen(network or "tcp", network and "@goro-setvbuf-" .. goro.time.mono() or "127.0.0.1:0"))
    local c = assert(net.dial(network or "tcp", l:addr()))
    return c, assert(l:accept())
  end
  local function silent(c)
    local data, message, code = c:read(nil, 0.05)
    assert(data == nil and code == "ETIMEDOUT", data or message)
  end
  local function fill(c)
    c:set_timeout(0.2)
    local n = 0
    while c:write(("f"):rep(1000)) do n = n + 1000 end
    c:set_timeout(math.huge)
    return n
  end
  -- Reads all that was filled, which ends in a part of the block that did not fit.
  local function drain(s, tail)
    local got, last = 0, ""
    while last:sub(-#tail) ~= tail do
      local data = assert(s:read(nil, 60))
      got, last = got + #data, (last .. data):sub(-#tail)
    end
    return got
  end
]]

describe("gathered writes", function()
  local function gathers(name, body)
    for _, where in ipairs { "main script", "goroutine" } do
      it(name .. ", in the " .. where, function()
        local script = where == "goroutine" and ("require 'goro'.run(function() %s %s end)"):format(PRELUDE, body) or PRELUDE .. body
        assert.equal("done", helper.passes_script(script .. "\nio.stdout:write 'done'"))
      end)
    end
  end

  gathers("go out when there are enough, at flush, and with later ones in order", [[
    local c, s = pair()
    assert(c:setvbuf("full", 100) == true)
    assert(c:write("ab", "c") == c and c:write(1, 2.5) == c)
    silent(s)
    assert(c:flush() == true and s:read(7, 60) == "abc12.5")
    assert(c:flush() == true)
    assert(c:write(("x"):rep(99)))
    silent(s)
    assert(c:write "y" and s:read(100, 60) == ("x"):rep(99) .. "y")
    assert(c:write "head " and c:write(("z"):rep(300000)) and c:write "tail")
    assert(s:read(300005, 60) == "head " .. ("z"):rep(300000))
    silent(s)
    assert(c:setvbuf "no" == true and s:read(4, 60) == "tail")
    assert(c:write "at once" and s:read(7, 60) == "at once")]])

  gathers("go out at close, at shutdown, when a block is left, when nobody has it any more", [[
    for _, how in ipairs { "close", "shutdown", "leave", "drop" } do
      local c, s = pair()
      c:setvbuf "full"
      assert(c:write "the last")
      silent(s)
      if how == "close" then assert(c:close() == true and c:close() == true)
      elseif how == "shutdown" then assert(c:shutdown() == true)
      elseif how == "leave" then do local _ <close> = c end
      else
        c = nil
        collectgarbage()
        collectgarbage()
      end
      assert(s:read("a", 60) == "the last", how)
      if how == "shutdown" then assert(s:write "still" and c:read(5, 60) == "still") end
    end]])

  gathers("go out before a read waits, and not before one that need not", [[
    local c, s = pair()
    c:setvbuf "full"
    for _, read in ipairs { function() return c:read "l" end, function() for line in c:lines() do return line end end, function() return c:read(4) end } do
      c:write "question\n"
      goro.go(function() assert(s:read "l" == "question" and s:write "four\n") end)
      local answer = read()
      assert(answer == "four")
    end
    assert(c:read(1) == "\n")
    s:write "there\n"
    while not c:read(0, 1) do goro.sleep(0.001) end
    c:write "stays"
    assert(c:read "l" == "there")
    silent(s)
    c:write " and goes"
    assert(select(3, c:read(nil, 0.01)) == "ETIMEDOUT")
    assert(s:read(14, 60) == "stays and goes")]])

  gathers("of any sizes arrive as they were written", [[
    local c, s = pair()
    local sent, seed = {}, 42
    math.randomseed(seed)
    local whole = goro.chan(1)
    goro.go(function() whole:send(s:read "a") end)
    for _ = 1, 3000 do
      local r = math.random(100)
      if r <= 2 then assert(c:setvbuf("full", math.random(0, 5000)))
      elseif r == 3 then assert(c:setvbuf "no")
      elseif r <= 8 then assert(c:flush())
      else
        local data = string.char(math.random(0, 255)):rep(r > 95 and math.random(20000) or math.random(0, 100))
        assert(c:write(data, "|"))
        sent[#sent + 1] = data .. "|"
      end
    end
    assert(c:close())
    assert(whole:recv() == table.concat(sent))]])

  gathers("stay and go out later when there was no time", [[
    do
      local c, s = pair "unix"
      local n = fill(c)
      assert(c:setvbuf("full", 10000))
      assert(c:write "one ")
      c:set_timeout(0.05)
      local r, message, code = c:flush()
      assert(r == nil and code == "ETIMEDOUT", message)
      assert(c:write "two ")
      assert(select(3, c:setvbuf "no") == "ETIMEDOUT" and select(3, c:write(("x"):rep(20000))) == "ETIMEDOUT" and select(3, c:shutdown()) == "ETIMEDOUT")
      c:set_timeout(60)
      goro.go(function() assert(c:write "three." and c:close()) end)
      assert(drain(s, "one two three.") >= n + 14)
      assert(s:read("a", 60) == "")
    end]])

  gathers("without room do not keep a read from what comes, nor does the read keep them", [[
    do
      local c, s = pair "unix"
      local n = fill(c)
      assert(c:setvbuf("full", 10000) and c:write "waits")
      local got = goro.chan(1)
      goro.go(function() got:send((c:read(5, 60))) end)
      goro.sleep(0.02)
      assert(s:write "hello" and got:recv(60) == "hello")
      goro.go(function() got:send((c:read(5, 60))) end)
      assert(drain(s, "waits") >= n + 5) -- the read is still waiting
      assert(s:write "again" and got:recv(60) == "again")
      c, s = pair "unix"
      fill(c)
      assert(c:setvbuf("full", 10000) and c:write "waits")
      goro.go(function() got:send((c:read(5, 60))) end)
      goro.sleep(0.02)
      goro.go(function() assert(c:write " and more" and c:flush() and c:write " at the end" and c:close()) end)
      assert(drain(s, "waits and more at the end"))
      assert(s:read("a", 60) == "")
    end]])

  gathers("that fail are told by the next call that writes, once", [[
    for _, name in ipairs { "write", "flush", "close", "shutdown", "setvbuf" } do
      local c, s = pair("unix")
      assert(c:shutdown() and c:setvbuf "full" and c:write "lost")
      silent(c) -- the read sends, and fails, which is nothing to it
      local r, message, code = c[name](c, name == "setvbuf" and "no" or "x")
      assert(r == nil and (code == "EPIPE" or code == "ECONNRESET") and message:find("^" .. code .. ": "), name)
      if name == "close" then assert(c:close() == true and select(3, c:write "x") == "EBADF")
      else assert(name == "shutdown" or c:flush() == true) end
    end
    local c, s = pair("unix")
    c:setvbuf "full"
    s:close()
    assert(c:write "lost" and select(3, c:flush()) == "EPIPE" and c:flush() == true)
    assert(c:write "lost" and select(3, c:close()) == "EPIPE" and c:close() == true)]])

  gathers("that are going out end with a close by another", [[
    local c, s = pair "unix"
    fill(c)
    assert(c:setvbuf("full", 10000) and c:write "x")
    local codes = goro.chan(2)
    for _, name in ipairs { "flush", "close" } do goro.go(function() codes:send(select(3, c[name](c)) or "none") end) end
    -- One has the turn and waits; the close finds it taken, and does not wait. Or the close waits, and this one ends it.
    goro.sleep(0.05)
    c:close()
    local a, b = codes:recv(60), codes:recv(60)
    assert(a == "ECANCELED" or b == "ECANCELED", a .. " " .. b)
    for _, code in ipairs { a, b } do assert(code == "ECANCELED" or code == "none" or code == "EBADF", code) end
    s:close()]])

  gathers("of children's input and Unix sockets", [[
    local child <close> = goro.process.spawn { "cat" }
    assert(child.stdin:setvbuf("full", 1000) and child.stdin:write "one " and child.stdin:write "two")
    silent(child.stdout)
    assert(child.stdin:flush() and child.stdout:read(7, 60) == "one two")
    assert(child.stdin:write " three" and child.stdin:close() and child.stdout:read "a" == " three")
    local c, s = pair("unix")
    assert(c:setvbuf("full", 1000) and c:write "one " and c:write "two" and c:close() and s:read("a", 60) == "one two")]])

  it("want modes and sizes that make sense, and a stream", function()
    helper.passes(function()
      local net = require "goro".net
      local l <close> = assert(net.listen("tcp", "127.0.0.1:0"))
      local c <close> = assert(net.dial("tcp", l:addr()))
      local u <close> = assert(net.dial("udp", l:addr()))
      local function refuses(text, ...)
        local ok, e = pcall(...)
        assert(not ok and e:find(text, 1, true), e)
      end
      refuses("invalid option 'line'", c.setvbuf, c, "line")
      refuses("bad argument #2", c.setvbuf, c)
      refuses("size is out of range", c.setvbuf, c, "full", -1)
      refuses("datagrams are sent one by one", u.setvbuf, u, "full")
      assert(u:setvbuf "no" and c:setvbuf("full", 0) and c:setvbuf "full")
      c:close()
      for _, name in ipairs { "flush", "shutdown" } do
        local r, m, code = c[name](c)
        assert(r == nil and code == "EBADF", m)
      end
      assert(select(3, c:setvbuf "full") == "EBADF")
    end)
  end)
end)

describe("several goroutines on one gathering connection", function()
  local ROUNDS = helper.rounds(700)

  it("lose no line, and none is cut", function()
    assert.equal("done", helper.passes_script(PRELUDE .. ([[
      local c, s = pair()
      local writers = goro.sync.waitgroup()
      for w = 1, 4 do
        writers:go(function()
          for i = 1, %d do
            assert(c:write(w, " ", i, ("."):rep(i %% 50), "\n"))
            if i %% 97 == 0 then assert(c:setvbuf("full", i %% 3 * 300)) end
          end
        end)
      end
      goro.go(function() while c:read(nil, 0.0005) or true do if select(3, c:read(0, 0)) == "EBADF" then return end end end)
      goro.go(function()
        writers:wait()
        assert(c:close())
      end)
      local next_of = { 0, 0, 0, 0 }
      for line in s:lines() do
        local w, i, dots = line:match "^(%%d) (%%d+)(%%.*)$"
        w, i = tonumber(w), tonumber(i)
        assert(next_of[w] == i - 1 and #dots == i %% 50, line)
        next_of[w] = i
      end
      for w = 1, 4 do assert(next_of[w] == %d) end
      io.stdout:write "done"]]):format(ROUNDS, ROUNDS)))
  end)

  -- Whoever reads finds another at writing, again and again: what was written before must go out all the same.
  it("get each answer, whoever had the turn when the reader came", function()
    for _, procs in ipairs { 1, 2, 8 } do
      assert.equal("done", helper.passes_script(PRELUDE .. ([[
        goro.maxprocs(%d)
        local c, s = pair()
        assert(c:setvbuf("full", 5000))
        local done, go_on = goro.sync.atomic(false), goro.chan()
        local noise = goro.sync.waitgroup()
        for _ = 1, 3 do noise:go(function() while not done:load() do assert(c:write "") end end) end -- has the turn, sends nothing
        goro.go(function()
          for line in s:lines() do assert(line == "ping" and s:write "pong\n") end
        end)
        goro.go(function()
          for _ = 1, %d do
            assert(c:write "ping\n")
            go_on:send(true)
          end
        end)
        for i = 1, %d do
          go_on:recv()
          local line, why = c:read("l", 60)
          assert(line == "pong", why)
        end
        done:store(true)
        noise:wait()
        c:close()
        io.stdout:write "done"]]):format(procs, ROUNDS, ROUNDS)))
    end
  end)
end)
