-- SPDX-License-Identifier: MIT
-- file:setvbuf and file:flush as in io; and seek as tell, which keeps what was read ahead.

local helper = require "spec.helper"

-- `file(data)`: the path of a new file; `on_disk(path)`: what others see.
local PRELUDE = [[
  local goro = require "goro"
  local fs = goro.fs
  local folder = assert(fs.mkdtemp())
  local path = folder .. "/f"
  local function on_disk() return assert(fs.read_file(path)) end
  local _ <close> = setmetatable({}, { __close = function() fs.remove(folder, { recursive = true }) end })
  -- So many reads and seeks this process has asked the system for.
  local function reads() return tonumber(on_disk and fs.read_file("/proc/self/io"):match "syscr: (%d+)") end
]]

describe("files", function()
  local function files(name, body)
    for _, where in ipairs { "main script", "goroutine" } do
      it(name .. ", in the " .. where, function()
        local script = where == "goroutine" and ("require 'goro'.run(function() %s %s end)"):format(PRELUDE, body) or PRELUDE .. body
        assert.equal("done", helper.passes_script(script .. "\nio.stdout:write 'done'"))
      end)
    end
  end

  files("tell where they are without reading again", [[
    local line = ("x"):rep(9) .. "\n"
    assert(fs.write_file(path, line:rep(50000)))
    local f <close> = assert(fs.open(path))
    local before, at = reads(), 0
    for l in f:lines "L" do
      at = at + #l
      assert(f:seek() == at)
    end
    assert(at == 500000 and reads() - before < 200, reads() - before)]])

  files("tell the right place whatever was done", [[
    local io_path = folder .. "/io"
    local ours, theirs = assert(fs.open(path, "w+")), assert(io.open(io_path, "w+"))
    math.randomseed(7)
    local last
    for i = 1, 5000 do
      local what = math.random(10)
      if what <= 3 then
        if last ~= "w" then assert(ours:seek("cur", 0) and theirs:seek("cur", 0)) end
        local data = string.char(math.random(97, 122)):rep(math.random(0, 30)) .. (math.random(5) == 1 and "\n" or "")
        assert(ours:write(data) and theirs:write(data))
        last = "w"
      elseif what <= 6 then
        if last ~= "r" then assert(theirs:seek("cur", 0)) end
        local fmt = ({ "l", "L", 0, 1, 17, "a" })[math.random(6)]
        local a, b = ours:read(fmt), theirs:read(fmt)
        assert(a == b, i)
        last = "r"
      elseif what == 7 then
        local size = theirs:seek "end"
        assert(ours:seek "end" == size)
        local to = math.random(0, size)
        assert(ours:seek("set", to) == to and theirs:seek("set", to) == to)
        last = nil
      elseif what == 8 then
        local mode = ({ "no", "full", "line" })[math.random(3)]
        assert(ours:setvbuf(mode, math.random(0, 100)) == true)
      elseif what == 9 then
        assert(ours:flush() == true and theirs:flush())
        assert(on_disk() == assert(fs.read_file(io_path)))
      end
      assert(ours:seek() == theirs:seek(), i)
    end
    assert(ours:close() and theirs:close() and on_disk() == fs.read_file(io_path))]])

  files("gather until the buffer is full, flush, close", [[
    local f = assert(fs.open(path, "w"))
    assert(f:setvbuf("full", 100) == true and f:write("a", 1, 2.5) == f)
    assert(on_disk() == "")
    assert(f:flush() == true and on_disk() == "a12.5")
    assert(f:write(("x"):rep(100)) and on_disk() == "a12.5" .. ("x"):rep(100))
    assert(f:write(("y"):rep(60)) and f:write(("z"):rep(60)) and on_disk():sub(-1) == "y")
    assert(f:close() == true and on_disk():sub(-60) == ("z"):rep(60))
    assert(select(3, f:flush()) == "EBADF" and select(3, f:setvbuf "full") == "EBADF")]])

  files("gather up to the end of a line", [[
    local f <close> = assert(fs.open(path, "w"))
    assert(f:setvbuf "line" and f:write "half" and on_disk() == "")
    assert(f:write " line\nand" and on_disk() == "half line\nand")
    assert(f:write " more" and on_disk() == "half line\nand" and f:setvbuf "no" and on_disk() == "half line\nand more")
    assert(f:write "!" and on_disk():sub(-1) == "!")]])

  files("write what was gathered before anything else is done", [[
    local f <close> = assert(fs.open(path, "w+"))
    assert(f:setvbuf("full", 1000) and f:write "0123456789" and on_disk() == "")
    assert(f:stat().size == 10 and f:write "ab" and f:truncate(11) and on_disk() == "0123456789a")
    assert(f:seek "set" == 0 and f:write "XY" and f:seek "end" == 11 and on_disk() == "XY23456789a")
    assert(f:write "tail" and f:sync() and on_disk():sub(-5) == "atail")
    assert(f:seek("set", 0) and f:write "__" and f:read(3) == "234" and f:write "=" and f:seek() == 6 and f:read "a" == "6789atail")
    assert(on_disk() == "__234=6789atail")]])

  files("keep what could not be written, and tell it", [[
    local f = assert(fs.open("/dev/full", "w"))
    assert(f:setvbuf("full", 100) and f:write "lost")
    for _, name in ipairs { "flush", "setvbuf", "flush" } do
      local r, message, code = f[name](f, name == "setvbuf" and "no" or nil)
      assert(r == nil and code == "ENOSPC" and message == "ENOSPC: no space left on device: /dev/full", message)
    end
    assert(select(3, f:write(("x"):rep(200))) == "ENOSPC")
    local r, message, code = f:close()
    assert(r == nil and code == "ENOSPC", message)
    assert(f:close() == true)]])

  files("that nobody has any more, or whose block is left, have written all", [[
    do
      local f <close> = assert(fs.open(path, "w"))
      assert(f:setvbuf "full" and f:write "left")
    end
    assert(on_disk() == "left")
    local f = assert(fs.open(path, "w"))
    assert(f:setvbuf "full" and f:write "dropped")
    f = nil
    collectgarbage()
    collectgarbage()
    assert(on_disk() == "dropped")
    goro.run(function()
      local g = assert(fs.open(path, "w"))
      assert(g:setvbuf "full" and g:write "gone with its goroutine")
    end)
    for _ = 1, 1000 do
      if on_disk() ~= "" then break end
      goro.sleep(0.005)
    end
    assert(on_disk() == "gone with its goroutine")]])

  files("that are pipes go out too, and at close as far as the reader takes them", [[
    assert(os.execute("mkfifo " .. path))
    local r = assert(fs.open(path, "r+"))
    local w = assert(fs.open(path, "a"))
    assert(w:setvbuf("full", 100000) and w:write "one\ntwo\n" and w:flush() and r:read "l" == "one" and r:read "l" == "two")
    local got = goro.chan(1)
    goro.go(function()
      goro.sleep(0.05)
      got:send(#r:read(90000))
    end)
    assert(w:write(("x"):rep(90000)) and w:close() == true)
    assert(got:recv() == 90000)]])

  it("with gathered writes lose nothing at os.exit", function()
    for _, how in ipairs { "os.exit(0)", "goro.go(function() os.exit(0) end) goro.sleep(1000)", "os.exit(0, true)", "" } do
      local path = os.tmpname()
      helper.ended_well(helper.run_script(([[
        local goro = require "goro"
        f = assert(goro.fs.open(arg[1], "w"))
        assert(f:setvbuf "full" and f:write "all of it")
        %s]]):format(how), { args = { path } }))
      local f = assert(io.open(path))
      assert.equal("all of it", f:read "a", how)
      f:close()
      os.remove(path)
    end
  end)

  it("want a mode and a size", function()
    helper.passes(function()
      local f <close> = assert(require "goro".fs.open "/dev/null")
      for _, case in ipairs { { "invalid option 'some'", "some" }, { "size is out of range", "full", -1 }, { "bad argument #2" } } do
        local ok, e = pcall(f.setvbuf, f, case[2], case[3])
        assert(not ok and e:find(case[1], 1, true), e)
      end
    end)
  end)
end)
