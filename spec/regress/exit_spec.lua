-- SPDX-License-Identifier: MIT
-- exit_spec.lua - the end of the process: exit() hung on the FILE that a thread was reading from, and of two calls of os.exit the later
-- one counted when it was the main script's.

local helper = require "spec.helper"

local env = helper.with_ctest { GOROMAXPROCS = 2 }

-- Standard input is a pipe that stays open and gives nothing.
local pipe = [[sh -c 'd=$(mktemp -d) && mkfifo "$d/f" && { "$@" <>"$d/f"; s=$?; rm -r "$d"; exit $s; }' sh]]
local head = "local goro = require 'goro' require 'atend'.flush() "

local function ends(source, code, stdout)
  local r = helper.run_script(head .. source, { env = env, timeout = 20, wrap = pipe })
  assert.is_true(r.code == code and r.stderr == "" and r.stdout == (stdout or ""), source .. ": " .. helper.describe(r))
end

local finishes = { [""] = 0, ["os.exit(3)"] = 3, ["os.exit(4, true)"] = 4, ["goro.go(os.exit, 5) goro.sleep(20)"] = 5, ["goro.go(os.exit, 6, true) goro.sleep(20)"] = 6 }

describe("the process ends although exit() locks each FILE, and a goroutine", function()
  for what, body in pairs {
    ["reads a line"] = "io.read()", ["reads numbers"] = "io.read('n', 'n')", ["reads all"] = "io.stdin:read 'a'", ["reads lines"] = "for _ in io.lines() do end",
    ["reads again and again, and catches all"] = "while true do pcall(io.read) end", ["reads in a coroutine"] = "coroutine.wrap(function() io.read() end)()",
    ["reads in a comparator"] = "table.sort({ 2, 1 }, function() io.read() end)", ["reads in pcall in a coroutine"] = "coroutine.wrap(pcall)(io.read)",
    ["reads in __close"] = "do local x <close> = setmetatable({}, { __close = function() io.read() end }) end",
    ["reads from a command"] = "io.popen 'sleep 2':read 'a'",
    ["reads from a FIFO"] = "io.open('/dev/stdin'):read()",
  } do
    it(what, function()
      for finish, code in pairs(finishes) do
        ends(([[goro.go(function() %s print "it went on" end) goro.sleep(0.05) %s]]):format(body, finish), code)
      end
    end)
  end

  it("exits while the main script reads", function()
    for _, main in ipairs { "io.read()", "for _ in io.lines() do end", "pcall(io.read)", "table.sort({ 2, 1 }, function() io.read() end)", "while true do io.read() end" } do
      for _, close in ipairs { "", ", true" } do
        ends(("goro.go(function() goro.sleep(0.05) os.exit(7%s) end) %s print 'it went on'"):format(close, main), 7)
      end
    end
  end)

  it("and the main script read what had come before", function()
    local r = helper.run_script(head .. [[
      goro.go(function() goro.sleep(0.05) os.exit(7) end)
      for l in io.lines() do print(l) end
      print "it went on"]], { env = env, timeout = 20,
      wrap = [[sh -c 'd=$(mktemp -d) && mkfifo "$d/f" && { (echo one; echo two; sleep 5) >"$d/f" & p=$!; "$@" <"$d/f"; s=$?; kill $p; rm -r "$d"; exit $s; }' sh]] })
    assert.is_true(r.code == 7 and r.stderr == "" and r.stdout == "one\ntwo\n", helper.describe(r))
  end)
end)

describe("of two calls of os.exit the first counts,", function()
  local slow = "local goro, atend = require 'goro', require 'atend' atend.last(0.3) "
  local function gives(code, source)
    local r = helper.run_script(slow .. source, { env = env, timeout = 20 })
    assert.is_true(r.code == code and r.stderr == "" and r.stdout == "", source .. ": " .. helper.describe(r))
  end

  it("when it is a goroutine's and the main script's comes during exit()", function()
    for _, late in ipairs { "os.exit(4)", "os.exit(4, true)", "" } do
      for _, first in ipairs { "os.exit(3)", "os.exit(3, true)" } do
        gives(3, ("goro.go(function() %s end) atend.await() %s"):format(first, late))
        gives(3, ("goro.go(function() %s end) coroutine.wrap(function() atend.await() %s end)()"):format(first, late))
      end
    end
  end)

  it("when it is the main script's and a goroutine's comes during exit()", function()
    for _, late in ipairs { "os.exit(4)", "os.exit(4, true)", "goro.gosched()" } do
      for _, first in ipairs { "os.exit(3)", "os.exit(3, true)" } do
        gives(3, ("goro.go(function() atend.await() %s end) goro.sleep(0.03) %s"):format(late, first))
      end
    end
  end)

  it("when both are goroutines'", function()
    gives(3, "goro.go(function() atend.await() os.exit(4) end) goro.go(function() goro.sleep(0.03) os.exit(3) end) goro.sleep(20)")
  end)

  it("also before a panic that nobody has met", function()
    local r = helper.run_script([[
      local goro = require "goro"
      goro.go(function() goro.sleep(0.05) os.exit(3) end)
      goro.go(error, "x") -- last: the next call of goro would meet it
      while true do end]], { env = env, timeout = 20 })
    assert.is_true(r.code == 3 and r.stdout == "", helper.describe(r))
  end)
end)
