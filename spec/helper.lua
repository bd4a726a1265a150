-- SPDX-License-Identifier: MIT
-- What the specs share: running a script or a function in a child interpreter, and checking errors.
--
-- A test of a scheduler may hang, crash, or end the process it runs in. So whatever involves several
-- goroutines runs in a child: the same interpreter as busted's, with the same LUA_PATH and LUA_CPATH,
-- under coreutils' `timeout -k`, its output in files. A hang is then a failed test with exit code 124.
--
-- There are two ways to say what the child runs. `run_script` takes source text; the script's path is
-- replaced by "job.lua" in what it wrote, so that a test can name whole lines of output. `run_function`
-- takes a Lua function, which crosses as its dump: the linter sees its code, and its error messages
-- name the spec's own lines. Such a function may have no upvalue besides _ENV, which is checked.
--
-- GORO_SLOW (default 1) says how much slower than usual this build or machine is: limits on time are
-- multiplied with it, numbers of rounds divided.

local assert = require "luassert"
local system = require "system"

local helper = {}

-- Taken at once: a test may be about the replacements of these.
local execute, tmpname, remove = os.execute, os.tmpname, os.remove

helper.slow = tonumber(os.getenv "GORO_SLOW" or "") or 1
if helper.slow < 1 then helper.slow = 1 end

--- Monotonic seconds.
helper.now = system.monotime

--- A limit on time, in seconds, for a build of this speed.
function helper.limit(seconds) return seconds * helper.slow end

-- What CMake has built for the specs.
local built = (os.getenv "GORO_BUILD_DIR" or "build-test") .. "/embed/"

--- An it() for tests that can be made only when `why_not` returns nothing; else they are pending, for the reason that it returns.
-- `it` and `pending` are busted's, which only a spec file sees.
local function unless(it, pending, why_not)
  return function(name, test)
    it(name, function()
      local reason = why_not()
      if reason then pending(reason) else test() end
    end)
  end
end

--- An it() for what needs a signal to reach a thread that makes no calls: ThreadSanitizer keeps signals back until the next one.
function helper.interrupting(it, pending)
  return unless(it, pending, function()
    return (os.getenv "GORO_SANITIZE" or ""):find "thread" and "ThreadSanitizer delivers no signal to code that makes no calls"
  end)
end

--- The path of a program of spec/embed/, and an it() for what runs it.
function helper.embedding(it, pending, name)
  local program = built .. name
  return program, unless(it, pending, function()
    local f = io.open(program)
    if not f then return "the program is not built (./tools/test builds it)" end
    f:close()
  end)
end

--- An environment in which children find the C module ctest (spec/embed/module), and with these variables besides.
function helper.with_ctest(env)
  local all = { LUA_CPATH = built .. "?.so;" .. os.getenv "LUA_CPATH" }
  for name, value in pairs(env or {}) do all[name] = value end
  return all
end

--- A number of rounds for a build of this speed.
function helper.rounds(n) return math.max(1, math.floor(n / helper.slow)) end

--- The interpreter that runs busted: the outermost word of its command line, or $LUA.
function helper.interpreter()
  local lua = os.getenv "LUA"
  if lua and lua ~= "" then return lua end
  local i = -1
  while arg and arg[i] do
    lua = arg[i]
    i = i - 1
  end
  return lua or "lua5.4"
end

--- `s` as one word of the shell.
function helper.quote(s)
  return "'" .. tostring(s):gsub("'", [['\'']]) .. "'"
end
local quote = helper.quote

local function spill(data)
  local path = tmpname()
  local f = assert(io.open(path, "wb"))
  assert(f:write(data))
  assert(f:close())
  return path
end

local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local data = f:read "a"
  f:close()
  return data
end

local function command_line(script, limit, opts, files)
  local words = { "env" }
  for name, value in pairs(opts.env or {}) do
    if value == false then table.insert(words, 2, "-u " .. quote(name)) end
    if value ~= false then words[#words + 1] = quote(name .. "=" .. tostring(value)) end
  end
  words[#words + 1] = ("timeout -k 5 %.3f"):format(limit)
  if opts.wrap then words[#words + 1] = opts.wrap end
  words[#words + 1] = quote(opts.lua or helper.interpreter())
  if not opts.bare then words[#words + 1] = quote(script) end
  for _, a in ipairs(opts.args or {}) do words[#words + 1] = quote(a) end
  words[#words + 1] = "<" .. (files.stdin and quote(files.stdin) or "/dev/null")
  words[#words + 1] = "2>" .. quote(files.stderr)
  local cmd = table.concat(words, " ")
  local stdout, code = quote(files.stdout), quote(files.code)
  -- The shell's own stderr goes nowhere: it would tell of each child that a signal ended.
  if opts.pipe then return ("exec 2>/dev/null; { %s; echo $? >%s; } | cat >%s"):format(cmd, code, stdout) end
  return ("exec 2>/dev/null; %s >%s; echo $? >%s"):format(cmd, stdout, code)
end

--- Runs `source` (text, or a dumped function) as a script in a child interpreter.
-- opts: env = { NAME = value, or false to remove it }, args = { … }, stdin = string,
-- timeout = seconds (60 for a build of usual speed), pipe = true (its stdout is a pipe, not a file),
-- wrap = shell words to put before the interpreter, lua = another interpreter, bare = true (it gets no script's name).
-- Returns { code=, signal=, timed_out=, stdout=, stderr=, seconds=, script= }; code is nil when a signal ended it.
function helper.run_script(source, opts)
  opts = opts or {}
  local script = spill(source)
  local files = {
    stdout = tmpname(), stderr = tmpname(), code = tmpname(),
    stdin = opts.stdin and spill(opts.stdin),
  }
  local limit = opts.timeout or 60
  local start = helper.now()
  execute(command_line(script, limit * helper.slow, opts, files))
  local seconds = helper.now() - start
  local status = tonumber(slurp(files.code)) or -1
  local function text(path)
    return (slurp(path):gsub(script:gsub("%p", "%%%0"), "job.lua"))
  end
  local r = {
    seconds = seconds, script = script,
    stdout = text(files.stdout), stderr = text(files.stderr),
    timed_out = status == 124 or nil,
  }
  -- The shell reports death by signal N as 128 + N; the kernel has 64 signals.
  if status > 128 and status <= 192 then r.signal = status - 128 else r.code = status end
  remove(script)
  for _, path in pairs(files) do remove(path) end
  return r
end

local function dump(fn, level)
  for i = 1, debug.getinfo(fn, "u").nups do
    local name = debug.getupvalue(fn, i)
    if name ~= "_ENV" then error(("the function uses '%s' of the spec; it runs in another process"):format(name), level + 1) end
  end
  return string.dump(fn)
end

--- Runs the function as the main script of a child (opts.args arrive as its parameters, as strings), or,
-- with opts.goroutine, as a goroutine that the main script waits for.
function helper.run_function(fn, opts)
  opts = opts or {}
  local code = dump(fn, 2)
  if opts.goroutine then
    code = ('local f = load(%q, "f", "b") require "goro".run(f, ...)'):format(code)
  end
  return helper.run_script(code, opts)
end

--- A child's end in words, for a failed assertion.
function helper.describe(r)
  return ("%s after %.2f s\n-- stdout --\n%s\n-- stderr --\n%s\n--"):format(
    r.timed_out and "timed out" or r.signal and "signal " .. r.signal or "exit " .. tostring(r.code),
    r.seconds, r.stdout:sub(1, 4000), r.stderr:sub(1, 4000))
end

--- The child must have ended with this code and an empty stderr. Returns its stdout.
function helper.ended_well(r, code)
  assert.is_true(r.code == (code or 0) and r.stderr == "", helper.describe(r))
  return r.stdout
end

--- The function, as a child's main script, runs to its end and reports nothing. Returns its stdout.
function helper.passes(fn, opts)
  return helper.ended_well(helper.run_function(fn, opts))
end

--- The same for source text.
function helper.passes_script(source, opts)
  return helper.ended_well(helper.run_script(source, opts))
end

--- The function passes as the main script and as a goroutine.
function helper.passes_anywhere(fn, opts)
  helper.passes(fn, opts)
  local inside = { goroutine = true }
  for k, v in pairs(opts or {}) do inside[k] = v end
  helper.passes(fn, inside)
end

local function caught(fn, line)
  local info = debug.getinfo(fn, "S")
  local ok, err = pcall(fn)
  assert.is_false(ok, "no error was raised")
  return err, ("%s:%d: "):format(info.short_src, line or info.linedefined)
end

--- `fn`, written on one line (or failing on `line`), raises exactly this text, with its own position before it.
function helper.raises(text, fn, line)
  local err, where = caught(fn, line)
  assert.equal(where .. text, err)
end

--- The same, with a Lua pattern for the text that follows the position.
function helper.raises_match(pattern, fn, line)
  local err, where = caught(fn, line)
  assert.equal("string", type(err))
  assert.equal(where, err:sub(1, #where))
  local text = err:sub(#where + 1)
  assert.is_truthy(text:find(pattern), ("'%s' does not match '%s'"):format(text, pattern))
end

--- Polls until `f` returns true; false when that takes longer than `seconds`.
function helper.eventually(f, seconds)
  local deadline = helper.now() + helper.limit(seconds or 10)
  while not f() do
    if helper.now() > deadline then return false end
    system.sleep(0.002)
  end
  return true
end

return helper
