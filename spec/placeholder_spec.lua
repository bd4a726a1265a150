-- SPDX-License-Identifier: MIT
-- Copying: what stands in a goroutine's globals for a value that could not come along.
--
-- As source text, run once as the main script and once as a goroutine: the globals are the script's own.

local helper = require "spec.helper"
local kit = require "spec.copy_helper"

-- Each script begins with this: `text(f, …)` is what f raises, and `says(what, f, …)` checks that.
local START = [[
  local goro = require "goro"
  local function text(f, ...)
    local ok, e = pcall(f, ...)
    assert(not ok, "nothing was raised")
    return e
  end
  local function says(what, f, ...)
    local e, whole = text(f, ...), what .. " could not come along: open it inside the goroutine"
    if type(e) ~= "string" or e:gsub("^[^\n]-:%d+: ", "", 1):gsub(" at [^\n]-:", " at job.lua:") ~= whole then error(tostring(e) .. "\nis not\n" .. whole, 2) end
  end
]]
START = START:gsub("\n%s*", " ") .. "\n"

local function anywhere(source) kit.script_anywhere(START .. source) end

describe("a global that cannot come along", function()
  it("is a placeholder with its name, in whatever depth it lies", function()
    anywhere [[
      conf = { out = io.tmpfile(), level = 3, list = { 1, { co = coroutine.create(print) } }, ["a b"] = { [true] = io.tmpfile() } }
      db, wrap = io.tmpfile(), string.gmatch("a", "a")
      local f = function() return conf.level, conf.list[1] end
      local level, first = goro.run(f)
      assert(level == 3 and first == 1)
      says("global 'conf'.out (FILE*)", goro.run, function() return conf.out:write "x" end)
      says("global 'conf'.list[2].co (thread)", goro.run, function() return conf.list[2].co.x end)
      says("global 'conf'[\"a b\"][true] (FILE*)", goro.run, function() return conf["a b"][true].x end)
      says("global 'db' (FILE*)", goro.run, function() return db:read() end)
      says("global 'wrap' (C function with upvalues)", goro.run, function() return wrap() end)
      owner = setmetatable({ n = 1 }, { __gc = function() end })
      says("global 'owner' (table with a __gc metamethod and no __goro)", goro.run, function() return owner.n end)
    ]]
  end)

  it("raises at the line that uses it, whatever is done with it", function()
    anywhere [[
      db = io.tmpfile()
      local line, kinds = goro.run(function()
        local uses = {
          function() return db.x end, function() db.x = 1 end, function() return db() end, function() return db:read "a" end,
          function() return db + 1 end, function() return 1 - db end, function() return db * db end, function() return 1 / db end,
          function() return db % 2 end, function() return db ^ 2 end, function() return db // 2 end, function() return -db end,
          function() return db & 1 end, function() return 1 | db end, function() return db ~ 1 end, function() return ~db end,
          function() return db << 1 end, function() return 1 >> db end, function() return "x" .. db end, function() return db .. 1 end,
          function() return #db end, function() return db < 1 end, function() return db <= db end, function() return 1 > db end,
          function() return tostring(db) end, function() return ("%s"):format(db) end, function() print(db) end,
          function() for _ in pairs(db) do return end end, function() for _ in ipairs(db) do return end end,
          function() for _ in db do return end end, function() return table.concat(db) end, function() return table.unpack(db) end,
          function() local x <close> = db return x end,
        }
        local line, kinds = debug.getinfo(1, "l").currentline, {}
        for i, use in ipairs(uses) do
          local ok, e = pcall(use)
          assert(not ok, i)
          kinds[e:gsub("^[^\n]-:(%d+): ", function(n)
            assert(line - tonumber(n) <= 12 and line > tonumber(n), e)
            return ""
          end, 1)] = true
        end
        return line, kinds
      end)
      local n = next(kinds)
      assert(n == "global 'db' (FILE*) could not come along: open it inside the goroutine" and next(kinds, n) == nil, n)
    ]]
  end)

  it("tells the stock functions that look at types what it is", function()
    anywhere [[
      co, file = coroutine.create(print), io.tmpfile()
      local a, b = goro.run(function()
        return select(2, pcall(coroutine.resume, co)), select(2, pcall(io.close, file))
      end)
      assert(a:find("global 'co' (thread) could not come along: open it inside the goroutine", 1, true), a)
      assert(b:find("global 'file' (FILE*) could not come along: open it inside the goroutine", 1, true), b)
    ]]
  end)

  it("may be compared, asked whether it is there, kept as a key, passed on", function()
    anywhere [[
      db, other = io.tmpfile(), coroutine.create(print)
      same, list = db, { db, other, db }
      assert(goro.run(function()
        local t = { [db] = 1, [other] = 2 }
        assert(db and not not db and type(db) == "userdata" and math.type(1) == "integer")
        assert(db == same and db ~= other and db ~= 1 and rawequal(db, list[1]) and list[3] == db and list[2] == other)
        assert(t[same] == 1 and t[other] == 2)
        return (function(...) return select("#", ...) end)(db, nil, db)
      end) == 3)
    ]]
  end)

  it("is one thing in a state, whatever way it came; it is told of by the way it came first", function()
    anywhere [[
      first = io.tmpfile()
      says("global 'first' (FILE*)", goro.run, function() return first.x end)
      second = { file = first }
      says("global 'second'.file (FILE*)", goro.run, function() return second.file.x end)
      local c, back = goro.chan(), goro.chan()
      goro.go(function()
        local a = c:recv()
        local b = c:recv()
        back:send { a() == b(), rawequal(a(), b()), select(2, pcall(function() return b().x end)) }
      end)
      c:send(function() return first end)
      c:send(function() return second.file end)
      local r = back:recv()
      assert(r[1] and r[2] and r[3]:find("global 'first' (FILE*) could not come along", 1, true), r[3])
    ]]
  end)

  it("can be sent, again and again, and keeps its text", function()
    anywhere [[
      db = { conn = io.tmpfile() }
      local p = goro.run(function() return db.conn end)
      local what = "global 'db'.conn (FILE*)"
      says(what, function() return p.x end)
      assert(p == goro.run(function() return p end) and p == goro.run(function(x) return x end, p))
      assert(p == goro.run(function() return db.conn end) and p ~= db.conn)
      says(what, goro.run, function() return p.x end)
      for _ = 1, 3 do p = goro.run(function() return goro.run(function() return goro.run(function() return p end) end) end) end
      says(what, function() return p .. "" end)
      local ok, e = pcall(goro.run, function() error(p) end)
      assert(not ok and e == p)
      renamed = p
      says(what, goro.run, function() return renamed() end)
      local c = goro.chan(1)
      c:send { p, p }
      local t = c:recv()
      assert(t[1] == p and rawequal(t[1], t[2]))
      local m = goro.sync.map()
      m:set("k", p)
      assert(m:get("k") == p)
      db, renamed = nil, nil
      collectgarbage()
      collectgarbage()
      says(what, goro.run, function() return p() end)
    ]]
  end)

  it("stands for what a function of the global has captured", function()
    anywhere [[
      local co = coroutine.create(print)
      local function ask() return co.x end
      query = function() return ask() end
      fine = function() return co ~= nil and "fine" end
      assert(goro.run(function() return fine() end) == "fine")
      says("upvalue 'co' (thread) of function at job.lua:3", goro.run, function() return query() end)
      -- What the function itself has captured raises, also when a global leads there.
      local e = text(goro.run, function() return query, co end)
      assert(e:find("cannot send upvalue 'co' (thread) of function at ", 1, true), e)
    ]]
  end)

  it("leaves out pairs whose key cannot come along", function()
    anywhere [[
      local file = io.tmpfile()
      keyed = { 1, 2, [io.tmpfile()] = "gone", [coroutine.create(print)] = file, a = file, [{}] = "table", [string.gmatch("", "")] = {} }
      local n, a, b, c, other = goro.run(function()
        local n, other = 0, nil
        for k, v in pairs(keyed) do
          n = n + 1
          if type(k) == "table" then other = v end
        end
        return n, #keyed, keyed[2], type(keyed.a), other
      end)
      assert(n == 4 and a == 2 and b == 2 and c == "userdata" and other == "table")
      says("global 'keyed'.a (FILE*)", goro.run, function() return keyed.a.x end)
    ]]
  end)

  it("keeps the shape of what it lies in: cycles, sharing, classes", function()
    anywhere [[
      local file = io.tmpfile()
      graph = { file = file, deep = { file = file } }
      graph.self, graph.deep.up = graph, graph
      Account = { log = file }
      Account.__index = Account
      function Account.new(n) return setmetatable({ n = n }, Account) end
      function Account:get() return self.n end
      function Account:write() return self.log:write "x" end
      account = Account.new(7)
      local same, class, n = goro.run(function()
        return graph.file == graph.deep.file and graph.self == graph and graph.deep.up == graph and graph.file == Account.log,
          getmetatable(account) == Account and getmetatable(Account.new(1)) == Account, account:get()
      end)
      assert(same and class and n == 7)
      local e = text(goro.run, function() account:write() end)
      assert(e:find("could not come along", 1, true), e)
      -- Objects of such a class are sent again and again, here and there.
      local c, back = goro.chan(), goro.chan()
      goro.go(function()
        for f in c:range() do back:send(f()) end
        back:close()
      end)
      for i = 1, 10 do
        account.n = i
        c:send(function() return account:get() end)
        assert(back:recv() == 1) -- it was set by the first, and is there since
      end
      c:close()
    ]]
  end)

  it("is a table as a whole, when its metatable cannot come along", function()
    anywhere [[
      Meta = setmetatable({}, { __gc = function() end })
      object = setmetatable({ n = 1 }, Meta)
      holder = { object = object, n = 2 }
      assert(goro.run(function() return holder.n end) == 2)
      says("global 'holder'.object (table whose metatable cannot be sent)", goro.run, function() return holder.object.n end)
    ]]
  end)

  it("is a value whose __goro fails", function()
    anywhere [[
      broken = setmetatable({ n = 1 }, { __goro = function() error "no" end, __name = "Broken" })
      bad = { setmetatable({}, { __goro = function() return 1 end }), 5 }
      works = setmetatable({ n = 3 }, { __goro = function(w) return function(n) return { n = n } end, w.n end })
      says("global 'broken' (Broken)", goro.run, function() return broken.n end)
      says("global 'bad'[1] (table)", goro.run, function() return bad[1].n end)
      local n, m = goro.run(function() return bad[2], works.n end)
      assert(n == 5 and m == 3)
    ]]
  end)

  it("is a value whose __goro leads to itself, and the end of a way through many that do", function()
    anywhere [[
      conns = {}
      local Conn = { __name = "Conn" }
      function Conn.__goro(c) return function(n) return { n = n, all = conns } end, c.n end
      for i = 1, 12 do conns[i] = setmetatable({ n = i }, Conn) end
      local n, same, of = goro.run(function() return conns[3].n, conns[4].all == conns, #conns end)
      assert(n == 3 and same and of == 12)
      -- Where nothing stands for it, it is an error.
      local one = setmetatable({}, { __goro = function(v) return function(x) return x end, v end })
      local e = text(goro.run, function() return one end)
      assert(e:find("cannot send message (table whose __goro leads to itself)", 1, true), e)
      single = one
      says("global 'single' (table)", goro.run, function() return single.x end)
      -- A chain of them is none.
      local Link = {}
      Link.__goro = function(l) return function(...) return { ... } end, l.n, l.next end
      local chain
      for i = 1, 20 do chain = setmetatable({ n = i, next = chain }, Link) end
      local there = goro.run(function() return chain end)
      for i = 20, 1, -1 do
        assert(there[1] == i)
        there = there[2]
      end
    ]]
  end)

  it("is set in a new goroutine, in a message where absent", function()
    anywhere [[
      db = io.tmpfile()
      local c, back = goro.chan(), goro.chan()
      for i = 1, 2 do
        goro.go(function(mine)
          if mine then rawset(_G, "db", "mine") end
          local ok, e = pcall(c:recv())
          back:send { i, e }
        end, i == 1)
      end
      for _ = 1, 2 do c:send(function() return db .. "" end) end
      for _ = 1, 2 do
        local r = back:recv()
        if r[1] == 1 then assert(r[2] == "mine")
        else assert(r[2]:find("global 'db' (FILE*) could not come along", 1, true)) end
      end
      -- And comes back with a result.
      local f = goro.run(function()
        rawset(_G, "theirs", io.tmpfile())
        return function() return theirs end
      end)
      assert(f() == theirs)
      says("global 'theirs' (FILE*)", function() return theirs.x end)
    ]]
  end)

  it("leaves to goro.setup what it has put there, but not what every state has", function()
    helper.passes_script(START .. [[
      db, conf, print = io.tmpfile(), { out = io.tmpfile() }, string.gmatch("", "")
      goro.setup(function() db = io.tmpfile() end)
      local kind, out, p = goro.run(function() return io.type(db), type(conf.out), type(print) end)
      assert(kind == "file" and out == "userdata" and p == "userdata")
      assert(goro.run(function() return goro.run(function() return io.type(db) end) end) == "file")
      -- What can come along does.
      db = 5
      assert(goro.run(function() return db end) == 5)
      goro.setup(nil)
      -- In a setup function they are placeholders as well.
      goro.setup(function() return conf.out.x end)
      says("global 'conf'.out (FILE*)", goro.run, function() return 1 end)
    ]])
  end)

  it("does not stand for what a function captured, was given, is sent, returns", function()
    anywhere [[
      local co = coroutine.create(print)
      global = { co = co }
      local held = { co = co }
      local function cannot(what, f, ...)
        local e = text(f, ...)
        assert(e:find("cannot send " .. what, 1, true), e)
      end
      cannot("upvalue 'held'.co (thread) of function at ", goro.run, function() return held, global end)
      cannot("argument #2.co (thread)", goro.run, function() return global end, held)
      cannot("message.co (thread)", function() goro.chan(1):send(global) end)
      cannot("result #1.co (thread)", goro.run, function() return { co = coroutine.create(print) } end)
    ]]
  end)

  it("costs little when there are many of them", function()
    anywhere [[
      clients = {}
      for i = 1, 20000 do clients[i] = { n = i, socket = coroutine.create(print) } end
      for i = 1, 3 do
        says("global 'clients'[1234].socket (thread)", goro.run, function() return clients[1234].socket() end)
        local all = goro.run(function()
          local seen, n = {}, 0
          for _, c in ipairs(clients) do
            if not seen[c.socket] then n = n + 1 end
            seen[c.socket] = true
          end
          return n
        end)
        assert(all == 20000)
      end
      -- And far away.
      list = {}
      local at = list
      for _ = 1, 20000 do at.next = { co = coroutine.create(print) } at = at.next end
      local e = text(goro.run, function()
        local at = list
        while at.next do at = at.next end
        return at.co.x
      end)
      assert(e:find("global 'list'….next", 1, true) and e:find(".co (thread) could not come along", 1, true) and #e < 300, e)
    ]]
  end)

  it("loses nothing when memory is short", function()
    helper.passes_script(START .. [[
      local testing = require "goro.testing"
      conf = { out = io.tmpfile(), n = 5, [io.tmpfile()] = 1, class = setmetatable({}, { file = io.tmpfile() }) }
      local f = function() return conf.n, conf.out, getmetatable(conf.class).file end
      local function round()
        local n, p, q = goro.run(f)
        assert(n == 5 and p ~= q)
        assert(text(function() return p() end):find("global 'conf'.out (FILE*) could", 1, true))
      end
      for _ = 1, 3 do round() end
      collectgarbage() collectgarbage()
      local before
      for i = 1, 400 do
        conf.out = io.tmpfile()
        testing.fail_at(i, 2)
        local ok, e = pcall(goro.run, f)
        testing.fail_at(0)
        if not ok then assert(e == "not enough memory", e) end
        conf.out:close()
        if i % 100 == 0 then
          round()
          local patience = os.time() + 20 -- a goroutine's state goes after its results have been told
          while goro.num_goroutine() > 1 and os.time() < patience do goro.sleep(0.001) end
          for _ = 1, 4 do collectgarbage() end
          if not before then before = testing.live() end
        end
      end
      local more = testing.live() - before
      assert(more <= 16, more)
    ]])
  end)
end)
