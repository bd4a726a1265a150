-- SPDX-License-Identifier: MIT
-- module_spec.lua - require in goroutines: Lua modules are compiled once for the process and behave as in plain Lua; C modules are opened first by one
-- goroutine at a time.

local helper = require "spec.helper"

-- For children: `dir`, a folder of their own; files in it are module sources, with times by `touch -d`. Whether a file was read again is seen by what the process
-- has read in all, when the file is a large one.
local PRELUDE = [==[
  dir = ...
  package.path = dir .. "/?.lua;" .. package.path
  OLDER = "2 hours ago"

  function write(name, text, date)
    local f <close> = assert(io.open(dir .. "/" .. name, "r+b") or io.open(dir .. "/" .. name, "wb"))
    assert(f:write(text))
    f:close()
    if date then assert(os.execute(("touch -d '%s' '%s/%s'"):format(date, dir, name))) end
  end
]==]

local GORO = PRELUDE .. [==[
  local goro = require "goro"
  local function get(name) return goro.run(function() return (require(name)) end) end
  local LARGE = 200000
  -- A module that returns the value, in a file of LARGE bytes and some more.
  local function large(value) return ("return %s --%s"):format(value, ("x"):rep(LARGE)) end
  local function bytes_read()
    local f <close> = assert(io.open "/proc/self/io")
    return tonumber(f:read "a":match "rchar: (%d+)")
  end
  -- How often a large file was read during f().
  local function reads(f)
    local before = bytes_read()
    f()
    return (bytes_read() - before) // LARGE
  end
  -- Time enough for a change of a file to get another time than what was before.
  local function settle() goro.sleep(0.1) end
  local date -- `touch -d` with a date that is not relative to now, so that it can be set again
  do
    local pipe = io.popen("date -d '1 hour ago' '+%F %T.123456789'")
    date = pipe:read "l"
    pipe:close()
  end
]==]

local function with_folder(f)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
  local ok, err = pcall(f, dir)
  os.execute("rm -rf " .. dir)
  if not ok then error(err, 0) end
end

local function passes(body, opts)
  with_folder(function(dir)
    opts = opts or {}
    opts.args = { dir }
    helper.passes_script(GORO .. body, opts)
  end)
end

describe("a Lua module that goroutines require", function()
  it("is compiled once: the same stamp means the same code", function()
    passes [[
      write("m.lua", large(1), date)
      settle()
      assert(get "m" == 1)
      assert(reads(function() for _ = 1, 100 do assert(get "m" == 1) end end) == 0)
      assert(reads(function() assert(require "m" == 1) end) == 1) -- a host reads for itself
    ]]
  end)

  it("is compiled again when only its time of change tells that it was rewritten", function()
    passes [[
      for i = 100, 110 do
        write("m.lua", "return " .. i, date) -- the same size, inode and modification time
        settle()
        for _ = 1, 3 do assert(get "m" == i) end
      end
    ]]
  end)

  it("is compiled again when its size, its time or its inode is another", function()
    passes [[
      write("m.lua", "return 1", date)
      assert(get "m" == 1)
      write("m.lua", "return 22", date)
      assert(get "m" == 22)
      write("m.lua", "return 33", OLDER)
      assert(get "m" == 33)
      write("m.lua", "return 44", date)
      assert(get "m" == 44)
      write("new", "return 55", date)
      assert(os.rename(dir .. "/new", dir .. "/m.lua"))
      assert(get "m" == 55)
    ]]
  end)

  it("is never out of date, however fast it changes", function()
    passes [[
      for i = 100, 400 do
        write("m.lua", "return " .. i)
        assert(get "m" == i)
        assert(get "m" == i)
      end
    ]]
  end)

  it("is read each time while its time lies in the future", function()
    passes [[
      write("m.lua", large(1), "2100-01-01 00:00:00")
      settle()
      assert(reads(function() for _ = 1, 3 do assert(get "m" == 1) end end) == 3)
    ]]
  end)

  it("is read each time while its time is a whole second and not long past, since its file system may know no others", function()
    passes [[
      local start, now
      repeat
        start, now = os.time(), os.date "%F %T"
        write("m.lua", "return 1", now)
        assert(get "m" == 1)
        write("m.lua", "return 2", now)
        assert(get "m" == 2)
        write("m.lua", large(3), now)
        settle()
        local n = reads(function() for _ = 1, 3 do assert(get "m" == 3) end end)
        assert(n == 3 or os.time() - start >= 2, n)
      until os.time() - start < 2
      goro.sleep(3.1)
      assert(get "m" == 3)
      assert(reads(function() assert(get "m" == 3) end) == 0)
    ]]
  end)

  it("may become a directory, something unreadable, or nothing", function()
    passes [[
      write("m.lua", "return 1", date)
      write("second.lua", "return 2", date)
      assert(get "m" == 1)
      os.execute(("rm %s/m.lua; mkdir %s/m.lua"):format(dir, dir))
      local ok, err = pcall(get, "m")
      assert(not ok and err:find("error loading module 'm' from file '" .. dir .. "/m.lua':\n\tcannot read", 1, true), err)
      os.execute(("rmdir %s/m.lua"):format(dir))
      ok, err = pcall(get, "m")
      assert(not ok and err:find("module 'm' not found", 1, true), err)
      write("m.lua", "return 3", OLDER) -- another time: the inode may be the same again
      assert(get "m" == 3)
      os.execute(("chmod 0 %s/m.lua"):format(dir))
      if not io.open(dir .. "/m.lua") then -- root can
        ok, err = pcall(get, "m")
        assert(not ok and err:find("no file '" .. dir .. "/m.lua'", 1, true), err)
      end
    ]]
  end)

  it("may be no regular file", function()
    passes [[
      os.execute(("ln -s /dev/null %s/null.lua"):format(dir))
      for _ = 1, 3 do assert(get "null" == true) end
    ]]
  end)

  it("fails to compile each time, until it is put right", function()
    passes [[
      write("m.lua", "return ?", date)
      for _ = 1, 3 do
        local ok, err = pcall(get, "m")
        assert(not ok and err:find("m.lua:1: unexpected symbol near '?'", 1, true), err)
      end
      write("m.lua", "return 1", date)
      assert(get "m" == 1)
    ]]
  end)

  it("has its own state in each goroutine", function()
    passes [[
      write("counter.lua", "local n = 0 return { next = function() n = n + 1 return n end }", date)
      local function count(times)
        local counter = require "counter"
        assert(counter == require "counter" and counter == package.loaded.counter)
        for i = 1, times do assert(counter.next() == i) end
        return counter.next()
      end
      for i = 1, 50 do assert(goro.run(count, i) == i + 1) end
    ]]
  end)

  it("may be required by a thousand goroutines at once", function()
    passes [[
      write("m.lua", "local t = {} for i = 1, 100 do t[i] = i end return { n = #t, source = debug.getinfo(1, 'S').source }", date)
      local results = goro.chan(16)
      for _ = 1, 1000 do
        goro.go(function()
          local m = require "m"
          results:send { m.n, m.source }
        end)
      end
      for _ = 1, 1000 do
        local r = results:recv()
        assert(r[1] == 100 and r[2] == "@" .. dir .. "/m.lua")
      end
    ]]
  end)

  it("may change while many require it: each gets one text or the other", function()
    passes [[
      local text = { ("return 1 --%s\n"):format(("x"):rep(20000)), ("return 2 --%s\n"):format(("y"):rep(20000)) }
      local stop, done = goro.chan(), goro.chan(4)
      write("m.lua", text[1])
      for _ = 1, 4 do
        goro.go(function()
          repeat
            local m = goro.run(function() return (require "m") end)
            assert(m == 1 or m == 2)
          until select(3, stop:recv(0)) ~= "timeout"
          done:send(true)
        end)
      end
      for i = 1, 100 do
        write("new", text[i % 2 + 1])
        assert(os.rename(dir .. "/new", dir .. "/m.lua"))
        goro.sleep(0.002)
        assert(get "m" == i % 2 + 1)
      end
      stop:close()
      for _ = 1, 4 do done:recv() end
    ]]
  end)

  it("may be huge", function()
    passes [[
      local lines = {}
      for i = 1, 20000 do lines[i] = ("M[%d] = function(a) return a + %d end -- %s"):format(i, i, ("x"):rep(20)) end
      write("huge.lua", "local M = {}\n" .. table.concat(lines, "\n") .. "\nreturn M", date)
      for _ = 1, 3 do
        assert(goro.run(function() return require "huge"[20000](1) end) == 20001)
      end
    ]]
  end)

  it("is not kept when it is larger than 4 MB", function()
    passes [[
      write("m.lua", ("return '%s'"):format(("a"):rep(5 << 20)), date)
      settle()
      assert(reads(function() for _ = 1, 3 do assert(get "m":sub(-1) == "a") end end) >= 3 * (5 << 20) // LARGE)
    ]]
  end)

  it("is forgotten when it was not used for long and others need room: 16 MB in all", function()
    passes [[
      local function text(c) return ("return '%s'"):format(c:rep(1 << 20)) end
      local function first(name) return goro.run(function() return require(name):sub(1, 1) end) end
      local function bytes() collectgarbage() collectgarbage() return goro.runtime.stats().bytes end
      write("used.lua", text "a", date)
      write("unused.lua", text "a", date)
      settle()
      assert(first "used" == "a" and first "unused" == "a")
      local before = bytes()
      for i = 1, 40 do
        write(("m%d.lua"):format(i), text "m", date)
      end
      settle()
      for i = 1, 40 do
        assert(first("m" .. i) == "m")
        assert(first "used" == "a")
      end
      assert(bytes() - before < 20 << 20, bytes() - before)
      assert(reads(function() assert(first "used" == "a") end) == 0)
      assert(reads(function() assert(first "unused" == "a") end) >= (1 << 20) // LARGE)
    ]]
  end)

  it("takes the way without the cache when there is no memory for it", function()
    passes [[
      local testing, faults = require "goro.testing", require "spec.faults"
      write("m.lua", "return { answer = 42 }", date)
      io.stderr:setvbuf "full"
      local tried = 0
      for n = 1, 400, 3 do
        write("m.lua", "return { answer = 42 }", n % 2 == 0 and date or OLDER)
        testing.fail_at(n)
        local ok, v = pcall(goro.run, function() return require "m".answer end)
        local made = testing.fail_at(0)
        assert(ok and v == 42 or tostring(v):find("not enough memory", 1, true), v)
        faults.settle()
        tried = n
        if made < n then break end
      end
      assert(tried > 3)
      assert(get "m".answer == 42)
    ]]
  end)
end)

describe("package, in a goroutine,", function()
  it("has a path of its own, first its parent's", function()
    passes [[
      os.execute(("mkdir %s/a %s/b"):format(dir, dir))
      write("a/m.lua", "return 'a'", date)
      write("b/m.lua", "return 'b'", date)
      local function in_folder(name)
        package.path = dir .. "/" .. name .. "/?.lua"
        return (require "m")
      end
      for _ = 1, 10 do
        assert(goro.run(in_folder, "a") == "a")
        assert(goro.run(in_folder, "b") == "b")
      end
      package.path = dir .. "/b/?.lua"
      assert(get "m" == "b")
      assert(goro.run(function()
        package.path = dir .. "/a/?.lua"
        return goro.run(function() return (require "m") end)
      end) == "a")
    ]]
  end)

  it("asks preload and added searchers first, or whatever order the program gives", function()
    passes [[
      write("m.lua", "return 'file'", date)
      assert(get "m" == "file")
      assert(goro.run(function()
        package.preload.m = function(name, where) return name .. where end
        return (require "m")
      end) == "m:preload:")
      assert(goro.run(function()
        table.insert(package.searchers, 1, function(name) return function(_, extra) return name .. extra end, " added" end)
        return (require "m")
      end) == "m added")
      assert(goro.run(function()
        package.searchers[2] = function() return "\n\tnot today" end
        local ok, err = pcall(require, "m")
        return not ok and err
      end):find("not today", 1, true))
      table.insert(package.searchers, 2, function() return "\n\tinherited" end)
      write("m.lua", large "'file'", date)
      settle()
      local function nested()
        assert(goro.run(function()
          return goro.run(function()
            local _, err = pcall(require, "none")
            assert(err:find("inherited", 1, true))
            return (require "m")
          end)
        end) == "file")
      end
      nested()
      assert(reads(nested) == 0) -- third now, and still ours
    ]]
  end)
end)

-- What a program can see of package and of modules, as lines of text. Runs in plain Lua, in a host and in goroutines.
local SIGHT = [==[
  function sight()
    local out = {}
    local function say(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = type(words[i]) == "function" and "function" or tostring(words[i]) end
      out[#out + 1] = table.concat(words, " | ")
    end
    package.cpath = dir .. "/?.so"
    local lua, c, root = table.unpack(package.searchers, 2, 4)
    for _, name in ipairs { "good", "shebang", "bin", "stripped", "folder.deep" } do
      say(name, select(2, require(name)), table.unpack(package.loaded[name]))
    end
    say(pcall(require, "none"))
    say(pcall(require, "none.of.it"))
    say(pcall(require, "syntax"))
    say(pcall(require, "directory"))
    say(pcall(require, "brokenbin"))
    say(pcall(require, "noclib"))
    say(pcall(require, "noclib.part"))
    say(pcall(require, "raises"))
    say(pcall(require, "raisesvalue"))
    say(xpcall(require, function(e) return debug.traceback(e):gsub("\n[^\n]*xpcall.*", "") end, "raises"))
    say(pcall(lua))
    say(pcall(lua, {}))
    say(pcall(c))
    say(pcall(root))
    say(lua "good")
    say(lua "none")
    say(lua("good", "extra"))
    say(root "none")
    say(root "none.none")
    say(package.searchpath("good", package.path))
    say(package.searchpath("a.b", "?;/x/?;?.y", ".", "-"))
    say(package.loadlib(dir .. "/none.so", "luaopen_none"))
    say(pcall(package.loadlib))
    say(debug.getupvalue(lua, 1) == "", select(2, debug.getupvalue(lua, 1)) == package, select(2, debug.getupvalue(root, 1)) == package)
    say(debug.getinfo(lua, "S").what, debug.getinfo(lua, "u").nups, debug.getinfo(c, "u").nups)
    local f = lua "good"
    say(debug.getinfo(f, "S").source, debug.getinfo(f, "S").short_src, debug.getinfo(f, "u").nups, select(2, debug.getupvalue(f, 1)) == _G)
    for _, field in ipairs { "path", "cpath" } do
      for _, value in ipairs { false, {}, 7 } do
        package[field] = value
        say(field, pcall(require, "nothing.at.all"))
        say(field, pcall(lua, "nothing"))
      end
      package[field] = ""
    end
    package.searchers = nil
    say(pcall(require, "nothing"))
    return (table.concat(out, "\n"):gsub("0x%x+", "0x"))
  end
]==]

describe("require", function()
  it("shows a program in a goroutine what it shows in plain Lua", function()
    with_folder(function(dir)
      os.execute(("mkdir %s/folder %s/directory.lua"):format(dir, dir))
      local function write(name, text)
        local f = assert(io.open(dir .. "/" .. name, "wb"))
        f:write(text)
        f:close()
        os.execute(("touch -d '1 hour ago' %s/%s"):format(dir, name))
      end
      local look = [[
        local name, file, none = ...
        local info = debug.getinfo(1, "Sl")
        local n = 0
        local function up() n = n + 1 return n end
        local long = ("s"):rep(3)
        return { name, file, tostring(none), select("#", ...), info.source, info.short_src, info.currentline, info.what, up() + up(),
          tostring(debug.getlocal(1, 1)), tostring(debug.getupvalue(up, 1)), select(2, pcall(function() error "here" end)), long, 1 // 1, 1.0, -0.0, 1e308 * 10 }
      ]]
      write("good.lua", look)
      write("shebang.lua", "#!/usr/bin/lua\n" .. look)
      write("folder/deep.lua", look)
      write("bin.lua", string.dump(assert(load(look, "=binary"))))
      write("stripped.lua", string.dump(assert(load(look, "=binary")), true))
      write("syntax.lua", "local x = = 1")
      write("brokenbin.lua", string.dump(assert(load(look))):sub(1, 50))
      write("noclib.so", "not a library")
      write("raises.lua", "local function f() error('raised') end\nlocal function g() f() end\ng()")
      write("raisesvalue.lua", "error(setmetatable({}, { __tostring = function() return 'a value' end }))")
      local plain = helper.passes_script(PRELUDE .. SIGHT .. "io.write(sight())", { args = { dir } })
      assert.is_truthy(plain:find "error loading module 'noclib'")
      local goroutines = helper.passes_script(PRELUDE .. SIGHT .. [[
        local goro = require "goro"
        for _ = 1, 3 do io.write(goro.run(function() return sight() end), "\0") end
        io.write(sight())
      ]], { args = { dir } })
      local n = 0
      for text in goroutines:gmatch "[^\0]+" do
        n = n + 1
        assert.equal(plain, text)
      end
      assert.equal(4, n)
    end)
  end)
end)

describe("a C module that is opened for the first time", function()
  local _, it_opens = helper.embedding(it, pending, "opens.so")

  local function opens(body) passes(body, { env = helper.with_ctest() }) end

  it_opens("is opened by one goroutine at a time, and by as many as want afterwards", function()
    opens [[
      goro.maxprocs(4)
      local done = goro.chan(8)
      local function open(n)
        for _ = 1, n do goro.go(function() done:send { require "opens".counts() } end) end
        local last
        for _ = 1, n do last = done:recv() end
        return last
      end
      goro.go(function() at_open = function() goro.sleep(0.05) end require "opens" done:send(true) end)
      goro.sleep(0.02)
      goro.go(function() done:send { require "opens".counts() } end)
      done:recv()
      local second = done:recv()
      assert(second[1] == 2 and second[2] == 1, second[2])
      assert(open(8)[1] > 2)
    ]]
  end)

  it_opens("keeps nobody else's place meanwhile, and the host waits too", function()
    opens [[
      goro.maxprocs(1)
      local done = goro.chan(8)
      for _ = 1, 3 do goro.go(function() done:send { require "opens".counts() } end) end
      for _ = 1, 10 do goro.run(function() end) end
      local calls, most = require "opens".counts()
      for _ = 1, 3 do done:recv() end
      assert(calls >= 2 and require "opens".counts() == 4, calls)
      assert(most <= 3)
    ]]
  end)

  it_opens("may require others, also itself by another way round", function()
    opens [[
      goro.maxprocs(2)
      local done = goro.chan(2)
      local function crosswise(first, second)
        at_open = function(name) if name == first then require(second) end end
        require(first)
        done:send { package.loaded[second].counts() }
      end
      goro.go(crosswise, "opens.a", "opens.b")
      goro.go(crosswise, "opens.b", "opens.a")
      local one, two = done:recv(20), done:recv(20)
      assert(one and two and math.max(one[1], two[1]) == 4, "they wait for each other")
      goro.run(function()
        local depth = 0
        at_open = function(name)
          depth = depth + 1
          if depth < 4 then package.searchers[4](name)(name) end
        end
        require "opens.c"
        assert(depth == 4)
      end)
    ]]
  end)

  it_opens("lets others try after an error, goexit, and a panic", function()
    opens [[
      local function fails(how)
        at_open = how
        require "opens"
      end
      local ok, err = pcall(goro.run, fails, function() error("not yet", 0) end)
      assert(not ok and err == "not yet", err)
      assert(select("#", goro.run(fails, function() goro.goexit() end)) == 0)
      assert(not pcall(goro.run, function() return goro.run(fails, function() error {} end) end))
      local start = os.time()
      assert(goro.run(function() return (require "opens".counts()) end) == 4)
      assert(require "opens".counts() == 5)
      assert(os.time() - start < 10)
    ]]
  end)

  it_opens("may wait for goroutines that want one too", function()
    opens [[
      local n = goro.run(function()
        at_open = function(name)
          if name == "opens.a" then goro.run(function() at_open = nil require "opens.b" end) end
        end
        return (require "opens.a".counts())
      end)
      assert(n == 2, n)
    ]]
  end)

  it_opens("does not hold up the end of the program", function()
    local r
    with_folder(function(dir)
      r = helper.run_script(GORO .. [[
        for _ = 1, 5 do goro.go(function() at_open = function() goro.sleep(100) end require "opens" end) end
        goro.sleep(0.1)
      ]], { args = { dir }, env = helper.with_ctest() })
    end)
    assert.equal("", helper.ended_well(r))
    assert.is_true(r.seconds < helper.limit(5), helper.describe(r))
  end)

  it_opens("and was opened is found as in plain Lua: by its bare function, which can be sent", function()
    opens [[
      local path = package.searchpath("opens", package.cpath)
      goro.run(function() require "opens" require "opens.c" end)
      local bare = package.loadlib(path, "luaopen_opens")
      assert(bare == package.searchers[3] "opens" and bare == goro.run(function() return (package.searchers[3] "opens") end))
      assert(package.searchers[4] "opens.c" == package.loadlib(path, "luaopen_opens_c"))
      local counts = goro.run(function(open) return (open("opens").counts()) end, bare)
      assert(counts == 3)
      assert(not select(2, pcall(require, "opens.none")):find("error loading", 1, true))
      local first, where = package.searchers[4] "opens.a" -- not opened yet: a closure
      assert(where == path and first("opens.a", where).counts() == 4)
      assert(package.searchers[4] "opens.a" ~= first and debug.getinfo(package.searchers[4] "opens.a", "u").nups == 0)
    ]]
  end)

  it_opens("runs in a coroutine, and its error has a traceback", function()
    opens [[
      local trace = goro.run(function()
        at_open = function() error "in the middle" end
        return coroutine.wrap(function() return select(2, xpcall(require, debug.traceback, "opens")) end)()
      end)
      assert(trace:find "in the middle" and trace:find "in function 'require'", trace)
    ]]
  end)
end)
