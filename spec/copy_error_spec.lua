-- SPDX-License-Identifier: MIT
-- Copying: what is refused, how the error says where the value sits, that a refused send changes nothing, and
-- what happens when a value cannot be rebuilt in the receiver. Error values of any type.
--
-- In source text "job.lua" is the script (see spec/helper.lua), its lines counted from the line after [[.
-- luacheck: ignore 431

local helper = require "spec.helper"

local passes_anywhere, run_script, ended_well = helper.passes_anywhere, helper.run_script, helper.ended_well

-- Put before a script, on its first line: `try` prints what a call raises, `bare` makes a full userdata with
-- another metatable than a file's.
local PRELUDE = "local goro = require 'goro' "
  .. "local function try(...) print(select(2, pcall(...))) end "
  .. "local function bare(mt) local f = io.tmpfile() f:close() return debug.setmetatable(f, mt) end "

local function errors_of(source)
  return ended_well(run_script(PRELUDE .. source))
end

-- Errors without the position of the call, which a test of its own compares.
local function texts_of(source)
  return (errors_of(source):gsub("job%.lua:%d+: (cannot send)", "%1"))
end

describe("the error for an unsendable value", function()
  it("is given at the caller's line", function()
    local out = errors_of [[
local co, c = coroutine.create(print), goro.chan(1)
print(select(2, pcall(function()
  goro.go(print, co)
end)))
print(select(2, pcall(function()
  goro.run(print, co)
end)))
print(select(2, pcall(function()
  c:send(co)
end)))
print(select(2, pcall(function()
  goro.select { { send = c, value = co } }
end)))
]]
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("job.lua:3: cannot send argument #2 (thread)", lines[1])
    assert.equal("job.lua:6: cannot send argument #2 (thread)", lines[2])
    assert.equal("job.lua:9: cannot send message (thread)", lines[3])
    assert.equal("job.lua:12: cannot send ", lines[4]:sub(1, 24))
    assert.equal(" (thread)", lines[4]:sub(-9))
  end)

  it("names the upvalue, its function's line, and the path from there", function()
    local out = texts_of [[
local file = bare(nil)
local db = { conn = file }
local function job() return db.conn end
local co = coroutine.create(print)
local iterator = string.gmatch("a", "a")
try(goro.run, job)
try(goro.go, job)
db.conn, db.pool = nil, { file }
try(goro.run, job)
try(goro.run, function()
  return co
end)
local holder = {
  f = function() return iterator end
}
try(goro.run, print, holder)
try(goro.run, function()
  return holder
end)
]]
    assert.equal([[
cannot send upvalue 'db'.conn (userdata) of function at job.lua:3
cannot send upvalue 'db'.conn (userdata) of function at job.lua:3
cannot send upvalue 'db'.pool[1] (userdata) of function at job.lua:3
cannot send upvalue 'co' (thread) of function at job.lua:10
cannot send upvalue 'iterator' (C function with upvalues) of function at job.lua:14
cannot send upvalue 'iterator' (C function with upvalues) of function at job.lua:14
]], out)
  end)

  it("counts arguments as in the call: go's function is #1", function()
    local out = texts_of [[
local co = coroutine.create(print)
local iterator = string.gmatch("a", "a")
local tmp = io.tmpfile()
for _, start in ipairs { goro.go, goro.run } do
  try(start, print, { 1, 2, { co = co } })
  try(start, print, 1, nil, co)
  try(start, print, 1, tmp)
  try(start, iterator)
  try(start, print, { { { iterator } } })
  try(start, print, { a = { b = { c = { tmp } } } })
end
]]
    local expected = [[
cannot send argument #2[3].co (thread)
cannot send argument #4 (thread)
cannot send argument #3 (FILE*)
cannot send argument #1 (C function with upvalues)
cannot send argument #2[1][1][1] (C function with upvalues)
cannot send argument #2.a.b.c[1] (FILE*)
]]
    assert.equal(expected .. expected, out)
  end)

  it("names the place in a message", function()
    local out = texts_of [[
local c = goro.chan(1)
local co = coroutine.create(print)
local iterator = string.gmatch("a", "a")
local function send(v) c:send(v) end
try(send, { f = iterator })
try(send, co)
try(send, iterator)
try(send, io.tmpfile())
try(send, { { co } })
try(send, { a = { b = { [7] = io.tmpfile() } } })
]]
    assert.equal([[
cannot send message.f (C function with upvalues)
cannot send message (thread)
cannot send message (C function with upvalues)
cannot send message (FILE*)
cannot send message[1][1] (thread)
cannot send message.a.b[7] (FILE*)
]], out)
  end)

  it("shows a userdata's __name", function()
    local out = texts_of [[
local c = goro.chan(1)
local function send(v) c:send { conn = v } end
local file = io.tmpfile()
try(send, file)
file:close()
try(send, file)
try(send, bare { __name = "db.conn" })
try(send, bare { __name = 5 })
try(send, bare {})
try(send, bare(nil))
]]
    assert.equal([[
cannot send message.conn (FILE*)
cannot send message.conn (FILE*)
cannot send message.conn (db.conn)
cannot send message.conn (userdata)
cannot send message.conn (userdata)
cannot send message.conn (userdata)
]], out)
  end)

  it("is raised for keys, for odd keys, in metatables and far below", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c, co = goro.chan(1), coroutine.create(print)
      local function refused(v, what)
        local err = kit.raised(c.send, c, v)
        assert(err:find("^cannot send message") and err:find(what or "(thread)", 1, true), err)
        assert(c:len() == 0)
      end
      refused { [co] = 1 }
      refused { [{ co }] = 1 }
      refused({ a = { [string.gmatch("", "")] = 1 } }, "(C function with upvalues)")
      refused { [true] = co }
      refused { [1.5] = co }
      refused { ["two words"] = co }
      refused { ["a\0b"] = co }
      refused { [""] = co }
      refused { [("k"):rep(100000)] = co }
      refused { [{}] = co }
      refused { [-3] = co }
      refused { [c] = co }
      refused(setmetatable({}, { __index = { co } }))
      refused(setmetatable({}, { co = co }))
      local top = {}
      local t = top
      for _ = 1, 100000 do
        t.next = {}
        t = t.next
      end
      t.co = co
      refused(top)
      c:send "still works"
      assert(c:recv(0) == "still works")
    end)
  end)

  it("meets a coroutine that is suspended, dead or running", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local dead = coroutine.create(function() end)
      coroutine.resume(dead)
      local suspended = coroutine.create(coroutine.yield)
      coroutine.resume(suspended)
      for _, co in ipairs { dead, suspended, (coroutine.running()) } do
        kit.raises("cannot send argument #2 (thread)", goro.run, print, co)
      end
      kit.raises_with("C function with upvalues", goro.run, print, coroutine.wrap(print))
    end)
  end)

  it("refuses a table whose metatable has __gc and no __goro", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan(1)
      local t = setmetatable({}, { __gc = function() end })
      local _ <close> = kit.modules { resource = [[
        local R = {}
        R.__index = R
        function R.__gc() end
        function R.new() return setmetatable({}, R) end
        return R
      ]] }
      for _, v in ipairs { t, require "resource".new() } do
        assert(kit.raised(goro.run, print, v):find("^cannot send argument #2"))
        assert(kit.raised(goro.go, print, 1, { v }):find("^cannot send argument #3%[1%]"))
        assert(kit.raised(c.send, c, { x = v }):find("^cannot send message%.x"))
        assert(kit.raised(goro.run, function() return v end):find("^cannot send upvalue 'v'"))
        assert(c:len() == 0)
      end
      assert(not pcall(goro.run, function() return setmetatable({}, { __gc = function() end }) end))
    end)
  end)

  it("refuses results, which run raises", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      kit.raises_with("(thread)", goro.run, function() return coroutine.create(print) end)
      kit.raises_with("(thread)", goro.run, function() return 1, nil, { x = coroutine.create(print) } end)
      kit.raises_with("(FILE*)", goro.run, function() return (io.tmpfile()) end)
      kit.raises_with("(C function with upvalues)", goro.run, function() return (string.gmatch("a", "a")) end)
      assert(goro.run(function() return 5 end) == 5)
    end)
  end)

  it("stands for an error value that cannot be sent", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      kit.raises_with("thread", goro.run, function() error(coroutine.create(print)) end)
      kit.raises_with("FILE*", goro.run, function() error { file = io.tmpfile() } end)
    end)
  end)
end)

describe("a refused send", function()
  it("leaves the channel as it was", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, co = goro.chan(3), coroutine.create(print)
      c:send "first"
      local big = { list = {}, text = ("x"):rep(100000), f = function() return c end }
      for i = 1, 1000 do big.list[i] = { i } end
      big.zz = co
      for _ = 1, 100 do
        assert(not pcall(c.send, c, co) and not pcall(c.send, c, big) and not pcall(c.try_send, c, big, 0))
        assert(not pcall(goro.select, { { send = c, value = big } }))
        assert(not pcall(goro.select, { { send = c, value = co }, default = true }))
      end
      assert(c:len() == 1)
      c:send "second"
      assert(c:recv(0) == "first" and c:recv(0) == "second" and c:len() == 0)
      big.zz = nil
      c:send(big)
      assert(c:recv(0).list[1000][1] == 1000)
    end)
  end)

  it("is not noticed by a waiting receiver", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c, back = goro.chan(), goro.chan()
      goro.go(function() back:send((c:recv(20))) end)
      for _ = 1, 50 do
        assert(not pcall(c.try_send, c, { coroutine.create(print) }, 1))
        goro.gosched()
      end
      assert(back:recv(0) == nil)
      assert(c:try_send("sendable", 20) and back:recv(20) == "sendable")
    end)
  end)

  it("is raised even when nobody would take the message", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan()
      kit.raises("cannot send message (thread)", c.try_send, c, coroutine.create(print), 0)
    end)
  end)

  it("starts no goroutine", function()
    passes_anywhere(function()
      local goro = require "goro"
      local ran, co = goro.chan(8), coroutine.create(print)
      local before = goro.num_goroutine()
      local up = { co }
      for _ = 1, 100 do
        assert(not pcall(goro.go, function() ran:send(1) end, co))
        assert(not pcall(goro.go, function() ran:send(up) end))
        assert(not pcall(goro.run, function() ran:send(1) end, { { co } }))
      end
      assert(goro.num_goroutine() == before)
      assert(goro.run(function() return "next" end) == "next")
      assert(ran:len() == 0)
    end)
  end)

  it("leaves the value as it was", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local co = coroutine.create(print)
      local shared = { 1 }
      local v = setmetatable({ shared, shared, n = 5, co = co }, { __index = { x = 1 } })
      v.self = v
      local shape = kit.describe(v, { [co] = "co" })
      assert(not pcall(goro.run, print, v))
      kit.eq_graphs(shape, kit.describe(v, { [co] = "co" }), "after the refused send")
    end)
  end)

  it("passes on what __goro raises in the sender", function()
    passes_anywhere(function()
      local goro = require "goro"
      local c = goro.chan(1)
      local value = {}
      local o = setmetatable({}, { __goro = function() error(value) end })
      local ok, e = pcall(c.send, c, { o })
      assert(not ok and e == value and c:len() == 0)
      local before = goro.num_goroutine()
      ok, e = pcall(goro.go, print, o)
      assert(not ok and e == value and goro.num_goroutine() == before)
      -- What it returns must be a function, and sendable.
      for _, wrong in ipairs { 5, {}, coroutine.create(print) } do
        assert(not pcall(c.send, c, setmetatable({}, { __goro = function() return wrong end })))
      end
      assert(not pcall(c.send, c, setmetatable({}, { __goro = function() end })))
      assert(not pcall(c.send, c, setmetatable({}, { __goro = function() return print, coroutine.create(print) end })))
      assert(c:len() == 0)
    end)
  end)
end)

describe("a value that cannot be rebuilt", function()
  it("is raised by recv, which has consumed the message", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local _ <close> = kit.modules {
        picky = [[
          if not rawget(_G, "WELCOME") then error("not welcome here", 0) end
          return { f = function() end, Class = { __index = {} } }
        ]],
      }
      rawset(_G, "WELCOME", true)
      local picky = require "picky"
      local object = setmetatable({}, { __goro = function() return function(v) error(v, 0) end, { "thrown" } end })
      local c, back = goro.chan(8), goro.chan(8)
      c:send(picky.f)
      c:send { { picky } }
      c:send(setmetatable({}, picky.Class))
      c:send "fine"
      c:send { object }
      c:send "the last"
      goro.run(function()
        for _ = 1, 6 do
          local ok, e = pcall(c.recv, c, 0)
          back:send { ok, e }
        end
        back:send { c:len() }
      end)
      for _ = 1, 3 do
        local r = back:recv(0)
        assert(r[1] == false and tostring(r[2]):find("not welcome here", 1, true))
      end
      local r = back:recv(0)
      assert(r[1] == true and r[2] == "fine")
      r = back:recv(0)
      assert(r[1] == false and r[2][1] == "thrown")
      r = back:recv(0)
      assert(r[1] == true and r[2] == "the last")
      assert(back:recv(0)[1] == 0)
    end)
  end)

  it("is raised by recv also when it was handed over directly, and by select and range", function()
    passes_anywhere(function()
      local goro = require "goro"
      local object = setmetatable({}, { __goro = function() return function() error("cannot be built", 0) end end })
      local c, back = goro.chan(), goro.chan()
      goro.go(function()
        local ok, e = pcall(c.recv, c, 20)
        back:try_send({ ok, e }, 20)
        ok, e = pcall(goro.select, { { recv = c }, timeout = 20 })
        back:try_send({ ok, e }, 20)
        ok, e = pcall(function()
          for _ in c:range() do error "got a value" end
        end)
        back:try_send({ ok, e }, 20)
        back:try_send({ c:recv(20) }, 20)
      end)
      for _ = 1, 3 do
        assert(c:try_send(object, 20) == true)
        local r = back:recv(20)
        assert(r[1] == false and r[2] == "cannot be built", r[2])
      end
      assert(c:try_send("fine", 20) and back:recv(20)[1] == "fine")
    end)
  end)

  it("is raised by run, for arguments and for results", function()
    passes_anywhere(function()
      local goro = require "goro"
      local object = setmetatable({}, { __goro = function() return function() error("cannot be built", 0) end end })
      local ok, e = pcall(goro.run, function() return "not reached" end, object)
      assert(not ok and e == "cannot be built")
      ok, e = pcall(goro.run, function() return object end)
      assert(not ok and e == "cannot be built")
      ok, e = pcall(goro.run, function()
        return setmetatable({}, { __goro = function() return function() error("no result", 0) end end })
      end)
      assert(not ok and e == "no result")
      assert(goro.run(function() return 1 end) == 1)
    end)
  end)

  it("is the goroutine's panic for go's arguments", function()
    local r = run_script [[
local goro = require "goro"
local object = setmetatable({}, { __goro = function() return function() error("cannot be built", 0) end end })
goro.go(function() print "not reached" end, object)
local ok, e = pcall(goro.sleep, 20)
print(ok, e)
]]
    assert.equal("false\tcannot be built\n", r.stdout)
    assert.is_truthy(r.stderr:find("goro: panic: cannot be built", 1, true), helper.describe(r))
    assert.equal(0, r.code)
  end)

  it("does not disturb what the receiver has", function()
    passes_anywhere(function()
      local goro = require "goro"
      local bad = setmetatable({}, { __goro = function() return function() error "no" end end })
      local Class = { __index = { m = function() return "m" end } }
      local c = goro.chan(300)
      for i = 1, 100 do
        c:send { setmetatable({ i }, Class), function() return i end, bad }
        c:send { setmetatable({ i }, Class) }
      end
      assert(goro.run(function()
        local class
        for i = 1, 100 do
          assert(not pcall(c.recv, c, 0))
          local o = c:recv(0)[1]
          class = class or getmetatable(o)
          if o[1] ~= i or o.m() ~= "m" or getmetatable(o) ~= class then return false end
          if i % 10 == 0 then collectgarbage() end
        end
        return c:len() == 0
      end))
    end)
  end)
end)

describe("error values through run", function()
  it("may be of any type", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local c = goro.chan()
      for _, v in ipairs { 42, 1.5, true, false, "", "plain", string.format, io.stdout, c } do
        local ok, e = pcall(goro.run, function() error(v, 0) end)
        kit.eq(false, ok)
        kit.eq(v, e)
      end
      local ok, e = pcall(goro.run, function() error() end)
      assert(ok == false and e == nil)
      ok, e = pcall(goro.run, function() error(function() return "called" end) end)
      assert(ok == false and e() == "called")
      ok, e = pcall(goro.run, error, "by a C function", 0)
      assert(ok == false and e == "by a C function")
    end)
  end)

  it("keep their metatable", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local Failure = { __tostring = function(e) return "failure " .. e.code end }
      Failure.__index = Failure
      local ok, e = pcall(goro.run, function() error(setmetatable({ code = 5 }, Failure)) end)
      assert(not ok and rawequal(getmetatable(e), Failure) and tostring(e) == "failure 5")
      local _ <close> = kit.modules {
        failures = [[local F = {} F.__index = F function F.new(c) return setmetatable({ code = c }, F) end return F]],
      }
      ok, e = pcall(goro.run, function() error(require "failures".new(6)) end)
      assert(not ok and getmetatable(e) == require "failures" and e.code == 6)
      -- Through several goroutines.
      ok, e = pcall(goro.run, function()
        goro.run(function() goro.run(function() error(setmetatable({ code = 7 }, Failure)) end) end)
      end)
      assert(not ok and rawequal(getmetatable(e), Failure) and e.code == 7)
    end)
  end)

  it("keep cycles, shared references and functions", function()
    passes_anywhere(function()
      local kit, goro = require "spec.copy_helper", require "goro"
      local n = 0
      local value = { inc = function() n = n + 1 end, get = function() return n end }
      value.self, value.list = value, { value.inc, value.get }
      local shape = kit.describe(value)
      local ok, e = pcall(goro.run, function() error(value) end)
      assert(not ok)
      kit.eq_graphs(shape, kit.describe(e), "error value")
      e.inc()
      assert(e.get() == 1 and e.list[2]() == 1 and n == 0)
    end)
  end)

  it("have their position once", function()
    local out = errors_of [[
try(goro.run, function()
  error "boom"
end)
try(goro.run, function()
  local x = nil
  return x.y
end)
try(goro.run, function()
  goro.run(function()
    error "inner"
  end)
end)
]]
    assert.equal([[
job.lua:2: boom
job.lua:6: attempt to index a nil value (local 'x')
job.lua:10: inner
]], out)
  end)
end)
