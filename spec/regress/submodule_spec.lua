-- SPDX-License-Identifier: MIT
-- goro.time and the other submodules are opened from the library that is loaded, in every state: they were searched for on disk.

local helper = require "spec.helper"

local NAMES = { "time", "sync", "context", "net", "fs", "process", "signal", "runtime" }

-- The folder of the library under test, and a second copy of it.
local function library()
  local path = assert(package.searchpath("goro", package.cpath))
  return path:sub(1, 1) == "/" and path or io.popen "pwd":read "l" .. "/" .. path
end

local function with_copy(f)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p '%s/sub' && cp '%s' '%s/goro.so' && ln -s '%s' '%s/sub/goro.so'"):format(dir, library(), dir, library(), dir)))
  local ok, err = pcall(f, dir)
  os.execute("rm -rf '" .. dir .. "'")
  if not ok then error(err, 0) end
end

describe("a submodule of goro", function()
  it("is there with nothing to be found on disk, in the main script and in goroutines", function()
    for _, way in ipairs {
      [[package.cpath, package.path = "", ""]],
      [[require = nil]],
      [[package.searchers = {}]],
      [[for i in ipairs(package.searchers) do package.searchers[i] = nil end]],
      [[package.loaded.package, package = nil, nil]],
      [[package.cpath, package.path = nil, nil]],
    } do
      local out = helper.passes_script(([[
        local goro = require "goro"
        local function use()
          local n = 0
          for _, name in ipairs { "time", "sync", "context", "net", "fs", "process", "signal", "runtime" } do
            assert(type(goro[name]) == "table", name)
            n = n + 1
          end
          return goro.time.mono() > 0 and n
        end
        local before = goro.run(use)
        %s
        print(before, use(), goro.run(use), goro.run(function() %s return use() end))
      ]]):format(way, way))
      assert.equal("8\t8\t8\t8\n", out)
    end
  end)

  it("is there without a free descriptor", function()
    helper.passes(function()
      local goro = require "goro"
      goro.run(function() end)
      goro.maxprocs(2)
      local held = {}
      for i = 1, 1000000 do
        local f = io.open "/dev/null"
        if not f then break end
        held[i] = f
      end
      assert(not io.open "/dev/null")
      assert(goro.run(function() return goro.time.mono() end) > 0)
      assert(goro.run(function() return require "goro.time".mono() end) > 0)
      assert(goro.sync.mutex():lock())
      local now = goro.time.now
      assert(goro.run(function() return now() end) > 0)
      for _, f in ipairs(held) do f:close() end
    end, { wrap = "prlimit --nofile=64" })
  end)

  it("is there after the folder was changed, although package.cpath is relative", function()
    local folder, file = library():match "^(.*)/([^/]*)$"
    assert.equal("goro.so", file)
    local r = helper.run_script([[
      local goro = require "goro"
      local before = goro.run(function() return goro.time.mono() > 0 end)
      assert(before and package.loadlib(..., "luaopen_ctest")().chdir "/")
      print(goro.time.mono() > 0, goro.run(function() return goro.time.mono() > 0 end))
    ]], {
      args = { folder .. "/embed/ctest.so" }, env = { LUA_CPATH = "./?.so" }, wrap = ("env -C '%s'"):format(folder),
    })
    assert.equal("true\ttrue\n", helper.ended_well(r))
  end)

  it("may be required alone, and opens goro", function()
    for _, name in ipairs(NAMES) do
      local out = helper.passes_script(([[
        local m = require "goro.%s"
        local goro = package.loaded.goro
        print(goro and goro == require "goro", goro.%s == m, goro.run(function() return require "goro.%s" == goro.%s end))
      ]]):format(name, name, name, name))
      assert.equal("true\ttrue\ttrue\n", out)
    end
  end)

  it("is one table, whichever way it is reached", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local time = goro.time
      assert(rawequal(time, require "goro.time") and rawequal(time, package.loaded["goro.time"]) and rawequal(time, rawget(goro, "time")))
      assert(require "goro.fs" == goro.fs and package.loaded["goro.fs"] == goro.fs)
    end)
  end)

  it("is the program's own when it has put one in its place", function()
    helper.passes(function()
      package.loaded["goro.fs"] = { mine = true }
      package.preload["goro.net"] = function() return { mine = true } end
      local goro = require "goro"
      assert(goro.fs.mine and require "goro.net".mine)
      package.preload["goro.other"] = function() return { mine = true } end
      assert(require "goro.other".mine and goro.other == nil)
    end)
  end)

  it("crosses by name, its functions too", function()
    helper.passes(function()
      local goro = require "goro"
      local fs, now, mutex = goro.fs, goro.time.now, goro.sync.mutex
      package.cpath = ""
      assert(goro.run(function()
        return fs == require "goro.fs" and now == require "goro".time.now and mutex == goro.sync.mutex and now() > 0
      end))
    end)
  end)

  it("is shown by pairs, and nothing is shown twice", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local seen = {}
      for k, v in pairs(goro) do
        assert(not seen[k] and goro[k] == v)
        seen[k] = v
      end
      for _, name in ipairs { "time", "sync", "context", "net", "fs", "process", "signal", "runtime" } do
        assert(type(seen[name]) == "table", name)
      end
      assert(seen.go and seen.chan and seen._VERSION)
      assert(goro.test == nil and goro.tls == nil and goro.nothing == nil)
    end)
  end)

  it("of a name that nobody knows is looked for as any module is", function()
    helper.passes_anywhere(function()
      local ok, why = pcall(require, "goro.nothing")
      assert(not ok and why:find("module 'goro.nothing' not found", 1, true) and why:find "goro/nothing%.lua")
    end)
  end)
end)

describe("a second copy of the library", function()
  it("says so and refuses, whichever of its modules is required, in any state", function()
    with_copy(function(dir)
      local out = helper.passes_script([[
        local dir, first = ...
        local goro = require "goro"
        local function refused(module)
          local open = assert(package.loadlib(dir .. "/goro.so", "luaopen_" .. module:gsub("%.", "_")))
          local ok, why = pcall(open, module)
          assert(not ok and why == ("'%s/goro.so' is a second copy of goro: this process has loaded '%s' already, "
            .. "and can have only one (see package.cpath)"):format(dir, first), why)
        end
        local function all()
          for _, name in ipairs { "goro", "goro.time", "goro.sync", "goro.context", "goro.net", "goro.fs", "goro.process",
            "goro.signal", "goro.runtime" } do refused(name) end
        end
        all()
        goro.run(all)
        package.cpath = dir .. "/?.so"
        package.loaded.goro = nil
        package.searchers[1] = function() end
        local ok, why = pcall(require, "goro.time")
        assert(not ok and why:find "second copy of goro", why)
        package.loaded.goro = goro
        print(goro.run(function() return goro.time.mono() > 0 end))
      ]], { args = { dir, library() } })
      assert.equal("true\n", out)
    end)
  end)

  it("under another name of the same file is no second copy", function()
    with_copy(function(dir)
      local out = helper.passes_script([[
        local goro = require "goro"
        package.cpath = (...) .. "/sub/?.so"
        package.loaded.goro = nil
        print(require "goro".go == goro.go, (goro.run(function()
          package.loaded.goro = nil
          return require "goro".num_cpu()
        end)) > 0)
      ]], { args = { dir } })
      assert.equal("true\n", (out:gsub("^%a+\t", "")))
    end)
  end)

  it("may be the only one that is loaded", function()
    with_copy(function(dir)
      helper.passes_script([[
        local goro = require "goro"
        assert(package.searchpath("goro", package.cpath):find "^/tmp/")
        assert(goro.run(function() return goro.time.mono() end) > 0)
      ]], { env = { LUA_CPATH = dir .. "/?.so" } })
    end)
  end)
end)
