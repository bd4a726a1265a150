-- SPDX-License-Identifier: MIT
-- The floors of csrc/: a file includes its own folder and lower floors, and siblings do not see each other.
-- Also: which folders know Lua and libuv, the license line, the length and width of files, and
-- circles of #includes.

local FLOORS = {
  base = {},
  sched = { "base" },
  sync = { "base", "sched" },
  heap = { "base" },
  copy = { "base", "heap" },
  run = { "base", "sched", "sync", "heap", "copy" },
  io = { "base", "sched", "sync" },
  lib = { "base", "sched", "sync", "heap", "copy", "run", "io" },
}
local LUA, UV = { heap = true, copy = true, run = true, lib = true }, { io = true }
local FOREIGN = {
  ["lua.h"] = LUA, ["lauxlib.h"] = LUA, ["lualib.h"] = LUA, ["luaconf.h"] = LUA, ["lua.hpp"] = LUA,
  ["uv.h"] = UV,
}
local LONGEST, WIDEST = 600, 100
-- Modules (x.c and x.h together) that include one another in a circle, at most.
local CIRCLE = 5

local function set(list)
  local s = {}
  for _, name in ipairs(list) do s[name] = true end
  return s
end

-- What is wrong with a file of this text in csrc/<folder>/.
local function faults(folder, text)
  local found = {}
  local function fault(line, ...) found[#found + 1] = ("%d: %s"):format(line, (...):format(select(2, ...))) end
  local floors, n = FLOORS[folder], 0
  if not floors then return { ("0: no floor is called '%s'"):format(folder) } end
  local allowed = set(floors)
  allowed[folder] = true
  for line in text:gmatch "([^\n]*)\n?" do
    n = n + 1
    if (utf8.len(line) or #line) > WIDEST then fault(n, "more than %d columns", WIDEST) end
    if n == 1 and line ~= "/* SPDX-License-Identifier: MIT */" then fault(1, "no license line") end
    local kind, name = line:match '^%s*#%s*include%s*([<"])([^>"]+)[>"]'
    if kind then
      local base = name:match "[^/]+$"
      local where = FOREIGN[base]
      local from = name:match "^([^/]+)/"
      if where then
        if not where[folder] then fault(n, "%s includes %s", folder, name) end
      elseif kind == '"' then
        if not from or name:find("..", 1, true) then fault(n, "%s is not named by its folder", name)
        elseif not allowed[from] then fault(n, "%s includes %s", folder, name) end
      elseif from and FLOORS[from] then fault(n, "<%s> is one of ours", name)
      end
    end
  end
  local _, lines = text:gsub("\n", "")
  if lines > LONGEST then fault(lines, "more than %d lines", LONGEST) end
  return found
end

-- The circles among modules, each as a sorted list: those that lead to one another. After Tarjan.
-- includes[module] is a list of modules.
local function circles(includes)
  local number, low, stack, on_stack, found, n = {}, {}, {}, {}, {}, 0
  local function visit(module)
    n = n + 1
    number[module], low[module] = n, n
    stack[#stack + 1] = module
    on_stack[module] = true
    for _, other in ipairs(includes[module] or {}) do
      if not number[other] then
        visit(other)
        low[module] = math.min(low[module], low[other])
      elseif on_stack[other] then
        low[module] = math.min(low[module], number[other])
      end
    end
    if low[module] ~= number[module] then return end
    local circle = {}
    repeat
      local other = table.remove(stack)
      on_stack[other] = nil
      circle[#circle + 1] = other
    until other == module
    table.sort(circle)
    if #circle > 1 then found[#found + 1] = circle end
  end
  local names = {}
  for module in pairs(includes) do names[#names + 1] = module end
  table.sort(names)
  for _, module in ipairs(names) do
    if not number[module] then visit(module) end
  end
  return found
end

-- Circles that are too large, or lead from floor to floor.
local function bad_circles(includes)
  local bad = {}
  for _, circle in ipairs(circles(includes)) do
    local one_floor = true
    for _, module in ipairs(circle) do
      one_floor = one_floor and module:match "^[^/]+" == circle[1]:match "^[^/]+"
    end
    if #circle > CIRCLE or not one_floor then bad[#bad + 1] = table.concat(circle, " ") end
  end
  return bad
end

local function files()
  local list = {}
  local pipe = assert(io.popen "find csrc -type f | LC_ALL=C sort")
  for path in pipe:lines() do list[#list + 1] = path end
  assert(pipe:close())
  return list
end

local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

describe("the source tree", function()
  it("has the floors", function()
    local seen = {}
    for _, path in ipairs(files()) do
      local folder = path:match "^csrc/([^/]+)/[^/]+%.[ch]$" or path:match "^csrc/(lib)/%l+/[^/]+%.[ch]$"
      assert(folder, path .. " is not a .c or .h in a folder of csrc/")
      seen[folder] = true
    end
    for _, folder in ipairs { "base", "sched", "sync", "heap", "copy", "run", "io", "lib" } do assert.is_true(seen[folder], folder) end
  end)

  it("keeps to them", function()
    local found = {}
    for _, path in ipairs(files()) do
      for _, fault in ipairs(faults(path:match "^csrc/([^/]+)/", read(path))) do found[#found + 1] = path .. ":" .. fault end
    end
    assert.equal("", table.concat(found, "\n"))
  end)

  it("has no circles but small ones", function()
    local includes = {}
    for _, path in ipairs(files()) do
      local module = path:match "^csrc/(.+)%.[ch]$"
      includes[module] = includes[module] or {}
      for name in read(path):gmatch '\n%s*#%s*include%s*"([^"]+)%.h"' do
        if name ~= module then table.insert(includes[module], name) end
      end
    end
    assert.same({}, bad_circles(includes))
  end)

  it("has a license line in each script", function()
    local pipe = assert(io.popen "find lua spec examples rockspec tools .ci bench -type f 2>/dev/null | LC_ALL=C sort")
    local n = 0
    for path in pipe:lines() do
      local text = read(path)
      if not text:find "^[^\n]*SPDX%-License%-Identifier: MIT" and not text:find "^#![^\n]*\n[^\n]*SPDX%-License%-Identifier: MIT" then
        error(path .. " has no license line", 0)
      end
      n = n + 1
    end
    pipe:close() -- find fails when one of the folders is not there
    assert.is_true(n > 20)
  end)
end)

describe("the check itself", function()
  local HEAD = "/* SPDX-License-Identifier: MIT */\n"
  local function finds(fault, folder, text) assert.same({ fault }, faults(folder, text)) end

  it("finds each kind of fault", function()
    finds("2: base includes sched/g.h", "base", HEAD .. '#include "sched/g.h"\n')
    finds("2: run includes io/loop.h", "run", HEAD .. '#  include "io/loop.h"\n')
    finds("2: io includes run/state.h", "io", HEAD .. '#include "run/state.h"\n')
    finds("3: sync includes lua.h", "sync", HEAD .. "\n#include <lua.h>\n")
    finds("2: io includes lauxlib.h", "io", HEAD .. '#include "lauxlib.h"\n')
    finds("2: lib includes uv.h", "lib", HEAD .. "#include <uv.h>\n")
    finds("2: g.h is not named by its folder", "sched", HEAD .. '#include "g.h"\n')
    finds("2: base/../run/state.h is not named by its folder", "sched", HEAD .. '#include "base/../run/state.h"\n')
    finds("2: <run/state.h> is one of ours", "base", HEAD .. "#include <run/state.h>\n")
    finds("1: no license line", "run", "#include <lua.h>\n")
    finds("2: more than 100 columns", "run", HEAD .. ("x"):rep(101))
    finds("601: more than 600 lines", "run", HEAD .. ("\n"):rep(600))
    finds("0: no floor is called 'misc'", "misc", HEAD)
  end)

  it("finds circles", function()
    assert.same({ { "a/z", "b/z" }, { "a/x", "a/y" } },
      circles { ["a/x"] = { "a/y" }, ["a/y"] = { "a/x", "a/z" }, ["a/z"] = { "b/z" }, ["b/z"] = { "a/z" } })
    assert.same({ "a/z b/z" },
      bad_circles { ["a/x"] = { "a/y" }, ["a/y"] = { "a/x" }, ["a/z"] = { "b/z" }, ["b/z"] = { "a/z" } })
    local ring, six = {}, {}
    for i = 1, 6 do
      six[i] = "a/" .. i
      ring[six[i]] = { "a/" .. i % 6 + 1 }
    end
    assert.same({ table.concat(six, " ") }, bad_circles(ring))
  end)

  it("lets the rest pass", function()
    assert.same({}, faults("lib", HEAD .. '#include <lua.h>\n#include "copy/pack.h"\n#include "io/loop.h"\n#include "base/base.h"\n'))
    assert.same({}, faults("io", HEAD .. "#include <uv.h>\n#include <sys/wait.h>\n" .. ("\n"):rep(597)))
  end)
end)
