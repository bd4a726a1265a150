-- SPDX-License-Identifier: MIT
-- goro.process: what run and spawn give, what they refuse, what of the program's reaches a child; ends of every kind; no zombies, no descriptors left.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("process.run", function()
  it("gives the code and what was written", function()
    passes_anywhere(function()
      local process = require "goro".process
      local function same(t, code, signal, out, err)
        assert(t.code == code and t.signal == signal and t.stdout == out and t.stderr == err and t.timed_out == nil)
      end
      same(process.run { "echo", "a", "b  c", 12 }, 0, nil, "a b  c 12\n", "")
      same(process.run { "printf", "%s", "$HOME; `x` *" }, 0, nil, "$HOME; `x` *", "")
      same(process.run "echo out; echo err >&2; exit 3", 3, nil, "out\n", "err\n")
      same(process.run "exit 255", 255, nil, "", "")
      same(process.run "-x", 127, nil, "", process.run("-x").stderr)
      for _, name in ipairs { "TERM", "KILL", "INT", "USR1", "PIPE", "HUP" } do
        same(process.run("kill -" .. name .. " $$"), nil, name, "", "")
      end
      assert(process.run("kill -35 $$").signal == "RTMIN+1")
      same(process.run({ "cat" }, { stdin = "a\0b" }), 0, nil, "a\0b", "")
      same(process.run { "cat" }, 0, nil, "", "")
      same(process.run({ "sh", "-c", "echo x; echo y >&2" }, { stdout = "null" }), 0, nil, nil, "y\n")
      same(process.run({ "sh", "-c", "echo x; echo y >&2" }, { stderr = "null" }), 0, nil, "x\n", nil)
    end)
  end)

  it("lets the child write where the program does", function()
    local out = helper.ended_well(helper.run_script [[
      local process = require "goro".process
      local r = process.run({ "echo", "through" }, { stdout = "inherit", stderr = "null" })
      assert(r.code == 0 and r.stdout == nil and r.stderr == nil)
    ]])
    assert.equal("through\n", out)
  end)

  it("moves any amount both ways at once", function()
    passes_anywhere(function()
      local process = require "goro".process
      local data = {}
      for i = 1, 200000 do data[i] = ("%07d\n"):format(i) end
      data = table.concat(data)
      local r = process.run({ "sh", "-c", "tee /dev/stderr" }, { stdin = data })
      assert(r.code == 0 and r.stdout == data and r.stderr == data)
      r = process.run "head -c 5000000 /dev/zero; head -c 7000000 /dev/zero >&2"
      assert(#r.stdout == 5000000 and #r.stderr == 7000000)
    end)
  end)

  it("does not mind a child that does not read", function()
    passes_anywhere(function()
      local process = require "goro".process
      local data = ("x"):rep(1000000)
      for _ = 1, 20 do
        local r = process.run({ "true" }, { stdin = data })
        assert(r.code == 0 and r.stdout == "")
      end
      local r = process.run("exec <&-; sleep 0.05; echo done", { stdin = data })
      assert(r.code == 0 and r.stdout == "done\n")
      r = process.run({ "head", "-c", "3" }, { stdin = data })
      assert(r.code == 0 and r.stdout == "xxx")
    end)
  end)

  it("kills the whole group when the time is over", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process, time = goro.process, goro.time
      local start = time.now()
      local r = process.run("echo $$; sleep 1000 & sleep 1000", { timeout = 0.2 })
      assert(r.timed_out == true and r.signal == "KILL" and r.code == nil)
      assert(time.now() - start < 20)
      local group = math.tointeger(tonumber(r.stdout:match "^(%d+)\n$"))
      for _ = 1, 500 do
        if process.run({ "pgrep", "-g", tostring(group), "-r", "R,S,D" }).code == 1 then break end
        goro.sleep(0.01)
      end
      assert(process.run({ "pgrep", "-g", tostring(group), "-r", "R,S,D" }).code == 1, "somebody of the group lives")
      -- The child has ended, and another of the group keeps its pipe.
      r = process.run("sleep 1000 & echo x", { timeout = 0.2 })
      assert(r.timed_out and r.stdout == "x\n")
      -- One that ignores other signals; one that has left the group with the pipe.
      r = process.run("trap '' TERM INT; while :; do :; done", { timeout = 0.1 })
      assert(r.timed_out and r.signal == "KILL")
      r = process.run("setsid sleep 5 & sleep 0.1; exit 4", { timeout = 0.5 })
      assert(r.timed_out)
      r = process.run("yes", { timeout = 0.1 })
      assert(r.timed_out and #r.stdout > 0)
      for _, never in ipairs { 0, -1 } do assert(process.run({ "sleep", "1000" }, { timeout = never }).timed_out) end
      assert(process.run({ "true" }, { timeout = math.huge }).timed_out == nil)
    end)
  end)

  it("says why a command could not start", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process, fs = goro.process, goro.fs
      local function fails(code, text, ...)
        local r, message, c = process.run(...)
        assert(r == nil and message == text and c == code, message)
        r, message, c = process.spawn(...)
        assert(r == nil and message == text and c == code, message)
      end
      fails("ENOENT", "ENOENT: no such file or directory: no-such-command", { "no-such-command" })
      fails("ENOENT", "ENOENT: no such file or directory: /no/such", { "/no/such" })
      fails("ENOENT", "ENOENT: no such file or directory: /no/folder", { "true" }, { cwd = "/no/folder" })
      fails("ENOENT", "ENOENT: no such file or directory: ", { "" })
      fails("ENOTDIR", "ENOTDIR: not a directory: /etc/passwd", { "true" }, { cwd = "/etc/passwd" })
      fails("EACCES", "EACCES: permission denied: /etc", { "/etc" })
      fails("EINVAL", "EINVAL: invalid argument (a zero in the string): a\0b", { "echo", "a\0b" })
      fails("EINVAL", "EINVAL: invalid argument (a zero in the string): a\0b", "a\0b")
      fails("EINVAL", "EINVAL: invalid argument (a zero in the string): X=a\0b", "true", { env = { X = "a\0b" } })
      fails("EINVAL", "EINVAL: invalid argument (a zero in the string): /\0", "true", { cwd = "/\0" })
      local d <const> = assert(fs.mkdtemp())
      assert(fs.write_file(d .. "/cmd", "#!/bin/sh\necho $0", { mode = tonumber("644", 8) }))
      fails("EACCES", "EACCES: permission denied: cmd", { "cmd" }, { env = { PATH = "/no:" .. d } })
      fs.chmod(d .. "/cmd", tonumber("755", 8))
      assert(process.run({ "cmd" }, { env = { PATH = "/no:" .. d } }).stdout == d .. "/cmd\n", "PATH is the child's")
      assert(process.run({ "./cmd" }, { cwd = d }).stdout == "./cmd\n", "relative to its folder")
      fs.remove(d, { recursive = true })
    end)
  end)

  it("has the folder and the environment that were asked for", function()
    passes(function()
      local process = require "goro".process
      assert(process.run({ "pwd" }, { cwd = "/usr" }).stdout == "/usr\n")
      local show = { "sh", "-c", 'echo "$A-$B-${HOME-none}"' }
      assert(process.run(show, { env = { A = "x y", B = 2, HOME = false } }).stdout == "x y-2-none\n")
      assert(process.run({ "env" }, { clear_env = true }).stdout == "")
      assert(process.run({ "env" }, { clear_env = true, env = { Q = "1=2" } }).stdout == "Q=1=2\n")
      assert(process.run({ "sh", "-c", "echo $A" }, { env = { A = "new" } }).stdout == "new\n")
    end, { env = { A = "old" } })
  end)

  it("reads an environment that changes meanwhile", function()
    passes(function()
      local process = require "goro".process
      local n = 0
      local options = setmetatable({}, { __index = function(_, name)
        if name ~= "env" then return nil end
        n = n + 1
        local t = {}
        for i = 1, n == 1 and 1 or 2000 do t["V" .. i] = "x" end
        return t
      end })
      local ok, e = pcall(process.run, { "true" }, options)
      assert(not ok and e == "the command or its environment changed while it was read", e)
    end)
  end)

  it("raises misuse at the caller's line", function()
    local goro = require "goro"
    local process = goro.process
    local raises = helper.raises
    for _, name in ipairs { "run", "spawn" } do
      local f = process[name]
      local function bad(n, text) return ("bad argument #%d to '%s' (%s)"):format(n, "f", text) end
      raises(bad(1, "table or string expected, got no value"), function() f() end)
      raises(bad(1, "table or string expected, got nil"), function() f(nil) end)
      raises(bad(1, "table or string expected, got number"), function() f(12) end)
      raises(bad(1, "the command is empty"), function() f {} end)
      raises(bad(1, "[2]: string expected, got boolean"), function() f { "a", true } end)
      raises(bad(2, "table expected, got string"), function() f("true", "x") end)
      raises(bad(2, "field 'cwd': string expected, got number"), function() f("true", { cwd = 1 }) end)
      raises(bad(2, "field 'stdout': invalid value 'x'"), function() f("true", { stdout = "x" }) end)
      raises(bad(2, "field 'stderr': string expected, got boolean"), function() f("true", { stderr = true }) end)
      raises(bad(2, "field 'env': table expected, got string"), function() f("true", { env = "A=1" }) end)
      raises(bad(2, "field 'env': names must be strings"), function() f("true", { env = { "A=1" } }) end)
      raises(bad(2, "field 'env': invalid name 'A='"), function() f("true", { env = { ["A="] = "1" } }) end)
      raises(bad(2, "field 'env': string or false expected for 'A', got boolean"), function() f("true", { env = { A = true } }) end)
    end
    local run = process.run
    raises("bad argument #2 to 'run' (field 'stdin': string expected, got boolean)", function() run("true", { stdin = true }) end)
    raises("bad argument #2 to 'run' (field 'timeout': number expected, got string)", function() run("true", { timeout = "1" }) end)
    raises("bad argument #2 to 'run' (field 'timeout': number expected, got nan)", function() run("true", { timeout = 0 / 0 }) end)
  end)
end)

describe("a child", function()
  it("has default actions and no blocked signals, and none of goro's descriptors", function()
    passes_anywhere(function()
      local function names(text)
        local t = {}
        for fd in text:gmatch "%d+" do t[#t + 1] = fd end
        table.sort(t)
        return table.concat(t, " ")
      end
      local list = "ls /proc/self/fd"
      local goro = require "goro"
      local before = goro.process.run(list).stdout
      local l = assert(goro.net.listen("tcp", "127.0.0.1:0"))
      local conn = assert(goro.net.dial("tcp", l:addr()))
      local p <close> = assert(goro.process.spawn { "sleep", "100" })
      local ch = goro.signal.notify "USR2"
      goro.signal.ignore "HUP"
      local function look()
        local r = goro.process.run "grep -E 'Sig(Blk|Ign)' /proc/self/status"
        -- Signals 32 and 33 are the C library's own.
        assert(r.stdout:find "SigBlk:%s*0000000000000000\nSigIgn:%s*0000000[01][80]0000000\n", r.stdout)
        assert(names(goro.process.run(list).stdout) == names(before))
        assert(#names(goro.process.run({ "ls", "/proc/" .. p.pid .. "/fd" }).stdout) <= #names(before))
      end
      look()
      goro.run(look)
      conn:close()
      l:close()
      goro.signal.stop(ch)
    end)
  end)

  it("keeps what was ignored when the program began", function()
    local r = helper.run_script([[
      local r = require "goro".process.run "grep SigIgn /proc/self/status"
      assert(r.stdout:find "SigIgn:%s*0000000[01][80]0000001\n", r.stdout)
    ]], { wrap = "sh -c 'trap \"\" HUP; exec \"$@\"' sh" })
    helper.ended_well(r)
  end)

  it("is killed and reaped when its run is given up", function()
    local r = helper.run_function(function()
      local goro = require "goro"
      goro.go(function()
        goro.sleep(0.1)
        error "out"
      end)
      local ok, e = pcall(goro.process.run, { "sleep", "1000.125" })
      assert(not ok and tostring(e):find "out", e)
      assert(not os.execute "pgrep -f 'sleep 1000[.]125' >/dev/null", "the main script's run was given up")
    end)
    assert.equal(0, r.code, helper.describe(r))
    local out = helper.ended_well(helper.run_script [[
      local goro = require "goro"
      goro.go(function() goro.process.run({ "sleep", "1000.25" }) end)
      goro.sleep(0.2)
    ]])
    assert.equal("", out)
    assert.is_true(helper.eventually(function() return not os.execute "pgrep -f 'sleep 1000[.]25' >/dev/null" end))
  end)
end)

describe("process.spawn", function()
  it("gives a process with its pipes", function()
    passes_anywhere(function()
      local goro = require "goro"
      local p = assert(goro.process.spawn { "cat" })
      assert(tostring(p):find "^goro.process.child: " and math.type(p.pid) == "integer" and p.nothing == nil)
      assert(p.stdin == p.stdin and tostring(p.stdin):find "^goro.net.conn")
      assert(p.stdin:write "one\ntwo" == p.stdin and p.stdout:read "l" == "one")
      local _, m, c = p:wait(0.01)
      assert(c == "ETIMEDOUT" and m == "ETIMEDOUT: timed out: process " .. p.pid, m)
      assert(select(3, p:wait(0)) == "ETIMEDOUT")
      assert(p.stdin:close() and p.stdout:read "a" == "two")
      local code, signal = p:wait()
      assert(code == 0 and signal == nil)
      assert(p:wait() == 0 and p:wait(0) == 0)
      _, m, c = p:kill()
      assert(c == "ESRCH" and m == "ESRCH: no such process: process " .. p.pid, m)
      p = goro.process.spawn("exec cat >&2", { stdin = "null", stdout = "null", stderr = "inherit" })
      assert(p.stdin == nil and p.stdout == nil and p.stderr == nil and p:wait() == 0)
    end)
  end)

  it("kills by name and by number", function()
    passes_anywhere(function()
      local process = require "goro".process
      for sig, name in pairs { TERM = "TERM", KILL = "KILL", [2] = "INT", [9] = "KILL", USR1 = "USR1" } do
        local p = process.spawn { "sleep", "1000" }
        assert(p:kill(sig) == true)
        local code, signal = p:wait()
        assert(code == nil and signal == name)
      end
      local p <close> = process.spawn { "sleep", "1000" }
      for _, bad in ipairs { "FOO", "SIGTERM", "term", "" } do
        local _, e = pcall(p.kill, p, bad)
        assert(e:find(("(unknown signal '%s')"):format(bad), 1, true), e)
      end
      for _, bad in ipairs { 0, -1, 65, 1000 } do
        local _, e = pcall(p.kill, p, bad)
        assert(e:find(("(unknown signal %d)"):format(bad), 1, true), e)
      end
    end)
  end)

  it("is awaited by several at once, in several states", function()
    passes(function()
      local goro = require "goro"
      local p = goro.process.spawn "sleep 0.2; exit 7"
      local out = goro.chan()
      for i = 1, 50 do
        goro.go(function() out:try_send(i % 2 == 0 and p:wait() or select(1, p:wait(30)), 30) end)
      end
      for _ = 1, 50 do assert(out:recv() == 7) end
      assert(goro.run(function() return p:wait(), p.pid end) == 7)
      assert(goro.run(function() return p end) == p)
      local runtime = goro.runtime
      local q <close> = goro.process.spawn { "sleep", "1000" }
      goro.go(function() q:wait() end)
      goro.go(function() goro.process.run({ "sleep", "1" }) end)
      goro.sleep(0.2)
      local dump = runtime.dump()
      assert(dump:find "process wait" and dump:find "process run", dump)
    end)
  end)

  it("is killed and reaped when its block is left", function()
    passes_anywhere(function()
      local process = require "goro".process
      local pid
      do
        local p <close> = process.spawn { "sleep", "1000" }
        pid = p.pid
      end
      assert(not io.open("/proc/" .. pid .. "/stat"))
      pcall(function()
        local p <close> = process.spawn { "sleep", "1000" }
        pid = p.pid
        error "x"
      end)
      assert(not io.open("/proc/" .. pid .. "/stat"))
    end)
  end)

  it("goes on when its handle is collected, and is reaped", function()
    passes_anywhere(function()
      local goro = require "goro"
      local p = goro.process.spawn("sleep 0.3", { stdin = "null", stdout = "null", stderr = "null" })
      local stat = "/proc/" .. p.pid .. "/stat"
      p = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert(io.open(stat):read "a":match "%) (%a)" ~= "Z")
      for _ = 1, 1000 do
        goro.sleep(0.01)
        if not io.open(stat) then return end
      end
      error "it is not reaped"
    end)
  end)

  it("waits in vain for no deadlock report", function()
    passes(function()
      local goro = require "goro"
      local p <close> = goro.process.spawn { "sleep", "1000" }
      goro.go(function() goro.sleep(0.1) p:kill() end)
      assert(select(2, p:wait()) == "TERM")
      local q <close> = goro.process.spawn { "sleep", "1000" }
      local ok, e = pcall(function() goro.chan():recv() end)
      assert(not ok and e:find "deadlock", "a child that nobody waits for is no reason")
      assert(q:kill())
    end)
  end)
end)

describe("the program", function()
  it("keeps its SIGCHLD, and its other children", function()
    passes(function()
      local goro = require "goro"
      local before = io.open "/proc/self/status":read "a":match "SigCgt:%s*(%x+)"
      local out = goro.chan(100)
      for i = 1, 10 do
        goro.go(function()
          for _ = 1, 5 do
            local ok, how, code = os.execute("exit " .. i)
            out:send(not ok and how == "exit" and code == i)
            local f = io.popen("echo " .. i .. "; exit " .. i)
            out:send(f:read "n" == i and select(3, f:close()) == i)
            out:send(goro.process.run("exit " .. i).code == i)
            out:send(goro.process.spawn("exit " .. i):wait() == i)
          end
        end)
      end
      for _ = 1, 200 do assert(out:recv()) end
      local after = io.open "/proc/self/status":read "a":match "SigCgt:%s*(%x+)"
      assert(tonumber(after, 16) & 1 << 16 == tonumber(before, 16) & 1 << 16)
    end)
  end)

  it("loses a status only by its own doing", function()
    passes_anywhere(function()
      local goro = require "goro"
      goro.signal.ignore "CHLD"
      local r = goro.process.run { "true" }
      assert(r.code == nil and r.signal == nil)
      local _, m, c = goro.process.spawn { "true" }:wait()
      assert(c == "ECHILD" and m:find "^ECHILD: no child processes: process %d+$", m)
    end)
  end)

  it("has as many descriptors and children afterwards as before", function()
    for _, procs in ipairs { 1, 2, 8 } do
      passes(function(n, rounds)
        local goro = require "goro"
        local process = goro.process
        goro.maxprocs(tonumber(n))
        local self = io.open "/proc/self/stat":read "n"
        local function lines_of(command)
          local pipe = io.popen(command)
          local _, lines = pipe:read "a":gsub("\n", "")
          pipe:close() -- one that is left to the collector would be counted the next time
          return lines
        end
        local function count() return lines_of("ls /proc/" .. self .. "/fd"), lines_of("pgrep -P " .. self) end
        process.run "true"
        process.spawn { "true" }:wait()
        collectgarbage()
        local fds, children = count()
        local group = goro.group()
        for i = 1, 8 do
          group:go(function()
            for k = 1, tonumber(rounds) do
              local what = (i + k) % 6
              if what == 0 then
                assert(process.run({ "cat" }, { stdin = ("x"):rep(k * 3000) }).stdout == ("x"):rep(k * 3000))
              elseif what == 1 then
                assert(process.run({ "sleep", "100" }, { timeout = 0.01 }).timed_out)
              elseif what == 2 then
                local p <close> = process.spawn { "cat" }
                p.stdin:write "hello\n"
                assert(p.stdout:read "l" == "hello")
              elseif what == 3 then
                assert(select(3, process.run { "nonesuch" }) == "ENOENT")
              elseif what == 4 then
                local p = process.spawn { "sleep", "100" }
                p:kill()
                assert(select(2, p:wait()) == "TERM")
              else
                process.spawn({ "true" }, { stdout = "null" })
                assert(process.run("exit " .. k % 200).code == k % 200)
              end
            end
            collectgarbage()
          end)
        end
        group:wait()
        collectgarbage()
        collectgarbage()
        local now_fds, now_children
        for _ = 1, 300 do
          now_fds, now_children = count()
          if now_fds <= fds and now_children <= children then return end
          goro.sleep(0.01)
        end
        error(("%d descriptors were %d, %d children were %d"):format(now_fds, fds, now_children, children))
      end, { args = { tostring(procs), tostring(helper.rounds(30)) }, timeout = 120 })
    end
  end)

  it("has no descriptors for a child: an error, nothing lost", function()
    passes(function()
      local process = require "goro".process
      assert(process.run "true".code == 0)
      local files = {}
      for f in function() return (io.open "/dev/null") end do files[#files + 1] = f end
      local r, m, c = process.run { "true" }
      assert(r == nil and c == "EMFILE" and m == "EMFILE: too many open files: true", m)
      r, m, c = process.spawn { "true" }
      assert(r == nil and c == "EMFILE", m)
      for _, f in pairs(files) do f:close() end
      assert(process.run "true".code == 0)
    end, { wrap = "prlimit --nofile=100:100" })
  end)

  it("has too few descriptors for the first child: an error, or a child whose end is known", function()
    for _, name in ipairs { "run", "spawn" } do
      passes(function(what)
        local process = require "goro".process
        local files, good, refused = {}, 0, 0
        for f in function() return (io.open "/dev/null") end do files[#files + 1] = f end
        while good < 3 do
          local r, m, c = process[what] { "true" }
          if not r then
            refused = refused + 1
            assert(c == "EMFILE" and m:find "^EMFILE: too many open files: ", m)
          else
            local code, signal = r.code, r.signal
            if what == "spawn" then code, signal = r:wait(20) end
            assert(code == 0 or signal == "KILL", signal)
            if code == 0 then good = good + 1 end
          end
          table.remove(files):close()
        end
        assert(refused > 5)
      end, { args = { name }, wrap = "prlimit --nofile=60:60" })
    end
  end)

  it("has no memory for a child, at each allocation in turn: an error, no child, nothing open", function()
    local r = helper.run_script [[
      local goro, testing = require "goro", require "goro.testing"
      local process, fs = goro.process, goro.fs
      local self = io.open "/proc/self/stat":read "n"
      local function count()
        local least
        for _ = 1, 10 do
          local n = #fs.list "/proc/self/fd"
          least = math.min(least or n, n)
        end
        return least
      end
      local function each_fault(once)
        once()
        collectgarbage()
        local before, failures, n, made = count(), 0, 0, nil
        repeat
          n = n + 1
          testing.fail_at(n)
          local ok, err = pcall(once)
          made = testing.fail_at(0)
          if not ok then
            failures = failures + 1
            assert(tostring(err):find("not enough memory", 1, true), err)
          end
        until made < n
        assert(failures > 0)
        for _ = 1, 500 do
          collectgarbage()
          if count() <= before and #fs.read_file("/proc/self/task/" .. self .. "/children") == 0 then return end
          goro.sleep(0.01)
        end
        error(("%d descriptors were %d; children: %s"):format(count(), before, fs.read_file("/proc/self/task/" .. self .. "/children")))
      end
      each_fault(function()
        local r = process.run({ "cat" }, { stdin = ("x"):rep(70000), env = { A = "1" }, cwd = "/", timeout = 60 })
        assert(r.code == 0 and #r.stdout == 70000)
      end)
      each_fault(function()
        local p <close> = process.spawn { "cat" }
        p.stdin:write "x\n"
        assert(p.stdout:read "l" == "x")
        p.stdin:close()
        assert(p:wait() == 0)
      end)
      io.write "done"
    ]]
    assert.equal("done", r.stdout, helper.describe(r))
  end)
end)
