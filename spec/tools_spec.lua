-- SPDX-License-Identifier: MIT
-- The tools: ./tools/build and ./tools/run build what the rock builds, in a folder that the tests
-- do not use.

local helper = require "spec.helper"

local quote = helper.quote

describe("the tools", function()
  local scratch

  setup(function()
    scratch = os.tmpname()
    os.remove(scratch)
    assert(os.execute(("mkdir -p %s/source"):format(quote(scratch))))
    assert(os.execute(("cp -R CMakeLists.txt README.md csrc lua tools examples %s/source")
      :format(quote(scratch))))
  end)

  teardown(function() os.execute("rm -rf " .. quote(scratch)) end)

  -- In the copy, with the stock lua5.4 and nothing of this run's environment.
  local stock = os.getenv "GORO_STOCK_LUA"
  local path = stock and ("PATH=%s:$PATH "):format(quote(stock:match "^(.*)/")) or ""
  local function output(command)
    local clean = "env -u LUA_PATH -u LUA_CPATH -u GORO_BUILD_DIR -u GORO_SANITIZE -u GORO_HOSTILE"
    local pipe = assert(io.popen(("cd %s/source && %s %s%s 2>&1 </dev/null")
      :format(quote(scratch), clean, path, command)))
    local text = pipe:read "a"
    return text, pipe:close()
  end

  it("build the release into build/", function()
    local text, ok = output "./tools/build"
    assert.is_true(ok == true and text == "", text)
    local f = assert(io.open(scratch .. "/which.lua", "w"))
    f:write [[
      local goro = require "goro"
      print(goro.run(function() return package.searchpath("goro", package.cpath) end))
      print(pcall(require, "goro.testing"))
    ]]
    f:close()
    text, ok = output [[sh -c 'eval "$(./tools/env)"; lua5.4 ../which.lua']]
    local expected = "/source/build/goro.so\nfalse\tmodule 'goro.testing' not found"
    assert.is_truthy(ok and text:find(expected, 1, true), text)
    text = output "grep -E '^(GORO_|CMAKE_BUILD_TYPE)' build/CMakeCache.txt"
    for _, line in ipairs {
      "CMAKE_BUILD_TYPE:STRING=RelWithDebInfo",
      "GORO_TESTING:BOOL=OFF", "GORO_EMBED_TESTS:BOOL=OFF", "GORO_HOSTILE:BOOL=OFF",
      "GORO_SYSTEM_ALLOC:BOOL=OFF", "GORO_SANITIZE:STRING=" } do
      assert.is_truthy((text .. "\n"):find(line .. "\n", 1, true), text)
    end
  end)

  it("run a script with it", function()
    local text, ok = output "./tools/run ../which.lua"
    assert.is_truthy(ok and text:find("/source/build/goro.so\nfalse\t", 1, true), text)
    text, ok = output "./tools/run"
    assert.is_true(ok == true and text:find "%d" ~= nil, text)
  end)

  it("leave the tests a folder of their own", function()
    local so = package.searchpath("goro", package.cpath)
    assert.is_truthy(so:find(assert(os.getenv "GORO_BUILD_DIR", "run by ./tools/test"), 1, true))
    assert.is_truthy(require "goro.testing")
  end)
end)
