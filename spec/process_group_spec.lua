-- SPDX-License-Identifier: MIT
-- Process groups of children: who gets one, whom signals reach, and what a child may do with the
-- terminal.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes_anywhere = helper.passes_anywhere

-- A terminal for the interpreter, on which script(1) types what these commands write.
local function terminal(typed)
  return ([[sh -c '(%s) | script -qec "$*" /dev/null' sh]]):format(typed)
end

-- What asks at a terminal (ssh, sudo, git) does this: no echo, a line, echo again.
local ASK = [[
  local goro = require "goro"
  local process = goro.process
  local ask = { "sh", "-c", "exec 3<>/dev/tty; stty -echo <&3 && echo ? >&3 && read x <&3; " ..
    "stty echo <&3; echo got $x" }
]]

describe("a child and the terminal", function()
  it("may ask on it", function()
    for _, how in ipairs { "(%s)()", "goro.run(%s)" } do
      local r = helper.run_script(ASK .. how:format [[function()
        for _, opts in ipairs { {}, { group = false, timeout = 1000 }, { timeout = math.huge } } do
          local r = assert(process.run(ask, opts))
          io.write(r.code, " ", r.stdout)
          io.flush()
        end
      end]], { wrap = terminal "echo line1; echo line2; echo line3" })
      local got = r.stdout:find "0 got line1.*0 got line2.*0 got line3"
      assert.is_true(r.code == 0 and got ~= nil, helper.describe(r))
    end
  end)

  it("is killed when it asks and has a process group of its own; a failure says so", function()
    for _, how in ipairs { "(%s)()", "goro.run(%s)" } do
      for _, case in ipairs {
        { "process.run(ask, { timeout = 1000 })", "TTOU", "sh" },
        { "process.run(ask, { group = true })", "TTOU", "sh" },
        { "process.run('cat /dev/tty', { group = true })", "TTIN", "cat /dev/tty" },
        { "process.spawn('cat /dev/tty', { group = true }):wait()", "TTIN", "process %d+" },
      } do
        local r = helper.run_script(ASK .. how:format([[function()
          local r, m, c = ]] .. case[1] .. [[

          io.write("<", tostring(r), ">", m, "<", c, ">")
        end]]), { wrap = terminal "sleep 0.1" })
        local message = ("<nil>EIO: stopped by %s, for its process group is not the terminal's; "
          .. "with group = false it may use the terminal: %s<EIO>"):format(case[2], case[3])
        assert.is_truthy(r.code == 0 and r.stdout:find(message), helper.describe(r))
      end
    end
  end)

  it("leaves the terminal's foreground group as it was", function()
    local r = helper.run_script([[
      local process = require "goro".process
      local function foreground()
        local f <close> = io.open "/proc/self/stat"
        return f:read "a":match "%) %a %-?%d+ %-?%d+ %-?%d+ %-?%d+ (%-?%d+)"
      end
      local before = foreground()
      process.run("cat /dev/tty", { group = true })
      process.run("true")
      process.run("true", { timeout = 100 })
      assert(foreground() == before and tonumber(before) > 0)
      io.write "done"
    ]], { wrap = terminal "sleep 0.1" })
    assert.is_truthy(r.code == 0 and r.stdout:find "done", helper.describe(r))
  end)
end)

describe("a child that is stopped", function()
  it("is killed by run when it has a group of its own", function()
    passes_anywhere(function()
      local process = require "goro".process
      for _, opts in ipairs { { group = true }, { timeout = 1000 } } do
        local r, m, c = process.run("kill -STOP $$", opts)
        assert(r == nil and c == "EIO"
          and m == "EIO: stopped by STOP; with group = false it is left stopped: kill -STOP $$", m)
      end
    end)
  end)

  it("is its owner's business when it was spawned, or is in the program's group", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process = goro.process
      local p <close> = process.spawn("kill -STOP $$; exit 3", { group = true })
      local function stopped()
        local f <close> = io.open("/proc/" .. p.pid .. "/stat")
        return f:read "a":find "%) T" ~= nil
      end
      while not stopped() do goro.sleep(0.01) end
      assert(select(3, p:wait(0.6)) == "ETIMEDOUT" and stopped())
      assert(p:kill "CONT" and p:wait() == 3)
      assert(process.run("(sleep 0.6; kill -CONT $$) & kill -STOP $$; exit 4").code == 4)
    end)
  end)
end)

describe("a process group of its own", function()
  it("is what a child has with group = true or a timeout", function()
    passes_anywhere(function()
      local process = require "goro".process
      local f <close> = io.open "/proc/self/stat"
      local mine = f:read "a":match "%) %a %d+ (%d+)"
      local function has_own(opts)
        local show = "read -r _ _ _ _ group _ </proc/$$/stat; echo $$ $group"
        local group = process.run(show, opts).stdout
        local pid, of = group:match "^(%d+) (%d+)\n$"
        assert((of == pid) ~= (of == mine))
        return of == pid
      end
      assert(not has_own() and not has_own {} and not has_own { timeout = math.huge })
      assert(not has_own { group = false } and not has_own { group = false, timeout = 100 })
      assert(has_own { group = true } and has_own { timeout = 100 })
      assert(has_own { group = true, timeout = 100 })
      for _, own in ipairs { true, false } do
        local p <close> = process.spawn({ "sleep", "100" }, { group = own })
        local stat <close> = io.open("/proc/" .. p.pid .. "/stat")
        local of = stat:read "a":match "%) %a %d+ (%d+)"
        assert(of == (own and tostring(p.pid) or mine))
      end
    end)
  end)

  it("is signalled as a whole; else the child alone is", function()
    passes_anywhere(function()
      local goro = require "goro"
      local process = goro.process
      -- Two processes: the shell, and a sleep that has the shell's pipe. Whoever of them lives on
      -- keeps the file locked.
      local d = assert(goro.fs.mkdtemp())
      local lock = d .. "/lock"
      local command = ("exec 9>%s; flock 9; sleep 1000 & echo $!; wait"):format(lock)
      local function others_live() return process.run { "flock", "-n", lock, "true" }.code ~= 0 end
      local function gone()
        for _ = 1, 1000 do
          if not others_live() then return true end
          goro.sleep(0.01)
        end
      end
      local function alone(pid)
        assert(others_live(), "only the child was to be killed")
        assert(process.run { "kill", "-KILL", pid }.code == 0 and gone())
      end
      -- A run's time is over.
      local r = process.run(command, { timeout = 0.3 })
      assert(r.timed_out and r.signal == "KILL" and gone(), "somebody of the group lives")
      r = process.run(command, { timeout = 0.3, group = false })
      assert(r.timed_out and r.signal == "KILL")
      alone(r.stdout:match "%d+")
      -- A spawned one is killed, or its block is left.
      for _, own in ipairs { true, false } do
        for _, way in ipairs { "kill", "close" } do
          local other
          do
            local p <close> = process.spawn(command, { group = own })
            other = p.stdout:read "l"
            if way == "kill" then assert(p:kill() and select(2, p:wait()) == "TERM") end
          end
          if own then assert(gone()) else alone(other) end
        end
      end
      goro.fs.remove(d, { recursive = true })
    end)
  end)

  it("is not the program's, whose signals reach the other children only", function()
    local r = helper.run_script([[
      local goro = require "goro"
      local process = goro.process
      local d = assert(goro.fs.mkdtemp())
      local function child(name)
        return ("cd %s; echo $$ >%s.new; mv %s.new %s; exec sleep 1000"):format(d, name, name, name)
      end
      goro.go(function() process.run(child "plain") end)
      goro.go(function() process.run(child "alone", { group = false, timeout = 900 }) end)
      goro.go(function() process.run(child "own", { group = true }) end)
      local pids = {}
      for _, name in ipairs { "plain", "alone", "own" } do
        while not goro.fs.exists(d .. "/" .. name) do goro.sleep(0.01) end
        pids[#pids + 1] = goro.fs.read_file(d .. "/" .. name):match "%d+"
      end
      goro.fs.remove(d, { recursive = true })
      print(table.concat(pids, " "))
      io.flush()
      process.run("kill -" .. arg[1] .. " 0", { stdout = "null" })
      goro.sleep(1000)
    ]], { args = { "TERM" }, wrap = "setsid -w" })
    local plain, alone, own = r.stdout:match "(%d+) (%d+) (%d+)"
    assert.is_truthy(r.signal == 15 and own, helper.describe(r))
    local function alive(pid) return os.execute(("kill -0 %s 2>/dev/null"):format(pid)) end
    assert.is_true(helper.eventually(function() return not alive(plain) and not alive(alone) end))
    assert.is_true(alive(own))
    os.execute("kill -KILL " .. own)
  end)

  it("is asked for by a boolean", function()
    local process = require "goro".process
    for _, name in ipairs { "run", "spawn" } do
      local f = process[name]
      helper.raises("bad argument #2 to 'f' (field 'group': boolean expected, got string)",
        function() f("true", { group = "x" }) end)
    end
  end)
end)
