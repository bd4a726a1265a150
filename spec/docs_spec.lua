-- SPDX-License-Identifier: MIT
-- What the documents say is so: the functions that docs/internals.md names exist, its floors are
-- the folders of csrc/, the programs of README run, its fragments compile, and no line is longer
-- than 100 columns.

local helper = require "spec.helper"

local DOCUMENTS = { "README.md", "CONTRIBUTING.md", "docs/internals.md" }

local function slurp(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function exists(path)
  local f <close> = io.open(path, "rb")
  return f ~= nil
end

-- The text without comments, so that a name in a comment is no definition.
local sources = {}
local function source(path)
  if not sources[path] then sources[path] = "\n" .. slurp(path):gsub("/%*.-%*/", "") end
  return sources[path]
end

-- Is a function of this name defined, or declared, at the beginning of a line?
local function defines(path, name)
  return source(path):find("\n[%a_][%w_ %*]-%f[%w_]" .. name .. "%s*%(") ~= nil
end

-- Each `text in backquotes` of a document, outside of blocks of code.
local function quoted(path)
  return slurp(path):gsub("\n```.-\n```", ""):gsub("\n    [^\n]*", ""):gmatch "`([^`]+)`"
end

describe("docs/internals.md", function()
  it("names functions that exist", function()
    local n, missing = 0, {}
    for text in quoted "docs/internals.md" do
      local path, name = text:gsub("%s+", " "):match "^([%w_/]+%.[ch]): ([%w_]+)$"
      if path then
        n = n + 1
        path = "csrc/" .. path
        if not exists(path) or not defines(path, name) then missing[#missing + 1] = text end
      end
    end
    assert.same({}, missing)
    assert.is_true(n > 50, n .. " functions")
  end)

  it("names variables that exist", function()
    local n, missing = 0, {}
    for names, path in slurp "docs/internals.md":gmatch "(`[%w_`, ]+`) %(`([%w_/]+%.c)`%)" do
      for name in names:gmatch "[%w_]+" do
        n = n + 1
        if not source("csrc/" .. path):find("\n[^\n]-%f[%w_]" .. name .. "%f[^%w_]") then
          missing[#missing + 1] = path .. ": " .. name
        end
      end
    end
    assert.same({}, missing)
    assert.is_true(n >= 14, n .. " variables")
  end)

  it("names every thread-local", function()
    local text = slurp "docs/internals.md"
    for line in output "grep -rhoE 'GR_TLS [^;=[]+' csrc --include=*.c":gmatch "[^\n]+" do
      local name = line:match "([%w_]+)%s*$"
      if name ~= "state" then assert.is_truthy(text:find("`" .. name .. "`", 1, true), line) end
    end
  end)

  it("shows the floors that there are", function()
    local text = slurp "docs/internals.md"
    for folder in output "find csrc -mindepth 1 -type d | LC_ALL=C sort":gmatch "csrc/([^\n]+)" do
      assert.is_truthy(text:find("%f[%w]" .. folder .. "[/,%s]"), folder)
    end
  end)

  it("is about a page", function()
    local _, lines = slurp "docs/internals.md":gsub("\n", "")
    assert.is_true(lines <= 200, lines .. " lines")
  end)
end)

describe("the documents", function()
  it("name files that exist", function()
    local missing = {}
    for _, document in ipairs(DOCUMENTS) do
      for text in quoted(document) do
        local path = text:match "^[%w_.*/-]+"
        local folder = path and path:match "^(%l+)/"
        if folder and exists(folder .. "/.") and not path:find("*", 1, true) then
          if not exists(path) then missing[#missing + 1] = document .. ": " .. path end
        end
      end
    end
    assert.same({}, missing)
  end)

  it("have short lines", function()
    local long, documents = {}, { "lua/goro/meta.lua", table.unpack(DOCUMENTS) }
    for path in output "ls examples/*.lua":gmatch "[^\n]+" do documents[#documents + 1] = path end
    for _, document in ipairs(documents) do
      local n = 0
      for line in slurp(document):gmatch "([^\n]*)\n" do
        n = n + 1
        if utf8.len(line) > 100 then long[#long + 1] = document .. ":" .. n end
      end
    end
    assert.same({}, long)
  end)

  it("lead to each other", function()
    assert.is_truthy(slurp "README.md":find("CONTRIBUTING.md", 1, true))
    assert.is_truthy(slurp "CONTRIBUTING.md":find("docs/internals.md", 1, true))
  end)
end)

-- README's programs: a block of Lua that requires goro is one. What it prints its comments tell,
-- `--> text`, if it has any, in their order.
describe("README", function()
  local programs, fragments = {}, {}
  for code in slurp "README.md":gmatch "\n```lua\n(.-)\n```" do
    local list = code:find 'require "goro"' and programs or fragments
    list[#list + 1] = code
  end

  local function told(code)
    local lines = {}
    for text in code:gmatch "%-%-> ([^\n]*)" do lines[#lines + 1] = text .. "\n" end
    return #lines > 0 and table.concat(lines) or nil
  end

  it("has programs, and all that is Lua compiles", function()
    assert.is_true(#programs >= 10, #programs .. " programs")
    for _, code in ipairs(programs) do assert(load(code)) end
    for _, code in ipairs(fragments) do assert(load(code)) end
  end)

  for i, code in ipairs(programs) do
    it("has a program that runs: " .. i, function()
      local stdout = helper.passes_script(code, { args = { "README.md", "LICENSE" } })
      assert.equal(told(code) or stdout, stdout)
    end)
  end

  it("has a program that counts lines", function()
    local _, lines = slurp "README.md":gsub("\n", "")
    local stdout = helper.passes_script(programs[1], { args = { "README.md" } })
    assert.equal(("%d\tREADME.md\n"):format(lines), stdout)
  end)

  it("has a C program that embeds goro", function()
    -- A program without the sanitizer's runtime cannot load a goro that has it.
    if (os.getenv "GORO_SANITIZE" or "") ~= "" then return pending "the stock compiler's program" end
    local code
    for block in slurp "README.md":gmatch "\n\n(    #include.-)\n\n%f[^%s]" do code = block end
    code = assert(code, "no program"):gsub("\n    ", "\n"):gsub("^    ", "")
    local path = os.tmpname()
    local f <close> = assert(io.open(path .. ".c", "w"))
    f:write(code)
    f:close()
    local flags = output "pkg-config --cflags --libs lua5.4"
    local text = output(("cc -Wall -Wextra -Werror -o %s.out %s.c %s 2>&1 && %s.out 2>&1")
      :format(path, path, flags:gsub("\n", " "), path))
    os.remove(path)
    os.remove(path .. ".c")
    os.remove(path .. ".out")
    assert.equal("42\n", text)
  end)
end)
