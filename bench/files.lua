-- SPDX-License-Identifier: MIT
-- files: 2,000 files of 4 KB are read, one after the other by one goroutine, then by 8 goroutines; the time for a file.
local goro = require "goro"
local now = require "bench.clock"
local fs = goro.fs

local FILES, SIZE, READERS = 2000, 4096, 8

local function read_range(dir, from, to)
  local bytes = 0
  for i = from, to do bytes = bytes + #assert(fs.read_file(dir .. "/" .. i)) end
  return bytes
end

local function read_apart(dir)
  local done = goro.chan(READERS)
  local share = FILES // READERS
  for r = 0, READERS - 1 do
    goro.go(function() done:send(read_range(dir, r * share + 1, (r + 1) * share)) end)
  end
  local bytes = 0
  for _ = 1, READERS do bytes = bytes + done:recv() end
  return bytes
end

-- The best of a few rounds: the first finds nothing in the caches.
local function best(read, dir)
  local least = math.huge
  for _ = 1, 10 do
    local start = now()
    assert(read(dir) == FILES * SIZE)
    least = math.min(least, now() - start)
  end
  return least / FILES * 1e6
end

local dir = assert(fs.mkdtemp())
local data = ("x"):rep(SIZE)
for i = 1, FILES do assert(fs.write_file(dir .. "/" .. i, data)) end
local in_order, apart = goro.run(function()
  return best(function(d) return read_range(d, 1, FILES) end, dir), best(read_apart, dir)
end)
assert(fs.remove(dir, { recursive = true }))
print(("files_in_order %.2f us\nfiles_apart %.2f us"):format(in_order, apart))
