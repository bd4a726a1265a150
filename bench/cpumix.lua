-- SPDX-License-Identifier: MIT
-- cpumix [scale]: ordinary computing in a goroutine, against the same under plain Lua (a process of its own, without goro): the time of the one divided by the
-- other's, for each kind of work. By turns, three times each, and the least of each: other programs can only make it longer.
local scale = tonumber(arg[1]) or 1
local inside = arg[2] -- "plain": this is the process without goro; else nil

local parts = {}
local order = { "trees", "nbody", "strings", "sort", "churn", "arrays" }

function parts.trees(n)
  local function make(depth)
    if depth == 0 then return {} end
    return { make(depth - 1), make(depth - 1) }
  end
  local function check(tree) return tree[1] and 1 + check(tree[1]) + check(tree[2]) or 1 end
  local sum = 0
  for _ = 1, 200 * n do sum = sum + check(make(12)) end
  return sum
end

function parts.nbody(n)
  local bodies = {
    { x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, mass = 39.47 },
    { x = 4.84, y = -1.16, z = -.10, vx = .60, vy = 2.81, vz = -.02, mass = .037 },
    { x = 8.34, y = 4.12, z = -4.03, vx = -1.01, vy = 1.82, vz = .008, mass = .011 },
    { x = 12.89, y = -15.11, z = -.22, vx = 1.08, vy = .86, vz = -.01, mass = .0017 },
    { x = 15.37, y = -25.9, z = .179, vx = .97, vy = .59, vz = -.03, mass = .002 },
  }
  for _ = 1, 160000 * n do
    for i = 1, #bodies do
      local a = bodies[i]
      for j = i + 1, #bodies do
        local b = bodies[j]
        local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
        local d2 = dx * dx + dy * dy + dz * dz
        local mag = 0.01 / (d2 * math.sqrt(d2))
        a.vx, a.vy, a.vz = a.vx - dx * b.mass * mag, a.vy - dy * b.mass * mag, a.vz - dz * b.mass * mag
        b.vx, b.vy, b.vz = b.vx + dx * a.mass * mag, b.vy + dy * a.mass * mag, b.vz + dz * a.mass * mag
      end
    end
    for _, b in ipairs(bodies) do b.x, b.y, b.z = b.x + 0.01 * b.vx, b.y + 0.01 * b.vy, b.z + 0.01 * b.vz end
  end
  return bodies[1].x
end

function parts.strings(n)
  local total = 0
  for round = 1, 10 * n do
    local words = {}
    for i = 1, 20000 do words[i] = ("%d:%s"):format(i * round, ("ab"):rep(i % 30)) end
    local text = table.concat(words, " ")
    for word in text:gmatch "%d+:" do total = total + #word end
    total = total + #text:upper() + #(text .. round)
  end
  return total
end

function parts.sort(n)
  local x, sum = 42, 0
  for _ = 1, 12 * n do
    local t = {}
    for i = 1, 30000 do x = (x * 1103515245 + 12345) & 0x7fffffff t[i] = x end
    table.sort(t)
    table.sort(t, function(a, b) return a > b end)
    sum = sum + t[1]
  end
  return sum
end

function parts.churn(n)
  local live, sum = {}, 0
  for i = 1, 400000 * n do
    local record = { id = i, name = "n" .. i % 1000, tags = { i % 7, i % 11 } }
    live[i % 5000] = record
    sum = sum + (live[i * 7 % 5000] or record).tags[1]
  end
  return sum
end

function parts.arrays(n) -- tables that grow through all sizes, small to very big
  local sum = 0
  for round = 1, 8 * n do
    local big = {}
    for i = 1, 500000 do big[i] = i end
    for k = 1, 100 do
      local t = {}
      for i = 1, 2000 do t[i] = i + k end
      sum = sum + #t
    end
    sum = sum + #big + round
  end
  return sum
end

-- The time that a part takes, measured where it runs.
local function measure(name, n)
  collectgarbage()
  collectgarbage()
  local start = os.clock()
  local result = parts[name](n)
  return os.clock() - start, result
end

if inside == "plain" then
  for _, name in ipairs(order) do
    local seconds, result = measure(name, scale)
    print(("%s %.17g %.17g"):format(name, seconds, result))
  end
  return
end

local goro = require "goro"

local function plain()
  local times, results = {}, {}
  local pipe = assert(io.popen(("%s %s %d plain"):format(arg[-1] or "lua5.4", arg[0], scale)))
  for line in pipe:lines() do
    local name, seconds, result = line:match "^(%a+) (%S+) (%S+)$"
    times[name], results[name] = tonumber(seconds), result
  end
  assert(pipe:close(), "the plain process failed")
  return times, results
end

local best, best_plain = {}, {}
for _ = 1, 3 do
  local times, results = plain()
  for _, name in ipairs(order) do
    local seconds, result = goro.run(measure, name, scale) -- os.clock() counts the process: nothing else runs in it meanwhile
    assert(("%.17g"):format(result) == results[name], name)
    best[name] = math.min(best[name] or math.huge, seconds)
    best_plain[name] = math.min(best_plain[name] or math.huge, times[name])
  end
end
for _, name in ipairs(order) do print(("cpumix_%s %.3f ratio"):format(name, best[name] / best_plain[name])) end
