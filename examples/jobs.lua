-- SPDX-License-Identifier: MIT
-- jobs.lua [-j N] [file]: runs shell commands, one a line from the file or from stdin, N at a time
-- (as many as there are CPUs), like a small `xargs -P`. Empty lines and lines that start with # are
-- left out.
--
-- What a command writes, to stdout or stderr, comes out in one piece, followed by
-- `[k] exit C  command` (or `[k] signal NAME  command`); the pieces come in the order of the list,
-- each as soon as those before it have come. A command that reads gets an empty stdin. The exit
-- status is 1 when any command has failed, 2 when the list could not be read or the arguments are
-- wrong.

local goro = require "goro"
local process = require "goro.process"

local function usage(message)
  io.stderr:write("jobs: ", message, "\nusage: jobs.lua [-j N] [file of commands, one a line]\n")
  os.exit(2)
end

local function parse(args)
  local limit, path, i = goro.num_cpu(), nil, 1
  while args[i] do
    local a = args[i]
    local number = a:match "^%-j(.*)$"
    if number then
      if number == "" then
        i = i + 1
        number = args[i] or usage "-j needs a number"
      end
      limit = number:find "^%d+$" and math.tointeger(tonumber(number))
      if not limit or limit < 1 then
        usage(("-j needs a number of at least 1, got '%s'"):format(number))
      end
    elseif a:sub(1, 1) == "-" and a ~= "-" then usage("unknown option " .. a)
    elseif path then usage "more than one file"
    else path = a end
    i = i + 1
  end
  return limit, path
end

local function read_commands(path)
  local file, message = io.stdin, nil
  if path and path ~= "-" then file, message = io.open(path) end
  if not file then usage(message) end
  local commands = {}
  while true do
    local line, reason = file:read "l"
    if reason then usage((path or "stdin") .. ": " .. reason) end
    if not line then return commands end
    if line:find "%S" and not line:find "^%s*#" then commands[#commands + 1] = line end
  end
end

-- Runs one command: what it wrote and how it ended. The outer shell lets both outputs go into one
-- pipe, in their order, and is the inner one then.
local function run(command)
  local r, message = process.run { "sh", "-c", 'exec sh -c "$1" 2>&1', "sh", command }
  if not r then return message .. "\n", "exit 127" end
  return r.stdout, r.signal and "signal " .. r.signal or "exit " .. r.code
end

local function worker(jobs, results)
  for job in jobs:range() do
    local output, ending = run(job.command)
    results:send { k = job.k, output = output, ending = ending }
  end
end

local limit, path = parse(arg)
local commands = read_commands(path)
local jobs, results = goro.chan(), goro.chan()
for _ = 1, math.min(limit, #commands) do goro.go(worker, jobs, results) end
goro.go(function()
  for k, command in ipairs(commands) do jobs:send { k = k, command = command } end
  jobs:close()
end)

local failed, ready, due = 0, {}, 1
for _ = 1, #commands do
  local result = results:recv()
  ready[result.k] = result
  while ready[due] do
    local r = ready[due]
    ready[due] = nil
    io.write(r.output)
    if r.output ~= "" and r.output:sub(-1) ~= "\n" then io.write "\n" end
    io.write(("[%d] %s  %s\n"):format(due, r.ending, commands[due]))
    io.flush()
    if r.ending ~= "exit 0" then failed = failed + 1 end
    due = due + 1
  end
end
if failed > 0 then
  io.stderr:write(("jobs: %d of %d failed\n"):format(failed, #commands))
  os.exit(1)
end
