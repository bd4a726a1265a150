-- SPDX-License-Identifier: MIT
-- Options that a function does not know, and numbers that are given as strings, are misuse, everywhere.

local helper = require "spec.helper"
local goro = require "goro"

local raises = helper.raises

local function rows(list)
  for _, row in ipairs(list) do
    local text, call = row[1], row[2]
    it(text .. ", line " .. debug.getinfo(call, "S").linedefined, function() raises(text, call) end)
  end
end

local function unknown(arg, call, name, nearest)
  return ("bad argument #%d to '%s' (unknown option '%s'; did you mean '%s'?)"):format(arg, call, name, nearest)
end

describe("an unknown option", function()
  local ch = goro.chan(1)
  rows {
    { "bad argument #2 to 'run' (unknown option 'timout'; did you mean 'timeout'?)",
      function() goro.process.run("true", { timout = 1 }) end },
    { unknown(2, "run", "timeuot", "timeout"), function() goro.process.run("true", { timeuot = 1 }) end },
    { unknown(2, "run", "TIMEOUT", "timeout"), function() goro.process.run("true", { TIMEOUT = 1, cwd = "/" }) end },
    { unknown(2, "run", "clearenv", "clear_env"), function() goro.process.run("true", { clearenv = false }) end },
    { unknown(2, "run", "stdot", "stdout"), function() goro.process.run("true", { stdot = "null" }) end },
    { unknown(2, "spawn", "strin", "stdin"), function() goro.process.spawn("true", { strin = "pipe" }) end },
    { unknown(1, "group", "limits", "limit"), function() goro.group { limits = 2 } end },
    { unknown(1, "group", "onerror", "on_error"), function() goro.group { onerror = print } end },
    { unknown(3, "map", "lim", "limit"), function() goro.map({}, print, { lim = 2 }) end },
    { unknown(3, "dial", "timeot", "timeout"), function() goro.net.dial("tcp", "127.0.0.1:1", { timeot = 2 }) end },
    { unknown(3, "listen", "unlnik", "unlink"), function() goro.net.listen("tcp", "127.0.0.1:0", { unlnik = false }) end },
    { unknown(2, "lookup", "tiemout", "timeout"), function() goro.net.lookup("localhost", { tiemout = 2 }) end },
    { unknown(3, "write_file", "atomc", "atomic"), function() goro.fs.write_file("/nowhere/x", "", { atomc = true }) end },
    { unknown(3, "write_file", "mod", "mode"), function() goro.fs.write_file("/nowhere/x", "", { mod = 384 }) end },
    { unknown(2, "mkdir", "parent", "parents"), function() goro.fs.mkdir("/nowhere/x", { parent = true }) end },
    { unknown(2, "remove", "recurse", "recursive"), function() goro.fs.remove("/nowhere/x", { recurse = true }) end },
    { unknown(1, "select", "timout", "timeout"), function() goro.select { { recv = ch }, timout = 1 } end },
    { unknown(1, "select", "defualt", "default"), function() goro.select { { recv = ch }, defualt = true } end },
    { "bad argument #1 to 'select' (case 2: unknown option 'vlaue'; did you mean 'value'?)",
      function() goro.select { { recv = false }, { send = ch, vlaue = 1 } } end },
    { "bad argument #1 to 'select' (case 1: unknown option [2])",
      function() goro.select { { recv = ch, print, print } } end },
    { "bad argument #1 to 'select' (unknown option [1.5])",
      function() goro.select { { recv = ch }, [1.5] = {} } end },
    { "bad argument #1 to 'group' (unknown option [1])", function() goro.group { 8 } end },
    { "bad argument #1 to 'group' (table expected, got number)", function() goro.group(8) end },
    { "bad argument #2 to 'run' (table expected, got string)", function() goro.process.run("true", "x") end },
  }

  it("of any length and any letters is told, and the call has done nothing", function()
    local ok, why = pcall(goro.process.run, "true", { [("timeout"):rep(1000)] = 1 })
    assert.is_false(ok)
    assert.is_truthy(why:find "did you mean '%l+'%?%)$")
    assert.equal(0, ch:len())
  end)

  it("is looked for in the table itself, not in what it inherits from", function()
    local defaults = { __index = { limit = 3, verbose = true } }
    goro.map({}, print, setmetatable({}, defaults))
  end)

  it("is told in goroutines too", function()
    local why = goro.run(function() return select(2, pcall(goro.map, {}, print, { limt = 2 })) end)
    assert.is_truthy(why:find("unknown option 'limt'; did you mean 'limit'?", 1, true))
  end)
end)

describe("a number given as a string", function()
  local sync = goro.sync
  local sem, wg = sync.semaphore(1), sync.waitgroup()
  local function number(arg, call) return ("bad argument #%d to '%s' (number expected, got string)"):format(arg, call) end
  rows {
    { number(1, "chan"), function() goro.chan "3" end },
    { number(1, "maxprocs"), function() goro.maxprocs "2" end },
    { number(1, "sleep"), function() goro.sleep "0" end },
    { number(1, "after"), function() goro.after "0" end },
    { number(1, "semaphore"), function() sync.semaphore "3" end },
    { number(1, "waitgroup"), function() sync.waitgroup "3" end },
    { number(2, "chmod"), function() goro.fs.chmod("/nowhere/x", "644") end },
    { number(2, "utime"), function() goro.fs.utime("/nowhere/x", "1") end },
    { number(1, "timer"), function() goro.time.timer "1" end },
    { number(1, "ticker"), function() goro.time.ticker "1" end },
    { "bad argument #1 to 'add' (number expected, got string)", function() wg:add "1" end },
    { "bad argument #1 to 'try_acquire' (number expected, got string)", function() sem:try_acquire "1" end },
    { "bad argument #1 to 'release' (number expected, got string)", function() sem:release "1" end },
    { "bad argument #3 to 'map' ('limit': number expected, got string)",
      function() goro.map({}, print, { limit = "2" }) end },
    { "bad argument #1 to 'select' ('timeout': number expected, got string)",
      function() goro.select { timeout = "2" } end },
    { "bad argument #2 to 'run' (field 'timeout': number expected, got string)",
      function() goro.process.run("true", { timeout = "2" }) end },
    { "bad argument #1 to 'chan' (number has no integer representation)", function() goro.chan(1.5) end },
  }

  it("is refused by connections and files", function()
    local l = assert(goro.net.listen("tcp", "127.0.0.1:0"))
    local c = assert(goro.net.dial("tcp", l:addr()))
    local name = os.tmpname()
    local f = assert(goro.fs.open(name, "w"))
    raises("bad argument #1 to 'set_timeout' (number expected, got string)", function() c:set_timeout "1" end)
    raises("bad argument #1 to 'keepalive' (number expected, got string)", function() c:keepalive "1" end)
    raises("bad argument #1 to 'max_line' (number expected, got string)", function() c:max_line "100" end)
    raises("bad argument #1 to 'accept' (number expected, got string)", function() l:accept "0" end)
    raises("bad argument #1 to 'truncate' (number expected, got string)", function() f:truncate "0" end)
    raises("bad argument #2 to 'seek' (number expected, got string)", function() f:seek("set", "0") end)
    raises("bad argument #1 to 'set_timeout' (number expected, got nan)", function() c:set_timeout(0 / 0) end)
    f:close()
    c:close()
    l:close()
    os.remove(name)
  end)
end)
