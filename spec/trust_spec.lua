-- SPDX-License-Identifier: MIT
-- What a program can reach of goro, called with what it does not expect: functions of the modules, methods, metamethods, iterators.
-- Each raises, as the standard library does; none crashes, whatever it is given.
--
-- The child's first argument is the seed of its random numbers, which it prints first; so a failure can be had again.

local helper = require "spec.helper"

-- Common to all children: everything that can be reached, and values of every kind. It works in a folder of its own, for a call
-- may well write a file.
local reach = [[
local goro = require "goro"

-- Values of goro's kinds, each with its name. What needs the system may fail, and is left out then.
local function make_objects()
  local list = {}
  local function add(name, v, ...) if v ~= nil then list[#list + 1] = { name, v } return v, ... end end
  local sync, context, time, net, fs = goro.sync, goro.context, goro.time, goro.net, goro.fs
  local ch = add("chan", goro.chan(4))
  add("sender", ch:sender())
  add("receiver", ch:receiver())
  add("after", goro.after(0))
  add("timer", time.timer(0.01))
  add("ticker", time.ticker(0.5))
  add("after_func", time.after_func(1000, print))
  local mutex = add("mutex", sync.mutex())
  add("guard", sync.mutex():guard())
  local rwmutex = add("rwmutex", sync.rwmutex())
  add("rguard", rwmutex:rguard())
  add("cond", sync.cond(mutex))
  add("once", sync.once(function() return 1, "two" end))
  add("atomic", sync.atomic(7))
  add("atomic string", sync.atomic "s")
  add("semaphore", sync.semaphore(2))
  add("waitgroup", sync.waitgroup())
  local map = add("map", sync.map())
  map:set("k", { 1, 2 }) map:set(1, ch)
  local next_pair, snapshot = map:pairs()
  add("map's iterator", next_pair)
  add("snapshot", snapshot)
  local next_message = ch:range()
  add("range's iterator", next_message)
  add("the module's iterator", (pairs(goro)))
  add("background", context.background())
  add("context", (context.with_cancel(context.background())))
  add("deadline", (context.with_timeout(context.background(), 0.5)))
  add("context with a value", context.with_value(context.background(), "k", "v"))
  local group = add("group", goro.group { limit = 2 })
  add("group's context", group.ctx)
  local listener = add("listener", (net.listen("tcp", "127.0.0.1:0")))
  local conn = listener and add("conn", (net.dial("tcp", listener:addr(), { timeout = 1 })))
  if conn then
    local next_piece, state = conn:lines()
    add("conn's iterator", next_piece)
    add("its state", state)
  end
  add("udp", (net.udp "127.0.0.1:0"))
  local file = add("file", (fs.open("file", "w+")))
  if file then add("file's iterator", file:lines()) end
  add("walk", (fs.walk "."))
  add("watch", (fs.watch "."))
  local child = add("process", (goro.process.spawn { "true" }))
  if child then add("child's pipe", child.stdout) end
  add("signals", goro.signal.notify "USR2")
  return list
end

-- All functions, each once, with the object that it belongs to or nil: { name, function, object }.
local function all_functions(objects)
  local list, seen = {}, {}
  local function add(name, f, object)
    if type(f) == "function" and not seen[f] then
      seen[f] = true
      list[#list + 1] = { name, f, object }
    end
  end
  local function of_table(name, t, object)
    if type(t) ~= "table" or seen[t] then return end
    seen[t] = true
    for k, v in next, t do
      add(name .. "." .. tostring(k), v, object)
      of_table(name .. "." .. tostring(k), v, object)
    end
  end
  of_table("goro", goro)
  of_table("goro's metatable", debug.getmetatable(goro))
  for _, name in ipairs { "time", "sync", "context", "net", "fs", "process", "signal", "runtime" } do
    of_table(name, goro[name])
    of_table(name .. "'s metatable", debug.getmetatable(goro[name]))
  end
  -- What goro puts in the place of stock functions. (Not what writes to stdout or changes values of all kinds.)
  of_table("coroutine", coroutine)
  for _, f in ipairs { pcall, xpcall, setmetatable, debug.gethook, io.open, io.lines, io.popen, io.tmpfile } do
    add("stock " .. #list, f)
  end
  add("loadlib", package.loadlib)
  add("debug.sethook", debug.sethook)
  for _, o in ipairs(objects) do
    add(o[1], o[2], o[2])
    if type(o[2]) ~= "function" then of_table(o[1], debug.getmetatable(o[2]), o[2]) end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- Values of the other kinds. Strings that a shell or a file system could be harmed by are not among them.
local function make_strangers()
  local t = setmetatable({}, { __index = function() return 1 end, __close = function() end, __name = "stranger" })
  local co = coroutine.create(function(...) coroutine.yield(...) end)
  local dead = coroutine.create(function() error "x" end)
  coroutine.resume(dead)
  return {
    false, true, 0, 1, -1, 3, 0.5, 0 / 0, 1 / 0, -1 / 0, 2^53, math.mininteger, math.maxinteger,
    "", "x", "3", "a\0b", "tcp", "127.0.0.1:0", "l", "a", "k", "c", "ctx", "USR2", ("long"):rep(1000),
    {}, { 1, 2, 3 }, { limit = 1 }, { timeout = 0.01 }, { {}, {} }, t,
    function() end, function(...) return ... end, function() error "in a function" end, print, string.format,
    co, dead, coroutine.running(), io.stdout, (io.tmpfile()), setmetatable({}, { __gc = function() end }),
    debug.upvalueid(make_objects, 1),
  }
end

local function pick(list) return list[math.random(#list)] end
]]

-- A folder for the child, which is gone afterwards.
local function in_folder(source, args, opts)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local all = { args = args, wrap = "env -C " .. folder, timeout = 120 }
  for k, v in pairs(opts or {}) do all[k] = v end
  local r = helper.run_script(reach .. source, all)
  os.execute("rm -rf " .. folder)
  return r
end

local function survived(r)
  assert.is_true(r.code == 0 and r.stdout:find("survived\n", 1, true) ~= nil, helper.describe(r))
end

-- Each metamethod of an object, with each value that is not of its kind. What may be called with anything says so here.
local metamethods = [[
local function check()
  local objects = make_objects()
  local strangers = make_strangers()
  for _, o in ipairs(objects) do strangers[#strangers + 1] = o[2] end
  local tame = { __eq = true }
  local bad, n = {}, 0
  for _, o in ipairs(objects) do
    local meta = type(o[2]) == "userdata" and debug.getmetatable(o[2])
    for name, f in pairs(meta or {}) do
      if type(f) == "function" and name:find "^__" and not tame[name] then
        for i = 0, #strangers do
          local v
          if i > 0 then v = strangers[i] end
          -- Views of a channel are channels; and some metamethods are for all objects.
          local theirs = type(v) == "userdata" and debug.getmetatable(v) or {}
          local same = theirs[name] == f or theirs.__name ~= nil and theirs.__name == meta.__name
          if not same then
            n = n + 1
            local ok, err = pcall(f, v, nil)
            if ok or not tostring(err):find "^bad argument #1 to '" then
              bad[#bad + 1] = ("%s of %s with %s: %s"):format(name, o[1], tostring(v), tostring(err))
            end
          end
        end
        local ok, err = pcall(f)
        if ok or not tostring(err):find "^bad argument #1 to '" then
          bad[#bad + 1] = ("%s of %s with nothing: %s"):format(name, o[1], tostring(err))
        end
      end
    end
  end
  assert(n > 2000, n)
  assert(#bad == 0, table.concat(bad, "\n"))
end
]]

-- Random calls: any function, its own object or not before random arguments. One that waits is left where it is: the goroutine
-- that called it is one of many. What has been called last is in a file, for whoever looks for the one that crashed.
local random_calls = [[
local function one_call(functions, values, log)
  local f = pick(functions)
  local args, n = {}, math.random(0, 4)
  for i = 1, n do args[i] = pick(values) end
  if f[3] and math.random(3) > 1 then args[1] = f[3] n = math.max(n, 1) end
  local words = {}
  for i = 1, n do words[i] = tostring(args[i]):sub(1, 40) end
  log:write(("%s(%s)\n"):format(f[1], table.concat(words, ", ")))
  log:flush()
  return pcall(f[2], table.unpack(args, 1, n))
end
]]

local seeds = { 1, os.time() }
for _, seed in ipairs { 2, 3, 4 } do
  if helper.rounds(#seeds) == #seeds then seeds[#seeds + 1] = seed end
end

describe("goro's functions, given what they do not expect:", function()
  for _, where in ipairs { "the main script", "a goroutine" } do
    it("metamethods raise for what is not their object, in " .. where, function()
      local call = where == "a goroutine" and "goro.run(check)" or "check()"
      survived(in_folder(metamethods .. call .. " print 'survived' os.exit(0)"))
    end)
  end

  it("what a metamethod is called for by hand does no harm to what the object does then", function()
    survived(in_folder [[
      local function check()
        local ch = goro.chan(3)
        local meta = debug.getmetatable(ch)
        meta.__gc(ch) meta.__gc(ch)
        ch:send "still there"
        assert(ch:recv() == "still there")
        local back = goro.chan(1)
        back:send(ch)
        local same = back:recv()
        assert(rawequal(same, ch))
        setmetatable({}, { __gc = function() meta.__gc(ch) end })
        collectgarbage()
        ch:send "still there"
        assert(ch:recv() == "still there")
        -- while it is in use
        ch:send(setmetatable({}, { __goro = function()
          meta.__gc(ch)
          collectgarbage()
          return function() return "built" end
        end }))
        assert(ch:recv() == "built")
        local map = goro.sync.map()
        map:update("k", function() getmetatable(map).__gc(map) collectgarbage() return 5 end)
        assert(map:get "k" == 5)
        for _, v in map:pairs() do assert(v == 5) end
        -- a snapshot that is closed by the function that builds its value
        local snapshot, next_pair
        map:set("built", setmetatable({}, { __goro = function()
          return function()
            if snapshot then getmetatable(snapshot).__close(snapshot) getmetatable(snapshot).__gc(snapshot) end
            return "v"
          end
        end }))
        next_pair, snapshot = map:pairs()
        while next_pair(snapshot) do end
        assert(next_pair(snapshot) == nil)
        local m = goro.sync.mutex()
        local guard = m:guard()
        getmetatable(guard).__close(guard)
        assert(m:try_lock())
        getmetatable(guard).__close(guard) getmetatable(guard).__gc(guard) -- the lock is another's by now
        assert(not m:try_lock())
        m:unlock()
        m:unlock(m:lock())
        local receiver = ch:receiver()
        assert(select(2, pcall(meta.__close, receiver)) == "close of receive-only channel")
        ch:send(1) ch:recv()
        local walk = goro.fs.walk "."
        getmetatable(walk).__gc(walk) getmetatable(walk).__close(walk)
        assert(walk() == nil)
        -- what is inside a once's function
        local once = goro.sync.once(function()
          local wrong = 0
          for level = 1, 5 do
            local info = debug.getinfo(level, "fS")
            if info and info.what == "C" and pcall(info.func, 42) then wrong = wrong + 1 end
            if info and info.what == "C" and pcall(info.func) then wrong = wrong + 1 end
          end
          return wrong
        end)
        assert(once() == 0)
      end
      for _ = 1, 3 do check() goro.run(check) collectgarbage() end
      print "survived"
      os.exit(0)
    ]])
  end)

  it("finalizers that were called by hand run once, when the object goes", function()
    survived(in_folder [[
      local function check()
        local m = goro.sync.mutex()
        do
          local co = coroutine.wrap(function() local g = m:guard() coroutine.yield(g) end)
          co()
        end
        collectgarbage() collectgarbage()
        assert(m:try_lock())
        for _ = 1, 100 do
          local ch = goro.chan(1)
          ch:send(("x"):rep(1000))
          getmetatable(ch).__gc(ch)
        end
        collectgarbage() collectgarbage()
      end
      check() goro.run(check)
      print "survived"
      os.exit(0)
    ]])
  end)

  for _, seed in ipairs(seeds) do
    it("random calls in goroutines, seed " .. seed, function()
      survived(in_folder(random_calls .. [[
        local seed, batches = math.tointeger(...), math.tointeger((select(2, ...)))
        print("seed", seed)
        local function batch(seed, i)
          local log <close> = assert(io.open("log" .. i % 8, "w"))
          math.randomseed(seed, i)
          local objects, values = make_objects(), make_strangers()
          local functions = all_functions(objects)
          for _, o in ipairs(objects) do values[#values + 1] = o[2] end
          for _ = 1, 200 do one_call(functions, values, log) end
        end
        for i = 1, batches do
          -- A panic of a goroutine that an earlier one started may come here, in each call.
          local ok, ended
          repeat ok, ended = pcall(goro.chan) until ok
          repeat
            ok = pcall(goro.go, function()
              local _ <close> = setmetatable({}, { __close = function() ended:close() end })
              batch(seed, i)
            end)
          until ok
          local patience <const> = goro.time.mono() + 0.5
          repeat
            local done, _, open, why = pcall(ended.recv, ended, 0.25)
          until done and (open == false or why == "timeout") or goro.time.mono() > patience
        end
        print "survived"
        os.exit(0)
      ]], { tostring(seed), tostring(helper.rounds(20)) }))
    end)

    it("random calls in the main script, seed " .. seed, function()
      survived(in_folder(random_calls .. [[
        local seed = math.tointeger(...)
        print("seed", seed)
        math.randomseed(seed)
        local objects, values = make_objects(), make_strangers()
        -- Here a call that waits would never end: only what is not its own object goes to a method.
        local waits = { sleep = true, run = true, select = true, map = true, dial = true, lookup = true, group = true }
        waits.sethook = true -- a hook that raises would end the script
        local functions = {}
        for _, f in ipairs(all_functions(objects)) do
          if not waits[f[1]:match "[^.]*$"] then functions[#functions + 1] = { f[1], f[2] } end
        end
        local log <close> = assert(io.open("log", "w"))
        for _ = 1, 4000 do one_call(functions, values, log) end
        print "survived"
        os.exit(0)
      ]], { tostring(seed) }))
    end)
  end
end)
