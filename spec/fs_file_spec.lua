-- SPDX-License-Identifier: MIT
-- Files of goro.fs: io's forms, sharing, closing, pipes, what happens without memory, descriptors.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("a file reads and writes as io's", function()
  -- One child does the same with io.open and with fs.open and compares all results.
  it("in each form, at each border of the buffer", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local path = d .. "/f"
      local function pack(...) return table.pack(...) end
      local function show(t)
        local s = {}
        for i = 1, t.n do
          local v = t[i]
          s[i] = type(v) == "string" and (#v > 40 and #v .. ":" .. v:sub(1, 20) .. v:sub(-20) or ("%q"):format(v)) or math.type(v) and math.type(v) .. v
            or type(v) == "userdata" and "file" or tostring(v)
        end
        return table.concat(s, ", ")
      end
      local texts = {
        "", "\n", "\n\n", "no end", "one\n", "one\ntwo\n", "one\r\ntwo\0three\n\nfour", "12 -7 0x1F .5 5. 1e3 0x.8p1 -0x10\n7up",
        "  +1\t\n2e+5 3e", "1e", "0x", "- 1", "1..2", "nan inf", ("9"):rep(199) .. " 5", ("9"):rep(200) .. " 5", ("9"):rep(201) .. " 5", "0x" .. ("f"):rep(300),
        ("x"):rep(16383) .. "\ny", ("x"):rep(16384) .. "\ny", ("x"):rep(16385) .. "\ny\n", ("line of text\n"):rep(3000), ("z"):rep(70000),
        (" "):rep(16380) .. "123456789 x", ("long "):rep(1000) .. "\n" .. ("longer "):rep(9000) .. "\n",
      }
      local forms = {
        {}, { "l" }, { "L" }, { "a" }, { "n" }, { 0 }, { 1 }, { 7 }, { 2048 }, { 16384 }, { 16385 }, { 100000 }, { "*l" }, { "*a" }, { "*number" }, { "line" },
        { "n", "n", "n" }, { "l", "l", "l" }, { "L", "n", "l" }, { "n", "l", "a", "a" }, { 0, "l", 0, 3, "L", "a", 0 }, { 5, "a", "l", "l" }, { "a", 1, 1 },
        { "l", "l", "n", "n", "n", "n", "n", "n", "n", "n", "a" }, { 3.0 }, { "n", 1, "l" },
      }
      for i, text in ipairs(texts) do
        assert(fs.write_file(path, text))
        for j, form in ipairs(forms) do
          local a <close> = io.open(path)
          local b <close> = fs.open(path)
          for _ = 1, 4 do
            local x, y = pack(a:read(table.unpack(form))), pack(b:read(table.unpack(form)))
            assert(show(x) == show(y), ("text %d form %d: %s | %s"):format(i, j, show(x), show(y)))
            assert(a:seek() == b:seek(), ("text %d form %d: at %d | %d"):format(i, j, a:seek(), b:seek()))
          end
          local lines, ours = {}, {}
          a:seek "set"
          b:seek "set"
          local n = 0
          for v, w in a:lines(table.unpack(form)) do
            n = n + 1
            lines[n] = show(pack(v, w))
            if n == 50 then break end
          end
          n = 0
          for v, w in b:lines(table.unpack(form)) do
            n = n + 1
            ours[n] = show(pack(v, w))
            if n == 50 then break end
          end
          assert(table.concat(lines, ";") == table.concat(ours, ";"), ("text %d form %d"):format(i, j))
        end
      end
      assert(fs.remove(d, { recursive = true }))
    end, { timeout = 120 })
  end)

  it("in any order of reads, writes and seeks", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local seed = os.time()
      math.randomseed(seed)
      local random = math.random
      for round = 1, 40 do
        local mode = ({ "r+", "w+", "a+", "r+b" })[random(4)]
        local text = ("some text\n"):rep(random(0, 5000))
        fs.write_file(d .. "/a", text)
        fs.write_file(d .. "/b", text)
        local a, b = io.open(d .. "/a", mode), fs.open(d .. "/b", mode)
        local function same(what, x, y) assert(x == y, ("%s: %s | %s (seed %d, round %d)"):format(what, x, y, seed, round)) end
        for _ = 1, 60 do
          local op = random(5)
          if op == 1 then
            local n = ({ 0, 1, 10, 5000, 20000 })[random(5)]
            same("read", a:read(n), b:read(n))
            a:seek "cur" -- C wants it between reading and writing
          elseif op == 2 then
            local s = ("w"):rep(random(0, 3000))
            assert(a:write(s, 7, s) == a and b:write(s, 7, s) == b)
            a:seek "cur"
          elseif op == 3 then
            local whence, offset = ({ "set", "cur", "end" })[random(3)], random(-3000, 30000)
            local x, y = a:seek(whence, offset), b:seek(whence, offset)
            same("seek", x, y)
          elseif op == 4 then same("line", a:read "L", b:read "L") a:seek "cur"
          else same("at", a:seek(), b:seek()) end
        end
        a:close()
        assert(b:close())
        same("contents", fs.read_file(d .. "/a"), fs.read_file(d .. "/b"))
      end
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("with each mode, number formats as io's, failures with code", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local path = d .. "/f"
      local f = assert(fs.open(path, "w"))
      local g = assert(io.open(d .. "/g", "w"))
      local values = { 1, 1.0, 0.1, 2 ^ 53, -0.0, 1 / 0, math.mininteger, "s", "" }
      assert(f:write(table.unpack(values)) == f and g:write(table.unpack(values)) and f:write() == f)
      g:close()
      assert(fs.read_file(path) == fs.read_file(d .. "/g"))
      local v, m, code = f:read()
      assert(v == nil and code == "EBADF" and m == "EBADF: bad file descriptor: " .. path)
      assert(f:truncate(3) == true and f:seek "end" == 3 and f:sync() == true and f:stat().size == 3)
      assert(select(3, f:truncate(-1)) == "EINVAL" and select(3, f:seek("set", -1)) == "EINVAL" and select(3, f:seek("cur", math.mininteger)) == "EINVAL")
      assert(f:close() == true and f:close() == true)
      f = fs.open(path)
      assert(select(3, f:write "x") == "EBADF" and f:read "a" == fs.read_file(path))
      f:close()
      f = fs.open(path, "a+b")
      assert(f:write "tail" and f:seek("set", 0) == 0 and f:read "a" == fs.read_file(path) and fs.read_file(path):find "tail$")
      f:close()
      f = fs.open(d)
      assert(select(3, f:read()) == "EISDIR" and f:stat().type == "directory" and f:close())
      local full = fs.open("/dev/full", "w")
      v, m, code = full:write "x"
      assert(v == nil and code == "ENOSPC" and m == "ENOSPC: no space left on device: /dev/full" and full:close())
      local many = {}
      for i = 1, 500 do many[i] = i .. " " end
      f = fs.open(path, "w+")
      assert(f:write(table.unpack(many)) and f:seek "set" == 0 and f:read "a" == table.concat(many))
      f:seek "set"
      local all = table.pack(f:read(table.unpack(setmetatable({}, { __index = function() return "n" end }), 1, 400)))
      assert(all.n == 400 and all[1] == 1 and all[400] == 400)
      assert(f:read(0) == "" and f:read "l" == " " .. table.concat(many, "", 401) and f:read(0) == nil)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("past 4 GB, and however many bytes are asked for", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local f, path = assert(fs.mkstemp())
      local far = (5 << 30) + 12345
      assert(f:seek("set", far) == far and f:write "end\n" and f:seek() == far + 4 and f:stat().size == far + 4)
      assert(f:seek("end", -6) == far - 2 and f:read "a" == "\0\0end\n")
      assert(f:seek("cur", -4) == far and f:read(1 << 40) == "end\n" and f:read(math.maxinteger) == nil)
      assert(fs.stat(path).size == far + 4 and f:truncate(2) and f:seek "set" == 0 and f:read(1 << 40) == "\0\0")
      assert(f:close() and fs.remove(path))
    end)
  end)

  it("and says what is misuse", function()
    local fs = require "goro".fs
    local f <close> = assert(fs.open "/dev/null")
    helper.raises("bad argument #1 to 'read' (invalid format)", function() f:read "x" end)
    helper.raises("bad argument #2 to 'read' (invalid format)", function() f:read("l", "") end)
    helper.raises("bad argument #1 to 'read' (count must not be negative)", function() f:read(-1) end)
    helper.raises("bad argument #1 to 'read' (number has no integer representation)", function() f:read(1.5) end)
    helper.raises("bad argument #1 to 'read' (string expected, got table)", function() f:read {} end)
    helper.raises("bad argument #2 to 'write' (string expected, got nil)", function() f:write("x", nil) end)
    helper.raises("bad argument #1 to 'seek' (invalid option 'here')", function() f:seek "here" end)
    helper.raises("bad argument #1 to 'truncate' (number expected, got no value)", function() f:truncate() end)
    helper.raises("bad argument #1 to 'lines' (invalid format)", function() f:lines "x" end)
    helper.raises("bad argument #1 to 'read' (goro.fs.file expected, got table)", function() f.read {} end)
    assert.is_truthy(tostring(f):find "^goro.fs.file: 0x")
    f:close()
    helper.raises("EBADF: bad file descriptor: /dev/null", function() f:lines() end)
    local dir <close> = assert(fs.open "/tmp")
    helper.raises("EISDIR: illegal operation on a directory: /tmp", function() for _ in dir:lines() do error "no line" end end)
  end)
end)

describe("a file is shared", function()
  it("by reference, and is the same everywhere", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local f, path = fs.mkstemp()
      local c = goro.chan()
      f:write "hello\n"
      goro.go(function() c:send { f = f, read = f.read, line = f:seek "set" and f:read() } end)
      local r = c:recv()
      assert(r.f == f and rawequal(r.f, f) and r.line == "hello" and r.read(f) == nil)
      goro.run(function() f:close() end)
      assert(select(3, f:read()) == "EBADF" and fs.remove(path))
    end)
  end)

  for _, procs in ipairs { 1, 2, 8 } do
    it("one operation at a time, on " .. procs .. " places", function()
      passes(function()
        local goro = require "goro"
        local fs = goro.fs
        goro.maxprocs(math.tointeger(os.getenv "PROCS"))
        local rounds = math.tointeger(os.getenv "ROUNDS")
        local f, path = fs.mkstemp()
        local done = goro.chan()
        for w = 1, 8 do
          goro.go(function()
            local piece = tostring(w):rep(50)
            for i = 1, rounds do assert(f:write(piece, " ", i, " ", piece, "\n") == f) end
            done:send(true)
          end)
        end
        for _ = 1, 8 do done:recv() end
        local next_one = {}
        for line in fs.open(path):lines() do
          local a, i, b = line:match "^(%d+) (%d+) (%d+)$"
          assert(a == b and #a == 50, line)
          next_one[a] = (next_one[a] or 0) + 1
          assert(tonumber(i) == next_one[a])
        end
        -- and read by several: each line once
        f:seek "set"
        for _ = 1, 8 do
          goro.go(function()
            local n, sum = 0, 0
            for line in f:lines() do
              assert(#line > 100)
              n, sum = n + 1, sum + tonumber(line:match " (%d+) ")
            end
            done:send { n, sum }
          end)
        end
        local n, sum = 0, 0
        for _ = 1, 8 do
          local r = done:recv()
          n, sum = n + r[1], sum + r[2]
        end
        assert(n == 8 * rounds and sum == 8 * rounds * (rounds + 1) // 2)
        f:close()
        fs.remove(path)
      end, { env = { PROCS = procs, ROUNDS = helper.rounds(2000) }, timeout = 120 })
    end)
  end

  it("and closed under those who use it", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local f, path = fs.mkstemp()
      local done = goro.chan()
      for w = 1, 8 do
        goro.go(function()
          local r, _, code
          repeat
            if w % 2 == 0 then r, _, code = f:write "x" else r, _, code = f:seek "set" end
          until not r
          done:send(code)
        end)
      end
      goro.sleep(0.02)
      assert(f:close() == true)
      for _ = 1, 8 do
        local code = done:recv()
        assert(code == "EBADF" or code == "ECANCELED", code)
      end
      fs.remove(path)
    end)
  end)

  it("where the goroutine cannot yield", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local f, path = fs.mkstemp()
      local done = goro.chan()
      for _ = 1, 4 do
        goro.go(function()
          local t = {}
          for i = 1, 30 do t[i] = (i * 7) % 31 end
          table.sort(t, function(a, b)
            f:write "x"
            return a < b
          end)
          coroutine.wrap(function() f:write "y" coroutine.yield() end)()
          setmetatable({}, { __index = function() f:write "z" end }).x = nil
          done:send(t[1] == 1 and t[30] == 30)
        end)
      end
      for _ = 1, 4 do assert(done:recv()) end
      f:seek "set"
      assert(select(2, f:read "a":gsub("y", "")) == 4)
      fs.remove(path)
    end)
  end)
end)

describe("a pipe", function()
  it("holds up only its reader, whom a close wakes", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      goro.maxprocs(1)
      local d = assert(fs.mkdtemp())
      os.execute("mkfifo " .. d .. "/p")
      local writer = assert(fs.open(d .. "/p", "r+"))
      local reader = assert(fs.open(d .. "/p"))
      local got, ticks = goro.chan(), 0
      goro.go(function() got:send(reader:read()) end)
      for _ = 1, 20 do
        goro.sleep(0.001)
        ticks = ticks + 1
      end
      assert(ticks == 20)
      assert(writer:write "a line\n" and got:recv() == "a line")
      goro.go(function() got:send { reader:read() } end) -- waits for the other end
      goro.sleep(0.02)
      goro.go(function() got:send { reader:stat() } end) -- waits for its turn
      goro.sleep(0.02)
      assert(goro.runtime.dump():find "file in use", goro.runtime.dump())
      assert(reader:close() == true)
      for _ = 1, 2 do
        local r = got:recv()
        assert(r[3] == "ECANCELED" and r[2] == "ECANCELED: operation canceled: " .. d .. "/p", r[2])
      end
      assert(select(3, reader:read()) == "EBADF")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("takes more than it holds, and its end is told without a signal", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      os.execute("mkfifo " .. d .. "/p")
      local sum = goro.chan()
      goro.go(function()
        local f = assert(fs.open(d .. "/p"))
        local n = 0
        repeat
          local s = f:read(10000)
          n = n + (s and #s or 0)
        until not s
        f:close()
        sum:send(n)
      end)
      local f = assert(fs.open(d .. "/p", "w"))
      for _ = 1, 5 do assert(f:write(("x"):rep(300000), "\n") == f) end
      f:close()
      assert(sum:recv() == 1500005)
      goro.go(function() fs.open(d .. "/p"):close() sum:send(true) end)
      f = assert(fs.open(d .. "/p", "w"))
      sum:recv()
      local _, m, code = f:write "x"
      assert(code == "EPIPE" and m == "EPIPE: broken pipe: " .. d .. "/p", m)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("that nobody opens at the other end does not keep the program from ending", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      os.execute("mkfifo " .. d .. "/p " .. d .. "/q")
      goro.go(function() fs.open(d .. "/p") end)
      goro.go(function() fs.read_file(d .. "/p") end)
      local q = fs.open(d .. "/q", "r+")
      goro.go(function() q:read() end)
      goro.go(function() q:read() end)
      goro.sleep(0.05)
      assert(fs.remove(d, { recursive = true }))
    end, { timeout = 20 })
  end)
end)

describe("the main script, waiting for the other end of a pipe,", function()
  it("can be interrupted, and meets a panic", function()
    local r = helper.run_script [[
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      os.execute("mkfifo " .. d .. "/p")
      local f = fs.open(d .. "/p", "r+")
      goro.go(function() goro.sleep(0.1) error "boom" end)
      print(pcall(f.read, f))
      os.execute "(sleep 0.3; kill -INT $PPID) &"
      local t = os.time()
      print(pcall(function() for _ in f:lines() do end end))
      goro.go(function() goro.sleep(0.1) f:write "late\n" end)
      print(f:read())
      goro.go(function() goro.sleep(0.1) f:close() end)
      print((select(3, f:read())))
      assert(os.time() - t < 30 and fs.remove(d, { recursive = true }))
    ]]
    assert.equal(0, r.code, helper.describe(r))
    local lines = {}
    for line in r.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("false\tjob.lua:6: boom", lines[1])
    assert.is_truthy(lines[2]:find "^false\t.*interrupted!", r.stdout)
    assert.equal("late", lines[3])
    assert.is_truthy(lines[4] == "EBADF" or lines[4] == "ECANCELED")
  end)
end)

describe("descriptors", function()
  it("are given back by each way out, and are closed in children", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      -- The scheduler opens one now and then, for microseconds.
      local function count()
        local least = math.huge
        for _ = 1, 10 do
          least = math.min(least, #fs.list "/proc/self/fd")
          goro.sleep(0.001)
        end
        return least
      end
      local d = assert(fs.mkdtemp())
      fs.mkdir(d .. "/a/b/c", { parents = true })
      for i = 1, 20 do fs.write_file(d .. "/a/b/" .. i, "line\n") end
      local function all()
        do
          local f <close> = fs.open(d .. "/a/b/1")
          f:read()
        end
        pcall(function()
          local f <close> = fs.open(d .. "/a/b/1", "r+")
          error(f)
        end)
        fs.open(d .. "/a/b/2") -- collected
        local f = fs.open(d .. "/a/b/2")
        f:lines()()
        f:close()
        for path in fs.walk(d) do if path:find "b/" then break end end
        pcall(function() for _ in fs.walk(d) do error "x" end end)
        fs.walk(d) -- collected
        fs.list(d)
        fs.read_file(d .. "/a/b/3")
        fs.read_file(d)
        fs.copy(d .. "/a/b/3", d .. "/a/b/4")
        fs.copy(d, d .. "/a/b/4")
        fs.copy(d .. "/a/b/4", d)
        fs.write_file(d .. "/a/b/5", "x", { atomic = true })
        fs.write_file(d .. "/a", "x", { atomic = true })
        fs.mkstemp(d .. "/tXXXXXX")
        os.execute("mkfifo " .. d .. "/p")
        fs.open(d .. "/p", "r+"):close()
        fs.open(d .. "/p", "r+")
        fs.remove(d .. "/p")
        goro.run(function() fs.open(d .. "/a/b/1") fs.walk(d)() end)
      end
      all()
      collectgarbage() collectgarbage()
      local before = count()
      for _ = 1, 20 do all() end
      collectgarbage() collectgarbage()
      assert(count() == before, count() - before)
      local f <close> = fs.open(d .. "/a/b/1")
      local g <close> = fs.mkstemp(d .. "/tXXXXXX")
      local walk = fs.walk(d)
      walk()
      os.execute("mkfifo " .. d .. "/p")
      local p <close> = fs.open(d .. "/p", "r+")
      local pipe = io.popen "ls -l /proc/self/fd"
      local listed = pipe:read "a"
      pipe:close()
      assert(not listed:find(d, 1, true) and not listed:find "eventfd", listed)
      assert(f and g and p and fs.remove(d, { recursive = true }))
    end)
  end)

  it("do not run out when files and walks are just dropped", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      for _ = 1, 2000 do
        assert(fs.open "/etc/passwd"):read()
        fs.walk "/etc"()
      end
    end, { wrap = "prlimit --nofile=64" })
  end)

  it("running out of them is a failure like others", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local open = {}
      local f, message, code = fs.open "/dev/null"
      while f do
        open[#open + 1] = f
        f, message, code = fs.open "/dev/null"
      end
      assert(code == "EMFILE" and message == "EMFILE: too many open files: /dev/null", message)
      -- A device takes two descriptors, so one may be left.
      local rest = io.open "/dev/null"
      assert(select(3, fs.read_file "/dev/null") == "EMFILE" and select(3, fs.list "/") == "EMFILE" and select(3, fs.mkdtemp "x") == "EINVAL")
      assert(not pcall(fs.walk, "/"))
      for _, each in ipairs(open) do each:close() end
      if rest then rest:close() end
      assert(fs.read_file "/dev/null" == "")
    end, { wrap = "prlimit --nofile=64" })
  end)
end)

describe("memory", function()
  it("of a big file is taken twice at most, and given back", function()
    if os.getenv "GORO_SANITIZE" then return pending "a sanitizer has its own ideas of memory" end
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local SIZE = 256 << 20
      local f, path = assert(fs.mkstemp())
      f:truncate(SIZE)
      local function peak() return tonumber(fs.read_file "/proc/self/status":match "VmHWM:%s*(%d+)") * 1024 end
      local function now() return tonumber(fs.read_file "/proc/self/status":match "VmRSS:%s*(%d+)") * 1024 end
      for _, read in ipairs {
        function() return fs.read_file(path) end,
        function() f:seek "set" return f:read "a" end,
      } do
        assert(#read() == SIZE)
        assert(peak() < 2.2 * SIZE, peak() / SIZE)
        collectgarbage() collectgarbage()
        assert(now() < 0.2 * SIZE, now() / SIZE)
      end
      fs.remove(path)
    end, { timeout = 120 })
  end)

  local PRELUDE = [[
    local goro = require "goro"
    local testing = require "goro.testing"
    local fs = goro.fs
    local d = assert(fs.mkdtemp())
    local fds = #fs.list "/proc/self/fd"
    local function each_fault(once)
      local n = 0
      once()
      collectgarbage() collectgarbage()
      local before = testing.live()
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok, err = pcall(once)
        local made = testing.fail_at(0)
        if not ok then assert(tostring(err):find("not enough memory", 1, true), err) end
        collectgarbage() collectgarbage()
      until made < n
      assert(testing.live() <= before + 8, testing.live() - before)
      local tries = 0
      while #fs.list "/proc/self/fd" > fds do
        tries = tries + 1
        assert(tries < 10, "descriptors are lost")
        goro.sleep(0.001)
      end
    end
    fs.mkdir(d .. "/a/b", { parents = true })
    fs.write_file(d .. "/f", ("line of text\n"):rep(3000))
  ]]

  for name, body in pairs {
    ["read_file"] = [[ each_fault(function() assert(#fs.read_file(d .. "/f") == 39000) end) ]],
    ["list"] = [[ each_fault(function() assert(#fs.list(d) >= 2) end) ]],
    ["walk"] = [[ each_fault(function() local n = 0 for _ in fs.walk(d) do n = n + 1 end assert(n >= 3) end) ]],
    ["stat"] = [[ each_fault(function() assert(fs.stat(d).type == "directory") end) ]],
    ["mkdir"] = [[ each_fault(function() assert(fs.mkdir(d .. "/x/y/z", { parents = true })) end) ]],
    ["remove"] = [[ each_fault(function()
        local sub = d .. "/sub"
        assert(fs.mkdir(sub .. "/y/z", { parents = true }))
        fs.write_file(sub .. "/y/f", "")
        assert(fs.remove(sub, { recursive = true }))
      end) ]],
    ["open"] = [[ each_fault(function()
        local f = assert(fs.open(d .. "/f"))
        assert(f:read() == "line of text" and #f:read("l", 5000, "l") == 12 and #f:read "a" > 20000)
        f:seek "set"
        for l in f:lines "L" do assert(#l == 13) break end
        f:close()
      end) ]],
    ["mkstemp"] = [[ each_fault(function()
        local f = assert(fs.mkstemp(d .. "/tXXXXXX"))
        f:write("x", 12, 1.5)
        f:seek("set", 0)
        f:read("n", "l")
      end) ]],
  } do
    it("that is not there is an error, and nothing is lost: " .. name, function()
      local r = helper.run_script(PRELUDE .. body .. [[
        assert(fs.remove(d, { recursive = true }))
        io.stdout:write "done"]], { timeout = 120 })
      assert.equal("done", r.stdout, helper.describe(r))
    end)
  end
end)
