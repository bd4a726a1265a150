-- SPDX-License-Identifier: MIT
-- Objects are told as a user names them: in __name, in their text, and in errors.

local helper = require "spec.helper"
local goro = require "goro"
local sync, time, context = goro.sync, goro.time, goro.context

local function leave(object)
  local method = getmetatable(object).__close
  if method then method(object) end
end

local objects = {
  ["goro.chan"] = { function() return goro.chan() end, "recv" },
  ["goro.group"] = { function() return goro.group() end, "wait" },
  ["goro.context"] = { function() return context.background() end, "err" },
  ["goro.sync.mutex"] = { function() return sync.mutex() end, "lock" },
  ["goro.sync.rwmutex"] = { function() return sync.rwmutex() end, "rlock" },
  ["goro.sync.cond"] = { function() return sync.cond(sync.mutex()) end, "signal" },
  ["goro.sync.once"] = { function() return sync.once(print) end },
  ["goro.sync.semaphore"] = { function() return sync.semaphore(1) end, "acquire" },
  ["goro.sync.waitgroup"] = { function() return sync.waitgroup() end, "wait" },
  ["goro.sync.atomic"] = { function() return sync.atomic() end, "load" },
  ["goro.sync.map"] = { function() return sync.map() end, "len" },
  ["goro.time.timer"] = { function() return time.timer(1000) end, "stop" },
  ["goro.time.ticker"] = { function() return time.ticker(1000) end, "stop" },
  ["goro.net.listener"] = {
    function() return goro.net.listen("tcp", "127.0.0.1:0") end, "accept",
  },
  ["goro.net.udp"] = { function() return goro.net.udp() end, "recv" },
  ["goro.net.conn"] = { function() return goro.process.spawn("true").stdout end, "read" },
  ["goro.fs.file"] = { function() return goro.fs.open "/dev/null" end, "read" },
  ["goro.process.child"] = { function() return goro.process.spawn "true" end, "wait" },
}

for name, row in pairs(objects) do
  local make, method = row[1], row[2]

  describe(name, function()
    it("says so itself, here and elsewhere", function()
      local object = assert(make())
      assert.equal(name, getmetatable(object).__name)
      assert.equal(name .. ": 0x", tostring(object):match "^.*: 0x")
      local function ask(o) return getmetatable(o).__name, tostring(o) end
      local there, text = goro.run(ask, object)
      assert.equal(name, there)
      assert.equal(tostring(object), text)
      leave(object)
    end)

    it("is what its methods expect, and what others got", function()
      local object = assert(make())
      if method then
        local ok, err = pcall(object[method], 1)
        assert.is_false(ok)
        assert.is_truthy(err:find("(" .. name .. " expected, got number)", 1, true), err)
      end
      local ok, err = pcall(goro.go, object)
      assert.is_false(ok)
      assert.is_truthy(err:find("(function expected, got " .. name .. ")", 1, true), err)
      leave(object)
    end)
  end)
end

describe("an argument of another kind is told by its name", function()
  local raises, raises_match, ch, m = helper.raises, helper.raises_match, goro.chan(1), sync.mutex()

  it("wherever something is expected", function()
    raises("bad argument #1 to 'sleep' (number expected, got goro.sync.mutex)",
      function() goro.sleep(m) end)
    raises("bad argument #1 to 'recv' (number expected, got goro.chan)",
      function() ch:recv(ch) end)
    raises("bad argument #2 to 'try_send' (number expected, got FILE*)",
      function() ch:try_send(1, io.stdout) end)
    raises_match("^bad argument #2 to 'send' %(no value expected, got goro.chan; ",
      function() ch:send(1, ch) end)
    raises_match("^bad argument #1 to 'select' %(case 1: .*, got goro.sync.mutex%)$",
      function() goro.select { { recv = m } } end)
    raises("bad argument #1 to 'group' ('ctx': goro.context expected, got goro.sync.mutex)",
      function() goro.group { ctx = m } end)
    raises("bad argument #1 to 'group' ('limit': number expected, got goro.chan)",
      function() goro.group { limit = ch } end)
    raises("bad argument #1 to 'run' (table or string expected, got goro.chan)",
      function() goro.process.run(ch) end)
  end)
end)
