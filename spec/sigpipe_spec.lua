-- SPDX-License-Identifier: MIT
-- SIGPIPE, as in Go: a program whose output nobody reads any more ends by it, whoever writes; everything else is EPIPE.

local helper = require "spec.helper"
local quote = helper.quote

-- Runs the script in the pipeline `… | true`, which reads nothing and has ended before the script goes on. Returns the
-- script's exit status, as a shell tells it, and its stderr.
local function into_nothing(script, wrap)
  local path, out = os.tmpname(), os.tmpname()
  local f = assert(io.open(path, "w"))
  assert(f:write(script))
  f:close()
  local lua = ("timeout -k 5 %d %s %s %s"):format(60 * helper.slow, wrap or "", quote(helper.interpreter()), quote(path))
  -- The reader ends when it has made the file, and the script begins then: `gone` is a named pipe.
  os.execute(("rm -f %s.gone; mkfifo %s.gone; { read _ <%s.gone; %s 2>%s; echo $? >%s.code; } | { exec <&-; echo >%s.gone; }"):format(
    out, out, out, lua, quote(out), out, out))
  local code = assert(io.open(out .. ".code")):read "n"
  local err = assert(io.open(out)):read "a"
  for _, name in ipairs { path, out, out .. ".code", out .. ".gone" } do os.remove(name) end
  return code, err
end

local SIGPIPE = 128 + 13

local WAYS = {
  ["print"] = "print 'y'",
  ["io.write"] = "io.write('y\\n')",
  ["io.stdout:write"] = "io.stdout:write('y\\n')",
  ["io.write and io.flush"] = "io.write 'y' io.flush()",
  ["io.write and io.stdout:flush"] = "io.write 'y' io.stdout:flush()",
  ["io.write through io.output"] = "io.output():write(('y'):rep(100000))",
}

describe("a program whose output nobody reads", function()
  for name, code in pairs(WAYS) do
    it("ends by SIGPIPE when a goroutine writes: " .. name, function()
      local status, err = into_nothing(("local goro = require 'goro' goro.go(function() while true do %s end end) goro.sleep(1000)"):format(code))
      assert.equal(SIGPIPE, status, err)
      assert.equal("", err)
    end)
    it("ends by SIGPIPE when the main script writes: " .. name, function()
      assert.equal(SIGPIPE, (into_nothing(("require 'goro'.sleep(0) while true do %s end"):format(code))))
    end)
  end

  it("ends with head", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "w"))
    f:write "local goro = require 'goro' goro.go(function() while true do print 'y' end end) goro.sleep(1000)"
    f:close()
    local start = helper.now()
    local pipe = io.popen(("timeout -k 5 %d %s %s | head -1"):format(60 * helper.slow, quote(helper.interpreter()), quote(path)))
    local said = pipe:read "a"
    pipe:close()
    os.remove(path)
    assert.equal("y\n", said)
    assert.is_true(helper.now() - start < helper.limit(50))
  end)

  it("ends by SIGPIPE when it is stderr", function()
    local r = helper.run_script([[
      local goro = require "goro"
      local path = os.tmpname()
      local f = assert(io.open(path, "w"))
      f:write "require 'goro'.run(function() goro.sleep(0.1) while true do io.stderr:write 'y' end end)"
      f:close()
      local child = goro.process.spawn { arg[-1], path }
      child.stderr:close()
      local code, signal = child:wait(60 * tonumber(arg[1]))
      os.remove(path)
      io.stdout:write(tostring(code), " ", tostring(signal))]], { args = { tostring(helper.slow) } })
    assert.equal("nil PIPE", helper.ended_well(r))
  end)

  local ON = [[
    local goro = require "goro"
    %s
    goro.run(function()
      local r, m, code
      repeat r, m, code = io.stdout:write(("y"):rep(100000)) until not r
      assert(code == 32 and m == "Broken pipe", m)
      for _ = 1, 3 do print "y" end
      io.write "y"
      local flushed, _, why = io.flush()
      assert(not flushed and why == 32)
    end)
    io.stderr:write "went on"
    os.exit(0, false)]]

  it("goes on with EPIPE when signal.notify has the signal", function()
    local status, err = into_nothing(ON:format [[local listener = goro.signal.notify "PIPE" goro.go(function() listener:recv(0) end)]])
    assert.equal("went on", err)
    assert.equal(0, status)
  end)

  it("goes on with EPIPE when signal.ignore has it", function()
    local status, err = into_nothing(ON:format [[goro.signal.ignore "PIPE"]])
    assert.equal("went on", err)
    assert.equal(0, status)
  end)

  it("goes on with EPIPE when the program was started with it ignored", function()
    local status, err = into_nothing(ON:format "", [[sh -c 'trap "" PIPE; exec "$@"' sh]])
    assert.equal("went on", err)
    assert.equal(0, status)
  end)
end)

describe("everything else", function()
  it("is EPIPE without a signal: sockets, pipes of children, files that are pipes, pipes of popen", function()
    helper.passes_anywhere(function()
      local goro = require "goro"
      local function fails(f)
        for _ = 1, 1000 do
          local r, m, code = f()
          if not r then
            assert(code == "EPIPE" or code == "ECONNRESET" or code == 32, m)
            return
          end
          goro.sleep(0.005)
        end
        error "was always written"
      end
      local l <close> = goro.net.listen("tcp", "127.0.0.1:0")
      local c <close> = goro.net.dial("tcp", l:addr())
      l:accept():close()
      fails(function() return c:write(("x"):rep(10000)) end)
      local child <close> = goro.process.spawn { "sleep", "0" }
      child:wait()
      fails(function() return child.stdin:write "x" end)
      local name = os.tmpname()
      os.remove(name)
      assert(os.execute("mkfifo " .. name))
      local f = assert(goro.fs.open(name, "r+"))
      local w = assert(goro.fs.open(name, "a"))
      f:close()
      fails(function() return w:write "x" end)
      w:close()
      os.remove(name)
    end)
  end)

  it("is EPIPE on a pipe of popen in a goroutine", function()
    helper.passes(function()
      local goro = require "goro"
      goro.run(function()
        local p = io.popen("exec true", "w")
        local tries = 0
        local r, m, code
        repeat
          goro.sleep(0.005)
          r, m, code = p:write(("x"):rep(10000))
          if r then r, m, code = p:flush() end
          tries = tries + 1
        until not r or tries == 1000
        assert(not r and code == 32, m)
      end)
    end)
  end)
end)
