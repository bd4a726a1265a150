-- SPDX-License-Identifier: MIT
-- process: 1,000 short programs are run, what they write is taken; one after the other by one goroutine, then 8 at a time; the time for a program.
local goro = require "goro"
local now = require "bench.clock"
local process = goro.process

local RUNS, WORKERS = 1000, 8

local function run(n)
  for _ = 1, n do assert(process.run({ "/bin/echo", "hello" }).stdout == "hello\n") end
end

local function run_apart(n)
  local group = goro.group()
  for _ = 1, WORKERS do group:go(run, n // WORKERS) end
  group:wait()
end

local function time(f)
  f(WORKERS)
  local start = now()
  f(RUNS)
  return (now() - start) / RUNS * 1e6
end

print(("process %.1f us"):format(goro.run(time, run)))
print(("process_apart %.1f us"):format(goro.run(time, run_apart)))
