-- SPDX-License-Identifier: MIT
--
-- Whatever is due comes about, whoever holds the places: each source of wake-ups beside each kind of goroutine that never lets go.
-- Each test is a child with one place, which such a goroutine holds for ever; it must end by itself all the same.

local helper = require "spec.helper"

-- What holds the place. One that loops where Lua cannot yield is the hard case: it must hand its place on, by its thread.
local holders = {
  { "a loop in a comparator", [[table.sort({ 2, 1 }, function() while true do end end)]] },
  { "a loop in a gsub callback", [[("x"):gsub(".", function() while true do end end)]] },
  { "a gsub that calls back for ever", [[
      local text = ("x"):rep(1000)
      while true do text:gsub(".", function(c) return c end) end]] },
  { "a loop in a metamethod called from C", [[
      local t = setmetatable({}, { __lt = function() while true do end end })
      table.sort { t, setmetatable({}, getmetatable(t)) }]] },
  { "a plain loop", [[while true do end]] },
  { "a loop of gosched in a comparator", [[table.sort({ 2, 1 }, function() while true do require "goro".gosched() end end)]] },
  { "a loop of polls in a comparator", [[
      local c = require "goro".chan()
      table.sort({ 2, 1 }, function() while true do c:recv(0) end end)]] },
}

-- What must come about: a chunk of the main script, after the holder has begun.
local sources = {
  { "the main script's sleep", [[goro.sleep(0.02)]] },
  { "the main script's time limit", [[assert(select(3, goro.chan():recv(0.02)) == "timeout")]] },
  { "a timer's channel", [[assert(goro.after(0.02):recv())]] },
  { "a ticker", [[local tk = goro.time.ticker(0.005) for _ = 1, 5 do assert(tk.c:recv()) end tk:stop()]] },
  { "a deadline", [[goro.context.with_timeout(goro.context.background(), 0.02):done():recv()]] },
  { "a function after a time", [[
      local c = goro.chan(1)
      goro.time.after_func(0.02, function() c:send(1) end)
      assert(c:recv())]] },
  { "a goroutine's sleep", [[goro.run(function() goro.sleep(0.02) end)]] },
  { "a sleep in a comparator", [[goro.run(function() table.sort({ 2, 1 }, function(a, b) goro.sleep(0.02) return a < b end) end)]] },
  { "another goroutine", [[assert(goro.run(function() return 42 end) == 42)]] },
  { "messages both ways", [[
      local to, from = goro.chan(), goro.chan()
      goro.go(function() for v in to:range() do from:send(v + 1) end end)
      for i = 1, 20 do to:send(i) assert(from:recv() == i + 1) end]] },
  { "a panic", [[
      goro.go(function() error "boom" end)
      local ok, err = pcall(goro.sleep, 60)
      assert(not ok and err:find "boom", err)]] },
  { "a signal", [[
      local stop = goro.signal.notify "USR1"
      goro.go(function() os.execute("kill -USR1 " .. io.open "/proc/self/stat":read "n") end)
      assert(stop:recv() == "USR1")]] },
  { "the end of a child", [[assert(goro.process.run { "true" }.code == 0)]] },
  { "a child's output", [[assert(goro.process.run { "echo", "hello" }.stdout == "hello\n")]] },
  { "a connection", [[
      local l = assert(goro.net.listen("tcp", "127.0.0.1:0"))
      local address = l:addr()
      goro.go(function() local c = assert(l:accept()) c:write "hello\n" c:close() end)
      assert(assert(goro.net.dial("tcp", address)):read "l" == "hello")]] },
  { "a blocking call in a goroutine", [[goro.run(function() os.execute "sleep 0.02" end)]] },
}

local script = [[
local goro = require "goro"
goro.maxprocs(1)
goro.go(function()
  %s
end)
goro.sleep(0.03)
do
  %s
end
print "all of it"
os.exit(0)
]]

local function comes_about(holder, source, env)
  local r = helper.run_script(script:format(holder, source), { timeout = 20, env = env })
  assert.is_true(r.code == 0 and r.stdout == "all of it\n", helper.describe(r))
end

for _, holder in ipairs(holders) do
  describe("beside " .. holder[1], function()
    it("everything that is due comes about", function()
      for _, source in ipairs(sources) do comes_about(holder[2], source[2]) end
    end)
  end)
end

describe("beside a loop in a comparator that has the only thread", function()
  for _, source in ipairs(sources) do
    if source[1] == "a sleep in a comparator" then
      it(source[1] .. " is refused", function()
        local r = helper.run_script(script:format(holders[1][2], "local ok, err = pcall(function() " .. source[2] ..
          " end) assert(not ok and err:find 'too many goroutines wait', err)"), { timeout = 20, env = { GOROMAXTHREADS = "1" } })
        assert.is_true(r.code == 0 and r.stdout == "all of it\n", helper.describe(r))
      end)
    else
      it(source[1] .. " comes about", function() comes_about(holders[1][2], source[2], { GOROMAXTHREADS = "1" }) end)
    end
  end
end)

describe("two loops in comparators and two threads", function()
  it("leave room for the others", function()
    for _, source in ipairs(sources) do
      if source[1] ~= "a sleep in a comparator" then
        comes_about(holders[1][2] .. " end) goro.go(function() " .. holders[1][2], source[2], { GOROMAXTHREADS = "2" })
      end
    end
  end)
end)
