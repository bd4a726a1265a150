-- SPDX-License-Identifier: MIT
-- goro.signal: who is told, who is not any more, and what the program had before, which comes back.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes = helper.passes

-- What scripts begin with: kill(name) sends this process a signal, caught() are those that have a handler, as a set of bits.
local PRELUDE = [[
  local goro = require "goro"
  local signal = goro.signal
  local stat <close> = io.open "/proc/self/stat"
  local self = stat:read "n"
  -- Not by os.execute, which ignores INT and QUIT meanwhile.
  local function kill(name) assert(io.popen(("kill -%s %d"):format(name, self)):close()) end
  local function mask(which, n)
    local f <close> = io.open("/proc/self/status")
    return tonumber(f:read "a":match("Sig" .. which .. ":%s*(%x+)"), 16) >> (n - 1) & 1 == 1
  end
  local INT, HUP, QUIT, USR1, USR2, TERM, WINCH = 2, 1, 3, 10, 12, 15, 28
]]

local function script(text, opts) return helper.run_script(PRELUDE .. text, opts) end
local function runs(text, opts) return helper.ended_well(script(text, opts)) end

describe("signal.notify", function()
  it("gives a channel of names", function()
    for _, where in ipairs { "main()", "goro.run(main)" } do
      runs([[
        local function main()
          local ch = signal.notify("USR1", "TERM", "RTMIN", "RTMIN+3")
          assert(tostring(ch):find "^goro.chan" and #ch == 0)
          for _, name in ipairs { "USR1", "TERM", "USR1" } do
            kill(name)
            assert(ch:recv(20) == name)
          end
          kill "34"
          assert(ch:recv(20) == "RTMIN")
          kill "37"
          assert(ch:recv(20) == "RTMIN+3")
        end
      ]] .. where)
    end
  end)

  it("tells all listeners, wherever they are", function()
    runs [[
      local ready, got = goro.chan(), goro.chan()
      for _ = 1, 20 do
        goro.go(function()
          local ch = goro.signal.notify "HUP"
          ready:send(ch)
          got:send(ch:recv())
        end)
      end
      local channels = {}
      for i = 1, 20 do channels[i] = ready:recv() end
      local one, other = signal.notify("HUP", "USR2"), signal.notify "USR2"
      kill "HUP"
      for _ = 1, 20 do assert(got:recv(20) == "HUP") end
      assert(one:recv(20) == "HUP")
      kill "USR2"
      assert(other:recv(20) == "USR2" and one:recv(20) == "USR2" and #other == 0)
      for _, ch in ipairs(channels) do assert(#ch == 0) end
    ]]
  end)

  it("loses nothing of a reader that keeps up, nor waits for one that does not", function()
    runs [[
      local slow, quick = signal.notify "USR1", signal.notify "USR1"
      for _ = 1, 100 do
        kill "USR1"
        assert(quick:recv(20) == "USR1")
      end
      assert(#slow == 16)
    ]]
  end)

  it("is what ends a select, a loop, and a sleep's alternative", function()
    runs [[
      local ch = signal.notify "TERM"
      local work = goro.chan()
      goro.go(function() goro.sleep(0.05) kill "TERM" end)
      assert(goro.select { { recv = work }, { recv = ch, function(name) return name end } } == "TERM")
      goro.go(function() goro.sleep(0.05) kill "TERM" goro.sleep(0.05) signal.stop(ch) ch:close() end)
      local n = 0
      for name in ch:range() do
        assert(name == "TERM")
        n = n + 1
      end
      assert(n == 1)
    ]]
  end)

  it("arrives while all threads compute", function()
    runs [[
      local ch = signal.notify "USR1"
      for _ = 1, 8 do
        goro.go(function() while true do end end)
      end
      goro.sleep(0.05)
      local got = goro.chan(1)
      goro.go(function() got:send(ch:recv()) end)
      kill "USR1"
      assert(got:recv(20) == "USR1")
    ]]
  end)

  it("can wake, so is no deadlock; when it is stopped it is one", function()
    runs [[
      local ch = signal.notify "USR1"
      os.execute(("(sleep 0.3; kill -USR1 %d) &"):format(self))
      assert(ch:recv() == "USR1")
      signal.stop(ch)
      local ok, e = pcall(ch.recv, ch)
      assert(not ok and e:find "deadlock", e)
      ch = signal.notify "USR1"
      ch:close()
      ok, e = pcall(function() goro.chan():recv() end)
      assert(not ok and e:find "deadlock", e)
      ch = signal.notify "USR1"
      ch = nil
      collectgarbage()
      ok, e = pcall(function() goro.chan():recv() end)
      assert(not ok and e:find "deadlock", e)
    ]]
  end)

  it("raises misuse at the caller's line", function()
    local signal = require "goro".signal
    local raises = helper.raises
    for _, name in ipairs { "notify", "ignore" } do
      local f = signal[name]
      local function bad(n, text) return ("bad argument #%d to 'f' (%s)"):format(n, text) end
      raises(bad(1, "signal's name expected, got no value"), function() f() end)
      raises(bad(1, "string expected, got number"), function() f(2) end)
      raises(bad(2, "string expected, got nil"), function() f("HUP", nil) end)
      for _, unknown in ipairs { "SIGINT", "int", "", "FOO", "RTMIN+99", "RTMIN+", "INT\0" } do
        raises(bad(2, "unknown signal '" .. unknown:gsub("%z.*", "") .. "'"), function() f("HUP", unknown) end)
      end
      raises(bad(1, "signal 'KILL': nobody can catch it"), function() f "KILL" end)
      raises(bad(1, "signal 'STOP': nobody can catch it"), function() f "STOP" end)
      raises(bad(1, "signal 'URG': goro needs it for itself"), function() f "URG" end)
      raises(bad(1, "signal 'SEGV': it reports a fault, which does not go on"), function() f "SEGV" end)
    end
    raises("bad argument #1 to 'stop' (not a channel of signal.notify)", function() signal.stop(require "goro".chan()) end)
    raises("bad argument #1 to 'stop' (goro.chan expected, got no value)", function() signal.stop() end)
  end)
end)

describe("what the program had", function()
  it("comes back when the last listener goes: stopped, closed, or collected", function()
    for _, go in ipairs { "signal.stop(ch) return ch", "ch:close()", "ch = nil collectgarbage()" } do
      runs(([[
        local function leave(ch) %s end
        goro.run(function() end) -- goro's own are taken
        local before = {}
        for n = 1, 31 do before[n] = mask("Cgt", n) end
        local function listen() return signal.notify("USR1", "HUP"), signal.notify("HUP") end
        local one, two = listen()
        assert(mask("Cgt", USR1) and mask("Cgt", HUP))
        one = nil, leave(one)
        collectgarbage()
        assert(not mask("Cgt", USR1) and mask("Cgt", HUP), "the other one has it")
        kill "HUP"
        assert(two:recv(20) == "HUP")
        two = nil, leave(two)
        collectgarbage()
        for n = 1, 31 do assert(mask("Cgt", n) == before[n], n) end
      ]]):format(go))
    end
  end)

  it("is lua's own handler for INT", function()
    -- lua.c sets one while it runs a script, which raises "interrupted!".
    runs [[
      assert(mask("Cgt", INT))
      local ch = signal.notify "INT"
      kill "INT"
      assert(ch:recv(20) == "INT")
      for _ = 1, 1000000 do end
      signal.stop(ch)
      local ok, e = pcall(function()
        kill "INT"
        for _ = 1, 1e9 do end
      end)
      assert(not ok and e:find "interrupted!", e)
    ]]
  end)

  it("is what it was: the default action", function()
    local r = script [[
      local ch = signal.notify "TERM"
      signal.stop(ch)
      io.write "stopped"
      io.flush()
      kill "TERM"
      goro.sleep(20)
    ]]
    assert.equal("stopped", r.stdout)
    assert.equal(15, r.signal, helper.describe(r))
  end)

  it("is what it was: ignored", function()
    runs([[
      assert(mask("Ign", HUP))
      local ch = signal.notify "HUP"
      assert(not mask("Ign", HUP))
      kill "HUP"
      assert(ch:recv(20) == "HUP")
      signal.stop(ch)
      assert(mask("Ign", HUP))
      kill "HUP"
    ]], { wrap = "sh -c 'trap \"\" HUP; exec \"$@\"' sh" })
  end)

  it("is goro's dump for QUIT", function()
    local r = script [[
      goro.go(function() goro.sleep(100) end)
      goro.sleep(0.05)
      local ch = signal.notify "QUIT"
      kill "QUIT"
      assert(ch:recv(20) == "QUIT")
      goro.sleep(0.1)
      io.stderr:write "between\n"
      signal.stop(ch)
      kill "QUIT"
      goro.sleep(0.5)
    ]]
    assert.equal(0, r.code, helper.describe(r))
    assert.is_truthy(r.stderr:find "^between\n.*sleep", helper.describe(r))
  end)
end)

describe("signal.ignore", function()
  it("makes nobody get it, the process least of all", function()
    runs [[
      local ch, other = signal.notify("USR1", "USR2"), signal.notify "USR1"
      signal.ignore("USR1", "HUP")
      assert(mask("Ign", USR1) and mask("Ign", HUP))
      kill "USR1"
      kill "HUP"
      kill "USR2"
      assert(ch:recv(20) == "USR2" and #ch == 0 and #other == 0)
      local again = signal.notify "USR1"
      kill "USR1"
      assert(again:recv(20) == "USR1")
      signal.stop(again)
      assert(mask("Ign", USR1), "that is what was there")
      signal.stop(other)
      signal.stop(ch)
      local ok, e = pcall(ch.recv, ch)
      assert(not ok and e:find "deadlock", e)
    ]]
  end)
end)

describe("signals", function()
  it("end a server in good order", function()
    passes(function()
      local goro = require "goro"
      local ready = goro.chan()
      local stat <close> = io.open "/proc/self/stat"
      local self = stat:read "n"
      goro.go(function()
        local addr = ready:recv()
        local c = assert(goro.net.dial("tcp", addr))
        assert(c:write "slow\n" and c:read "l" == "begun")
        os.execute("kill -TERM " .. self)
        assert(c:read "l" == "slow" and c:read() == nil)
        assert(select(3, goro.net.dial("tcp", addr)) == "ECONNREFUSED")
        ready:send "done"
      end)
      local listener = assert(goro.net.listen("tcp", "127.0.0.1:0"))
      local stop = goro.signal.notify("INT", "TERM")
      goro.go(function()
        assert(stop:recv() == "TERM")
        listener:close()
      end)
      ready:send(listener:addr())
      local group = goro.group()
      while true do
        local conn, _, code = listener:accept()
        if not conn then
          assert(code == "ECANCELED")
          break
        end
        group:go(function()
          local conn <close> = conn
          local line = conn:read "l"
          conn:write "begun\n"
          goro.sleep(0.2)
          conn:write(line, "\n")
        end)
      end
      group:wait()
      assert(ready:recv(20) == "done")
    end)
  end)

  it("come and go on many threads", function()
    for _, procs in ipairs { "1", "2", "8" } do
      runs([[
        goro.maxprocs(tonumber(arg[1]))
        local keep = signal.notify("USR1", "USR2")
        local group, stop = goro.group(), goro.chan()
        for i = 1, 8 do
          group:go(function(self, rounds)
            local goro = require "goro"
            for k = 1, rounds do
              local name = (i + k) % 2 == 0 and "USR1" or "USR2"
              local ch = goro.signal.notify(name)
              goro.process.run { "kill", "-" .. name, tostring(self) }
              assert(ch:recv(20) == name)
              if k % 3 == 0 then goro.signal.stop(ch) elseif k % 3 == 1 then ch:close() end
            end
          end, self, tonumber(arg[2]))
        end
        group:wait()
        signal.stop(keep)
        for _ = 1, 1000 do -- until the last state is gone
          if not mask("Cgt", USR1) and not mask("Cgt", USR2) then return end
          goro.sleep(0.01)
        end
        error "they are still taken"
      ]], { args = { procs, tostring(helper.rounds(40)) } })
    end
  end)

  it("need a descriptor or two", function()
    runs([[
      local files = {}
      for f in function() return (io.open "/dev/null") end do files[#files + 1] = f end
      local ch, refused, closed = nil, 0, 0
      repeat
        local c, m, code = signal.notify "USR1"
        if not c then
          refused = refused + 1
          assert(c == nil and m == "EMFILE: too many open files" and code == "EMFILE", m)
        elseif select(3, c:recv(0.2)) == "timeout" then ch = c
        else closed = closed + 1 end
        table.remove(files):close()
        for _ = 1, 1000 do -- a closed channel is told first
          if mask("Cgt", USR1) == (ch ~= nil) then break end
          goro.sleep(0.01)
        end
        assert(mask("Cgt", USR1) == (ch ~= nil), "taken only by who is told")
      until ch
      for _, f in ipairs(files) do f:close() end
      kill "USR1"
      assert(ch:recv(20) == "USR1")
      assert(refused > 1)
    ]], { wrap = "prlimit --nofile=60:60" })
  end)

  it("fail without memory, at each allocation in turn", function()
    local r = script [[
      local testing = require "goro.testing"
      signal.notify "USR1":close()
      local failures, n, made = 0, 0, nil
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok, err = pcall(function() signal.stop(signal.notify("USR1", "HUP")) end)
        made = testing.fail_at(0)
        assert(not mask("Cgt", USR1) and not mask("Cgt", HUP))
        if not ok then
          failures = failures + 1
          assert(err:find("not enough memory", 1, true), err)
        end
      until made < n
      assert(failures > 0)
      io.write "done"
    ]]
    assert.equal("done", r.stdout, helper.describe(r))
  end)
end)
