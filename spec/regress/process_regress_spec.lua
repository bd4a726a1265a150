-- SPDX-License-Identifier: MIT
-- Bugs that children had.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("a program that ignores SIGCHLD", function()
  -- A fifth of the children had ended, and had no number any more, when they were asked for:
  -- "could not start", ESRCH.
  it("runs its children, and loses no more than how they ended", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process = goro.process
      goro.signal.ignore "CHLD"
      for i = 1, 100 do
        local r, m = process.run({ "echo", i }, i % 2 == 0 and { timeout = 100 } or nil)
        assert(r and r.stdout == i .. "\n", m)
        assert(r.code == nil and r.signal == nil and r.timed_out == nil)
      end
      for i = 1, 100 do
        local p <close> = assert(process.spawn({ "echo", i }, { group = i % 2 == 0 }))
        assert(p.stdout:read "a" == i .. "\n")
        assert(select(3, p:wait()) == "ECHILD")
        assert(select(3, p:kill()) == "ESRCH")
      end
      local r = process.run("sleep 1000 & sleep 1000", { timeout = 0.1 })
      assert(r.timed_out and r.code == nil)
      assert(select(3, process.run { "no-such-command" }) == "ENOENT")
      assert(select(3, process.run({ "true" }, { cwd = "/no/folder" })) == "ENOENT")
    end)
  end)
end)

describe("the limit of descriptors that goro raises", function()
  -- Programs that use select() were given numbers that it cannot take.
  it("is not the children's", function()
    passes(function()
      local goro = require "goro"
      local limit = "ulimit -n"
      local function popen()
        local p <close> = io.popen(limit)
        return p:read "a"
      end
      local function all(soft)
        assert(goro.process.run(limit).stdout == soft .. "\n")
        local p <close> = goro.process.spawn(limit)
        assert(p.stdout:read "a" == soft .. "\n")
        assert(popen() == soft .. "\n")
        assert(os.execute("test $(ulimit -n) = " .. soft .. " && test $(ulimit -H -n) = 300"))
      end
      assert(goro.process.run "true".code == 0) -- the first one raises it
      local f <close> = io.open "/proc/self/limits"
      assert(f:read "a":find "Max open files%s+300%s+300", "it is not raised")
      all "100"
      goro.run(all, "100")
      -- One that the program sets itself is everybody's.
      local pid = io.open "/proc/self/stat":read "n"
      assert(os.execute(("prlimit --nofile=200:300 --pid %d"):format(pid)))
      all "200"
      goro.run(all, "200")
    end, { wrap = "prlimit --nofile=100:300" })
  end)
end)

describe("without descriptors of children (before Linux 5.4)", function()
  -- Each child had a thread that waited for it, beyond GOROMAXTHREADS.
  it("children are run, awaited, killed and reaped, and none has a thread", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process = goro.process
      require "goro.testing".no_pidfds(true)
      local function same(r, code, signal, out)
        assert(r.code == code and r.signal == signal and r.stdout == out)
      end
      same(process.run { "echo", "x" }, 0, nil, "x\n")
      same(process.run "sleep 0.1; exit 3", 3, nil, "")
      same(process.run "kill -TERM $$", nil, "TERM", "")
      local r = process.run("sleep 1000 & sleep 1000", { timeout = 0.1 })
      assert(r.timed_out and r.signal == "KILL")
      assert(select(3, process.run("kill -STOP $$", { group = true })) == "EIO")
      local p <close> = process.spawn { "sleep", "1000" }
      assert(select(3, p:wait(0.05)) == "ETIMEDOUT")
      assert(p:kill() and select(2, p:wait()) == "TERM")
      do local _ <close> = process.spawn { "sleep", "1000" } end
      local many = goro.chan()
      for i = 1, 50 do
        goro.go(function() many:send(goro.process.run("sleep 0.3; exit " .. i).code == i) end)
        goro.go(function() many:send(goro.process.spawn("sleep 0.3; exit " .. i):wait() == i) end)
      end
      assert(#goro.fs.list "/proc/self/task" < 20)
      for _ = 1, 100 do assert(many:recv()) end
      -- What nobody has a handle of is reaped, too.
      local stat = "/proc/" .. process.spawn({ "sleep", "0.1" }).pid .. "/stat"
      for _ = 1, 2000 do
        collectgarbage()
        if not goro.fs.exists(stat) then return end
        goro.sleep(0.01)
      end
      error "it is not reaped"
    end, { env = { GOROMAXTHREADS = 4 } })
  end)

  it("a child that is stopped by the terminal is killed", function()
    local r = helper.run_script([[
      local process = require "goro".process
      require "goro.testing".no_pidfds(true)
      local p = process.spawn("cat /dev/tty", { group = true })
      io.write(select(2, p:wait()))
    ]], { wrap = [[sh -c 'script -qec "$*" /dev/null' sh]] })
    assert.is_truthy(r.stdout:find("EIO: stopped by TTIN", 1, true), helper.describe(r))
  end)

  it("SIGCHLD may be ignored", function()
    passes_anywhere(function()
      local goro = require "goro"
      require "goro.testing".no_pidfds(true)
      goro.signal.ignore "CHLD"
      for i = 1, 20 do
        local r = assert(goro.process.run { "echo", i })
        assert(r.stdout == i .. "\n" and r.code == nil)
        assert(select(3, goro.process.spawn { "true" }:wait()) == "ECHILD")
      end
    end)
  end)
end)

describe("os.execute of the main script", function()
  it("is as deaf to the keyboard's signals as the stock one, and its command is not", function()
    passes(function()
      local goro = require "goro"
      local function ignored(pid)
        local f <close> = io.open("/proc/" .. pid .. "/status")
        return tonumber(f:read "a":match "SigIgn:%s*(%x+)", 16) & 6
      end
      goro.run(function() end)
      assert(ignored "self" == 0)
      local pid = io.open "/proc/self/stat":read "n"
      assert(os.execute(("kill -INT %d; kill -QUIT %d"):format(pid, pid)))
      assert(ignored "self" == 0)
      local ok, how, sig = os.execute "kill -INT $$"
      assert(ok == nil and how == "signal" and sig == 2)
      assert(os.execute() == true and not pcall(os.execute, {}))
      -- It needs no descriptor. (The children do not have these.)
      local files = {}
      for f in function() return (goro.fs.open "/dev/null") end do files[#files + 1] = f end
      assert(#files > 0 and os.execute "true" and goro.run(os.execute, "true"))
    end, { wrap = "prlimit --nofile=60:60" })
  end)
end)
