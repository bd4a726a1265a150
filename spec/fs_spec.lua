-- SPDX-License-Identifier: MIT
-- goro.fs by path: whole files, what a path is, changes, links, folders, trees; each in a script and in a goroutine.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes_anywhere = helper.passes_anywhere

describe("whole files", function()
  it("are written, appended to and read", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      local bytes = {}
      for b = 0, 255 do bytes[#bytes + 1] = string.char(b) end
      bytes = table.concat(bytes)
      for _, data in ipairs { "", "x", bytes, ("0123456789"):rep(1638), ("line\n"):rep(4000), ("m"):rep(3000000) } do
        assert(fs.write_file(d .. "/f", data) == true)
        assert(fs.read_file(d .. "/f") == data)
        assert(fs.append_file(d .. "/f", "tail") == true)
        assert(fs.read_file(d .. "/f") == data .. "tail")
      end
      assert(fs.append_file(d .. "/new", 12) and fs.read_file(d .. "/new") == "12")
      for n = 16380, 16390 do -- round the size that is read on the stack
        fs.write_file(d .. "/f", ("y"):rep(n))
        assert(#fs.read_file(d .. "/f") == n)
      end
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("have the permissions that were asked for when they are new", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      assert(fs.write_file(d .. "/f", "", { mode = tonumber("600", 8) }))
      assert(fs.stat(d .. "/f").mode == tonumber("600", 8))
      assert(fs.write_file(d .. "/f", "", { mode = tonumber("400", 8) }))
      assert(fs.stat(d .. "/f").mode == tonumber("600", 8), "it was not new")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("are replaced in one step, or not at all", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      local atomic = { atomic = true }
      local function names()
        local t = {}
        for i, e in ipairs(fs.list(d)) do t[i] = e.name end
        return table.concat(t, " ")
      end
      assert(fs.write_file(d .. "/f", "one", atomic) == true)
      local before = fs.stat(d .. "/f")
      assert(fs.chmod(d .. "/f", tonumber("640", 8)))
      assert(fs.write_file(d .. "/f", "two", atomic) == true)
      local after = fs.stat(d .. "/f")
      assert(fs.read_file(d .. "/f") == "two" and after.ino ~= before.ino)
      assert(after.mode == tonumber("640", 8), "the permissions stay")
      assert(fs.write_file(d .. "/g", "", { atomic = true, mode = tonumber("600", 8) }) and fs.stat(d .. "/g").mode == tonumber("600", 8))
      fs.symlink("f", d .. "/l")
      assert(fs.write_file(d .. "/l", "three", atomic))
      assert(fs.lstat(d .. "/l").type == "link" and fs.read_file(d .. "/f") == "three", "the link stays, what it leads to is replaced")
      fs.mkdir(d .. "/dir")
      local _, m, code = fs.write_file(d .. "/dir", "x", atomic)
      assert(code == "EISDIR" and m == "EISDIR: illegal operation on a directory: " .. d .. "/dir", m)
      assert(select(3, fs.write_file("/dev/null", "x", atomic)) == "EINVAL" and fs.stat("/dev/null").type == "char")
      assert(select(3, fs.write_file(d .. "/no/f", "x", atomic)) == "ENOENT")
      assert(names() == "dir f g l", names())
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("leave no temporary file behind when the disk is full", function()
    helper.passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      assert(fs.write_file(d .. "/f", "old"))
      goro.run(function() -- its thread does not get SIGXFSZ
        local _, m, code = fs.write_file(d .. "/f", ("x"):rep(3 << 20), { atomic = true })
        assert(code == "EFBIG", m)
        assert(m == "EFBIG: file too large: " .. d .. "/f", m)
      end)
      assert(#fs.list(d) == 1 and fs.read_file(d .. "/f") == "old")
      local _, m, code = fs.write_file("/dev/full", "x")
      assert(code == "ENOSPC" and m == "ENOSPC: no space left on device: /dev/full", m)
      assert(fs.remove(d, { recursive = true }))
    end, { wrap = "prlimit --fsize=1048576" })
  end)

  it("of /proc, and devices, say nothing of their size and are read all the same", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      assert(fs.stat("/proc/self/status").size == 0)
      assert(fs.read_file("/proc/self/status"):find "^Name:")
      local long = fs.read_file("/proc/self/smaps")
      assert(#long > 16384 and long:sub(-1) == "\n")
      assert(fs.read_file("/dev/null") == "")
      local d = fs.mkdtemp()
      assert(fs.copy("/proc/self/status", d .. "/copy"))
      assert(fs.read_file(d .. "/copy"):find "^Name:")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("are copied with their permissions, holes and all", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      for _, data in ipairs { "", "x", ("abc"):rep(1000000) } do
        fs.write_file(d .. "/a", data)
        fs.chmod(d .. "/a", tonumber("640", 8))
        fs.write_file(d .. "/b", ("longer"):rep(1000001))
        assert(fs.copy(d .. "/a", d .. "/b") == true)
        assert(fs.read_file(d .. "/b") == data and fs.stat(d .. "/b").mode == tonumber("640", 8))
      end
      local f = assert(fs.open(d .. "/sparse", "w"))
      f:write "head"
      f:seek("set", 5 << 30)
      f:write "middle"
      f:truncate((5 << 30) + (1 << 20))
      f:close()
      assert(fs.copy(d .. "/sparse", d .. "/copy"))
      assert(fs.stat(d .. "/copy").size == (5 << 30) + (1 << 20))
      f = fs.open(d .. "/copy")
      assert(f:read(6) == "head\0\0" and f:seek("set", 5 << 30) == 5 << 30 and f:read(8) == "middle\0\0")
      f:close()
      local pipe = io.popen("du -k " .. d .. "/copy")
      assert(tonumber(pipe:read "n") < 1024, "the holes were filled")
      pipe:close()
      assert(fs.copy(d .. "/a", d .. "/a") and #fs.read_file(d .. "/a") == 3000000, "a copy onto itself")
      local _, m, code = fs.copy(d, d .. "/b")
      assert(code == "EISDIR" and m == ("EISDIR: illegal operation on a directory: %s -> %s/b"):format(d, d), m)
      assert(#fs.read_file(d .. "/b") == 3000000, "the target of a failed copy is still there")
      assert(select(3, fs.copy(d .. "/none", d .. "/b")) == "ENOENT" and select(3, fs.copy(d .. "/a", d)) == "EISDIR")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)
end)

describe("failures and misuse", function()
  it("name the code, the reason and the path", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      fs.write_file(d .. "/f", "x")
      fs.symlink("loop", d .. "/loop")
      local function fails(code, reason, subject, ...)
        local v, m, c = ...
        assert(v == nil and c == code and m == ("%s: %s: %s"):format(code, reason, subject) and select("#", ...) == 3, m)
      end
      local none, below, loop = d .. "/none", d .. "/f/x", d .. "/loop"
      local missing, no_dir = "no such file or directory", "not a directory"
      fails("ENOENT", missing, none, fs.read_file(none))
      fails("ENOENT", missing, none .. "/x", fs.write_file(none .. "/x", ""))
      fails("ENOENT", missing, none .. "/x", fs.append_file(none .. "/x", ""))
      fails("ENOENT", missing, none, fs.open(none))
      fails("ENOENT", missing, none, fs.stat(none))
      fails("ENOENT", missing, none, fs.lstat(none))
      fails("ENOENT", missing, none, fs.list(none))
      fails("ENOENT", missing, none .. "/x", fs.mkdir(none .. "/x"))
      fails("ENOENT", missing, none, fs.remove(none))
      fails("ENOENT", missing, none, fs.remove(none, { recursive = true }))
      fails("ENOENT", missing, none, fs.chmod(none, 0))
      fails("ENOENT", missing, none, fs.utime(none))
      fails("ENOENT", missing, none, fs.readlink(none))
      fails("ENOENT", missing, none, fs.realpath(none))
      fails("ENOENT", missing, none .. "/XXXXXX", fs.mkdtemp(none .. "/XXXXXX"))
      fails("ENOENT", missing, none .. "/XXXXXX", fs.mkstemp(none .. "/XXXXXX"))
      fails("EINVAL", "invalid argument", d .. "/t", fs.mkdtemp(d .. "/t"))
      for _, name in ipairs { "rename", "link" } do
        fails("ENOENT", missing, none .. " -> " .. d .. "/y", fs[name](none, d .. "/y"))
      end
      fails("EEXIST", "file already exists", "x -> " .. d .. "/f", fs.symlink("x", d .. "/f"))
      fails("ENOTDIR", no_dir, below, fs.read_file(below))
      fails("ENOTDIR", no_dir, below, fs.stat(below))
      fails("ENOTDIR", no_dir, d .. "/f", fs.list(d .. "/f"))
      fails("EISDIR", "illegal operation on a directory", d, fs.read_file(d))
      fails("ELOOP", "too many symbolic links encountered", loop, fs.read_file(loop))
      fails("ELOOP", "too many symbolic links encountered", loop, fs.stat(loop))
      fails("EEXIST", "file already exists", d, fs.mkdir(d))
      fails("ENOENT", missing, "", fs.read_file(""))
      local long = d .. "/" .. ("n"):rep(300)
      fails("ENAMETOOLONG", "name too long", long, fs.write_file(long, ""))
      assert(fs.exists(none) == false and fs.exists(below) == false and fs.exists(d) == true)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("a path with a zero in it is a failure everywhere", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local bad = "/tmp/a\0b"
      local second = { rename = true, copy = true, link = true, symlink = true }
      local n = 0
      for name, f in pairs(fs) do
        if name ~= "walk" and name ~= "watch" then
          local v, m, code = f(bad, name == "open" and "r" or "x")
          assert(v == nil and code == "EINVAL" and m == "EINVAL: invalid argument (a zero in the path): " .. bad, name)
          if second[name] then assert(select(3, f("/tmp/x", bad)) == "EINVAL") end
          n = n + 1
        end
      end
      assert(n == 20, n)
      local ok, m = pcall(fs.walk, bad)
      assert(not ok and m:find "EINVAL: invalid argument", m)
      assert(not fs.exists "/tmp/a")
    end)
  end)

  it("a wrong type is misuse at the caller's line", function()
    local fs = require "goro".fs
    helper.raises("bad argument #1 to 'read_file' (string expected, got no value)", function() fs.read_file() end)
    helper.raises("bad argument #1 to 'stat' (string expected, got table)", function() fs.stat {} end)
    helper.raises("bad argument #2 to 'write_file' (string expected, got nil)", function() fs.write_file("/tmp/x", nil) end)
    helper.raises("bad argument #3 to 'write_file' (table expected, got boolean)", function() fs.write_file("/tmp/x", "", true) end)
    helper.raises("bad argument #3 to 'write_file' (mode: integer expected, got string)", function() fs.write_file("/tmp/x", "", { mode = "rw" }) end)
    helper.raises("bad argument #3 to 'write_file' (mode: permissions are out of range)", function() fs.write_file("/tmp/x", "", { mode = -1 }) end)
    helper.raises("bad argument #2 to 'rename' (string expected, got no value)", function() fs.rename "/tmp/x" end)
    helper.raises("bad argument #2 to 'chmod' (number expected, got no value)", function() fs.chmod "/tmp/x" end)
    helper.raises("bad argument #2 to 'chmod' (permissions are out of range)", function() fs.chmod("/tmp/x", 65536) end)
    helper.raises("bad argument #2 to 'utime' (number expected, got nan)", function() fs.utime("/tmp/x", 0 / 0) end)
    helper.raises("bad argument #2 to 'mkdir' (table expected, got number)", function() fs.mkdir("/tmp/x", 1) end)
    helper.raises("bad argument #2 to 'open' (invalid mode)", function() fs.open("/tmp/x", "rw") end)
    helper.raises("bad argument #1 to 'walk' (string expected, got nil)", function() fs.walk(nil) end)
    helper.raises("ENOENT: no such file or directory: /no/such", function() fs.walk "/no/such" end)
  end)

  it("in a goroutine that may not, say so", function()
    -- Root may do anything, but for this.
    local root = io.popen "id -u":read "n" == 0
    local wrap = root and "setpriv --bounding-set=-dac_override,-dac_read_search" or nil
    helper.passes(function()
      local goro = require "goro"
      local fs = goro.fs
      goro.run(function()
        local d = assert(fs.mkdtemp())
        for _, name in ipairs { "f", "g/h" } do
          assert(fs.mkdir(d .. "/g", { parents = true }))
          assert(fs.write_file(d .. "/" .. name, "x"))
        end
        fs.chmod(d .. "/f", 0)
        fs.chmod(d .. "/g", 0)
        local function fails(v, m, code) assert(v == nil and code == "EACCES", m) return m end
        assert(fails(fs.read_file(d .. "/f")) == "EACCES: permission denied: " .. d .. "/f")
        fails(fs.list(d .. "/g"))
        fails(fs.stat(d .. "/g/h"))
        fails(fs.exists(d .. "/g/h"))
        local seen = {}
        for path, kind, message in fs.walk(d) do seen[#seen + 1] = path:sub(#d + 2) .. " " .. kind .. " " .. tostring(message) end
        table.sort(seen)
        assert(seen[1] == "f file nil" and seen[3] == nil)
        assert(seen[2] == "g directory EACCES: permission denied: " .. d .. "/g", seen[2])
        assert(fails(fs.remove(d, { recursive = true })) == "EACCES: permission denied: " .. d .. "/g")
        fs.chmod(d .. "/g", 448)
        assert(fs.remove(d, { recursive = true }))
      end)
    end, { wrap = wrap })
  end)
end)

describe("what a path is", function()
  it("is told by stat and lstat", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      assert(fs.write_file(d .. "/f", "12345") and fs.chmod(d .. "/f", tonumber("4640", 8)) and fs.utime(d .. "/f", 1000.25, 2000.5))
      assert(fs.link(d .. "/f", d .. "/g") and fs.symlink("f", d .. "/l") and fs.symlink("gone", d .. "/dangling"))
      os.execute("mkfifo " .. d .. "/p")
      local s, l = fs.stat(d .. "/f"), fs.lstat(d .. "/l")
      local fields = {}
      for name, v in pairs(s) do fields[#fields + 1] = name .. ":" .. (math.type(v) or type(v)) end
      table.sort(fields)
      assert(table.concat(fields, " ") == "atime:float ctime:float dev:integer gid:integer ino:integer mode:integer mtime:float "
        .. "nlink:integer size:integer type:string uid:integer", table.concat(fields, " "))
      assert(s.type == "file" and s.size == 5 and s.mode == tonumber("4640", 8) and s.nlink == 2 and s.atime == 1000.25 and s.mtime == 2000.5)
      assert(math.abs(s.ctime - os.time()) < 100)
      assert(fs.stat(d .. "/g").ino == s.ino and fs.stat(d .. "/l").ino == s.ino)
      assert(l.type == "link" and l.size == 1 and l.ino ~= s.ino)
      assert(fs.stat(d).type == "directory" and fs.stat(d .. "/p").type == "fifo" and fs.stat("/dev/null").type == "char")
      assert(fs.exists(d .. "/l") and not fs.exists(d .. "/dangling") and fs.lstat(d .. "/dangling"))
      assert(fs.readlink(d .. "/l") == "f" and fs.realpath(d .. "/l") == fs.realpath(d) .. "/f" and fs.realpath "/../tmp/." == fs.realpath "/tmp")
      assert(select(3, fs.readlink(d .. "/f")) == "EINVAL" and select(3, fs.realpath(d .. "/dangling")) == "ENOENT")
      assert(fs.utime(d .. "/f", -1.5) and fs.stat(d .. "/f").mtime == -1.5 and fs.stat(d .. "/f").atime == -1.5)
      assert(fs.utime(d .. "/f") and math.abs(fs.stat(d .. "/f").mtime - os.time()) < 100)
      assert(select(3, fs.utime(d .. "/f", math.huge)) == "EINVAL")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("may have any bytes but zeros in its name", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      local names = { "\255\254", "\xc3(", "a\nb", " ", "-rf", "*", "\1\2\127\128" }
      for _, name in ipairs(names) do
        assert(fs.write_file(d .. "/" .. name, name))
        assert(fs.read_file(d .. "/" .. name) == name)
      end
      table.sort(names, function(a, b) return a < b end) -- in the C locale, as ours
      local listed, walked = {}, {}
      for i, e in ipairs(fs.list(d)) do listed[i] = e.name end
      for path in fs.walk(d) do walked[#walked + 1] = path:sub(#d + 2) end
      table.sort(walked)
      for i, name in ipairs(names) do assert(listed[i] == name and walked[i] == name) end
      assert(#listed == #names and #walked == #names)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)
end)

describe("changes", function()
  it("make folders, with those above when asked", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      local parents = { parents = true }
      assert(fs.mkdir(d .. "/a") == true and fs.mkdir(d .. "/b/c//d/", parents) == true and fs.mkdir(d .. "/b/c", parents) == true)
      assert(fs.stat(d .. "/b/c/d").type == "directory")
      fs.write_file(d .. "/f", "")
      assert(select(3, fs.mkdir(d .. "/f", parents)) == "EEXIST" and select(3, fs.mkdir(d .. "/f/x", parents)) == "ENOTDIR")
      assert(fs.symlink("b", d .. "/l") and fs.mkdir(d .. "/l", parents) and fs.mkdir(d .. "/l/new/x", parents) and fs.exists(d .. "/b/new/x"))
      assert(fs.mkdir("/", parents) == true and select(3, fs.mkdir("", parents)) == "ENOENT")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("rename, link and remove", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      fs.write_file(d .. "/f", "f")
      fs.write_file(d .. "/g", "g")
      assert(fs.rename(d .. "/f", d .. "/g") == true and fs.read_file(d .. "/g") == "f" and not fs.exists(d .. "/f"))
      fs.mkdir(d .. "/sub")
      fs.write_file(d .. "/sub/x", "")
      assert(select(3, fs.remove(d .. "/sub")) == "ENOTEMPTY")
      assert(fs.remove(d .. "/sub/x") == true and fs.remove(d .. "/sub") == true and fs.remove(d .. "/g") == true)
      assert(#fs.list(d) == 0 and fs.remove(d) == true)
    end)
  end)

  it("make temporary files and folders", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      assert(fs.stat(d).mode == tonumber("700", 8))
      local e = assert(fs.mkdtemp(d .. "/sub-XXXXXX"))
      assert(e:match "/sub%-%w%w%w%w%w%w$" and fs.stat(e).type == "directory")
      local f, path = assert(fs.mkstemp(d .. "/t-XXXXXX"))
      assert(path:match "/t%-%w%w%w%w%w%w$" and fs.stat(path).mode == tonumber("600", 8))
      assert(f:write "both ways" == f and f:seek "set" == 0 and f:read "a" == "both ways" and f:close())
      local g, other = assert(fs.mkstemp())
      assert(g:close() and fs.remove(other))
      assert(fs.remove(d, { recursive = true }))
    end)
    helper.passes(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      assert(d:find "^/dev/shm/goro%.%w%w%w%w%w%w$", d)
      assert(fs.remove(d))
    end, { env = { TMPDIR = "/dev/shm" } })
  end)
end)

describe("folders", function()
  it("are listed, sorted by name", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      assert(#fs.list(d) == 0)
      for _, name in ipairs { "b", "a", "B", "_", "aa" } do fs.write_file(d .. "/" .. name, "") end
      fs.mkdir(d .. "/dir")
      fs.symlink("dir", d .. "/link")
      os.execute("mkfifo " .. d .. "/fifo")
      local t = {}
      for i, e in ipairs(fs.list(d)) do t[i] = e.name .. "=" .. e.type end
      assert(table.concat(t, " ") == "B=file _=file a=file aa=file b=file dir=directory fifo=fifo link=link", table.concat(t, " "))
      assert(#fs.list(d .. "/link") == 0 and fs.list("/dev")[1])
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("are walked, each before what is in it, links not followed", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      fs.mkdir(d .. "/a/b/c", { parents = true })
      fs.mkdir(d .. "/e")
      for _, name in ipairs { "top", "a/1", "a/b/2", "a/b/c/3" } do fs.write_file(d .. "/" .. name, "") end
      fs.symlink("..", d .. "/a/up")
      fs.symlink("loop", d .. "/loop")
      local function walked(root)
        local seen, all = {}, {}
        for path, kind, message in fs.walk(root) do
          assert(message == nil and path:sub(1, #root) == root)
          local above = path:match "^(.*)/"
          assert(above .. "/" == root or above == root or seen[above] == "directory", path)
          seen[path] = kind
          all[#all + 1] = path:sub(#root + 1) .. "=" .. kind
        end
        table.sort(all)
        return table.concat(all, " ")
      end
      local expected = "/a/1=file /a/b/2=file /a/b/c/3=file /a/b/c=directory /a/b=directory /a/up=link /a=directory /e=directory /loop=link /top=file"
      assert(walked(d) == expected, walked(d))
      assert(walked(d .. "/"):gsub("^", "/"):gsub(" ", " /") == expected)
      fs.symlink(d, d .. ".l")
      assert(walked(d .. ".l") == expected, "the root may be a link")
      fs.remove(d .. ".l")
      local it = fs.walk(d)
      assert(tostring(it):find "^goro.fs.walk: " and it() and it())
      local copy = coroutine.wrap(function() for path in it do coroutine.yield(path) end end)
      while copy() do end
      assert(it() == nil and it() == nil)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("that vanish during a walk are told of, or not met", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      for i = 1, 50 do fs.mkdir(("%s/%d/x"):format(d, i), { parents = true }) end
      local n = 0
      for _, kind, message in fs.walk(d) do
        n = n + 1
        assert(kind == "directory" and (message == nil or message:find "^ENOENT: "))
        if n == 1 then for i = 1, 50 do fs.remove(d .. "/" .. i, { recursive = true }) end end
      end
      assert(n >= 1 and fs.remove(d))
    end)
  end)

  it("too many of them open are told of", function()
    helper.passes(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      fs.mkdir(d .. ("/x"):rep(100), { parents = true })
      local n, last = 0, nil
      for _, _, message in fs.walk(d) do n, last = n + 1, message end
      assert(n > 20 and n < 64 and last:find "^EMFILE: too many open files: ", last)
      assert(fs.remove(d, { recursive = true })) -- needs only one at a time
      assert(not fs.exists(d))
    end, { wrap = "prlimit --nofile=64" })
  end)
end)

describe("a tree", function()
  it("is removed without following links", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local all = { recursive = true }
      local d, keep = assert(fs.mkdtemp()), assert(fs.mkdtemp())
      fs.write_file(keep .. "/precious", "x")
      fs.mkdir(d .. "/a/b", { parents = true })
      fs.symlink(keep, d .. "/a/link")
      fs.symlink(keep, d .. "/link")
      fs.symlink("loop", d .. "/loop")
      assert(fs.remove(d .. "/link/", all) == true and not fs.lstat(d .. "/link"), "a link at the top is removed itself")
      fs.write_file(d .. "/file", "")
      assert(fs.remove(d .. "/file", all) == true)
      for _, path in ipairs { ".", "..", d .. "/a/.", d .. "/a/..", d .. "/a/../" } do assert(select(3, fs.remove(path, all)) == "EINVAL", path) end
      assert(select(3, fs.remove("/", all)) == "EBUSY" and select(3, fs.remove("", all)) == "ENOENT")
      assert(fs.exists(d .. "/a/b"))
      assert(fs.remove(d, all) == true and not fs.lstat(d))
      assert(fs.read_file(keep .. "/precious") == "x" and fs.remove(keep, all))
    end)
  end)

  it("is removed however deep it is", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      -- deeper than a path can name: each part is made elsewhere and moved under the next
      local part = ("/d"):rep(900)
      local top = d .. "/top"
      fs.mkdir(top)
      for i = 1, 10 do
        local next_one = d .. "/n" .. i
        assert(fs.mkdir(next_one .. part, { parents = true }))
        assert(fs.rename(top, next_one .. part .. "/e"))
        top = next_one
      end
      assert(fs.remove(d, { recursive = true }))
      assert(not fs.exists(d))
    end, { timeout = 120 })
  end)

  it("of many files is removed and walked in little memory", function()
    helper.passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local FILES = os.getenv "FILES" // 1 | 0
      local d = assert(fs.mkdtemp "/dev/shm/goro-walk-XXXXXX")
      local done = goro.chan()
      for w = 1, 4 do
        goro.go(function()
          fs.mkdir(("%s/%d"):format(d, w))
          for i = 1, FILES // 4 do assert(fs.write_file(("%s/%d/%d"):format(d, w, i), "")) end
          done:send(true)
        end)
      end
      for _ = 1, 4 do done:recv() end
      local function resident()
        collectgarbage() collectgarbage()
        return tonumber(fs.read_file "/proc/self/statm":match "^%d+ (%d+)") * 4096
      end
      local before, most, n = resident(), 0, 0
      for _ in fs.walk(d) do
        n = n + 1
        if n % 20000 == 0 then most = math.max(most, resident() - before) end
      end
      assert(n == FILES // 4 * 4 + 4, n)
      assert(most < 2e6, most)
      assert(fs.remove(d, { recursive = true }))
      assert(not fs.exists(d))
    end, { timeout = 240, env = { FILES = helper.rounds(100000) } })
  end)
end)
