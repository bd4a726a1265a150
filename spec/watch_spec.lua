-- SPDX-License-Identifier: MIT
-- fs.watch: what each kind of change is called, whose it is; slow readers; ends of every kind; no watches, no descriptors left.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes, passes_anywhere = helper.passes, helper.passes_anywhere

describe("fs.watch", function()
  it("tells what happens in a folder", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local ch <const> = assert(fs.watch(d))
      local function next_is(event, name)
        local e = assert(ch:recv(20), "nothing came")
        assert(e.event == event and e.path == (name and d .. "/" .. name or d), e.event .. " " .. e.path)
        assert(getmetatable(e) == nil and next(e, next(e, (next(e)))) == nil, "two fields")
      end
      assert(fs.write_file(d .. "/a", "x"))
      next_is("create", "a")
      next_is("change", "a")
      assert(fs.append_file(d .. "/a", "y"))
      next_is("change", "a")
      assert(fs.chmod(d .. "/a", 384))
      next_is("attributes", "a")
      assert(fs.rename(d .. "/a", d .. "/b\n\255"))
      next_is("remove", "a")
      next_is("create", "b\n\255")
      assert(fs.remove(d .. "/b\n\255"))
      next_is("remove", "b\n\255")
      assert(fs.mkdir(d .. "/sub"))
      next_is("create", "sub")
      assert(fs.write_file(d .. "/sub/deep", "")) -- not looked into
      assert(fs.remove(d .. "/sub/deep"))
      assert(fs.remove(d .. "/sub"))
      next_is("remove", "sub")
      assert(fs.remove(d))
      next_is "remove"
      local e, open = ch:recv(20)
      assert(e == nil and open == false, "it ends with the folder")
    end)
  end)

  it("tells what happens to a file, until that has another name or none", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local f = d .. "/" .. ("long-name-"):rep(20)
      for _, ends in ipairs { function() return fs.remove(f) end, function() return fs.rename(f, d .. "/other") end } do
        assert(fs.write_file(f, ""))
        local ch = assert(fs.watch(f))
        assert(fs.write_file(d .. "/neighbour", "1"))
        assert(fs.append_file(f, "x"))
        local e = ch:recv(20)
        assert(e.event == "change" and e.path == f)
        assert(ends())
        local last
        for later in ch:range() do
          assert(later.path == f)
          last = later.event
        end
        assert(last == "remove")
      end
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("says why it cannot", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local function fails(path, code, message)
        local ch, m, c = fs.watch(path)
        assert(ch == nil and c == code and m == message, m)
      end
      fails("/no/such", "ENOENT", "ENOENT: no such file or directory: /no/such")
      fails("", "ENOENT", "ENOENT: no such file or directory: ")
      fails("/etc/passwd/x", "ENOTDIR", "ENOTDIR: not a directory: /etc/passwd/x")
      fails("a\0b", "EINVAL", "EINVAL: invalid argument (a zero in the path): a\0b")
      local long = "/" .. ("x"):rep(5000)
      fails(long, "ENAMETOOLONG", "ENAMETOOLONG: name too long: " .. long)
    end)
    helper.raises("bad argument #1 to 'watch' (string expected, got nil)", function() require "goro".fs.watch(nil) end)
  end)

  it("ends when the channel is closed, and no descriptor stays for each", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      -- The least of several looks: goro's own look at threads takes a descriptor for a moment.
      local function state()
        local least, watches
        for _ = 1, 10 do
          local list = fs.list "/proc/self/fd"
          least, watches = math.min(least or #list, #list), 0
          for _, e in ipairs(list) do
            for _ in (fs.read_file("/proc/self/fdinfo/" .. e.name) or ""):gmatch "inotify wd:" do watches = watches + 1 end
          end
        end
        return least, watches
      end
      local first = fs.watch(d) -- the loop is there when it has told of something
      assert(fs.mkdir(d .. "/x") and first:recv(20) and fs.remove(d .. "/x"))
      first:close()
      local fds, watches = state()
      assert(watches == 0, "the kernel has none left")
      local all = {}
      for i = 1, 300 do all[i] = assert(fs.watch(d)) end
      local n, w = state()
      assert(n == fds and w == 1, "one for each inode")
      for i = 1, 300, 2 do all[i]:close() end
      assert(fs.write_file(d .. "/f", ""))
      for i = 1, 300 do
        local e, open = all[i]:recv(20)
        if i % 2 == 1 then assert(e == nil and open == false) else assert(e.event == "create") end
      end
      all = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      n, w = state()
      assert(n == fds and w == 0, "those that nobody has are gone")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("keeps what a slow reader gets within bounds, and says so", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local slow, quick = assert(fs.watch(d)), assert(fs.watch(d))
      local seen = goro.chan()
      goro.go(function()
        local n = 0
        for e in quick:range() do
          if e.event == "create" then n = n + 1 end
          if e.path:find "/last$" or e.event == "overflow" then break end
        end
        seen:send(n)
      end)
      for i = 1, 1500 do
        assert(fs.write_file(d .. "/" .. i, ""))
        if i % 100 == 0 then goro.sleep(0.01) end
      end
      assert(fs.write_file(d .. "/last", ""))
      assert(seen:recv() == 1501)
      assert(#slow == 1024)
      for _ = 1, 1023 do assert(slow:recv().event == "create") end
      local e = slow:recv() -- though nothing happens any more
      assert(e.event == "overflow" and e.path == d and #slow == 0)
      assert(fs.remove(d .. "/1"))
      assert(slow:recv(20).event == "remove")
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("can wake, so is no deadlock; a closed one is", function()
    passes(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local ch = fs.watch(d)
      os.execute(("(sleep 0.3; touch %s/x) &"):format(d))
      assert(ch:recv().event == "create")
      ch:close()
      local ok, e = pcall(function() goro.chan():recv() end)
      assert(not ok and e:find "deadlock", e)
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("goes to other states, and through select", function()
    passes_anywhere(function()
      local goro = require "goro"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local ch, stop = fs.watch(d .. "/"), goro.chan()
      local paths = goro.chan(10)
      goro.go(function()
        while true do
          local which, e = goro.select { { recv = ch }, { recv = stop } }
          if which ~= 1 then return paths:close() end
          paths:send(e.path)
        end
      end)
      for i = 1, 5 do
        fs.mkdir(d .. "/" .. i)
        assert(paths:recv() == d .. "/" .. i, "one slash")
      end
      stop:close()
      for _ in paths:range() do end
      assert(fs.remove(d, { recursive = true }))
    end)
  end)

  it("comes and goes on many threads", function()
    for _, procs in ipairs { "1", "2", "8" } do
      passes(function(n, rounds)
        local goro = require "goro"
        local fs = goro.fs
        goro.maxprocs(tonumber(n))
        local d = assert(fs.mkdtemp())
        local group = goro.group()
        for i = 1, 8 do
          group:go(function()
            for k = 1, tonumber(rounds) do
              local own, shared = d .. "/" .. i .. "-" .. k, assert(fs.watch(d))
              assert(fs.mkdir(own))
              local ch = assert(fs.watch(own))
              assert(fs.write_file(own .. "/f", "x"))
              assert(ch:recv(20).event == "create" and ch:recv(20).event == "change")
              local seen = {}
              repeat
                local e, open = shared:recv(20)
                if not e then error(("%s is not told, %s, but: %s"):format(own, open, table.concat(seen, " "))) end
                seen[#seen + 1] = e.event .. ":" .. e.path
              until e.path == own or e.event == "overflow"
              if k % 3 == 0 then shared:close() end
              assert(fs.remove(own, { recursive = true }))
              if k % 2 == 0 then ch:close() else for _ in ch:range() do end end -- which it may be already
              ch:close()
            end
          end)
        end
        group:wait()
        assert(fs.remove(d, { recursive = true }))
      end, { args = { procs, tostring(helper.rounds(60)) } })
    end
  end)

  it("fails without descriptors, and works when there are some again", function()
    passes(function()
      local fs = require "goro".fs
      local files = {}
      for f in function() return (io.open "/dev/null") end do files[#files + 1] = f end
      local ch, m, c
      repeat
        ch, m, c = fs.watch "/tmp"
        if not ch then assert(c == "EMFILE" and m == "EMFILE: too many open files: /tmp", m)
        elseif select(2, ch:recv(0.2)) == false then ch = nil end -- closed: there was no loop
        table.remove(files):close()
      until ch
      for _, f in ipairs(files) do f:close() end
      local d = assert(fs.mkdtemp())
      repeat local e = ch:recv(20) until e.path == d -- others use the folder too
      fs.remove(d)
    end, { wrap = "prlimit --nofile=60:60" })
  end)

  it("fails without memory, at each allocation in turn", function()
    local r = helper.run_script [[
      local goro, testing = require "goro", require "goro.testing"
      local fs = goro.fs
      local d = assert(fs.mkdtemp())
      local ch = fs.watch(d)
      local function once()
        local ch = fs.watch(d)
        fs.mkdir(d .. "/x")
        local e = ch:recv(0.2)
        fs.remove(d .. "/x")
        ch:close()
        assert(e == nil or e.event == "create" or e.event == "remove" or e.event == "overflow")
      end
      once()
      local failures, n, made = 0, 0, nil
      repeat
        n = n + 1
        testing.fail_at(n)
        local ok, err = pcall(once)
        made = testing.fail_at(0)
        fs.remove(d .. "/x")
        if not ok then
          failures = failures + 1
          assert(tostring(err):find("not enough memory", 1, true), err)
        end
      until made < n
      assert(failures > 0)
      ch:close()
      fs.remove(d)
      io.write "done"
    ]]
    assert.equal("done", r.stdout, helper.describe(r))
  end)
end)
