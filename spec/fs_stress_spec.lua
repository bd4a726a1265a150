-- SPDX-License-Identifier: MIT
-- goro.fs by many goroutines at once: on 1, 2 and 8 places, while others change what is read, while a thread is blocked, while memory is reclaimed.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local function on_places(name, body, opts)
  for _, procs in ipairs { 1, 2, 8 } do
    it(("%s, on %d places"):format(name, procs), function()
      local env = { GOROMAXPROCS = procs, ROUNDS = helper.rounds(opts and opts.rounds or 100) }
      helper.passes(body, { env = env, timeout = 120 })
    end)
  end
end

describe("many goroutines", function()
  on_places("work each in a tree of its own", function()
    local goro = require "goro"
    local fs = goro.fs
    local rounds = math.tointeger(os.getenv "ROUNDS")
    local d, done = assert(fs.mkdtemp "/dev/shm/goro-stress-XXXXXX"), goro.chan()
    local function work(w)
      local all = { recursive = true }
      for i = 1, rounds do
        local root = ("%s/%d-%d"):format(d, w, i)
        assert(fs.mkdir(root .. "/a/b", { parents = true }))
        local data = (w .. " "):rep(i * 37)
        assert(fs.write_file(root .. "/a/f", data) and fs.copy(root .. "/a/f", root .. "/a/b/g") and fs.rename(root .. "/a/b/g", root .. "/h"))
        assert(fs.read_file(root .. "/h") == data)
        assert(fs.symlink("a", root .. "/l") and fs.realpath(root .. "/l/f") == fs.realpath(root) .. "/a/f")
        local n = 0
        for _ in fs.walk(root) do n = n + 1 end
        assert(n == 5 and #fs.list(root) == 3)
        local f <close> = assert(fs.open(root .. "/h", "r+"))
        assert(f:seek "end" == #data and f:write "tail" and f:seek("set", #data) and f:read "a" == "tail")
        assert(fs.remove(root, all))
      end
      done:send(true)
    end
    for w = 1, 12 do goro.go(work, w) end
    for _ = 1, 12 do done:recv() end
    assert(fs.remove(d))
  end)

  on_places("make the same folders and files at once", function()
    local goro = require "goro"
    local fs = goro.fs
    local rounds = math.tointeger(os.getenv "ROUNDS")
    local d, done = assert(fs.mkdtemp "/dev/shm/goro-stress-XXXXXX"), goro.chan()
    for i = 1, rounds do
      for w = 1, 8 do
        goro.go(function()
          assert(fs.mkdir(("%s/%d/b/c/d"):format(d, i), { parents = true }))
          assert(fs.append_file(("%s/%d/b/log"):format(d, i), ("line %d\n"):format(w)))
          done:send((fs.mkstemp(("%s/%d/tXXXXXX"):format(d, i))))
        end)
      end
      local seen = {}
      for _ = 1, 8 do
        local f = done:recv()
        local ino = f:stat().ino
        assert(not seen[ino])
        seen[ino] = true
        f:close()
      end
      local n = 0
      for line in fs.open(("%s/%d/b/log"):format(d, i)):lines() do n = n + tonumber(line:match "^line (%d)$") end
      assert(n == 36)
    end
    assert(fs.remove(d, { recursive = true }))
  end, { rounds = 40 })

  on_places("read what others replace, and see the old or the new", function()
    local goro = require "goro"
    local fs = goro.fs
    local rounds = math.tointeger(os.getenv "ROUNDS")
    local d, done, stop = assert(fs.mkdtemp "/dev/shm/goro-stress-XXXXXX"), goro.chan(), goro.chan()
    local path = d .. "/f"
    assert(fs.write_file(path, ("0"):rep(50000)))
    for w = 1, 3 do
      goro.go(function()
        for i = 1, rounds do assert(fs.write_file(path, tostring((w + i) % 10):rep(50000), { atomic = true })) end
        done:send(true)
      end)
      goro.go(function()
        local n = 0
        repeat
          local data = assert(fs.read_file(path))
          assert(#data == 50000 and data == data:sub(1, 1):rep(50000))
          n = n + 1
          local _, ok = stop:recv(0)
        until ok == false
        done:send(n > 0)
      end)
    end
    for _ = 1, 3 do done:recv() end
    stop:close()
    for _ = 1, 3 do assert(done:recv()) end
    assert(#fs.list(d) == 1 and fs.remove(d, { recursive = true }))
  end)

  on_places("remove a tree in which others put links in the place of folders", function()
    local goro = require "goro"
    local fs = goro.fs
    local rounds = math.tointeger(os.getenv "ROUNDS")
    local d, keep = assert(fs.mkdtemp "/dev/shm/goro-stress-XXXXXX"), assert(fs.mkdtemp "/dev/shm/goro-keep-XXXXXX")
    assert(fs.write_file(keep .. "/precious", "x") and fs.mkdir(keep .. "/sub/sub", { parents = true }))
    local stop, done = goro.chan(), goro.chan()
    for w = 1, 2 do
      goro.go(function()
        repeat
          for i = 1, 5 do
            local at = ("%s/t/%d"):format(d, i)
            fs.rename(at, ("%s/away-%d-%d"):format(d, w, i))
            fs.symlink(keep, at)
            fs.remove(at)
            fs.rename(("%s/away-%d-%d"):format(d, w, i), at)
          end
          local _, ok = stop:recv(0)
        until ok == false
        done:send(true)
      end)
    end
    for _ = 1, rounds do
      for i = 1, 5 do
        fs.mkdir(("%s/t/%d/x/y"):format(d, i), { parents = true })
        fs.write_file(("%s/t/%d/x/y/f"):format(d, i), "")
      end
      fs.remove(d .. "/t", { recursive = true }) -- may fail: somebody puts things back
      for _, _, message in fs.walk(d) do assert(message == nil or message:find "^E") end
    end
    stop:close()
    done:recv()
    done:recv()
    assert(fs.remove(d, { recursive = true }))
    assert(fs.read_file(keep .. "/precious") == "x" and fs.exists(keep .. "/sub/sub"))
    assert(fs.remove(keep, { recursive = true }))
  end)

  on_places("open, read and close the same files, while their states come and go", function()
    local goro = require "goro"
    local fs = goro.fs
    local rounds = math.tointeger(os.getenv "ROUNDS")
    local f, path = assert(fs.mkstemp "/dev/shm/goro-stress-XXXXXX")
    f:write(("0123456789\n"):rep(1000))
    local files, done = goro.chan(4), goro.chan(4)
    goro.go(function()
      for _ = 1, rounds do files:send(assert(fs.open(path))) end
      files:close()
    end)
    for _ = 1, 4 do
      goro.go(function()
        for g in files:range() do
          for _ = 1, 3 do
            goro.go(function()
              g:seek("set", 0)
              local line, _, code = g:read()
              assert(line == nil and (code == "EBADF" or code == "ECANCELED") or ("0123456789"):find(line, 1, true))
            end)
          end
          if math.random(2) == 1 then g:close() end
        end
        done:send(true)
      end)
    end
    for _ = 1, 4 do done:recv() end
    while goro.num_goroutine() > 1 do goro.sleep(0.001) end
    f:close()
    collectgarbage() collectgarbage()
    local tries = 0
    repeat
      tries = tries + 1
      goro.sleep(0.01)
    until #fs.list "/proc/self/fd" <= 8 or tries > 200
    assert(#fs.list "/proc/self/fd" <= 8, #fs.list "/proc/self/fd")
    assert(fs.remove(path))
  end)
end)

describe("a thread that is blocked", function()
  it("in a file call does not hold up the others", function()
    helper.passes(function()
      local goro = require "goro"
      local fs = goro.fs
      goro.maxprocs(1)
      local d = assert(fs.mkdtemp())
      os.execute(("mkfifo %s/1 %s/2 %s/3 %s/4 %s/5"):format(d, d, d, d, d))
      local done = goro.chan()
      goro.go(function() done:send(fs.read_file(d .. "/1")) end)
      goro.go(function() done:send(fs.open(d .. "/2"):read "a") end)
      goro.go(function() done:send(fs.copy(d .. "/3", d .. "/copy")) end)
      goro.go(function() done:send(fs.write_file(d .. "/4", "4")) end)
      goro.go(function() done:send(fs.append_file(d .. "/5", "5")) end)
      local ticks = goro.run(function()
        local n = 0
        for _ = 1, 30 do
          goro.sleep(0.001)
          n = n + 1
        end
        return n
      end)
      assert(ticks == 30)
      for i = 1, 3 do assert(fs.write_file(d .. "/" .. i, tostring(i))) end
      for i = 4, 5 do assert(fs.read_file(d .. "/" .. i) == tostring(i)) end
      local got = {}
      for i = 1, 5 do got[i] = tostring(done:recv()) end
      table.sort(got)
      assert(table.concat(got, " ") == "1 2 true true true" and fs.read_file(d .. "/copy") == "3", table.concat(got, " "))
      assert(fs.remove(d, { recursive = true }))
    end, { timeout = 20 })
  end)
end)

describe("a full disk", function()
  it("is told of, and an atomic write leaves what was there", function()
    local mounted = os.tmpname()
    os.remove(mounted)
    os.execute("mkdir " .. mounted)
    if not os.execute(("mount -t tmpfs -o size=1m none %s 2>/dev/null"):format(mounted)) then
      os.execute("rmdir " .. mounted)
      return pending "a file system may not be mounted here"
    end
    local r = helper.run_function(function(d)
      local fs = require "goro".fs
      assert(fs.write_file(d .. "/f", "old"))
      local v, m, code = fs.write_file(d .. "/f", ("x"):rep(2 << 20), { atomic = true })
      assert(v == nil and code == "ENOSPC" and m == "ENOSPC: no space left on device: " .. d .. "/f", m)
      assert(#fs.list(d) == 1 and fs.read_file(d .. "/f") == "old")
      assert(select(3, fs.write_file(d .. "/g", ("x"):rep(2 << 20))) == "ENOSPC")
      assert(fs.write_file(d .. "/g", ""))
      local f = fs.open(d .. "/g", "w")
      repeat local ok, _, why = f:write(("y"):rep(10000)) until not ok or why
      assert(f:close() and select(3, fs.copy("/bin/bash", d .. "/h")) == "ENOSPC")
    end, { args = { mounted } })
    os.execute(("umount %s && rmdir %s"):format(mounted, mounted))
    helper.ended_well(r)
  end)
end)
