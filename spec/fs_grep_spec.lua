-- SPDX-License-Identifier: MIT
-- examples/grep.lua, beside `grep -rn`.

local helper = require "spec.helper"

local quote = helper.quote
local scratch, said

local function shell(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  local _, _, code = pipe:close()
  return text, code
end

local function grep(...)
  local source = [[
    arg = { [0] = "examples/grep.lua", table.unpack(arg) }
    return assert(loadfile(arg[0]))(table.unpack(arg))
  ]]
  return helper.run_script(source, { args = { ... } })
end

local function sorted(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines, "\n")
end

setup(function()
  scratch = shell "mktemp -d":gsub("\n", "")
  said = scratch .. ".said"
  os.execute(([[cd %s && mkdir -p a/b a/.hidden empty && printf 'one\ntwo\n\nthree' >a/x && printf 'two\n\n' >a/b/y && printf '\n' >a/b/line &&
    : >a/none && printf 'a two x\0b\n' >a/binary && ln -s x a/link && ln -s loop a/loop && printf 'twofold\n' >a/.hidden/z && printf 'two\n' >top]]):format(quote(scratch)))
end)

teardown(function() os.execute("rm -rf " .. quote(scratch) .. "*") end)

describe("grep", function()
  it("finds what grep -rn finds", function()
    for pattern, lua_pattern in pairs { two = "two", ["^$"] = "^$", ["o$"] = "o$", ["t[a-z]*e"] = "t[a-z]*e", [""] = "" } do
      for _, where in ipairs { scratch, scratch .. "/a", scratch .. "/empty" } do
        local expected, code = shell(("LC_ALL=C grep -rn -e %s %s 2>%s"):format(quote(pattern), quote(where), quote(said)))
        local r = grep(lua_pattern, where)
        assert.equal(sorted(expected), sorted(r.stdout))
        assert.equal(shell("cat " .. quote(said)), r.stderr)
        assert.equal(code, r.code)
      end
    end
    local expected = shell "LC_ALL=C grep -rn gr_ csrc lua"
    assert.is_true(#expected > 100000)
    assert.equal(sorted(expected), sorted(grep("gr_", "csrc", "lua").stdout))
  end)

  it("tells what it cannot read, and what is no pattern", function()
    local none = scratch .. "/none"
    local r = grep("two", scratch .. "/top", none)
    assert.equal(scratch .. "/top:1:two\n", r.stdout)
    assert.equal("grep: ENOENT: no such file or directory: " .. none .. "\n", r.stderr)
    assert.equal(2, r.code)
    r = grep("%")
    assert.equal("grep: malformed pattern (ends with '%')\n", r.stderr)
    assert.equal(2, r.code)
    assert.equal(2, grep().code)
  end)
end)
