-- SPDX-License-Identifier: MIT
-- grep.lua PATTERN [folder or file…]: the lines in which a Lua pattern is found, in all files
-- below, searched on all cores. As `grep -rn`: prints path:line:text (the lines of a file together,
-- the files in the order in which they are done), leaves links alone but for those named, and says
-- only that a binary file matches. Ends with 0 when something was found, 1 when not, 2 when
-- something could not be read.
--
-- One goroutine walks the folders and sends paths; a worker for each core reads whole files and
-- sends what it has found as one string. The channels hold a few messages only, so the walk waits
-- for the workers, and those for whoever reads the output.

local goro = require "goro"
local fs = require "goro.fs"

local USAGE = "usage: grep.lua PATTERN [folder or file…]"

-- What is to be printed about a file's text; and what is to be said besides.
local function search(path, text, pattern)
  if text ~= "" and text:sub(-1) ~= "\n" then text = text .. "\n" end
  local found, number = {}, 0
  for line in text:gmatch "([^\n]*)\n" do
    number = number + 1
    if line:find(pattern) then found[#found + 1] = ("%s:%d:%s\n"):format(path, number, line) end
  end
  if #found > 0 and text:find("\0", 1, true) then return "", path .. ": binary file matches" end
  return table.concat(found)
end

local function walker(roots, paths, results)
  local function failed(message) results:send { failed = message } end
  for _, root in ipairs(roots) do
    local stat, message = fs.stat(root)
    if not stat then failed(message)
    elseif stat.type ~= "directory" then paths:send(root)
    else
      for path, kind, reason in fs.walk(root) do
        if reason then failed(reason) elseif kind == "file" then paths:send(path) end
      end
    end
  end
  paths:close()
  results:send { ended = true }
end

local function worker(pattern, paths, results)
  for path in paths:range() do
    local text, message = fs.read_file(path)
    if not text then results:send { failed = message }
    else
      local found, notice = search(path, text, pattern)
      if notice or found ~= "" then results:send { found = found, notice = notice } end
    end
  end
  results:send { ended = true }
end

local pattern = arg[1]
if not pattern then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
local valid, reason = pcall(string.find, "", pattern)
if not valid then
  io.stderr:write("grep: ", reason, "\n")
  os.exit(2)
end
local roots = table.move(arg, 2, #arg, 1, {})
if #roots == 0 then roots[1] = "." end

local paths, results = goro.chan(64), goro.chan(64)
local workers = goro.num_cpu()
goro.go(walker, roots, paths, results)
for _ = 1, workers do goro.go(worker, pattern, paths, results) end

local found, failed, running = false, false, workers + 1
while running > 0 do
  local r = results:recv()
  if r.ended then running = running - 1 end
  if r.found then
    found = true
    io.stdout:write(r.found)
  end
  if r.failed then failed = true end
  if r.failed or r.notice then io.stderr:write("grep: ", r.failed or r.notice, "\n") end
end
os.exit(failed and 2 or found and 0 or 1, true)
