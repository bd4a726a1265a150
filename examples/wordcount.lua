-- SPDX-License-Identifier: MIT
-- wordcount.lua [--check] [folder or file…]: counts words on all cores; without arguments, those of
-- this repository's own text files.
--
-- A word is the longest run of letters, digits and underscores, where each byte from 0x80 on counts
-- as a letter (so UTF-8 stays whole) and A-Z count as a-z. Prints the 20 most frequent ones and the
-- totals. --check counts again with a plain loop and compares.
--
-- One goroutine walks the folders and sends jobs {path, from, to}; big files are cut in ranges, so
-- that a single one keeps all cores busy. A word belongs to the range in which it starts: a worker
-- leaves out what another's word has left at the front of its range, and reads on behind its range
-- until its last word ends. Nobody holds more of the text than a block (and a word). Each worker
-- counts into a table of its own, which it sends home at the end. Files that cannot be read are
-- told of on stderr and make the exit status 1.
--
-- The functions below are copied to the goroutines with the locals that they name; the channels
-- arrive as the same channels.

local goro = require "goro"

local RANGE = 8 * 1024 * 1024
local BLOCK = 64 * 1024
local TOP = 20
local WORD = "[%w_\128-\255]+"
local USAGE = "usage: wordcount.lua [--check] [folder or file…]"

local in_word = {} -- by byte
for byte = 0, 255 do in_word[byte] = string.char(byte):find(WORD) ~= nil end

local function quote(s) return "'" .. s:gsub("'", [['\'']]) .. "'" end

-- Calls found(path) for each regular file that `find` names; returns false when find has failed
-- somewhere (it has told why).
local function find(folder, tests, found)
  if folder:sub(1, 1) == "-" then folder = "./" .. folder end
  local pipe = assert(io.popen(("find %s %s -print0"):format(quote(folder), tests)))
  local rest = ""
  while true do
    local block = pipe:read(BLOCK)
    if not block then break end
    local names, after = rest .. block, 1
    for path, next_one in names:gmatch "([^\0]+)\0()" do
      found(path)
      after = next_one
    end
    rest = names:sub(after)
  end
  return pipe:close() == true
end

-- What is at this path: "folder"; or "file" and its size (math.huge when it ends only where reading
-- ends); or nil and a message.
local function examine(path)
  local file <close>, message = io.open(path, "rb")
  if not file then return nil, message end
  local size = file:seek "end"
  -- a pipe: whatever is read from it here would be lost
  if not size then return "file", math.huge, true end
  file:seek "set"
  local data, reason, code = file:read(0)
  if code == 21 then return "folder" end -- EISDIR
  if reason then return nil, path .. ": " .. reason end
  return "file", size == 0 and data and math.huge or size -- /proc's files say 0
end

-- Calls found(path, size) for each file that the arguments mean, and failed(message) for what
-- cannot be read.
local function walk(paths, root, found, failed)
  local function visit(path)
    local kind, size, once = examine(path)
    if not kind then failed(size) elseif kind == "file" then found(path, size, once) end
    return kind
  end
  local function below(folder, tests)
    if not find(folder, tests, visit) then failed(folder .. ": not read completely") end
  end
  if #paths == 0 then
    below(root, [[-mindepth 1 -type d ]]
      .. [[\( -name '.*' -o -name 'build*' -o -name lua_modules \) -prune ]]
      .. [[-o -type f \( -name '*.md' -o -name '*.lua' -o -name '*.c' -o -name '*.h' \)]])
  end
  for _, path in ipairs(paths) do
    if visit(path) == "folder" then below(path, "-type f") end
  end
end

-- Counts the words that start at the bytes from … to - 1 of the file. Returns how many bytes of
-- that range there were, and a message when reading failed.
local function count_range(counts, path, from, to)
  local file <close>, message = io.open(path, "rb")
  if not file then return 0, message end
  local skipping = false
  if from > 0 then
    file:seek("set", from - 1)
    local before = file:read(1)
    skipping = before ~= nil and in_word[before:byte()]
  end
  local at, carried = from, nil -- carried: the pieces of a word that has not ended yet
  while at < to or carried do
    local block, reason = file:read(at < to and math.min(BLOCK, to - at) or 4096)
    if reason then return at - from, path .. ": " .. reason end
    if not block then break end
    block = block:lower()
    local first, size = 1, #block
    if skipping or carried then
      first = block:match("^" .. WORD .. "()") or 1
      if carried then carried[#carried + 1] = block:sub(1, first - 1) end
      if first <= size then
        if carried then
          local word = table.concat(carried)
          counts[word] = (counts[word] or 0) + 1
        end
        skipping, carried = false, nil
      end
    end
    if at < to and first <= size then
      local last = size
      while last >= first and in_word[block:byte(last)] do last = last - 1 end
      if last < size then carried = { block:sub(last + 1) } end
      for word in block:sub(first, last):gmatch(WORD) do counts[word] = (counts[word] or 0) + 1 end
    end
    at = at + size
  end
  if carried then
    local word = table.concat(carried)
    counts[word] = (counts[word] or 0) + 1
  end
  return math.min(at, to) - from
end

-- The same sums the plain way, one line after the other.
local function count_plainly(paths, root)
  local counts = {}
  walk(paths, root, function(path, _, once)
    local file <close> = not once and io.open(path, "rb") or nil
    if not file then return end
    pcall(function()
      for line in file:lines() do
        for word in line:lower():gmatch(WORD) do counts[word] = (counts[word] or 0) + 1 end
      end
    end)
  end, function() end)
  return counts
end

local function difference(a, b)
  for word, n in pairs(a) do
    if b[word] ~= n then return word end
  end
  for word in pairs(b) do
    if not a[word] then return word end
  end
end

-- Sends the jobs; then the closed channel tells the workers that there are no more.
local function walker(paths, root, check, jobs, results)
  local files, bytes = 0, 0
  walk(paths, root, function(path, size, once)
    if once and check then
      results:send { failed = path .. ": a pipe cannot be counted twice" }
      return
    end
    files = files + 1
    if size == math.huge then
      jobs:send { path = path, from = 0, to = size }
    else
      bytes = bytes + size
      for from = 0, size - 1, RANGE do
        jobs:send { path = path, from = from, to = math.min(from + RANGE, size) }
      end
    end
  end, function(message) results:send { failed = message } end)
  jobs:close()
  results:send { files = files, bytes = bytes }
end

local function worker(jobs, results)
  local counts = {}
  for job in jobs:range() do
    local bytes, message = count_range(counts, job.path, job.from, job.to)
    results:send { done = bytes, failed = message }
  end
  results:send { counts = counts }
end

local function count(paths, root, check)
  local jobs, results = goro.chan(64), goro.chan(64)
  goro.go(walker, paths, root, check, jobs, results)
  local workers = goro.num_cpu()
  for _ = 1, workers do goro.go(worker, jobs, results) end

  local counts, done, failures, total = {}, 0, 0, nil
  local tick = os.execute "test -t 2" and goro.after(0.2) or false
  local progress = false
  local function wipe()
    if progress then io.stderr:write "\r\27[K" end
    progress = false
  end
  local waiting = workers + 1 -- each worker's table, and the walker's totals
  while waiting > 0 do
    goro.select {
      { recv = results, function(r)
        done = done + (r.done or 0)
        if r.failed then
          wipe()
          io.stderr:write("wordcount: ", r.failed, "\n")
          failures = failures + 1
        end
        if r.files then total, waiting = r, waiting - 1 end
        if r.counts then
          for word, n in pairs(r.counts) do counts[word] = (counts[word] or 0) + n end
          waiting = waiting - 1
        end
      end },
      { recv = tick, function()
        local of = total and total.bytes > 0 and (" of %.1f"):format(total.bytes / 1e6) or ""
        io.stderr:write(
          ("\r%.1f%s MB, %d goroutines\27[K"):format(done / 1e6, of, goro.num_goroutine()))
        progress, tick = true, goro.after(0.2)
      end },
    }
  end
  wipe()
  return counts, total.files, done, failures
end

local function report(counts, files, bytes)
  local words, sum = {}, 0
  for word, n in pairs(counts) do
    words[#words + 1] = word
    sum = sum + n
  end
  table.sort(words, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  for i = 1, math.min(TOP, #words) do print(("%10d  %s"):format(counts[words[i]], words[i])) end
  print(("%d words, %d different ones, in %d files of %d bytes"):format(sum, #words, files, bytes))
end

local paths, check, options = {}, false, true
for _, a in ipairs(arg) do
  if options and a == "--" then options = false
  elseif options and a == "--check" then check = true
  elseif options and a:sub(1, 1) == "-" then
    io.stderr:write("wordcount: unknown option ", a, "\n", USAGE, "\n")
    os.exit(2)
  else paths[#paths + 1] = a end
end
local root = (arg[0]:match "^(.*)/" or ".") .. "/.."

local counts, files, bytes, failures = count(paths, root, check)
report(counts, files, bytes)
if check then
  local word = difference(counts, count_plainly(paths, root))
  if word then
    io.stderr:write(
      ("wordcount: check failed: a plain loop counts '%s' differently\n"):format(word))
    os.exit(1)
  end
  print "check: a plain loop counts the same"
end
if failures > 0 then os.exit(1) end
