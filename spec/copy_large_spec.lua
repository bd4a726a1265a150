-- SPDX-License-Identifier: MIT
-- Copying: messages of a hundred megabytes arrive in time, whole, in memory that is a small multiple of theirs, and leave nothing behind;
-- and what makes a message larger than it must be: a class for each of its objects, a string for each place where it stands.

local helper = require "spec.helper"

-- It runs as a goroutine: whether a host state's memory goes back to the system is glibc's affair, whose heap shrinks from its top only.
local function large(what, n)
  local goro = require "goro"
  n = tonumber(n)

  local function resident(field)
    for line in io.lines "/proc/self/status" do
      local kib = line:match("^" .. field .. ":%s*(%d+)")
      if kib then return kib * 1024 end
    end
  end
  local make = {
    integers = function()
      local t = {}
      for i = 1, n do t[i] = i end
      return t
    end,
    records = function()
      local t = {}
      for i = 1, n do t[i] = { id = i, name = "gopher" } end
      return t
    end,
    fields = function()
      local t = {}
      for i = 1, n do t["field" .. i] = i end
      return t
    end,
    strings = function()
      local t = {}
      for i = 1, n do t[i] = ("%08d"):format(i):rep(128) end
      return t
    end,
    list = function()
      local t
      for i = n, 1, -1 do t = { value = i, next = t } end
      return t
    end,
  }
  local check = {
    integers = function(t, i) return t[i] == i end,
    records = function(t, i) return t[i].name == "gopher" and t[i].id == i end,
    fields = function(t, i) return t["field" .. i] == i end,
    strings = function(t, i) return #t[i] == 1024 and tonumber(t[i]:sub(-8)) == i end,
  }
  local function whole(t)
    if what ~= "list" then
      for i = 1, n do assert(check[what](t, i)) end
      return
    end
    for i = 1, n do
      assert(t.value == i)
      t = t.next
    end
    assert(t == nil)
  end
  local function round()
    local there, back = goro.chan(), goro.chan()
    goro.go(function()
      whole(there:recv())
      back:send(true)
    end)
    there:send(make[what]())
    assert(back:recv())
    there:close()
  end
  local function settle(limit)
    for _ = 1, 100 do
      collectgarbage()
      collectgarbage()
      goro.sleep(0.1)
      if goro.num_goroutine() == 2 and (limit == nil or resident "VmRSS" < limit) then return end
    end
  end

  settle()
  local empty = resident "VmRSS"
  local value = make[what]()
  local size = resident "VmRSS" - empty
  assert(value)
  value = nil -- luacheck: ignore
  settle()
  round()
  settle()
  local after_first = resident "VmRSS"
  round()
  settle(after_first + 40e6)
  local more, most = resident "VmRSS" - after_first, resident "VmHWM" - empty
  print(("%d MB, at most %d MB, %d MB left"):format(size // 1e6, most // 1e6, (resident "VmRSS" - empty) // 1e6))
  if os.getenv "GORO_STOCK_LUA" then return end -- a sanitizer's allocator keeps freed memory
  assert(more < 40e6, ("%d bytes more than after the first round"):format(more))
  assert(most < 6 * size + 50e6, ("%d bytes at most for a value of %d"):format(most, size))
end

describe("large messages:", function()
  local function goes(name, what, n)
    it(name, function()
      local out = helper.passes(large, { args = { what, helper.rounds(n) }, timeout = 60, goroutine = true })
      if os.getenv "GORO_TELL" then io.stderr:write(what, ": ", out) end
    end)
  end
  goes("three million integers", "integers", 3000000)
  goes("a million small records", "records", 1000000)
  goes("a hundred and fifty thousand fields", "fields", 150000)
  goes("a hundred megabytes of strings", "strings", 100000)
  goes("a list of three hundred thousand links", "list", 300000)
end)

describe("a message carries once", function()
  it("the class of ten thousand objects", function()
    helper.passes(function()
      local _, testing = require "goro", require "goro.testing"
      local function objects(n, class)
        local t = {}
        for i = 1, n do t[i] = setmetatable({ i }, class) end
        return t
      end
      local small, alike, fat = {}, {}, { text = ("x"):rep(100000) }
      for _, class in ipairs { small, alike, fat } do
        class.__index = class
        for i = 1, 50 do class["method" .. i] = function() return i end end
      end
      local one = testing.weigh(objects(1, small))
      local bytes, items, classes = testing.weigh(objects(10000, alike)) -- small would not be carried again
      local many = testing.weigh(objects(10000, fat))
      assert(classes == 1, classes)
      assert(items < 10000 + 200, items)
      assert(many - bytes < 101000, ("%d bytes, then %d"):format(bytes, many))
      assert((bytes - one) / 9999 < 110, ("%d bytes for one, %d for ten thousand"):format(one, bytes))
    end)
  end)

  it("a long string, a table and a function that come many times", function()
    helper.passes(function()
      local _, testing = require "goro", require "goro.testing"
      local text, shared = ("x"):rep(10000), {}
      for i = 1, 1000 do shared[i] = i end
      local function f() return text, shared end
      local once = testing.weigh { text, shared, f }
      local t = {}
      for i = 1, 1000 do t[3 * i], t[3 * i + 1], t[3 * i + 2] = text, shared, f end
      local bytes, _, classes = testing.weigh(t)
      assert(classes == 0)
      assert(bytes < once + 3000 * 16, ("%d bytes, then %d"):format(once, bytes))
    end)
  end)
end)

describe("strings of a MiB", function()
  local function as_built(name, test)
    it(name, function()
      if os.getenv "GORO_STOCK_LUA" then pending "a sanitizer's allocator sees each block" else test() end
    end)
  end

  as_built("find memory that the last ones left, which the system has again afterwards", function()
    helper.passes(function()
      local goro = require "goro"
      local function number(path, pattern)
        local f <close> = assert(io.open(path))
        return tonumber(f:read("a"):match(pattern))
      end
      local function faults() return number("/proc/self/stat", "%)" .. (" %S+"):rep(7) .. " (%d+)") end
      local function resident() return number("/proc/self/status", "VmRSS:%s*(%d+)") / 1024 end
      local function stream(n)
        local pipe = goro.chan(4)
        goro.go(function()
          local s = ("x"):rep(1 << 20)
          for _ = 1, n do pipe:send(s) end
          pipe:close()
        end)
        return goro.run(function()
          local sum = 0
          for s in pipe:range() do sum = sum + #s end
          return sum
        end)
      end
      goro.run(function() end)
      local before = resident()
      stream(20)
      local first = faults()
      assert(stream(500) == 500 << 20)
      local more = (faults() - first) / 500
      assert(more < 6, ("%g pages came anew for each string"):format(more))
      for _ = 1, 100 do
        if resident() < before + 8 then break end
        goro.sleep(0.05)
      end
      assert(resident() < before + 8, ("%g MB, then %g"):format(before, resident()))
    end)
  end)

  for _, procs in ipairs { 1, 2, 8 } do
    it(("and of all lengths keep what is in them, at maxprocs %d"):format(procs), function()
      helper.passes(function(rounds)
        local goro = require "goro"
        local pipe, done = goro.chan(6), goro.chan()
        rounds = tonumber(rounds)
        local function produce(k)
          for i = 1, rounds do
            local n = 30000 + (i * 7919 + k * 104729) % 700000
            assert(pipe:try_send({ n, k, (string.char(64 + k)):rep(n) }, 60))
            assert(pipe:try_send((string.char(64 + k)):rep(n + 5), 60))
          end
          done:send(true)
        end
        local function consume()
          local count = 0
          for v in pipe:range() do
            local text = type(v) == "table" and v[3] or v
            assert(type(v) == "string" or #text == v[1])
            assert(text == text:sub(1, 1):rep(#text))
            count = count + 1
          end
          done:send(count)
        end
        for k = 1, 4 do goro.go(produce, k) goro.go(consume) end
        local count = 0
        for _ = 1, 4 do assert(done:recv(60) == true) end
        pipe:close()
        for _ = 1, 4 do count = count + done:recv(60) end
        assert(count == 8 * rounds)
      end, { args = { helper.rounds(60) }, env = { GOROMAXPROCS = procs } })
    end)
  end
end)
