-- SPDX-License-Identifier: MIT
-- Blocking calls anywhere Lua code can run; and coroutine.* that behaves as stock Lua's.
--
-- Each place is tried in a main script and in a goroutine. In all of them some other goroutine must be able
-- to go on meanwhile, which is what `echo` is for: it answers a message that only comes while we wait.
-- luacheck: ignore 431 581
-- (What runs in a child requires goro for itself. Negated comparisons are metamethods to be called.)

local helper = require "spec.helper"

local anywhere = helper.passes_anywhere

describe("a blocking call", function()
  it("may be made inside coroutines, three deep", function()
    anywhere(function()
      local goro = require "goro"
      local ask, answer = goro.chan(), goro.chan()
      goro.go(function() for v in ask:range() do answer:send(v * 2) end end)
      local function echo(v)
        ask:try_send(v, 10)
        return (answer:recv(10))
      end
      local log = {}
      local outer = coroutine.create(function(a)
        log[#log + 1] = echo(a)
        local middle = coroutine.wrap(function(b)
          log[#log + 1] = echo(b)
          local inner = coroutine.create(function(c)
            log[#log + 1] = echo(c)
            local d = coroutine.yield(echo(c + 1), "inner")
            log[#log + 1] = echo(d)
            return echo(100)
          end)
          local ok, v, name = coroutine.resume(inner, 3)
          assert(ok and v == 8 and name == "inner")
          local e = coroutine.yield(echo(20))
          ok, v = coroutine.resume(inner, e)
          assert(ok and v == 200 and coroutine.status(inner) == "dead")
          return echo(30)
        end)
        assert(middle(2) == 40)
        local f = coroutine.yield(echo(50))
        assert(middle(f) == 60)
        return echo(60), "done"
      end)
      local ok, v = coroutine.resume(outer, 1)
      assert(ok and v == 100)
      assert(coroutine.status(outer) == "suspended")
      local name
      ok, v, name = coroutine.resume(outer, 7)
      assert(ok and v == 120 and name == "done")
      assert(coroutine.status(outer) == "dead")
      assert(table.concat(log, " ") == "2 4 6 14")
    end)
  end)

  it("may be made in many coroutines by turns", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 300 do c:send(i) end end)
      local cos, got = {}, {}
      for i = 1, 10 do
        cos[i] = coroutine.wrap(function()
          while true do coroutine.yield((c:recv(10))) end
        end)
      end
      for _ = 1, 30 do
        for i = 1, 10 do got[#got + 1] = cos[i]() end
      end
      for i = 1, 300 do assert(got[i] == i) end
    end)
  end)

  it("may be made in wrap's iterators, nested", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        for i = 1, 20 do c:send(i) end
        c:close()
      end)
      local function received()
        return coroutine.wrap(function()
          for v in c:range() do coroutine.yield(v) end
        end)
      end
      local function doubled(it)
        return coroutine.wrap(function()
          for v in it do
            goro.sleep(0.001)
            coroutine.yield(v * 2)
          end
        end)
      end
      local sum = 0
      for v in doubled(doubled(received())) do sum = sum + v end
      assert(sum == 4 * 210)
    end)
  end)

  it("may be made in a coroutine that is resumed by different goroutine-level callers", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan(1)
      local co = coroutine.create(function()
        while true do
          goro.sleep(0.001)
          c:try_send(coroutine.yield((c:recv(0))), 10)
        end
      end)
      assert(coroutine.resume(co))
      for i = 1, 5 do
        -- From the top, from pcall, from a comparator, from another coroutine, by turns.
        local callers = {
          function() return coroutine.resume(co, i) end,
          function() return select(2, pcall(coroutine.resume, co, i)) end,
          function()
            local r
            table.sort({ 2, 1 }, function()
              if r == nil then r = coroutine.resume(co, i) end
              return false
            end)
            return r
          end,
          function() return coroutine.wrap(function() return coroutine.resume(co, i) end)() end,
          function() return (string.gsub("x", "x", function() return tostring(coroutine.resume(co, i)) end)) == "true" end,
        }
        assert(callers[i]() == true, i)
        assert(coroutine.status(co) == "suspended")
      end
    end)
  end)

  it("may be made in a sort comparator", function()
    anywhere(function()
      local goro = require "goro"
      local ask, answer = goro.chan(), goro.chan()
      goro.go(function() for p in ask:range() do answer:send(p[1] < p[2]) end end)
      local t = { 5, 2, 8, 1, 9, 3, 7, 4, 6, 10 }
      table.sort(t, function(a, b)
        ask:try_send({ a, b }, 10)
        return (answer:recv(10))
      end)
      assert(table.concat(t, " ") == "1 2 3 4 5 6 7 8 9 10")
    end)
  end)

  it("may be made in a coroutine in a sort comparator in a coroutine", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() while true do c:send(true) end end)
      local sorted = coroutine.wrap(function()
        local t = { 3, 1, 2 }
        table.sort(t, function(a, b)
          local less = coroutine.wrap(function()
            assert(c:recv(10))
            coroutine.yield()
            goro.sleep(0.001)
            assert(c:recv(10))
            coroutine.yield(a < b)
          end)
          less()
          return less()
        end)
        coroutine.yield(table.concat(t, " "))
        return c:recv(10)
      end)
      assert(sorted() == "1 2 3")
      assert(sorted() == true)
    end)
  end)

  it("may be made in a gsub callback", function()
    anywhere(function()
      local goro = require "goro"
      local ask, answer = goro.chan(), goro.chan()
      goro.go(function() for v in ask:range() do answer:send(v:upper()) end end)
      local s, n = ("some small words"):gsub("%w+", function(w)
        ask:try_send(w, 10)
        return (answer:recv(10))
      end)
      assert(s == "SOME SMALL WORDS" and n == 3)
    end)
  end)

  it("may be made in metamethods", function()
    anywhere(function()
      local goro = require "goro"
      local ask, answer = goro.chan(), goro.chan()
      goro.go(function() for v in ask:range() do answer:send(v) end end)
      local function echo(v)
        ask:try_send(v, 10)
        return (answer:recv(10))
      end
      local written = {}
      local mt = {
        __index = function(_, k) return echo(k .. "!") end,
        __newindex = function(_, k, v) written[k] = echo(v) end,
        __call = function(_, a, b) return echo(a), echo(b) end,
        __add = function() return echo "add" end,
        __sub = function() return echo "sub" end,
        __mul = function() return echo "mul" end,
        __div = function() return echo "div" end,
        __mod = function() return echo "mod" end,
        __pow = function() return echo "pow" end,
        __unm = function() return echo "unm" end,
        __idiv = function() return echo "idiv" end,
        __band = function() return echo "band" end,
        __bnot = function() return echo "bnot" end,
        __shl = function() return echo "shl" end,
        __concat = function() return echo "concat" end,
        __len = function() return echo(7) end,
        __eq = function() return echo(true) end,
        __lt = function() return echo(true) end,
        __le = function() return echo(false) end,
        __tostring = function() return echo "string" end,
        __pairs = function(t)
          echo "pairs"
          return function(_, k)
            k = (k or 0) + 1
            if k <= 2 then return echo(k), echo(k * 10) end
          end, t, nil
        end,
      }
      local x, y = setmetatable({}, mt), setmetatable({}, mt)
      assert(x.field == "field!")
      x.a = "written"
      assert(written.a == "written")
      local p, q = x("p", "q")
      assert(p == "p" and q == "q")
      assert(x + y == "add" and x - 1 == "sub" and 2 * x == "mul" and x / y == "div" and x % y == "mod")
      assert(x ^ 2 == "pow" and -x == "unm" and x // 2 == "idiv" and x & 1 == "band" and ~x == "bnot" and x << 1 == "shl")
      assert(x .. "s" == "concat" and "s" .. x == "concat" and "a" .. "b" .. x == "aconcat")
      assert(#x == 7)
      assert(x == y and not (x ~= y))
      assert(x < y and x > y and not (x <= y) and not (x >= y))
      assert(tostring(x) == "string")
      assert(string.format("%s-%s", x, y) == "string-string")
      local sum = 0
      for k, v in pairs(x) do sum = sum + k + v end
      assert(sum == 33)
      -- Metamethods under a C function that cannot yield.
      local t = setmetatable({}, { __index = function(_, i) if i <= 3 then return echo("i" .. i) end end, __len = function() return echo(3) end })
      assert(table.concat(t, ",") == "i1,i2,i3")
      assert(select("#", table.unpack(t)) == 3)
    end)
  end)

  it("may be made in __close, in order and on an error", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end end)
      local log = {}
      local function closing(name)
        return setmetatable({}, { __close = function(_, err) log[#log + 1] = name .. c:recv(10) .. tostring(err) end })
      end
      local function f()
        local a <close> = closing "a" -- luacheck: ignore 211
        local b <close> = closing "b" -- luacheck: ignore 211
        return "result"
      end
      assert(f() == "result")
      local ok, err = pcall(function()
        local d <close> = closing "d" -- luacheck: ignore 211
        error("e", 0)
      end)
      assert(not ok and err == "e")
      for _ = 1, 2 do
        local g <close> = closing "g" -- luacheck: ignore 211
        if #log > 3 then break end
      end
      -- The closing value of a generic for.
      for _ in next, { 1 }, nil, closing "h" do break end -- luacheck: ignore 512
      assert(table.concat(log, " ") == "b1nil a2nil d3e g4nil g5nil h6nil")
    end)
  end)

  it("may be made in __close of a coroutine that is closed, or fails", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end end)
      local log = {}
      local co = coroutine.create(function()
        local a <close> = setmetatable({}, { __close = function() log[#log + 1] = c:recv(10) end }) -- luacheck: ignore 211
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert(coroutine.close(co) == true)
      local w = coroutine.wrap(function()
        local a <close> = setmetatable({}, { __close = function() log[#log + 1] = c:recv(10) end }) -- luacheck: ignore 211
        error({ "failed" })
      end)
      local ok, err = pcall(w)
      assert(not ok and err[1] == "failed")
      assert(table.concat(log, " ") == "1 2")
    end)
  end)

  it("may be made in a require loader and in a searcher", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end end)
      package.preload.slow_module = function(name)
        goro.sleep(0.01)
        return { name = name, n = c:recv(10) }
      end
      local m = require "slow_module"
      assert(m.name == "slow_module" and m.n == 1)
      table.insert(package.searchers, function(name)
        if name ~= "searched_module" then return nil end
        local n = c:recv(10)
        return function() return { n, (c:recv(10)) } end
      end)
      local s = require "searched_module"
      assert(s[1] == 2 and s[2] == 3)
    end)
  end)

  it("may be made in load's reader, in dofile, and at the top of a chunk", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function()
        for _, piece in ipairs { "local c = ... ", "return c:recv(10) .. ", "' at last'" } do
          goro.sleep(0.001)
          c:send(piece)
        end
        c:send ""
        c:send "come"
        c:send "file"
      end)
      local f = assert(load(function() return (c:recv(10)) end))
      assert(f(c) == "come at last")
      waiting_channel = c -- luacheck: ignore 111
      local path = os.tmpname()
      local file = io.open(path, "w")
      file:write "return waiting_channel:recv(10), 'from file'"
      file:close()
      local v, ok, s = dofile(path)
      os.remove(path)
      assert(v == "file" and ok == "from file" and s == nil)
    end)
  end)

  it("may be made under pcall, xpcall and in xpcall's handler", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 100 do c:send(i) end end)
      local ok, v = pcall(function() return (c:recv(10)) end)
      assert(ok and v == 1)
      ok, v = pcall(c.recv, c, 10)
      assert(ok and v == 2)
      ok, v = xpcall(function(a) return a + c:recv(10) end, error, 10)
      assert(ok and v == 13)
      ok, v = pcall(function()
        local _, w = pcall(function() error { c:recv(10) } end)
        return w[1] + c:recv(10)
      end)
      assert(ok and v == 9)
      ok, v = xpcall(function() error "thrown" end, function(err)
        goro.sleep(0.001)
        return err:match "thrown" .. c:recv(10)
      end)
      assert(not ok and v == "thrown6")
      ok, v = xpcall(function()
        table.sort({ 2, 1 }, function() error(tostring(c:recv(10)), 0) end)
      end, function(err) return err .. c:recv(10) end)
      assert(not ok and v == "78")
    end)
  end)

  it("may be made in the iterator of a for", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 10 do c:send(i) end c:close() end)
      local sum = 0
      for v in function() return (c:recv(10)) end do sum = sum + v end
      assert(sum == 55)
    end)
  end)

  it("may be made in __tostring while print and io.write put lines together", function()
    for _, goroutine in ipairs { false, true } do
      local r = helper.run_function(function()
        local goro = require "goro"
        local c = goro.chan()
        goro.go(function() for i = 1, 100 do c:send(i) end end)
        goro.go(function() for _ = 1, 3 do print "other" end end)
        local t = setmetatable({}, { __tostring = function() return "t" .. c:recv(10) end })
        print(t, t)
        io.write(tostring(t), " ", tostring(t), "\n")
        goro.sleep(0.05)
      end, { goroutine = goroutine })
      local out = helper.ended_well(r)
      assert.is_truthy(out:find("t1\tt2\n", 1, true), out)
      assert.is_truthy(out:find("t3 t4\n", 1, true), out)
      assert.equal(3, select(2, out:gsub("other\n", "")))
    end
  end)

  it("may be a select, a sleep, a send, a range or a run, where it cannot yield", function()
    anywhere(function()
      local goro = require "goro"
      local a, b = goro.chan(), goro.chan()
      goro.go(function() for i = 1, 100 do a:send(i) end end)
      goro.go(function() for _ in b:range() do end end) -- luacheck: ignore 542
      local function nowhere(f)
        local r
        table.sort({ 2, 1 }, function()
          if not r then r = table.pack(f()) end
          return false
        end)
        return table.unpack(r, 1, r.n)
      end
      local i, v, ok = nowhere(function() return goro.select { { recv = goro.chan() }, { recv = a }, timeout = 10 } end)
      assert(i == 2 and v == 1 and ok)
      assert(nowhere(function() return goro.select { { recv = a, function(w) return w + a:recv(10) end } } end) == 5)
      assert(nowhere(function() return b:try_send("x", 10) end) == true)
      assert(nowhere(function() return goro.select { { send = b, value = 1 }, timeout = 10 } end) == 1)
      assert(nowhere(function() return goro.select { { recv = goro.chan() }, timeout = 0.01 } end) == "timeout")
      assert(select("#", nowhere(function() return goro.sleep(0.01) end)) == 0)
      assert(nowhere(function()
        local sum = 0
        for w in a:range() do
          sum = sum + w
          if w == 6 then return sum end
        end
      end) == 15)
      assert(nowhere(function() return goro.run(function() return a:recv(10) end) end) == 7)
      local good, err = pcall(nowhere, function() goro.run(error, "raised there") end)
      assert(not good and err == "raised there")
      nowhere(goro.gosched)
      local d = goro.chan()
      goro.go(function()
        goro.sleep(0.02)
        d:close()
      end)
      good, err = pcall(nowhere, function() d:send(1) end)
      assert(not good and err:find "send on closed channel$")
    end)
  end)

  it("where it cannot yield leaves the processors to the others", function()
    -- Sixteen goroutines wait on their threads, on one processor; the one that wakes them must run.
    helper.passes(function()
      local goro = require "goro"
      local c, done = goro.chan(), goro.chan(16)
      for _ = 1, 16 do
        goro.go(function()
          local v
          table.sort({ 2, 1 }, function()
            v = v or c:recv()
            return false
          end)
          done:send(v)
        end)
      end
      goro.go(function()
        goro.sleep(0.02)
        for i = 1, 16 do c:send(i) end
      end)
      local sum = 0
      for _ = 1, 16 do sum = sum + done:recv(20) end
      assert(sum == 136)
    end, { env = { GOROMAXPROCS = 1 } })
  end)

  it("may be made deep in the stack", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 3 do c:send(i) end end)
      local function deep(n)
        if n == 0 then return (c:recv(10)) end
        return 0 + deep(n - 1)
      end
      assert(deep(10000) == 1)
      local function protected(n)
        if n == 0 then return (c:recv(10)) end
        local ok, v = pcall(protected, n - 1)
        assert(ok, v)
        return v
      end
      assert(protected(50) == 2)
      local function nested(n)
        if n == 0 then return (c:recv(10)) end
        return coroutine.wrap(function() return nested(n - 1) end)()
      end
      assert(nested(30) == 3)
    end)
  end)

  it("keeps values of yields and of messages apart", function()
    anywhere(function()
      local goro = require "goro"
      local c = goro.chan()
      goro.go(function() for i = 1, 1000 do c:send("message " .. i) end end)
      local co = coroutine.wrap(function(...)
        local args = { ... }
        for i = 1, 200 do
          local m = c:recv(10)
          assert(m == "message " .. i)
          args = { coroutine.yield(m, table.unpack(args)) }
        end
        return "end", ...
      end)
      local r = table.pack(co("a", nil, "c"))
      assert(r.n == 4 and r[2] == "a" and r[3] == nil and r[4] == "c")
      for i = 2, 200 do
        r = table.pack(co(i, -i))
        assert(r.n == 3 and r[1] == "message " .. i and r[2] == i and r[3] == -i)
      end
      r = table.pack(co())
      assert(r.n == 4 and r[1] == "end" and r[4] == "c")
    end)
  end)
end)

describe("coroutine.* behaves as stock Lua's:", function()
  -- Each snippet runs in a plain script of the same interpreter, in a script that has goro, and in a goroutine.
  -- What it prints, and how it ends, must be the same.
  local PLAIN = [[
    local snippet = load(io.read "a", "=snippet")
    local r = table.pack(pcall(snippet))
    for i = 1, r.n do r[i] = tostring(r[i]) end
    print("ends", table.concat(r, "\t"))
  ]]
  local WITH_GORO = 'require "goro".run(function() end)\n' .. PLAIN
  local GOROUTINE = ([[
    require "goro".run(function()
      %s
    end)
  ]]):format(PLAIN)

  local function masked(s) return (s:gsub("0x%x+", "0x")) end

  local function same(name, snippet)
    it(name, function()
      assert(load(snippet, "=snippet"))
      local stock = helper.run_script(PLAIN, { stdin = snippet })
      assert.is_true(stock.code == 0 and stock.stderr == "", helper.describe(stock))
      for _, source in ipairs { WITH_GORO, GOROUTINE } do
        local ours = helper.run_script(source, { stdin = snippet })
        assert.is_true(ours.code == 0 and ours.stderr == "", helper.describe(ours))
        assert.equal(masked(stock.stdout), masked(ours.stdout))
      end
    end)
  end

  same("the fields of the module", [[
    local names = {}
    for k, v in pairs(coroutine) do names[#names + 1] = k .. "=" .. type(v) end
    table.sort(names)
    print(table.concat(names, " "))
  ]])

  same("values in and out", [[
    local co = coroutine.create(function(...)
      print("in", select("#", ...), ...)
      print("back", coroutine.yield(1, nil, 3))
      print("back", coroutine.yield())
      return nil, "end", nil
    end)
    print(coroutine.resume(co, nil, 2, nil))
    print(coroutine.resume(co, "x", nil))
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.resume(co, 1, 2))
  ]])

  same("wrap", [[
    local f = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b + 1, "end" end)
    print(type(f), f(1))
    print(f(5))
    print(pcall(f))
    print(pcall(f))
  ]])

  same("status", [[
    local co, other
    co = coroutine.create(function()
      print(coroutine.status(co))
      other = coroutine.create(function() print(coroutine.status(co), coroutine.status(other)) end)
      coroutine.resume(other)
      coroutine.yield()
      error "x"
    end)
    print(coroutine.status(co))
    coroutine.resume(co)
    print(coroutine.status(co))
    print(coroutine.resume(co))
    print(coroutine.status(co))
    print(coroutine.status((coroutine.running())))
  ]])

  same("running and isyieldable", [[
    local main, is_main = coroutine.running()
    print(type(main), is_main, coroutine.isyieldable(), coroutine.isyieldable(main))
    local co
    co = coroutine.create(function()
      local c, m = coroutine.running()
      print(c == co, m, coroutine.isyieldable(), coroutine.isyieldable(co), coroutine.isyieldable(main))
      table.sort({ 2, 1 }, function() print(coroutine.isyieldable()) return false end)
      coroutine.wrap(function() print(coroutine.isyieldable(), coroutine.isyieldable(co)) end)()
      print(pcall(coroutine.isyieldable))
    end)
    print(coroutine.isyieldable(co))
    coroutine.resume(co)
    print(coroutine.isyieldable(co))
    table.sort({ 2, 1 }, function() print(coroutine.isyieldable(), select(2, coroutine.running())) return false end)
  ]])

  same("yield from outside a coroutine", [[
    print(pcall(coroutine.yield))
    print(pcall(coroutine.yield, 1, 2))
    print(pcall(function() coroutine.yield(1) end))
    table.sort({ 2, 1 }, function() print(pcall(coroutine.yield)) return false end)
    coroutine.yield(1)
  ]])

  same("yield across a C function", [[
    local co = coroutine.create(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end)
    print(coroutine.resume(co))
    print(coroutine.status(co))
    co = coroutine.create(function() string.gsub("x", "x", function() coroutine.yield() end) end)
    print(coroutine.resume(co))
    co = coroutine.create(function() return load(function() coroutine.yield() end) end)
    print(coroutine.resume(co))
    co = coroutine.wrap(function() table.sort({ 2, 1 }, function() print(pcall(coroutine.yield, 1)) return false end) return "after" end)
    print(co())
  ]])

  same("yield across pcall, xpcall, metamethods and iterators", [[
    local mt = { __index = function(_, k) return coroutine.yield("index " .. k) end,
      __add = function() return coroutine.yield "add" end,
      __eq = function() return coroutine.yield "eq" end,
      __lt = function() return coroutine.yield "lt" end,
      __concat = function() return coroutine.yield "concat" end,
      __len = function() return coroutine.yield "len" end,
      __call = function(_, x) return coroutine.yield("call " .. x) end,
      __close = function() coroutine.yield "close" end }
    local f = coroutine.wrap(function()
      local x, y = setmetatable({}, mt), setmetatable({}, mt)
      print(pcall(function() local r = coroutine.yield "in pcall" error(r, 0) end))
      print(xpcall(function(a) return coroutine.yield(a) end, print, "in xpcall"))
      print(x.field, x + y, x == y, x < y, x .. y, #x, x "c")
      for v in function() return coroutine.yield "iterator" end do print("v", v) end
      do local z <close> = x end
      print(select(2, pcall(error, coroutine.yield "last")))
      print(dofile and require and "end")
      return "returned"
    end)
    local i = 0
    while true do
      i = i + 1
      local r = f(i < 12 and i or nil)
      print("got", r)
      if r == "returned" then break end
    end
  ]])

  same("errors out of resume and wrap", [[
    print(coroutine.resume(coroutine.create(function() error "positioned" end)))
    print(coroutine.resume(coroutine.create(function() error("bare", 0) end)))
    print(coroutine.resume(coroutine.create(function() error() end)))
    print(select(2, coroutine.resume(coroutine.create(function() error { code = 5 } end))).code)
    print(coroutine.resume(coroutine.create(function() local x = nil; return x.y end)))
    print(pcall(coroutine.wrap(function() error "positioned" end)))
    print(pcall(function() coroutine.wrap(function() error "positioned" end)() end))
    print(pcall(function() coroutine.wrap(function() error("bare", 0) end)() end))
    print(pcall(function() coroutine.wrap(function() error(42, 0) end)() end))
    print(select(2, pcall(function() coroutine.wrap(function() error { code = 6 } end)() end)).code)
    print(pcall(coroutine.wrap(function() error(nil) end)))
    local outer = coroutine.wrap(function() coroutine.wrap(function() coroutine.wrap(function() error "deep" end)() end)() end)
    print(pcall(function() outer() end))
  ]])

  same("resuming what cannot be resumed", [[
    local co
    co = coroutine.create(function()
      print(coroutine.resume(co))
      local inner = coroutine.create(function() return coroutine.resume(co) end)
      print(coroutine.resume(inner))
    end)
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.resume((coroutine.running())))
    local w
    w = coroutine.wrap(function() return pcall(w) end)
    print(w())
    print(pcall(w))
    print(pcall(function() w() end))
  ]])

  same("close", [[
    print(coroutine.close(coroutine.create(print)))
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function(_, e) print("a", e) end })
      local b <close> = setmetatable({}, { __close = function(_, e) print("b", e) end })
      coroutine.yield(1)
    end)
    print(coroutine.resume(co))
    print(coroutine.close(co), coroutine.status(co))
    print(coroutine.close(co))
    co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function(_, e) print("a", e) error("in a", 0) end })
      local b <close> = setmetatable({}, { __close = function(_, e) print("b", e) error("in b", 0) end })
      coroutine.yield(1)
    end)
    coroutine.resume(co)
    print(coroutine.close(co))
    print(coroutine.status(co), coroutine.close(co))
    co = coroutine.create(function() error "failed" end)
    print(coroutine.resume(co))
    print(coroutine.close(co))
    print(coroutine.close(co))
    co = coroutine.create(function() error { 1 } end)
    coroutine.resume(co)
    local ok, e = coroutine.close(co)
    print(ok, type(e))
  ]])

  same("closing what cannot be closed", [[
    print(pcall(coroutine.close, (coroutine.running())))
    local co
    co = coroutine.create(function()
      print(pcall(coroutine.close, co))
      coroutine.wrap(function() print(pcall(coroutine.close, co)) end)()
      print(pcall(function() coroutine.close(co) end))
    end)
    coroutine.resume(co)
    coroutine.wrap(function() print(pcall(coroutine.close, (coroutine.running()))) end)()
  ]])

  same("close of a coroutine whose __close yields", [[
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function() print "closing" coroutine.yield "in close" print "closed" end })
      coroutine.yield(1)
      return 2
    end)
    print(coroutine.resume(co))
    print(coroutine.close(co))
    print(coroutine.status(co))
    co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function() coroutine.yield "in close" end })
      return "result"
    end)
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.resume(co))
  ]])

  same("wrap closes on an error", [[
    local f = coroutine.wrap(function()
      local a <close> = setmetatable({}, { __close = function(_, e) print("a", e) end })
      local b <close> = setmetatable({}, { __close = function(_, e) print("b", e) error("in b", 0) end })
      error "thrown"
    end)
    print(pcall(f))
    print(pcall(f))
  ]])

  same("wrong arguments", [[
    for _, name in ipairs { "create", "wrap", "resume", "status", "close", "isyieldable" } do
      for _, args in ipairs { {}, { n = 1 }, { 1 }, { "x" }, { {} }, { true }, { io.stdout } } do
        local f = coroutine[name]
        print(name, pcall(f, table.unpack(args, 1, args.n or #args)))
      end
    end
    print(pcall(function() coroutine.create(1) end))
    print(pcall(function() coroutine.resume({}) end))
    print(pcall(function() local wrap = coroutine.wrap; wrap() end))
    print(pcall(function() coroutine.status(nil) end))
    print(pcall(function() coroutine.close("x") end))
    print(pcall(function() return coroutine.isyieldable(1) end))
  ]])

  same("C functions as coroutines", [[
    print(coroutine.resume(coroutine.create(print), 1, 2))
    print(coroutine.resume(coroutine.create(math.max), 1, 2))
    print(coroutine.resume(coroutine.create(error), "e"))
    print(coroutine.resume(coroutine.create(pcall), error, "e"))
    local co = coroutine.create(coroutine.yield)
    print(coroutine.resume(co, 1, 2))
    print(coroutine.resume(co, 3, 4))
    print(coroutine.resume(co))
    co = coroutine.create(coroutine.resume)
    print(coroutine.resume(co, coroutine.create(function(a) return a end), 7))
    print(pcall(coroutine.wrap(coroutine.wrap(function(f) coroutine.yield(f) end)), 1))
    co = coroutine.create(pcall)
    print(coroutine.resume(co, coroutine.yield, 1))
    print(coroutine.resume(co, 2))
  ]])

  same("many values", [[
    local function count(...) return select("#", ...) end
    local co = coroutine.create(function(...) local n = count(coroutine.yield(...)) return n end)
    print(count(coroutine.resume(co, table.unpack({}, 1, 5000))))
    print(coroutine.resume(co, table.unpack({}, 1, 7000)))
    local f = coroutine.wrap(function(...) return ... end)
    print(count(f(table.unpack({}, 1, 20000))))
    print(pcall(coroutine.resume, coroutine.create(count), table.unpack({}, 1, 200000)))
  ]])

  same("deep nesting", [[
    local function nest(n)
      if n == 0 then return "bottom" end
      return coroutine.wrap(nest)(n - 1)
    end
    print(nest(100))
    local function forever() return coroutine.wrap(forever)() end
    local ok, err = pcall(forever)
    print(ok, err:match "C stack overflow")
    print(nest(100))
    local function resumes(n) return coroutine.resume(coroutine.create(function() return resumes(n + 1) end)) end
    local r = table.pack(resumes(1))
    print(r[1], tostring(r[r.n]):match "C stack overflow")
  ]])

  same("recursion inside coroutines", [[
    local function deep(n) if n == 0 then return coroutine.yield "deep" end return (deep(n - 1)) end
    local co = coroutine.create(deep)
    print(coroutine.resume(co, 10000))
    print(coroutine.resume(co, "up"))
    local function overflow() return 1 + overflow() end
    co = coroutine.create(overflow)
    local ok, err = coroutine.resume(co)
    print(ok, err:match "stack overflow", coroutine.status(co))
  ]])

  same("many coroutines, and collected ones", [[
    local sum, keep = 0, {}
    for i = 1, 5000 do
      local co = coroutine.wrap(function(a) while true do a = coroutine.yield(a) end end)
      sum = sum + co(i) + co(1)
      if i % 10 == 0 then keep[#keep + 1] = co end
    end
    collectgarbage()
    for i, co in ipairs(keep) do sum = sum + co(i) end
    print(sum)
  ]])

  same("debug with a coroutine", [[
    local co = coroutine.create(function(a)
      local b = a * 2
      coroutine.yield(b)
      error "oops"
    end)
    coroutine.resume(co, 4)
    print(debug.traceback(co))
    print(debug.traceback(co, "message", 1))
    print(debug.getinfo(co, 1, "l").currentline, debug.getinfo(co, 0, "S").what)
    print(debug.getlocal(co, 1, 1))
    print(debug.getlocal(co, 1, 2))
    coroutine.resume(co)
    print(debug.traceback(co))
    print(coroutine.wrap(function() local t = debug.traceback "inside" return t end)())
  ]])

  same("hooks of a coroutine are its own", [[
    local lines = 0
    local co = coroutine.create(function()
      local a = 1
      coroutine.yield()
      local b = 2
      return a + b
    end)
    debug.sethook(co, function() lines = lines + 1 end, "l")
    coroutine.resume(co)
    coroutine.resume(co)
    print(lines, debug.gethook())
    local calls = 0
    debug.sethook(function() calls = calls + 1 end, "c")
    local other = coroutine.create(function() return math.abs(-1) end)
    print((debug.gethook(other)) ~= nil)
    coroutine.resume(other)
    debug.sethook()
    print(calls > 0)
  ]])

  same("a generator as its users write it", [[
    local function permutations(t, n)
      n = n or #t
      if n <= 1 then coroutine.yield(t) return end
      for i = 1, n do
        t[n], t[i] = t[i], t[n]
        permutations(t, n - 1)
        t[n], t[i] = t[i], t[n]
      end
    end
    for p in coroutine.wrap(function() permutations { "a", "b", "c" } end) do print(table.concat(p)) end
  ]])
end)
