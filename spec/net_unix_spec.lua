-- SPDX-License-Identifier: MIT
-- The path of a Unix listener: what goes when it is closed, and what does not.

local helper = require "spec.helper"
local passes = helper.passes_anywhere

describe("the path of a Unix listener", function()
  it("goes when it is closed, dropped, or its block is left", function()
    passes(function()
      local goro = require "goro"
      local net, fs = goro.net, goro.fs
      local folder = assert(fs.mkdtemp())
      local path = folder .. "/s"
      local l = assert(net.listen("unix", path))
      assert(fs.stat(path).type == "socket" and l:close() and not fs.exists(path))
      assert(l:close())
      do
        local l2 <close> = assert(net.listen("unix", path, { unlink = true }))
        assert(l2:addr() == path)
      end
      assert(not fs.exists(path))
      goro.run(function() assert(net.listen("unix", path)) end)
      collectgarbage()
      goro.run(function() for _ = 1, 1000 do if not fs.exists(path) then return end goro.sleep(0.005) end error "stays" end)
      fs.remove(folder)
    end)
  end)

  it("stays with unlink = false", function()
    passes(function()
      local goro = require "goro"
      local net, fs = goro.net, goro.fs
      local folder = assert(fs.mkdtemp())
      local path = folder .. "/s"
      net.listen("unix", path, { unlink = false }):close()
      assert(fs.stat(path).type == "socket")
      assert(select(3, net.dial("unix", path)) == "ECONNREFUSED" and select(3, net.listen("unix", path)) == "EADDRINUSE")
      assert(fs.remove(folder, { recursive = true }))
      local ok, e = pcall(net.listen, "unix", path, { unlink = 0 })
      assert(not ok and e:find("bad argument #3 to '%S*listen' %(field 'unlink': boolean expected, got number%)"), e)
    end)
  end)

  it("is the one that it had when it began, in whatever folder the program is then", function()
    helper.passes(function()
      local goro = require "goro"
      local chdir = require "ctest".chdir
      local net, fs = goro.net, goro.fs
      local one, other = assert(fs.mkdtemp()), assert(fs.mkdtemp())
      assert(chdir(one))
      local l = assert(net.listen("unix", "s"))
      assert(l:addr() == "s")
      assert(chdir(other))
      local mine = assert(io.open("s", "w"))
      mine:write "mine"
      mine:close()
      l:close()
      assert(fs.read_file(other .. "/s") == "mine")
      assert(not fs.exists(one .. "/s"))
      assert(chdir "/")
      fs.remove(one)
      assert(fs.remove(other, { recursive = true }))
    end, { env = helper.with_ctest() })
  end)

  it("is left to a new server that has taken the name over, to a file, to a link", function()
    passes(function()
      local goro = require "goro"
      local net, fs = goro.net, goro.fs
      local folder = assert(fs.mkdtemp())
      local path = folder .. "/s"
      local old = assert(net.listen("unix", path))
      local new = assert(net.listen("unix", path .. ".new"))
      assert(fs.rename(path .. ".new", path))
      old:close()
      local c = assert(net.dial("unix", path))
      assert(new:accept())
      c:close()
      new:close() -- it was made under another name, where nothing is any more
      assert(fs.stat(path).type == "socket")
      assert(fs.remove(path))
      local l = assert(net.listen("unix", path))
      assert(fs.rename(path, path .. ".moved") and fs.write_file(path, "a file"))
      l:close()
      assert(fs.read_file(path) == "a file" and fs.remove(path) and fs.remove(path .. ".moved"))
      l = assert(net.listen("unix", path))
      assert(fs.rename(path, path .. ".moved") and fs.symlink(path .. ".moved", path))
      l:close()
      assert(fs.lstat(path).type == "link" and fs.exists(path .. ".moved"))
      assert(fs.remove(folder, { recursive = true }))
    end)
  end)
end)
