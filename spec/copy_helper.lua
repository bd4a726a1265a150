-- SPDX-License-Identifier: MIT
-- What the specs of copying share. It is loaded on both sides: by the specs in busted's process, for the way
-- a child is started, and by the children, for checks and for the ways in which a value can travel.
--
-- The children load it as a module, so a goroutine that captures something of it gets its own by `require`.
-- It must stay free of luassert: in a child `assert` is the standard one, so that goroutines carry nothing.

local kit = {}

kit.slow = math.max(1, tonumber(os.getenv "GORO_SLOW" or "") or 1)

--- A number of rounds, elements or goroutines for a build of this speed.
function kit.rounds(n) return math.max(1, math.floor(n / kit.slow)) end

-- How long a wait that should end at once may take.
kit.patience = 20 * kit.slow

-- In busted's process ---------------------------------------------------------------------------------

--- `source` passes as a child's main script and, in another child, as a goroutine's function.
function kit.script_anywhere(source, opts)
  local helper = require "spec.helper"
  helper.passes_script(source, opts)
  helper.passes_script(("require 'goro'.run(assert(load(%q, '=job.lua')), ...)"):format(source), opts)
end

-- In a child: checks ----------------------------------------------------------------------------------

local function show(v)
  if type(v) == "string" then return #v > 60 and ("a string of %d bytes"):format(#v) or ("%q"):format(v) end
  if math.type(v) == "float" then return ("%.17g (float)"):format(v) end
  return tostring(v)
end

--- The same value: subtype, sign of zero and not-a-number included; of objects the very same.
function kit.identical(a, b)
  if math.type(a) ~= math.type(b) then return false end
  if a ~= a then return b ~= b end
  if a == 0 and math.type(a) == "float" then return b == 0 and 1 / a == 1 / b end
  return rawequal(a, b)
end

function kit.eq(expected, actual, what, level)
  if not kit.identical(expected, actual) then
    error(("%sexpected %s, got %s"):format(what and what .. ": " or "", show(expected), show(actual)), (level or 1) + 1)
  end
end

--- The values that follow `n` and `...` of table.pack are those of `expected`, holes included.
function kit.eq_list(expected, actual)
  kit.eq(expected.n, actual.n, "number of values", 2)
  for i = 1, expected.n do kit.eq(expected[i], actual[i], "value " .. i, 2) end
end

--- How many fields `t` has.
function kit.count(t)
  local n = 0
  for _ in next, t do n = n + 1 end
  return n
end

--- `f(...)` raises a string, which is returned without its position.
function kit.raised(f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  if type(err) ~= "string" then error("the error is no string: " .. show(err), 2) end
  return (err:gsub("^[^\n]-:%d+: ", "", 1))
end

--- `f(...)` raises exactly this text after a position.
function kit.raises(text, f, ...)
  local err = kit.raised(f, ...)
  if err ~= text then error(("expected the error\n%s\ngot\n%s"):format(text, err), 2) end
end

--- `f(...)` raises a text that contains this one.
function kit.raises_with(text, f, ...)
  local err = kit.raised(f, ...)
  if not err:find(text, 1, true) then error(("'%s' is not in\n%s"):format(text, err), 2) end
end

--- Temporary modules: { ["name"] = source }, found through package.path until the value is closed.
function kit.modules(files)
  local dir = os.tmpname()
  os.remove(dir)
  for name, source in pairs(files) do
    local path = dir .. "/" .. name:gsub("%.", "/") .. ".lua"
    assert(os.execute(("mkdir -p '%s'"):format(path:match "(.*)/")))
    local file = assert(io.open(path, "w"))
    assert(file:write(source))
    file:close()
  end
  package.path = dir .. "/?.lua;" .. package.path
  return setmetatable({ dir = dir }, { __close = function() os.execute(("rm -rf '%s'"):format(dir)) end })
end

-- In a child: the ways a value travels --------------------------------------------------------------

--- Each takes a value and returns it after it has been in another goroutine (or in a buffer) and come back.
kit.ways = {
  { name = "argument and result of run", through = function(v)
    return (require "goro".run(function(x) return x end, v))
  end },
  { name = "upvalue", through = function(v)
    return (require "goro".run(function() return v end))
  end },
  { name = "argument of go, message", through = function(v)
    local goro, back = require "goro", require "goro".chan()
    goro.go(function(x) back:send(x) end, v)
    return (back:recv(kit.patience))
  end },
  { name = "messages handed over", through = function(v)
    local goro = require "goro"
    local there, back, wait = goro.chan(), goro.chan(), kit.patience
    goro.go(function()
      local x = there:recv(wait)
      back:try_send(x, wait)
    end)
    assert(there:try_send(v, wait))
    return (back:recv(wait))
  end },
  { name = "message buffered, to itself", through = function(v)
    local c = require "goro".chan(1)
    c:send(v)
    return (c:recv(0))
  end },
  { name = "select", through = function(v)
    local goro = require "goro"
    local there, back = goro.chan(), goro.chan()
    goro.go(function()
      goro.select {
        { recv = there, function(x) goro.select { { send = back, value = x }, timeout = 60 } end },
        timeout = 60,
      }
    end)
    assert(goro.select { { send = there, value = v }, timeout = kit.patience } == 1)
    local index, x = goro.select { { recv = back }, timeout = kit.patience }
    assert(index == 1)
    return x
  end },
  { name = "error value", through = function(v)
    local ok, e = pcall(require "goro".run, function() error(v, 0) end)
    assert(not ok)
    return e
  end },
  { name = "field of a table", through = function(v)
    return require "goro".run(function(t) return { t.field, other = true } end, { field = v })[1]
  end },
}

-- In a child: comparing graphs --------------------------------------------------------------------

local rank = { ["nil"] = 0, boolean = 1, number = 2, string = 3 }

local function scalar_text(v)
  if math.type(v) == "float" then
    return v ~= v and "nan" or ("float %a%s"):format(v, 1 / v < 0 and "-" or "+")
  end
  return type(v) .. (" %q"):format(v)
end

local function standard_names()
  local names = {}
  for _, m in ipairs { "string", "table", "math", "io", "os", "utf8", "coroutine", "debug" } do
    names[package.loaded[m]] = "module " .. m
    for k, v in pairs(package.loaded[m]) do
      if type(v) == "function" then names[v] = ("function %s.%s"):format(m, k) end
    end
  end
  for _, k in ipairs { "print", "type", "next", "pairs", "ipairs", "tostring", "select", "error" } do
    names[_G[k]] = "function " .. k
  end
  names[_G] = "globals"
  names[io.stdout], names[io.stdin], names[io.stderr] = "stdout", "stdin", "stderr"
  return names
end

--- The graph that hangs on `root` as a list of lines, the same for graphs of the same shape: each table and
-- function has a number in the order of the walk, each upvalue too, by its identity. Objects in `known`
-- (object → name) are leaves. A table or function that serves as a key needs a mark by which keys can be ordered:
-- the field "mark" of a table, the upvalue "mark" of a function. With `lost`, values for which it is true are leaves
-- that have a number, and pairs that have them for keys are left out.
function kit.describe(root, known, lost)
  local lines, number, queue = {}, {}, {}
  local cells, cell_count, lost_count = {}, 0, 0
  local names = standard_names()
  for object, name in pairs(known or {}) do names[object] = name end

  local function text(v)
    if rank[type(v)] then return scalar_text(v) end
    if names[v] then return names[v] end
    if lost and lost(v) then
      if not number[v] then
        lost_count = lost_count + 1
        number[v] = lost_count
      end
      return "lost #" .. number[v]
    end
    if type(v) == "userdata" or type(v) == "thread" then return "unknown " .. tostring(v) end
    if not number[v] then
      queue[#queue + 1] = v
      number[v] = #queue
    end
    return ("%s #%d"):format(type(v), number[v])
  end

  local function mark(k)
    if rank[type(k)] then return rank[type(k)] .. scalar_text(k) end
    if names[k] then return "4" .. names[k] end
    if type(k) == "table" then return "5" .. scalar_text(rawget(k, "mark")) end
    for i = 1, 255 do
      local name, value = debug.getupvalue(k, i)
      if name == "mark" then return "6" .. scalar_text(value) end
      if not name then return "7" .. tostring(k) end
    end
  end

  local function describe_table(t, add)
    local keys = {}
    for k in next, t do
      if rank[type(k)] or names[k] or not (lost and lost(k)) then keys[#keys + 1] = { by = mark(k), k } end
    end
    table.sort(keys, function(a, b) return a.by < b.by end)
    for _, k in ipairs(keys) do add(("[%s] = %s"):format(text(k[1]), text(rawget(t, k[1])))) end
    add("metatable " .. text(debug.getmetatable(t)))
  end

  local function describe_function(f, add)
    local info = debug.getinfo(f, "S")
    if info.what == "C" then return add "an unknown C function" end
    add(("defined at %s:%d, %d"):format(info.source, info.linedefined, #string.dump(f)))
    for i = 1, 255 do
      local name, value = debug.getupvalue(f, i)
      if not name then break end
      local id = debug.upvalueid(f, i)
      if not cells[id] then
        cell_count = cell_count + 1
        cells[id] = cell_count
      end
      add(("upvalue %s is cell %d, %s"):format(name, cells[id], text(value)))
    end
  end

  lines[1] = text(root)
  local at = 0
  while queue[at + 1] ~= nil do
    at = at + 1
    local v = queue[at]
    local function add(line) lines[#lines + 1] = ("%s #%d: %s"):format(type(v), at, line) end
    if type(v) == "table" then describe_table(v, add) else describe_function(v, add) end
  end
  return lines
end

--- Does it stand for a value that could not come along?
function kit.is_placeholder(v)
  if type(v) ~= "userdata" then return false end
  local ok, e = pcall(tostring, v)
  return not ok and e:find("could not come along", 1, true) ~= nil
end

--- Two descriptions are the same; the first difference is raised.
function kit.eq_graphs(expected, actual, what)
  for i = 1, math.max(#expected, #actual) do
    if expected[i] ~= actual[i] then
      error(("%s: line %d of the graph\nexpected %s\ngot      %s"):format(what, i, expected[i], actual[i]), 2)
    end
  end
end

return kit
