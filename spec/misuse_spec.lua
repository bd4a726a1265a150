-- SPDX-License-Identifier: MIT
-- Wrong arguments: the standard library's kind of message, at the caller's line, and nothing has changed.
-- (What goro.select refuses is in select_spec.lua.)
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"
local goro = require "goro"

local raises, raises_match = helper.raises, helper.raises_match

local NAN = 0 / 0
local callable = setmetatable({}, { __call = function() end })

-- One row a call: the message, and the call on a line of its own. A message in a table is a Lua pattern.
local function rows(list)
  for _, row in ipairs(list) do
    local text, call = row[1], row[2]
    local is_pattern = type(text) == "table"
    it((is_pattern and text[1] or text) .. ", line " .. debug.getinfo(call, "S").linedefined, function()
      if is_pattern then raises_match(text[1], call) else raises(text, call) end
    end)
  end
end

describe("misuse of goro.go", function()
  rows {
    { "bad argument #1 to 'go' (function expected, got no value)", function() goro.go() end },
    { "bad argument #1 to 'go' (function expected, got nil)", function() goro.go(nil) end },
    { "bad argument #1 to 'go' (function expected, got nil)", function() goro.go(nil, 1, 2) end },
    { "bad argument #1 to 'go' (function expected, got number)", function() goro.go(1) end },
    { "bad argument #1 to 'go' (function expected, got string)", function() goro.go "print" end },
    { "bad argument #1 to 'go' (function expected, got table)", function() goro.go {} end },
    { "bad argument #1 to 'go' (function expected, got boolean)", function() goro.go(true) end },
    { "bad argument #1 to 'go' (function expected, got thread)", function() goro.go((coroutine.create(print))) end },
    { "bad argument #1 to 'go' (function expected, got goro.chan)", function() goro.go(goro.chan()) end },
    { "bad argument #1 to 'go' (function expected, got FILE*)", function() goro.go(io.stdout) end },
    { "calling 'go' on bad self (function expected, got table)", function() goro:go(print) end },
    { { "cannot send argument #2 %(thread%)$" }, function() goro.go(print, coroutine.create(print)) end },
    { { "cannot send argument #3%[2%]%.co %(thread%)$" }, function() goro.go(print, 1, { 1, { co = coroutine.create(print) } }) end },
  }

  it("starts nothing", function()
    helper.passes(function()
      local goro = require "goro"
      local c = goro.chan(10)
      local co = coroutine.create(print)
      for _ = 1, 50 do
        assert(not pcall(goro.go))
        assert(not pcall(goro.go, 1))
        assert(not pcall(goro.go, {}))
        assert(not pcall(goro.go, function() c:send "started" end, co))
        assert(not pcall(goro.go, function() c:send "started" return co end))
        assert(not pcall(goro.run, function() c:send "started" end, 1, { co }))
      end
      assert(goro.num_goroutine() == 1)
      assert(select(3, c:recv(0.05)) == "timeout")
    end)
  end)
end)

describe("misuse of goro.run", function()
  rows {
    { "bad argument #1 to 'run' (function expected, got no value)", function() goro.run() end },
    { "bad argument #1 to 'run' (function expected, got nil)", function() goro.run(nil) end },
    { "bad argument #1 to 'run' (function expected, got table)", function() goro.run { print } end },
    { "bad argument #1 to 'run' (function expected, got string)", function() goro.run("print", 1) end },
    { { "cannot send argument #2 %(thread%)$" }, function() goro.run(print, coroutine.create(print)) end },
  }

  it("is not what a function's own error is", function()
    local ok, err = pcall(goro.run, string.rep)
    assert.is_false(ok)
    assert.is_truthy(err:find "string expected, got no value", err)
  end)

  it("is a result that cannot be sent, raised by run", function()
    local ok, err = pcall(goro.run, function() return 1, { co = coroutine.create(print) } end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("cannot send ", 1, true), tostring(err))
    assert.is_truthy(tostring(err):find(".co (thread)", 1, true), tostring(err))
  end)
end)

describe("misuse of goro.maxprocs", function()
  rows {
    { "bad argument #1 to 'maxprocs' (number expected, got string)", function() goro.maxprocs "many" end },
    { "bad argument #1 to 'maxprocs' (number expected, got table)", function() goro.maxprocs {} end },
    { "bad argument #1 to 'maxprocs' (number expected, got boolean)", function() goro.maxprocs(true) end },
    { "bad argument #1 to 'maxprocs' (number has no integer representation)", function() goro.maxprocs(1.5) end },
    { "bad argument #1 to 'maxprocs' (number has no integer representation)", function() goro.maxprocs(NAN) end },
    { "bad argument #1 to 'maxprocs' (number has no integer representation)", function() goro.maxprocs(math.huge) end },
  }

  it("changes nothing", function()
    local before = goro.maxprocs()
    pcall(goro.maxprocs, "many")
    pcall(goro.maxprocs, 7.5)
    assert.equal(before, goro.maxprocs())
  end)
end)

describe("misuse of goro.chan", function()
  rows {
    { "bad argument #1 to 'chan' (number expected, got string)", function() goro.chan "big" end },
    { "bad argument #1 to 'chan' (number expected, got boolean)", function() goro.chan(false) end },
    { "bad argument #1 to 'chan' (number expected, got function)", function() goro.chan(print) end },
    { "calling 'chan' on bad self (number expected, got table)", function() goro:chan() end },
    { "bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(0.5) end },
    { "bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(-math.huge) end },
    { "bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(2 ^ 63) end },
    { { "^bad argument #1 to 'chan' %(.+%)$" }, function() goro.chan(-1) end },
  }
end)

describe("misuse of goro.sleep and goro.after", function()
  rows {
    { "bad argument #1 to 'sleep' (number expected, got string)", function() goro.sleep "long" end },
    { "bad argument #1 to 'sleep' (number expected, got table)", function() goro.sleep {} end },
    { "bad argument #1 to 'sleep' (number expected, got boolean)", function() goro.sleep(true) end },
    { { "^bad argument #1 to 'sleep' %(.+%)$" }, function() goro.sleep(NAN) end },
    { { "^bad argument #1 to 'sleep' %(.+%)$" }, function() goro.sleep(-NAN) end },
    { "bad argument #1 to 'after' (number expected, got no value)", function() goro.after() end },
    { "bad argument #1 to 'after' (number expected, got string)", function() goro.after "later" end },
    { "bad argument #1 to 'after' (number expected, got nil)", function() goro.after(nil) end },
    { { "^bad argument #1 to 'after' %(.+%)$" }, function() goro.after(NAN) end },
  }
end)

describe("misuse of a channel", function()
  local c
  local function extra(arg, what)
    local text = "bad argument #%d to 'send' (no value expected, got %s; 'try_send' takes a time limit)"
    return text:format(arg, what)
  end
  local closed = "bad argument #2 to 'send' (the value came from a closed channel)"

  before_each(function()
    c = goro.chan(2)
    c:send "stays"
  end)

  after_each(function()
    assert.equal(1, c:len())
    assert.equal("stays", (c:recv(0)))
    assert.is_true(c:try_send("open"))
  end)

  rows {
    { "bad argument #1 to 'send' (value expected)", function() c:send() end },
    { extra(2, "number"), function() c:send(1, 0) end },
    { extra(2, "number"), function() c:send(1, NAN) end },
    { extra(2, "nil"), function() c:send(1, nil) end },
    { extra(2, "nil"), function() c:send(nil, nil, "timeout") end },
    { extra(2, "string"), function() c:send(1, "soon") end },
    { extra(2, "table"), function() c:send(1, {}) end },
    { extra(2, "function"), function() c:send(1, print) end },
    { extra(2, "number"), function() c:send(("a b"):gsub("%a", "%0%0")) end },
    { extra(2, "number"), function() c:sender():send(1, 1) end },
    { extra(3, "nil"), function() c:send(1, true, nil) end },
    { extra(3, "boolean"), function() c:send(1, true, true) end },
    { closed, function() c:send(1, false) end },
    { closed, function() c:send(nil, false, 1) end },
    { "bad argument #1 to 'try_send' (value expected)", function() c:try_send() end },
    { "bad argument #2 to 'try_send' (number expected, got string)", function() c:try_send(1, "1") end },
    { "bad argument #2 to 'try_send' (number expected, got table)", function() c:try_send(1, {}) end },
    { "bad argument #2 to 'try_send' (number expected, got boolean)", function() c:try_send(1, true) end },
    { "bad argument #2 to 'try_send' (number expected, got boolean)", function() c:try_send(1, false) end },
    { "bad argument #2 to 'try_send' (number expected, got nan)", function() c:try_send(1, NAN) end },
    { "bad argument #3 to 'try_send' (no value expected, got nil)", function() c:try_send(1, nil, nil) end },
    { "bad argument #3 to 'try_send' (no value expected, got number)", function() c:try_send(1, 0, 1) end },
    { "bad argument #3 to 'try_send' (no value expected, got boolean)", function() c:try_send(1, 1, true) end },
    { "bad argument #1 to 'recv' (number expected, got string)", function() c:recv "soon" end },
    { "bad argument #1 to 'recv' (number expected, got table)", function() c:recv {} end },
    { "bad argument #1 to 'recv' (number expected, got boolean)", function() c:recv(true) end },
    { "bad argument #1 to 'recv' (number expected, got boolean)", function() c:recv(false) end },
    { { "^bad argument #1 to 'recv' %(.+%)$" }, function() c:recv(NAN) end },
    { "receive from send-only channel", function() c:sender():recv() end },
    { "receive from send-only channel", function() c:sender():recv(0) end },
    { "receive from send-only channel", function() for _ in c:sender():range() do end end }, -- luacheck: ignore 542
    { "send to receive-only channel", function() c:receiver():send(1) end },
    { "send to receive-only channel", function() c:receiver():send(1, 0) end },
    { "send to receive-only channel", function() c:receiver():try_send(1) end },
    { "close of receive-only channel", function() c:receiver():close() end },
    { { "." }, function() c:sender():receiver() end },
    { { "." }, function() c:receiver():sender() end },
    { { "cannot send message %(thread%)$" }, function() c:send((coroutine.create(print))) end },
    { { "cannot send message%.f %(C function with upvalues%)$" }, function() c:send { f = string.gmatch("x", "x") } end },
    { { "cannot send message%[1%] %(FILE%*%)$" }, function() c:send { (io.tmpfile()) } end },
    { { "cannot send upvalue 'co' %(thread%) of function at " }, function() local co = coroutine.create(print) c:send(function() return co end) end },
  }
end)

describe("misuse of a closed channel", function()
  local c = goro.chan(1)
  c:close()

  rows {
    { "close of closed channel", function() c:close() end },
    { "close of closed channel", function() c:sender():close() end },
    { "close of receive-only channel", function() c:receiver():close() end },
    { "send on closed channel", function() c:send(1) end },
    { "send on closed channel", function() c:try_send(1) end },
    { "send on closed channel", function() c:sender():try_send(1, 1) end },
    { "send on closed channel", function() goro.select { { send = c } } end },
    { "send to receive-only channel", function() c:receiver():send(1) end },
  }
end)

describe("a method called on something else", function()
  local c = goro.chan()

  rows {
    { "bad argument #1 to 'send' (goro.chan expected, got no value)", function() c.send() end },
    { "bad argument #1 to 'send' (goro.chan expected, got number)", function() c.send(1, 2) end },
    { "bad argument #1 to 'recv' (goro.chan expected, got nil)", function() c.recv(nil) end },
    { "bad argument #1 to 'recv' (goro.chan expected, got table)", function() c.recv {} end },
    { "bad argument #1 to 'close' (goro.chan expected, got FILE*)", function() c.close(io.stdout) end },
    { "bad argument #1 to 'range' (goro.chan expected, got string)", function() c.range "c" end },
    { "bad argument #1 to 'len' (goro.chan expected, got boolean)", function() c.len(true) end },
    { "bad argument #1 to 'cap' (goro.chan expected, got no value)", function() c.cap() end },
    { "bad argument #1 to 'sender' (goro.chan expected, got table)", function() c.sender {} end },
    { "bad argument #1 to 'receiver' (goro.chan expected, got function)", function() c.receiver(print) end },
    { "calling 'recv' on bad self (goro.chan expected, got table)", function() ({ recv = c.recv }):recv() end },
  }
end)

describe("the position of misuse", function()
  it("is the caller's in a goroutine too", function()
    for _, f in ipairs {
      function() require "goro".go(nil) end,
      function() require "goro".chan "x" end,
      function() require "goro".sleep {} end,
      function() require "goro".chan():recv "x" end,
      function() require "goro".chan():sender():recv() end,
    } do
      local info = debug.getinfo(f, "S")
      local ok, err = pcall(goro.run, f)
      assert.is_false(ok)
      assert.equal(("%s:%d: "):format(info.short_src, info.linedefined), err:match "^[^:]+:%d+: ")
    end
  end)

  it("is the caller's in a coroutine too", function()
    local f = function() goro.chan():recv "x" end
    local info = debug.getinfo(f, "S")
    local ok, err = coroutine.resume(coroutine.create(f))
    assert.is_false(ok)
    assert.equal(("%s:%d: bad argument #1 to 'recv' (number expected, got string)"):format(info.short_src, info.linedefined), err)
  end)

  it("uses the name by which the function was called", function()
    local start, receive = goro.go, goro.chan().recv
    raises("bad argument #1 to 'start' (function expected, got nil)", function() start(nil) end)
    raises("bad argument #1 to 'receive' (goro.chan expected, got nil)", function() receive(nil) end)
  end)

  it("is absent when a C function called", function()
    local ok, err = pcall(goro.go, 5)
    assert.is_false(ok)
    assert.is_truthy(err:find "^bad argument #1 to '[%w%.]+' %(function expected, got number%)$", err)
    ok, err = pcall(goro.go, callable)
    assert.is_false(ok)
    assert.is_truthy(err:find "^bad argument #1 to '[%w%.]+' %(function expected, got table%)$", err)
  end)
end)

describe("misuse of goro.goexit", function()
  rows {
    { { "." }, function() goro.goexit() end },
  }
end)
