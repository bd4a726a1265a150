-- SPDX-License-Identifier: MIT
-- download.lua [-j N] [-t seconds] [pages]: the shape of a parallel downloader. So many pages (20)
-- are fetched, N (4) at a time, each within t seconds (0.1); what fails is tried again, up to three
-- times. Fetching is simulated: a page takes a while that depends on its number alone, every
-- seventh fails at first, and every eleventh never answers. Prints a line for each page, in order,
-- and a summary.

local goro = require "goro"

local function usage(message)
  io.stderr:write(
    "download: ", message, "\nusage: download.lua [-j N] [-t seconds] [how many pages]\n")
  os.exit(2)
end

local function parse(args)
  local limit, timeout, pages, i = 4, 0.1, nil, 1
  while args[i] do
    local option = args[i]:match "^%-([jt])$"
    local value = tonumber(option and args[i + 1] or args[i])
    if option and (not value or value <= 0 or value ~= value) then
      usage(("-%s needs a number above 0"):format(option))
    end
    if option == "j" then limit = math.tointeger(value) or usage "-j needs an integer"
    elseif option == "t" then timeout = value
    elseif pages then usage "more than one number of pages"
    else pages = math.tointeger(value) or usage(("'%s' is no number of pages"):format(args[i])) end
    i = i + (option and 2 or 1)
  end
  if pages and pages < 0 then usage "fewer than no pages" end
  return limit, timeout, pages or 20
end

-- Where a real one would open a connection. It answers through a channel, so that nobody has to
-- wait for it longer than he wants.
local function request(page, attempt)
  local answer = goro.chan(1)
  goro.go(function()
    if page % 11 == 0 then return end -- a server that never answers
    goro.sleep(0.002 * (1 + page * 7 % 5))
    if page % 7 == 0 and attempt == 1 then
      answer:send { status = 503 }
    else
      answer:send { status = 200, body = ("page %d "):format(page):rep(page) }
    end
  end)
  return answer
end

local function fetch(page, timeout)
  local problem
  for attempt = 1, 3 do
    local response, _, why = request(page, attempt):recv(timeout)
    if response and response.status == 200 then
      return { bytes = #response.body, attempts = attempt }
    end
    problem = response and "status " .. response.status or why
  end
  return { problem = problem, attempts = 3 }
end

local limit, timeout, pages = parse(arg)
local numbers = {}
for page = 1, pages do numbers[page] = page end

local total, failed = 0, 0
local results = goro.map(numbers, function(page) return fetch(page, timeout) end, { limit = limit })
for page, result in ipairs(results) do
  local tries = result.attempts == 1 and "" or (" (%d attempts)"):format(result.attempts)
  if result.problem then
    failed = failed + 1
    print(("page %d: failed: %s%s"):format(page, result.problem, tries))
  else
    total = total + result.bytes
    print(("page %d: %d bytes%s"):format(page, result.bytes, tries))
  end
end
print(("%d pages, %d bytes, %d failed"):format(pages, total, failed))
