-- SPDX-License-Identifier: MIT
-- os.execute, io.popen and its file in goroutines: stock Lua's results, without holding the others up;
-- and whole lines from print and io.write, whoever writes at the same time.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("the results are stock Lua's:", function()
  -- Each snippet runs in a plain script, in a script that has goro, and in a goroutine; the output must be the same.
  local PLAIN = [[
    local snippet = load(io.read "a", "=snippet")
    local function show(...)
      local t = table.pack(...)
      for i = 1, t.n do t[i] = type(t[i]) == "string" and ("%q"):format(t[i]) or tostring(t[i]) end
      print(table.concat(t, " "))
    end
    show(pcall(snippet, show))
  ]]
  local WITH_GORO = 'require "goro".run(function() end)\n' .. PLAIN
  local GOROUTINE = ([[
    require "goro".run(function()
      %s
    end)
  ]]):format(PLAIN)

  local function masked(s) return (s:gsub("0x%x+", "0x")) end

  local function same(name, snippet)
    it(name, function()
      snippet = "local show = ...\n" .. snippet
      assert(load(snippet, "=snippet"))
      local stock = helper.run_script(PLAIN, { stdin = snippet })
      assert.is_true(stock.code == 0, helper.describe(stock))
      for _, source in ipairs { WITH_GORO, GOROUTINE } do
        local ours = helper.run_script(source, { stdin = snippet })
        assert.equal(0, ours.code, helper.describe(ours))
        assert.equal(masked(stock.stdout), masked(ours.stdout))
        assert.equal(masked(stock.stderr), masked(ours.stderr))
      end
    end)
  end

  same("os.execute", [[
    show(os.execute())
    show(os.execute(nil))
    for _, command in ipairs {
      "true", "false", "exit 0", "exit 3", "exit 255", "", "echo out", "echo err >&2", "kill -TERM $$", "kill -KILL $$",
      "kill -INT $$", "kill -PIPE $$", "exec no-such-command-here 2>/dev/null", "cd /no/such/folder 2>/dev/null", "sh -c 'kill -TERM $$'; exit 5",
    } do
      io.stdout:flush()
      show(command, os.execute(command))
    end
  ]])

  same("os.execute with wrong arguments", [[
    show(pcall(os.execute, {}))
    show(pcall(os.execute, true))
    show(pcall(function() os.execute({}) end))
    show(os.execute(3 .. "=3 true"))
  ]])

  same("io.popen read in each form", [[
    for _, form in ipairs { "a", "l", "L", "n", 0, 1, 3, 1000, "*a", "*l" } do
      local f = io.popen "printf '12 one\ntwo\n\nlast'"
      show(form, f:read(form))
      show(f:read(form))
      show(f:read "a")
      show(f:read(form))
      show(f:close())
    end
  ]])

  same("io.popen read in several forms, and at the end", [[
    local f = io.popen "printf '7 rest\nsecond\nthird'"
    show(f:read("n", "l", "L", 2, "a", "a", "l"))
    show(f:read())
    show(f:read(0))
    show(f:close())
    f = io.popen "true"
    show(f:read())
    show(f:read "a")
    show(f:read "n")
    show(f:close())
  ]])

  same("io.popen lines", [[
    for l in io.popen "printf 'a\nb\n\nc'":lines() do show(l) end
    for l in io.popen "printf 'a\nb\n'":lines "L" do show(l) end
    for a, b in io.popen "printf '1 2 3 4'":lines("n", "n") do show(a, b) end
    for l in io.popen "printf 'abcdefg'":lines(3) do show(l) end
    for l in io.popen "true":lines() do show(l) end
    local f = io.popen "printf 'a\nb\nc\n'"
    for l in f:lines() do show(l) break end
    show(f:read "a")
    show(f:close())
    show(pcall(f.lines, f))
  ]])

  same("io.popen close", [[
    for _, command in ipairs {
      "true", "exit 3", "exit 255", "kill -TERM $$", "kill -KILL $$", "exec no-such-command-here 2>/dev/null", "cat; exit 4",
    } do
      local f = io.popen(command)
      show(command, f:close())
      show(pcall(f.close, f))
      show(pcall(f.read, f))
      show(tostring(f), io.type(f))
    end
    local f = io.popen "exit 6"
    show(io.close(f))
  ]])

  same("io.popen write", [[
    io.stdout:flush()
    local f = io.popen("all=$(cat); echo \"$all\"; exit 2", "w") -- says it at the end, so that lines come in one order
    show(f:write("one ", 2, " ", 3.5, "\n") == f)
    show(f:flush() == f)
    show(pcall(f.write, f, {}))
    show(f:close())
    f = io.popen("cat >/dev/null", "w")
    f:setvbuf "no"
    for i = 1, 1000 do f:write(i, "\n") end
    show(f:close())
    f = io.popen("exit 3", "w")
    show(f:close())
    f = io.popen("cat", "r")
    show(f:write "x")
    show(f:close())
    f = io.popen("cat >/dev/null", "w")
    show(f:read "a")
    show(f:close())
  ]])

  same("io.popen as the default input", [[
    local before = io.input()
    io.input(io.popen "printf 'first\nsecond\n'")
    show(io.read "l")
    show(io.type(io.input()))
    for l in io.lines() do show(l) end
    show(io.read "l")
    show(io.close(io.input()))
    show(pcall(io.read))
    io.input(before)
  ]])

  same("io.popen with wrong arguments", [[
    show(pcall(io.popen))
    show(pcall(io.popen, {}))
    show(pcall(io.popen, "true", "x"))
    show(pcall(io.popen, "true", "rw"))
    show(pcall(io.popen, "true", ""))
    show(pcall(function() io.popen("true", "x") end))
    show(pcall(function() io.popen() end))
    local f = io.popen "echo text"
    show(pcall(f.read, f, "x"))
    show(pcall(f.read, f, {}))
    show(pcall(function() f:read "*x" end))
    show(pcall(f.read, io))
    show(pcall(f.close))
    show(f:read())
    show(pcall(f.seek, f))
    show(f:close())
  ]])

  same("io.popen as an object", [[
    local f = io.popen "true"
    show(io.type(f), tostring(f):match "^file %(0x%x+%)$" ~= nil, type(f), getmetatable(f).__name)
    local names = {}
    for k in pairs(getmetatable(f)) do names[#names + 1] = k end
    table.sort(names)
    show(table.concat(names, " "))
    names = {}
    for k, v in pairs(getmetatable(f).__index) do names[#names + 1] = k .. type(v) end
    table.sort(names)
    show(table.concat(names, " "))
    show(getmetatable(f) == getmetatable(io.stdout))
    do local g <close> = f end
    show(io.type(f))
    local h
    do local g <close> = io.popen "cat" h = g end
    show(io.type(h), tostring(h))
  ]])

  same("io.popen left to the collector", [[
    for i = 1, 20 do io.popen "cat" end
    collectgarbage()
    collectgarbage()
    show "collected"
  ]])

  same("much output", [[
    local f = io.popen "yes 0123456789 | head -n 200000"
    show(#f:read "a")
    show(f:close())
    f = io.popen "yes 0123456789 | head -n 50000"
    local n = 0
    for l in f:lines() do n = n + #l end
    show(n)
    f = io.popen "yes"
    show(f:read())
    f:close()
  ]])

  same("the other files of io", [[
    local name = os.tmpname()
    local f = io.open(name, "w")
    show(f:write("a\n", 1, "\n") == f, f:seek(), f:close())
    show(pcall(f.write, f, "x"))
    f = io.open(name)
    show(f:read("l", "n"), f:seek("set", 1), f:read "a", f:close())
    for l in io.lines(name) do show(l) end
    show(pcall(io.lines, "/no/such/file"))
    show(io.open "/no/such/file")
    os.remove(name)
    f = io.tmpfile()
    show(f:write "t" == f, f:seek "set", f:read "a", f:close())
  ]])
end)

describe("a child process", function()
  it("has the signal mask and the ignored signals that a plain script's has", function()
    local function masks(r)
      local blocked, ignored = helper.ended_well(r):match "SigBlk:%s*(%x+).*SigIgn:%s*(%x+)"
      -- Signals 32 and 33 are the C library's own, which sets them in some of its children and not in others.
      return { blocked = blocked, ignored = ("%016x"):format(tonumber(ignored, 16) & ~(3 << 31)) }
    end
    local commands = {
      [[os.execute "grep Sig /proc/self/status"]],
      [[local p = io.popen "grep Sig /proc/self/status" io.write(p:read "a") p:close()]],
      [[local p = io.popen("cat >/dev/null; exec grep Sig /proc/self/status", "w") p:close()]],
    }
    for _, command in ipairs(commands) do
      local stock = masks(helper.run_script(command))
      assert.is_truthy(stock.blocked and stock.ignored)
      assert.same(stock, masks(helper.run_script('local goro = require "goro" goro.run(function() end) ' .. command)))
      assert.same(stock, masks(helper.run_script('require "goro".run(function() ' .. command .. " end)")))
      -- Also where the goroutine cannot yield.
      assert.same(stock, masks(helper.run_script(
        'require "goro".run(function() local n = 0 table.sort({ 2, 1 }, function() if n == 0 then ' ..
        command .. " n = 1 end return false end) end)")))
    end
  end)

  it("can be ended by a signal", function()
    passes(function()
      local goro = require "goro"
      for _, signal in ipairs { 15, 2, 1, 13, 14 } do
        local ok, how, n = goro.run(os.execute, "kill -" .. signal .. " $$; exit 77")
        assert(ok == nil and how == "signal" and n == signal, signal)
        ok, how, n = goro.run(function()
          local p = io.popen("kill -" .. signal .. " $$; exit 77")
          assert(p:read "a" == "")
          return p:close()
        end)
        assert(ok == nil and how == "signal" and n == signal, signal)
      end
    end)
  end)

  it("is waited for by the goroutine that started it only", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan()
      for i = 1, 16 do
        goro.go(function()
          local ok, how, n = os.execute(("sleep 0.0%d; exit %d"):format(i % 10, i))
          c:send { i, ok, how, n }
        end)
        goro.go(function()
          local p = io.popen(("sleep 0.0%d; echo %d; exit %d"):format(i % 10, i, i))
          local n = p:read "n"
          local ok, how, code = p:close()
          c:send { i, ok, how, code, n }
        end)
      end
      for _ = 1, 32 do
        local r = c:recv(20)
        assert(r[2] == nil and r[3] == "exit" and r[4] == r[1])
        assert(r[5] == nil or r[5] == r[1])
      end
    end)
  end)
end)

describe("calls that wait for the system", function()
  local SLEEPER = [[
    local goro = require "goro"
    local now = require "system".monotime
    local pause = 0.2 * (tonumber(os.getenv "GORO_SLOW") or 1)
    local command = ("sleep %.3f"):format(pause)
    goro.maxprocs(2)
    local done = goro.chan()
    local t = now()
    for i = 1, 8 do
      goro.go(function()
        FORM
        done:send(true)
      end)
    end
    for _ = 1, 8 do assert(done:recv(60)) end
    local seconds = now() - t
    assert(seconds >= pause)
    -- One after the other would be eight times the pause, two at a time four times.
    assert(seconds < 8 * pause / 2, seconds)
  ]]

  local function overlaps(name, form)
    it(name .. ": eight at once on two processors", function()
      helper.passes_script((SLEEPER:gsub("FORM", form)))
    end)
  end

  overlaps("os.execute", [[assert(os.execute(command))]])
  overlaps("a popen's read", [[
        local p = io.popen(command .. "; echo done")
        assert(p:read "l" == "done")
        assert(p:close())
  ]])
  overlaps("a popen's read of everything", [[
        local p = io.popen(command .. "; echo done")
        assert(p:read "a" == "done\n")
        assert(p:close())
  ]])
  overlaps("a popen's close", [[assert(io.popen(command):close())]])
  overlaps("a popen's lines", [[
        local n = 0
        for l in io.popen(command .. "; echo done"):lines() do
          assert(l == "done")
          n = n + 1
        end
        assert(n == 1)
  ]])
  overlaps("os.execute in a comparator", [[
        local n = 0
        table.sort({ 2, 1 }, function()
          n = n + 1
          if n == 1 then assert(os.execute(command)) end
          return false
        end)
  ]])
  overlaps("os.execute in a coroutine", [[coroutine.wrap(function() assert(os.execute(command)) end)()]])

  it("let other goroutines run meanwhile, on one processor", function()
    passes(function()
      local goro = require "goro"
      local c, stop = goro.chan(), goro.chan()
      goro.go(function()
        assert(os.execute "sleep 0.5")
        stop:close()
      end)
      goro.go(function()
        local p = io.popen "sleep 0.5; echo done"
        p:read "a"
        p:close()
      end)
      goro.go(function()
        local n = 0
        while goro.select { { recv = stop }, timeout = 0.002 } == "timeout" do n = n + 1 end
        c:send(n)
      end)
      assert(c:recv(30) >= 5)
    end, { env = { GOROMAXPROCS = 1 } })
  end)

  it("work in the main script, and let goroutines run meanwhile", function()
    passes(function()
      local goro = require "goro"
      local c = goro.chan(1000)
      goro.go(function()
        for i = 1, 10 do
          goro.sleep(0.002)
          c:send(i)
        end
        c:close()
      end)
      assert(os.execute "sleep 0.5")
      local n = 0
      for _ in c:range() do n = n + 1 end
      assert(n == 10)
      local p = io.popen "sleep 0.1; echo done"
      assert(p:read "l" == "done")
      assert(p:close() == true)
    end)
  end)
end)

describe("what is printed", function()
  -- Every line says who wrote it and which it is, and is padded with one letter; a torn line does not fit the pattern.
  local function whole_lines(out, writers, each)
    local count, last = 0, {}
    for line in out:gmatch "([^\n]*)\n" do
      local who, which, pad = line:match "^<(%d+)\t(%d+)\t(%a*)>$"
      assert.is_truthy(who, ("a torn line: %q"):format(line:sub(1, 200)))
      who, which = tonumber(who), tonumber(which)
      local letter = string.char(97 + who)
      assert.is_true(pad == letter:rep(#pad), "a mixed line of " .. who)
      assert.equal((last[who] or 0) + 1, which, "the order of " .. who)
      last[who] = which
      count = count + 1
    end
    assert.equal(writers * each, count)
    assert.is_true(out:sub(-1) == "\n")
  end

  -- Nine writers: eight goroutines, and the main script as number 0.
  local SCRIPT = [[
    local goro = require "goro"
    goro.maxprocs(4)
    local each = %d
    local function writer(who)
      local pad = string.char(97 + who):rep(%s)
      for i = 1, each do
        %s
      end
    end
    local done = goro.chan()
    for who = 1, 8 do
      goro.go(function()
        writer(who)
        done:send(true)
      end)
    end
    writer(0)
    for _ = 1, 8 do assert(done:recv(60)) end
  ]]

  local forms = {
    ["print, one argument"] = [[print("<" .. who .. "\t" .. i .. "\t" .. pad .. ">")]],
    ["print, several arguments"] = [[print("<" .. who, i, pad .. ">")]],
    ["io.write, many arguments"] = [[
        io.write("<", who, "\t", i, "\t", pad:sub(1, 1), pad:sub(2, 2), pad:sub(3), ">", "\n")
    ]],
    ["io.stdout:write, many arguments"] = [[
        io.stdout:write("<", who, "\t", i, "\t", pad:sub(1, 1), pad:sub(2, 2), pad:sub(3), ">", "\n")
    ]],
    ["print with __tostring"] = [[
        print(setmetatable({}, { __tostring = function() return "<" .. who end }), i, pad .. ">")
    ]],
    ["all of them by turns"] = [[
        if i %% 3 == 0 then print("<" .. who, i, pad .. ">")
        elseif i %% 3 == 1 then io.write("<", who, "\t", i, "\t", pad, ">", "\n")
        else io.stdout:write("<", who, "\t", i, "\t", pad, ">\n") end
    ]],
  }

  for name, form in pairs(forms) do
    for _, pipe in ipairs { false, true } do
      it("comes in whole lines into a " .. (pipe and "pipe" or "file") .. ": " .. name, function()
        local each = helper.rounds(400)
        local r = helper.run_script(SCRIPT:format(each, "who * 7 + 3", form:gsub("%%%%", "%%")), { pipe = pipe })
        whole_lines(helper.ended_well(r), 9, each)
      end)
    end
  end

  it("comes in whole lines that are longer than a buffer", function()
    for _, pipe in ipairs { false, true } do
      local r = helper.run_script(SCRIPT:format(8, "20000 + who * 10000", forms["io.write, many arguments"]), { pipe = pipe })
      whole_lines(helper.ended_well(r), 9, 8)
    end
  end)

  it("comes in whole lines unbuffered", function()
    local each = helper.rounds(100)
    local source = 'io.stdout:setvbuf "no"\n' .. SCRIPT:format(each, "10", forms["print, several arguments"])
    whole_lines(helper.passes_script(source, { pipe = true }), 9, each)
  end)

  it("comes in whole lines from print in nested goroutines and coroutines", function()
    local out = helper.passes(function()
      local goro = require "goro"
      local done = goro.chan()
      for who = 1, 4 do
        goro.go(function()
          goro.run(function()
            coroutine.wrap(function()
              for i = 1, 50 do print("<" .. who, i, string.char(97 + who):rep(30) .. ">") end
            end)()
          end)
          done:send(true)
        end)
      end
      for _ = 1, 4 do assert(done:recv(30)) end
    end)
    whole_lines(out, 4, 50)
  end)

  it("is written out when the script ends, from goroutines too", function()
    local out = helper.passes_script([[
      local goro = require "goro"
      goro.run(function() io.write "from a goroutine, without a line's end; " end)
      io.write "and from main"
    ]], { pipe = true })
    assert.equal("from a goroutine, without a line's end; and from main", out)
  end)

  it("may be an error: print's arguments, as in stock Lua", function()
    passes_anywhere(function()
      local ok, err = pcall(function() print("shown", setmetatable({}, { __tostring = function() return {} end })) end)
      assert(not ok and err:find("'__tostring' must return a string", 1, true), err)
      ok, err = pcall(print, setmetatable({}, { __tostring = function() error("in tostring", 0) end }))
      assert(not ok and err == "in tostring")
      ok, err = pcall(io.write, "a", {}, "b")
      assert(not ok and err:find("string expected, got table", 1, true), err)
      -- Others can still print.
      require "goro".run(function() print "after" end)
      assert(io.write() == io.stdout and io.write("x", 1, 2.5, "\n") == io.stdout)
    end)
  end)
end)
