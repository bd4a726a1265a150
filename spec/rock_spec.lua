-- SPDX-License-Identifier: MIT
-- The rock: `luarocks make` of a clean copy of this repository into a scratch tree, and a script that has that tree only.

local helper = require "spec.helper"

local quote = helper.quote

describe("the rock", function()
  local scratch

  setup(function()
    scratch = os.tmpname()
    os.remove(scratch)
    assert(os.execute(("mkdir -p %s/source"):format(quote(scratch))))
    -- What a clone would have: the sources, and nothing built.
    assert(os.execute(("cp -R CMakeLists.txt LICENSE README.md csrc lua rockspec %s/source"):format(quote(scratch))))
  end)

  teardown(function() os.execute("rm -rf " .. quote(scratch)) end)

  -- Under sanitizers the tests' lua5.4 is a wrapper; the rock is built for the stock one, and without them.
  local stock = os.getenv "GORO_STOCK_LUA"
  local luarocks = stock and ("env PATH=%s:$PATH luarocks --lua-version 5.4"):format(quote(stock:match "^(.*)/")) or "luarocks --lua-version 5.4"

  local function output(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "a"
    return text, pipe:close()
  end

  it("is described rightly", function()
    local text, ok = output(luarocks .. " lint rockspec/goro-scm-1.rockspec 2>&1")
    assert.is_true(ok, text)
  end)

  it("is built, installed and used from its own tree", function()
    local text, ok = output(("cd %s/source && env -u LUA_PATH -u LUA_CPATH HOME=%s %s --tree %s/tree make "
      .. "rockspec/goro-scm-1.rockspec 2>&1 </dev/null"):format(quote(scratch), quote(scratch), luarocks, quote(scratch)))
    assert.is_true(ok, text)

    local files = output(("cd %s/tree && find lib/lua share/lua -type f | LC_ALL=C sort"):format(quote(scratch)))
    assert.is_truthy(files:find("lib/lua/5.4/goro.so\n", 1, true), files)
    assert.is_truthy(files:find("share/lua/5.4/goro/meta.lua\n", 1, true), files)

    local r = helper.run_script([[
      local goro = require "goro"
      print(goro._VERSION, package.searchpath("goro", package.cpath))
      local results = goro.chan()
      for i = 1, 10 do goro.go(function() results:send(i * i) end) end
      local sum = 0
      for _ = 1, 10 do sum = sum + results:recv() end
      print(sum)
      print(goro.run(function() return require "goro" ~= nil, package.searchpath("goro", package.cpath) end))
    ]], { lua = stock, env = {
      LUA_INIT = false, LUA_INIT_5_4 = false, LUA_PATH_5_4 = false, LUA_CPATH_5_4 = false,
      LUA_PATH = scratch .. "/tree/share/lua/5.4/?.lua", LUA_CPATH = scratch .. "/tree/lib/lua/5.4/?.so",
    } })
    local module = scratch .. "/tree/lib/lua/5.4/goro.so"
    assert.equal(("goro 0.2.0\t%s\n385\ntrue\t%s\n"):format(module, module), helper.ended_well(r))
  end)

  it("can be removed again", function()
    local text, ok = output(("HOME=%s %s --tree %s/tree remove goro 2>&1"):format(quote(scratch), luarocks, quote(scratch)))
    assert.is_true(ok, text)
    assert.equal("", (output(("find %s/tree -name 'goro*' -type f"):format(quote(scratch)))))
  end)
end)
