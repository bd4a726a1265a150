-- SPDX-License-Identifier: MIT
-- runner.lua MODE PROGRAM [N] - runs the cases of a conformance program and prints what each gives.
--
-- A program is a chunk that is handed `case` and calls case(name, f [, "alone"]) for each of its cases. `f` has no upvalues but _ENV and
-- helper functions of the program, takes no arguments, and says what it found by what it returns, prints or raises: never an address,
-- a time, or anything else that differs from one run of plain Lua to the next. A case that leaves its state changed is marked "alone".
--
-- The output is "== name" for each case, then what it printed, then its results. MODE says where the cases run:
--
--   plain N    case N in this state, which knows nothing of goro
--   script     the cases that are not alone, one after the other in this state, without goro
--   each       script, and each case that is alone in a process of its own: what the cases have to give
--   host       the same after require "goro"
--   body       the program is loaded and run in a goroutine
--   run        each case is the function of a goroutine
--   argument   each case is the argument of a goroutine that names nothing
--   upvalue    each case is an upvalue of one that names nothing
--   message    each case comes by a channel to a goroutine that names nothing
--   late       the same after that goroutine has used strings' methods and arithmetic
--   nested     each case is called in a coroutine, and comes to it in a table of a message
--   convoy     the cases that are not alone go to one goroutine, message by message

local mode, program, number = ...
local folder = arg[0]:match "^(.*/)" or ""

-- Taken at once, and no string's metatable used: a case may have changed any of it.
local write, format, gsub, concat, sort = io.write, string.format, string.gsub, table.concat, table.sort
local type, tostring, next, select, pcall = type, tostring, next, select, pcall
local pack, unpack = table.pack, table.unpack

local function shown(v, above)
  local kind = type(v)
  if kind == "string" then return (gsub(gsub(format("%q", v), "\\\n", "\\n"), "\r", "\\r")) end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring(v) end
  if kind ~= "table" or above[v] then return "<" .. kind .. ">" end
  above[v] = true
  local fields = {}
  for k, x in next, v do fields[#fields + 1] = "[" .. shown(k, above) .. "]=" .. shown(x, above) end
  above[v] = nil
  sort(fields)
  return "{" .. concat(fields, ", ") .. "}"
end

local function told(ok, ...)
  local out = { ok and "ok" or "error" }
  for i = 1, select("#", ...) do out[#out + 1] = shown((select(i, ...)), {}) end
  write(concat(out, "  "), "\n")
end

local function announce(case)
  io.write("== ", case.name, "\n")
  io.flush()
end

local function cases_of(path)
  local f <close> = assert(io.open(path))
  local name = path:match "[^/]*$"
  local cases, names = {}, {}
  assert(load(f:read "a", "@" .. name))(function(case_name, fn, alone)
    assert(not names[case_name], case_name)
    assert(alone == nil or alone == "alone")
    names[case_name] = true
    cases[#cases + 1] = { name = case_name, fn = fn, alone = alone }
  end)
  return cases
end

local function all_here(path)
  for _, case in ipairs(cases_of(path)) do
    if not case.alone then
      announce(case)
      told(pcall(case.fn))
    end
  end
end

-- How a case is run in a goroutine of its own. Functions here name no globals, so that nothing but the case decides what its state needs.
local ways = {}

function ways.run(goro, f) return goro.run(f) end

function ways.argument(goro, f)
  return goro.run(function(g) return g() end, f)
end

function ways.upvalue(goro, f)
  return goro.run(function() return f() end)
end

local function by_message(goro, message, receiver)
  local ch = goro.chan(1)
  ch:send(message)
  return goro.run(receiver, ch)
end

function ways.message(goro, f)
  return by_message(goro, f, function(ch) return ch:recv()() end)
end

function ways.late(goro, f)
  return by_message(goro, f, function(ch)
    local s = ("x"):rep(("10" + 1) // 4)
    local g = ch:recv()
    return g(#s)
  end)
end

function ways.nested(goro, f)
  return by_message(goro, { { f = f } }, function(ch)
    local message = ch:recv()
    return message[1].f()
  end)
end

local function convoy(goro)
  local ch, results = goro.chan(), goro.chan()
  goro.go(function()
    for f in ch:range() do results:send(pack(pcall(f))) end
    results:close()
  end)
  for _, case in ipairs(cases_of(program)) do
    if not case.alone then
      announce(case)
      ch:send(case.fn)
      local r = results:recv()
      told(unpack(r, 1, r.n))
    end
  end
  ch:close()
end

if mode == "plain" then
  local case = cases_of(program)[tonumber(number)]
  announce(case)
  told(pcall(case.fn))
elseif mode == "each" then
  for i, case in ipairs(cases_of(program)) do
    if case.alone then os.execute(("'%s' '%srunner.lua' plain '%s' %d"):format(arg[-1], folder, program, i)) end
  end
  all_here(program)
elseif mode == "script" then
  all_here(program)
else
  local goro = require "goro"
  if mode == "host" then
    all_here(program)
  elseif mode == "body" then
    goro.run(all_here, program)
  elseif mode == "convoy" then
    convoy(goro)
  else
    local way = assert(ways[mode], "unknown mode")
    for _, case in ipairs(cases_of(program)) do
      announce(case)
      told(pcall(way, goro, case.fn))
    end
  end
end
