-- SPDX-License-Identifier: MIT
-- What crosses by name, and what does not: stock functions that the program has replaced, and tables that it put into package.loaded by hand.

local helper = require "spec.helper"

local function with_folder(f)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
  local ok, err = pcall(f, dir)
  os.execute("rm -rf " .. dir)
  if not ok then error(err, 0) end
end

local PRELUDE = [==[
  local dir = ...
  local goro = require "goro"
  local function write(name, text)
    local f <close> = assert(io.open(dir .. "/" .. name, "w"))
    f:write(text)
  end
  -- The table, which is package.loaded[name], as a goroutine gets it: "copy" or "by name"; used as a class, so that it matters.
  local function arrives(name)
    local class = package.loaded[name]
    class.__index = class
    return goro.run(function(o, n)
      return getmetatable(o).mark == "by hand" and package.loaded[n] == nil and "copy" or package.loaded[n] == getmetatable(o) and "by name"
    end, setmetatable({}, class), name)
  end
]==]

local function passes(body, opts)
  with_folder(function(dir)
    opts = opts or {}
    opts.args = { dir }
    helper.passes_script(PRELUDE .. body, opts)
  end)
end

describe("a stock function", function()
  it("comes back as it was, when the program has put another one in its place", function()
    passes [[
      local kept = {}
      for _, lib in ipairs { "string", "table", "math", "utf8", "os", "io", "coroutine", "debug" } do
        for name, f in pairs(_G[lib]) do
          if type(f) == "function" and not debug.getupvalue(f, 1) then kept[lib .. "." .. name] = f end
        end
      end
      for _, name in ipairs { "print", "assert", "pcall", "xpcall", "tostring", "setmetatable", "ipairs", "next", "select" } do kept["_G." .. name] = _G[name] end
      local back = goro.chan(1)
      local function there_and_back()
        for where, f in pairs(kept) do
          goro.run(function() back:send(f) end)
          if back:recv() ~= f then return where end
        end
      end
      assert(there_and_back() == nil, there_and_back())
      local function mine() end
      local places = {}
      for where in pairs(kept) do places[#places + 1] = { where:match "^(.-)%.(.*)$" } end
      for _, place in ipairs(places) do
        local lib = _G[place[1] ]
        if lib ~= _G then lib[place[2] ] = mine end
      end
      assert(there_and_back() == nil, there_and_back())
    ]]
  end)

  it("is the receiver's own: a host's print, a goroutine's pcall", function()
    local out = helper.passes_script [[
      local goro = require "goro"
      local say, call = print, pcall
      assert(goro.run(function() return call == pcall and say == print end))
      print, pcall = error, error
      local s, c = goro.run(function() return say, call end)
      assert(s == say and c == call and s ~= print)
      s "said"
    ]]
    assert.equal("said\n", out)
  end)

  it("is the goroutine's standard one where the goroutine has replaced it", function()
    passes [[
      local reverse, yield = string.reverse, coroutine.yield
      assert(goro.run(function(c)
        local first = { string.reverse, coroutine.yield }
        string.reverse, coroutine.yield = print, print
        c:send { reverse, yield }
        local got = c:recv()
        return got[1] == first[1] and got[2] == first[2] and reverse == first[1]
      end, goro.chan(1)))
      assert(goro.run(function() string.reverse = nil return string.reverse == nil and string.upper end)("x") == "X")
      assert(goro.run(function() return reverse("abc") end) == "cba")
    ]]
  end)
end)

describe("a table that was put into package.loaded by hand", function()
  it("is copied, whatever searchers were added", function()
    passes [[
      package.loaded["my.hand"] = { mark = "by hand" }
      assert(arrives "my.hand" == "copy")
      local asked = {}
      table.insert(package.searchers, 2, function(name) asked[#asked + 1] = name return "nothing here" end)
      table.insert(package.searchers, function(name) if name == "my.hand" then error "cannot be asked" end end)
      assert(arrives "my.hand" == "copy")
      assert(asked[1] == "my.hand")
      for _ = 1, 50 do assert(arrives "my.hand" == "copy") end
      assert(#asked < 50, "each message asks all searchers")
    ]]
  end)

  it("is copied when its name has a dot and a C library has the first part's name", function()
    passes([[
      assert(package.searchpath("ctest", package.cpath), package.cpath)
      package.loaded["ctest.hand"] = { mark = "by hand" }
      assert(arrives "ctest.hand" == "copy")
      package.loaded["opens_hand"] = { mark = "by hand" }
      package.loaded["opens"] = { mark = "by hand" }
      assert(arrives "opens_hand" == "copy")
      assert(select(2, pcall(arrives, "opens")) ~= "copy", "a library with luaopen_opens is there")
    ]], { env = helper.with_ctest() })
  end)

  it("may send something of itself while a searcher is asked for it", function()
    passes [[
      package.loaded["my.hand"] = { mark = "by hand" }
      local inside
      table.insert(package.searchers, function(name)
        if name == "my.hand" and not inside then
          inside = true
          assert(arrives "my.hand" == "copy")
        end
      end)
      assert(arrives "my.hand" == "copy" and inside)
    ]]
  end)
end)

describe("a module", function()
  it("that an added searcher finds goes by name; the searcher is asked for it once", function()
    passes [[
      local asked = 0
      table.insert(package.searchers, function(name)
        if name ~= "virtual" then return end
        asked = asked + 1
        return function() return { mark = "virtual", f = function() return "f of " .. name end } end
      end)
      require "virtual"
      asked = 0
      for _ = 1, 10 do assert(arrives "virtual" == "by name") end
      assert(asked == 1, asked)
    ]]
  end)

  it("is found when its file comes later, or package.path leads to it later", function()
    passes [[
      package.loaded["late"] = { mark = "by hand" }
      assert(arrives "late" == "copy")
      write("late.lua", "return { mark = 'of the file' }")
      package.path = dir .. "/?.lua;" .. package.path
      assert(arrives "late" == "by name")
      package.loaded["later"] = { mark = "by hand" }
      assert(arrives "later" == "copy")
      write("later.lua", "return { mark = 'of the file' }")
      local limit = os.time() + 60
      while arrives "later" ~= "by name" do
        assert(os.time() < limit, "not found for ever")
        goro.sleep(0.01)
      end
    ]]
  end)

  it("that was not found while descriptors were short is found afterwards", function()
    passes([[
      goro.maxprocs(2)
      goro.run(function() end)
      write("real.lua", "local M = { mark = 'real' } function M.f() return M end return M")
      package.path = dir .. "/?.lua;" .. package.path
      local real, held = require "real", {}
      for i = 1, 1000000 do
        held[i] = io.open "/dev/null"
        if not held[i] then break end
      end
      pcall(goro.run, function() return real.f() end)
      for _, f in ipairs(held) do f:close() end
      assert(goro.run(function() return real == package.loaded.real and real.f() == real end))
    ]], { wrap = "prlimit --nofile=64" })
  end)
end)
