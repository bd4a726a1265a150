-- SPDX-License-Identifier: MIT
-- The examples, as a user runs them: what they print, what they say to bad input, how they end.

local helper = require "spec.helper"

local quote = helper.quote

local scratch

local function path(name) return scratch .. "/" .. name end

local function shell(command)
  assert(os.execute(command), command)
end

local function write(name, data)
  local f <close> = assert(io.open(path(name), "wb"))
  assert(f:write(data))
end

-- Runs an example in a child of its own.
local function run(name, args, opts)
  local source = ([[
    arg = { [0] = %q, table.unpack(arg) }
    return assert(loadfile(arg[0]))(table.unpack(arg))
  ]]):format(opts and opts.script or "examples/" .. name)
  return helper.run_script(source, { args = args, stdin = opts and opts.stdin, env = opts and opts.env, wrap = opts and opts.wrap })
end

local function prints(expected, name, args, opts)
  local r = run(name, args, opts)
  assert.equal(0, r.code, helper.describe(r))
  assert.equal(expected, r.stdout)
  assert.equal("", r.stderr)
end

local function fails(code, stdout, stderr, name, args, opts)
  local r = run(name, args, opts)
  assert.equal(code, r.code, helper.describe(r))
  assert.equal(stdout, r.stdout)
  assert.equal(stderr, r.stderr)
end

local function lines(...) return table.concat({ ... }, "\n") .. "\n" end

setup(function()
  scratch = os.tmpname()
  os.remove(scratch)
  shell("mkdir " .. quote(scratch))
end)

teardown(function() shell("chmod -R u+rwx " .. quote(scratch) .. " && rm -rf " .. quote(scratch)) end)

describe("wordcount", function()
  local CHECKED = "check: a plain loop counts the same"
  local USAGE = "usage: wordcount.lua [--check] [folder or file…]"

  it("counts the words of a file", function()
    write("a.txt", "The cat, the dog; THE_END the-end x2 2x\0the\r\nGrüße grüße GRÜßE")
    prints(lines(
      "         4  the", "         2  grüße", "         1  2x", "         1  cat", "         1  dog", "         1  end",
      "         1  grÜße", "         1  the_end", "         1  x2",
      "13 words, 9 different ones, in 1 files of 68 bytes", CHECKED), "wordcount.lua", { "--check", path "a.txt" })
  end)

  it("walks folders, with names of any bytes", function()
    shell("mkdir -p " .. quote(path "tree/deep er/-x"))
    write("tree/one", "alpha beta")
    write("tree/new\nline 'quoted' $HOME", "alpha")
    write("tree/deep er/-x/three", "alpha gamma\n")
    write("tree/empty", "")
    prints(lines("         3  alpha", "         1  beta", "         1  gamma", "5 words, 3 different ones, in 4 files of 27 bytes", CHECKED),
      "wordcount.lua", { "--check", path "tree" })
    prints(lines("         4  alpha", "         1  beta", "         1  gamma", "6 words, 3 different ones, in 5 files of 32 bytes", CHECKED),
      "wordcount.lua", { "--check", "--", path "tree", path "tree/new\nline 'quoted' $HOME" })
  end)

  it("prints the first 20, the most frequent ones first", function()
    local text, expected, total = {}, {}, 0
    for i = 1, 26 do
      text[i] = (string.char(96 + i) .. " "):rep(i)
      total = total + i
    end
    for i = 26, 7, -1 do expected[#expected + 1] = ("%10d  %s"):format(i, string.char(96 + i)) end
    expected[#expected + 1] = ("%d words, 26 different ones, in 1 files of %d bytes"):format(total, 2 * total)
    write("abc", table.concat(text))
    prints(lines(table.unpack(expected)), "wordcount.lua", { path "abc" })
  end)

  -- Files are cut every 8 MB and read in blocks of 64 KB: words are laid over these borders, byte by byte.
  it("counts a word that lies over a border once", function()
    local MB8 = 8 * 1024 * 1024
    for _, shift in ipairs { -5, -4, -1, 0, 1 } do
      -- "border" starts shift bytes from the border of the ranges, and from a border of blocks
      local block = ("."):rep(65536 + shift) .. "border"
      local text = block .. ("."):rep(MB8 + shift - #block) .. "border" .. ("."):rep(20)
      write("borders", text)
      prints(lines("         2  border", ("2 words, 1 different ones, in 1 files of %d bytes"):format(#text), CHECKED),
        "wordcount.lua", { "--check", path "borders" })
    end
  end)

  it("counts a word that is longer than blocks, or than whole ranges", function()
    local f <close> = assert(io.open(path "long", "wb"))
    local piece = ("x"):rep(1024 * 1024)
    for _ = 1, 20 do f:write(piece) end
    f:write(" y")
    f:close()
    local r = run("wordcount.lua", { "--check", path "long" })
    assert.equal(0, r.code, helper.describe(r))
    assert.equal("", r.stderr)
    assert.equal(lines("2 words, 2 different ones, in 1 files of 20971522 bytes", CHECKED), r.stdout:match "\n(2 words.*)$")
    assert.equal(20971520, #r.stdout:match "x+")
  end)

  it("agrees with a plain loop on a big file and many small ones", function()
    shell("mkdir -p " .. quote(path "many"))
    math.randomseed(5)
    local words = {}
    for i = 1, 2000 do words[i] = ("w%d_%s"):format(i, ("é"):rep(i % 7)) end
    local function text(n)
      local t = {}
      for i = 1, n do t[i] = words[math.random(math.random(#words))] end
      return table.concat(t, " ")
    end
    for i = 1, 200 do write("many/" .. i, text(50)) end
    local big = text(100000)
    for _ = 1, 4 do big = big .. "\n" .. big end
    write("many/big", big)
    assert.is_true(#big > 2 * 8 * 1024 * 1024 - 65536)
    for _, procs in ipairs { "1", "4" } do
      local r = run("wordcount.lua", { "--check", path "many" }, { env = { GOROMAXPROCS = procs } })
      assert.equal(0, r.code, helper.describe(r))
      assert.equal("", r.stderr)
      assert.equal(CHECKED .. "\n", r.stdout:match "[^\n]*\n$")
      local _, n = r.stdout:gsub("\n", "")
      assert.equal(22, n)
    end
  end)

  it("counts this repository's text files when nothing is named", function()
    shell("mkdir -p " .. quote(path "repo/examples") .. " " .. quote(path "repo/.git") .. " " .. quote(path "repo/build"))
    shell("cp examples/wordcount.lua " .. quote(path "repo/examples/wordcount.lua"))
    local expected = run("wordcount.lua", { "examples/wordcount.lua" }).stdout:match "([^\n]*) different ones"
    for _, name in ipairs { "x.txt", ".git/x.md", "build/x.c" } do write("repo/" .. name, "not counted") end
    local r = run("wordcount.lua", { "--check" }, { script = path "repo/examples/wordcount.lua" })
    assert.equal(0, r.code, helper.describe(r))
    assert.equal(expected, r.stdout:match "([^\n]*) different ones, in 1 files")
    for i, name in ipairs { "x.md", "y.lua", "z.c", "w.h" } do write("repo/" .. name, "counted_" .. i) end
    r = run("wordcount.lua", { "--check" }, { script = path "repo/examples/wordcount.lua" })
    assert.equal(0, r.code, helper.describe(r))
    assert.is_truthy(r.stdout:find("in 5 files", 1, true), r.stdout)

    r = run("wordcount.lua", { "--check" })
    assert.equal(0, r.code, helper.describe(r))
    assert.is_truthy(r.stdout:find(CHECKED, 1, true))
  end)

  it("reads a pipe", function()
    prints(lines("         2  b", "         1  a", "3 words, 2 different ones, in 1 files of 6 bytes"), "wordcount.lua", { "/dev/stdin" },
      { wrap = [[sh -c 'printf "a b b\n" | "$@"' sh]] })
    fails(1, lines "0 words, 0 different ones, in 0 files of 0 bytes" .. CHECKED .. "\n",
      "wordcount: /dev/stdin: a pipe cannot be counted twice\n", "wordcount.lua", { "--check", "/dev/stdin" },
      { wrap = [[sh -c 'printf "a b b\n" | "$@"' sh]] })
  end)

  it("tells of what cannot be read, and counts the rest", function()
    write("good", "fine\n")
    fails(1, lines("         1  fine", "1 words, 1 different ones, in 1 files of 5 bytes"),
      ("wordcount: %s: No such file or directory\n"):format(path "none"), "wordcount.lua", { path "none", path "good" })
    fails(1, lines "0 words, 0 different ones, in 0 files of 0 bytes",
      "wordcount: /proc/self/mem: Input/output error\n", "wordcount.lua", { "/proc/self/mem" })
  end)

  it("counts an empty file and an empty folder", function()
    shell("mkdir -p " .. quote(path "nothing"))
    write("zero", "")
    prints(lines("0 words, 0 different ones, in 0 files of 0 bytes", CHECKED), "wordcount.lua", { "--check", path "nothing" })
    prints(lines("0 words, 0 different ones, in 1 files of 0 bytes", CHECKED), "wordcount.lua", { "--check", path "zero" })
  end)

  it("shows progress when stderr is a terminal, and only then", function()
    -- A `find` that takes its time, and a terminal made by script(1).
    shell("mkdir -p " .. quote(path "bin") .. " " .. quote(path "shown"))
    write("shown/file", "word")
    write("bin/find", ('#!/bin/sh\nsleep 0.7\nPATH=%s exec find "$@"\n'):format(quote(os.getenv "PATH")))
    shell("chmod +x " .. quote(path "bin/find"))
    local function count(stderr)
      local command = ("PATH=%s:$PATH %s examples/wordcount.lua %s 2>%s"):format(
        quote(path "bin"), helper.interpreter(), quote(path "shown"), stderr)
      shell(("timeout 60 script -qec %s /dev/null >%s </dev/null"):format(quote(command), quote(path "terminal")))
      local f <close> = assert(io.open(path "terminal", "rb"))
      return (f:read "a":gsub("\r\n", "\n"))
    end
    local expected = lines("         1  word", "1 words, 1 different ones, in 1 files of 4 bytes")
    local shown = count "&2"
    assert.is_truthy(shown:find "^\r0%.0 MB, %d+ goroutines\27%[K", shown)
    assert.equal("\r\27[K" .. expected, shown:sub(-#expected - 4))
    assert.equal(expected, count "/dev/null")
  end)

  it("refuses options that it does not know", function()
    fails(2, "", "wordcount: unknown option --chekc\n" .. USAGE .. "\n", "wordcount.lua", { "--chekc" })
    fails(1, lines "0 words, 0 different ones, in 0 files of 0 bytes", "wordcount: --chekc: No such file or directory\n",
      "wordcount.lua", { "--", "--chekc" })
  end)
end)

describe("sieve", function()
  it("prints primes", function()
    prints(lines("2", "3", "5", "7", "11", "13", "17", "19", "23", "29"), "sieve.lua", { "10" })
    prints("", "sieve.lua", { "0" })
    local out = helper.ended_well(run("sieve.lua", { "200" }))
    assert.equal("1223", out:match "(%d+)\n$")
    local _, n = helper.ended_well(run "sieve.lua"):gsub("\n", "")
    assert.equal(25, n)
  end)

  it("refuses what is no count", function()
    for _, args in ipairs { { "x" }, { "-1" }, { "1.5" }, { "1", "2" }, { "" } } do
      fails(2, "", "usage: sieve.lua [how many primes]\n", "sieve.lua", args)
    end
  end)
end)

describe("ring", function()
  it("adds one for each hop", function()
    prints("35\n", "ring.lua", { "5", "7" })
    prints("1\n", "ring.lua", { "1", "1" })
    prints("0\n", "ring.lua", { "3", "0" })
    prints("20000\n", "ring.lua", { "2000", "10" })
  end)

  it("refuses what is no count", function()
    for _, args in ipairs { { "0" }, { "x" }, { "1", "-1" }, { "1", "x" }, { "1", "1", "1" }, { "1e400" } } do
      fails(2, "", "usage: ring.lua [goroutines] [rounds]\n", "ring.lua", args)
    end
  end)
end)

describe("jobs", function()
  local USAGE = "usage: jobs.lua [-j N] [file of commands, one a line]\n"

  it("runs the commands and reports each, in the order of the list", function()
    write("list", lines("sleep 0.3; echo slow", "# a comment", "", "echo quick; echo error >&2", "printf 'no newline'", "cat", "  true"))
    for _, limit in ipairs { "1", "3", "100" } do
      prints(lines("slow", "[1] exit 0  sleep 0.3; echo slow", "quick", "error", "[2] exit 0  echo quick; echo error >&2",
        "no newline", "[3] exit 0  printf 'no newline'", "[4] exit 0  cat", "[5] exit 0    true"), "jobs.lua", { "-j", limit, path "list" })
    end
  end)

  it("reads the list from stdin", function()
    prints("it's\n[1] exit 0  echo \"it's\"\n", "jobs.lua", { "-j2" }, { stdin = "echo \"it's\"" })
    prints("1\n[1] exit 0  echo 1\n", "jobs.lua", { "-" }, { stdin = "echo 1\n" })
    prints("", "jobs.lua", {}, { stdin = "" })
  end)

  it("tells how commands failed", function()
    fails(1, lines("[1] exit 3  exit 3", "[2] signal 9  kill -9 $$", "[3] exit 0  true", "[4] signal 15  kill $$"), "jobs: 3 of 4 failed\n",
      "jobs.lua", {}, { stdin = lines("exit 3", "kill -9 $$", "true", "kill $$") })
    local r = run("jobs.lua", {}, { stdin = "no-such-command-here\n(\n" })
    assert.equal(1, r.code, helper.describe(r))
    assert.is_truthy(r.stdout:find "not found\n%[1%] exit 127  no%-such%-command%-here\n.*\n%[2%] exit 2  %(\n$", r.stdout)
    assert.equal("jobs: 2 of 2 failed\n", r.stderr)
  end)

  -- Each command waits for a file that the other makes: that ends only when both run at once, however long it takes.
  it("runs N at once, on fewer CPUs too", function()
    local function meet(mine, theirs) return ("touch %s; until [ -e %s ]; do sleep 0.01; done; rm -f %s"):format(mine, theirs, theirs) end
    local list = lines(meet(path "m1", path "m2"), meet(path "m2", path "m1"))
    for _, procs in ipairs { "1", "2" } do
      local out = helper.ended_well(run("jobs.lua", { "-j", "2" }, { stdin = list, env = { GOROMAXPROCS = procs } }))
      assert.is_truthy(out:find "^%[1%] exit 0 .*\n%[2%] exit 0 ", out)
    end
  end)

  it("never runs more than N at once", function()
    -- A folder is made by one at a time only: with -j 1 nobody ever finds it there.
    local d = quote(path "alone")
    local one = ("mkdir %s && sleep 0.02 && rmdir %s"):format(d, d)
    local out = helper.ended_well(run("jobs.lua", { "-j", "1" }, { stdin = (one .. "\n"):rep(8) }))
    local _, n = out:gsub("%] exit 0 ", "")
    assert.equal(8, n)
  end)

  it("carries much output", function()
    local out = helper.ended_well(run("jobs.lua", {}, { stdin = "seq 1 200000\nseq 3\n" }))
    assert.equal(1288895 + #"[1] exit 0  seq 1 200000\n" + 6 + #"[2] exit 0  seq 3\n", #out)
    assert.is_truthy(out:find("\n200000\n[1] exit 0  seq 1 200000\n1\n2\n3\n[2] exit 0  seq 3\n", 1, true))
  end)

  it("refuses wrong arguments", function()
    local function refuses(message, ...) fails(2, "", "jobs: " .. message .. "\n" .. USAGE, "jobs.lua", { ... }, { stdin = "echo never\n" }) end
    refuses("-j needs a number", "-j")
    for _, n in ipairs { "0", "-1", "x", "1.5", "0x2", "99999999999999999999" } do
      refuses(("-j needs a number of at least 1, got '%s'"):format(n), "-j", n)
    end
    refuses("-j needs a number of at least 1, got 'x'", "-jx")
    refuses("unknown option -k", "-k")
    refuses("more than one file", "a", "b")
    refuses(path "none" .. ": No such file or directory", path "none")
    refuses(scratch .. ": Is a directory", scratch)
  end)
end)

describe("download", function()
  local USAGE = "usage: download.lua [-j N] [-t seconds] [how many pages]\n"

  it("fetches pages in parallel, tries again, gives up", function()
    prints(lines("page 1: 7 bytes", "page 2: 14 bytes", "page 3: 21 bytes", "page 4: 28 bytes", "page 5: 35 bytes", "page 6: 42 bytes",
      "page 7: 49 bytes (2 attempts)", "page 8: 56 bytes", "8 pages, 252 bytes, 0 failed"),
      "download.lua", { "-t", "5", "8" })
    local out = helper.ended_well(run("download.lua", { "-j", "12", "-t", "0.05", "12" }))
    assert.is_truthy(out:find("\npage 11: failed: timeout (3 attempts)\npage 12: ", 1, true), out)
    prints("0 pages, 0 bytes, 0 failed\n", "download.lua", { "0" })
  end)

  it("refuses wrong arguments", function()
    local function refuses(message, ...) fails(2, "", "download: " .. message .. "\n" .. USAGE, "download.lua", { ... }) end
    refuses("-j needs a number above 0", "-j")
    refuses("-j needs a number above 0", "-j", "0")
    refuses("-j needs an integer", "-j", "1.5")
    refuses("-t needs a number above 0", "-t", "nan")
    refuses("'x' is no number of pages", "x")
    refuses("fewer than no pages", "-1")
    refuses("more than one number of pages", "1", "2")
  end)
end)

describe("mergesort", function()
  it("sorts", function()
    prints(lines("0 numbers in order"), "mergesort.lua", { "0" })
    for _, n in ipairs { "1", "2", "3", "10", "1001" } do
      local out = helper.ended_well(run("mergesort.lua", { n, "7" }))
      assert.equal(n .. " numbers in order\n", out:match "^[^\n]*\n")
    end
    local out = helper.ended_well(run "mergesort.lua")
    assert.is_truthy(out:find "^100000 numbers in order\nthe least %d+, the middle %d+, the greatest %d+\n$", out)
    assert.equal(out, run("mergesort.lua", {}, { env = { GOROMAXPROCS = "1" } }).stdout)
  end)

  it("refuses what is no count", function()
    for _, args in ipairs { { "x" }, { "-1" }, { "1.5" }, { "1", "x" }, { "1", "2", "3" } } do
      fails(2, "", "usage: mergesort.lua [how many numbers] [seed]\n", "mergesort.lua", args)
    end
  end)
end)

describe("pubsub", function()
  local USAGE = "usage: pubsub.lua [-p publishers] [-s subscribers] [-k slow ones] [messages]\n"

  it("reaches all who keep up", function()
    prints(lines("subscriber 1: got all 2000", "subscriber 2: got all 2000", "subscriber 3: got some and missed some", "2000 messages published"),
      "pubsub.lua")
    prints(lines("subscriber 1: got all 50", "50 messages published"), "pubsub.lua", { "-p", "5", "-s", "1", "-k", "0", "10" })
    prints("0 messages published\n", "pubsub.lua", { "-p", "0", "-s", "0", "-k", "0" })
    prints("2000 messages published\n", "pubsub.lua", { "-s", "0", "-k", "0" })
  end)

  it("refuses wrong arguments", function()
    local function refuses(message, ...) fails(2, "", "pubsub: " .. message .. "\n" .. USAGE, "pubsub.lua", { ... }) end
    refuses("-p needs a number", "-p")
    refuses("-s needs a number", "-s", "x")
    refuses("'-1' is no number of messages", "-1")
    refuses("more than one number of messages", "1", "2")
    refuses("more slow subscribers than subscribers", "-k", "4")
  end)
end)
