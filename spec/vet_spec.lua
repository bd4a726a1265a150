-- SPDX-License-Identifier: MIT
-- goro.vet: warnings of functions that change what is a copy, and of no others.

local helper = require "spec.helper"

-- Runs the script with GORO_VET=1: what its lines say after `-- W` is told, and nothing else.
local function warns(source)
  local lines, n = {}, 0
  source = 'local goro = require "goro" ' .. source:gsub("^%s+", "")
  for line in source:gmatch "[^\n]*" do
    n = n + 1
    for warning in line:gmatch "%-%- W ([^\n]*)$" do lines[#lines + 1] = ("job.lua:%d: %s, which is a copy\n"):format(n, warning) end
  end
  local r = helper.run_script(source, { env = { GORO_VET = 1 } })
  assert.is_true(r.code == 0, helper.describe(r))
  assert.equal(table.concat(lines), r.stderr)
end

describe("goro.vet tells of", function()
  it("assignments to captured variables, in nested functions too", function()
    warns [[
      local n, done, t
      goro.run(function()
        n = 1 -- W assigns to captured variable 'n'
        n = 2
        local function inner() return function() done = true end end -- W assigns to captured variable 'done'
        local own
        local function mine() own = 1 t = own end -- W assigns to captured variable 't'
        inner()() mine()
      end)
    ]]
  end)

  it("changes of captured tables: fields, items, fields of fields", function()
    warns [[
      local results, cfg, list, deep, grid, array = {}, { n = 1 }, {}, { a = { b = { {} } } }, { { 0 } }, {}
      goro.run(function(v)
        results[#results + 1] = v and v.x or 0 -- W changes captured table 'results'
        cfg.n = 2 -- W changes captured table 'cfg'
        list[1] = 2 -- W changes captured table 'list'
        deep.a.b[1].c = 3 -- W changes captured table 'deep'
        for y = 1, 1 do
          for x = 1, 1 do grid[y][x] = 1 end -- W changes captured table 'grid'
        end
        local k = "key"
        array[k] = 1 -- W changes captured table 'array'
        results[1] = nil
      end)
    ]]
  end)

  it("what the table library and rawset change", function()
    warns [[
      local a, b, c, d, e, f, g, insert = {}, { 1 }, { 2, 1 }, {}, {}, {}, { x = {} }, table.insert
      local function from() return 1 end
      goro.run(function(v)
        table.insert(a, v) -- W changes captured table 'a'
        table.remove(b) -- W changes captured table 'b'
        table.sort(c, function(x, y) return x < y end) -- W changes captured table 'c'
        table.move({ 1 }, 1, 1, 1, d) -- W changes captured table 'd'
        rawset(e, 1, 2) -- W changes captured table 'e'
        insert(f, from()) -- W changes captured table 'f'
        local put = table.insert
        return put(g.x, 1) -- W changes captured table 'g'
      end)
    ]]
  end)

  it("globals that the program had set, and what they hold", function()
    warns [[
      counter, flag, name, list, cfg, other, through = 0, false, "", {}, { deep = {} }, {}, 0
      goro.run(function()
        counter = counter + 1 -- W assigns to global 'counter'
        flag = true -- W assigns to global 'flag'
        name = name .. "x" -- W assigns to global 'name'
        list[#list + 1] = 1 -- W changes global table 'list'
        cfg.deep.n = 1 -- W changes global table 'cfg'
        other = {} -- W assigns to global 'other'
        _G.through = 1 -- W assigns to global 'through'
      end)
    ]]
  end)

  it("locals that are the captured table, also after a branch", function()
    warns [[
      local results, more, either = {}, {}, {}
      goro.run(function(x)
        local t = results
        for i = 1, 3 do
          if i == x then break end
          t[i] = i -- W changes captured table 'results'
        end
        local u
        if x then u = more else u = more end
        while not x do
          table.insert(u, 1) -- W changes captured table 'more'
          x = true
        end
        either = x and either or {} -- W assigns to captured variable 'either'
      end, false)
    ]]
  end)

  it("functions of groups, wait groups, maps, timers; functions given as arguments", function()
    warns [[
      local a, b, c, d, e = {}, {}, {}, {}, {}
      local g, wg = goro.group(), goro.sync.waitgroup()
      g:go(function() a[1] = 1 end) g:wait() -- W changes captured table 'a'
      wg:go(function() b[1] = 1 end) wg:wait() -- W changes captured table 'b'
      goro.map({ 1 }, function() c[1] = 1 end) -- W changes captured table 'c'
      local done = goro.chan()
      goro.time.after_func(0, function() d[1] = 1 done:send(1) end) done:recv() -- W changes captured table 'd'
      goro.run(function(f) f() end, function() e[1] = 1 end) -- W changes captured table 'e'
    ]]
  end)

  it("each variable once, and each function once", function()
    warns [[
      local t = {}
      for _ = 1, 3 do
        goro.run(function()
          t.a = 1 -- W changes captured table 't'
          t.b = 2
          t = {}
        end)
      end
    ]]
  end)
end)

describe("goro.vet is silent about", function()
  it("tables of the goroutine's own", function()
    warns [[
      local results, list = {}, {}
      goro.run(function(arg1, x)
        local own = {}
        own[1], own.n = 1, 2
        table.insert(own, 3)
        arg1.n = 1
        local copy = table.move(list, 1, #list, 1, {})
        copy[1] = 2
        local t = x and results or {}
        t[1] = 1
        local u = results
        if x then return u end
        u = {}
        u[1] = 2
        local w = results
        local function again() w = {} end
        again()
        w[1] = 1
        for _, v in ipairs { results } do v = { v } v[1] = 3 end
        do
          local gone = results -- luacheck: ignore
        end
        local here = { results }
        here[2] = list
        local function inner(p) p[1] = 1 return p end
        inner {}
        fresh = 1
        fresh = fresh + 1
        other = {}
        other[1] = 1
      end, {})
    ]]
  end)

  it("reading", function()
    warns [[
      local t = { n = 1, { 2 } }
      global = { 1 }
      goro.run(function()
        local s = t.n + #t + t[1][1] + global[1] + select("#", table.unpack(t)) + #table.concat { 1 }
        for k, v in pairs(t) do s = s + #tostring(k) + #tostring(v) end
        return s, t, next(t), rawget(t, 1), table.concat(global)
      end)
    ]]
  end)

  it("goro's objects, classes and what has one, modules, functions", function()
    warns [[
      local Account = { made = 0 }
      Account.__index = Account
      local account, ch, shared = setmetatable({ list = {} }, Account), goro.chan(1), goro.sync.map()
      time = require "goro.time"
      package.preload.mine = function() return { list = {} } end
      local mine = require "mine"
      Global = setmetatable({}, { __index = table })
      function helper() return 1 end
      goro.run(function()
        account.n, account.list[1], Account.made = 1, 2, 3
        function Account.new() end
        ch:send(1)
        shared:set("a", 1)
        time = require "goro.time"
        time.mine, mine.x, mine.list[1] = 1, 2, 3
        string.trim = function(s) return s end
        package.loaded.x, package.path = 1, package.path
        math.pi = 3
        Global[1] = 1
        Global:insert(2)
        function helper() return 2 end
        print = print
      end)
    ]]
  end)

  it("code without a known form of names: stripped, without globals, with many constants", function()
    local many = {}
    for i = 1, 300 do many[i] = ("t = %q"):format("constant " .. i) end
    warns(([[
      late = 0
      goro.run(load "local t %s return t")
      goro.run(assert(load(string.dump(function(t) t[1] = 1 end, true))), {})
    ]]):format(table.concat(many, " "):gsub('"', "'")))
  end)
end)

describe("goro.vet", function()
  it("goes through whatever code there is", function()
    local r = helper.run_script([[
      local goro, n = require "goro", 0
      for path in io.popen("find spec examples bench lua -name '*.lua'"):lines() do
        local text = io.open(path):read("a"):gsub("^#[^\n]*", "")
        local f = load("return function(...) if not go_on then return end " .. text .. "\nend")
        if f then
          n = n + 1
          goro.run(f())
        end
      end
      assert(n > 100, n)
    ]], { env = { GORO_VET = 1 }, timeout = 120 })
    assert.is_true(r.code == 0, helper.describe(r))
  end)
end)
