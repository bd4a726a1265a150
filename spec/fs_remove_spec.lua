-- SPDX-License-Identifier: MIT
-- fs.remove { recursive = true }: all that can be removed is, whatever cannot be, and the first
-- failure is told.
-- luacheck: ignore 431
-- (What runs in a child requires goro for itself.)

local helper = require "spec.helper"

local passes_anywhere = helper.passes_anywhere

describe("removing a tree", function()
  it("goes on after what it may not remove", function()
    -- Root may do anything, but for this.
    local id <close> = io.popen "id -u"
    local wrap = id:read "n" == 0
      and "setpriv --bounding-set=-dac_override,-dac_read_search,-fowner" or nil
    helper.passes_script([[
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      local all = { recursive = true }
      local shut, open = tonumber("555", 8), tonumber("755", 8)
      local function left()
        local t = {}
        for path in fs.walk(d) do t[#t + 1] = path:sub(#d + 2) end
        table.sort(t)
        return table.concat(t, " ")
      end
      local function tree()
        for _, name in ipairs { "a", "b/c/d", "keep/in/deep", "keep/other", "keep/none", "z" } do
          assert(fs.mkdir(d .. "/" .. name, { parents = true }))
          for i = 1, 60 do fs.write_file(("%s/%s/%d"):format(d, name, i), "") end
        end
        fs.mkdir(d .. "/empty")
        for i = 1, 60 do if i ~= 7 then fs.remove(d .. "/keep/in/deep/" .. i) end end
        for i = 1, 60 do fs.remove(d .. "/keep/none/" .. i) end
      end
      tree()
      fs.chmod(d .. "/keep/in/deep", shut)       -- what is in it cannot be removed
      fs.chmod(d .. "/keep/none", 0)             -- it cannot be read, but it is empty
      fs.chmod(d .. "/empty", 0)
      local ok, m, c = fs.remove(d, all)
      local denied = "EACCES: permission denied: "
      assert(not ok and c == "EACCES" and m == denied .. d .. "/keep/in/deep/7", m)
      assert(left() == "keep keep/in keep/in/deep keep/in/deep/7", left())
      -- Several failures, in folders that have many entries that stay.
      fs.chmod(d .. "/keep/in/deep", open)
      tree()
      fs.write_file(d .. "/keep/none/x", "")
      fs.chmod(d .. "/keep/none", 0)             -- unreadable, and not empty
      fs.chmod(d .. "/keep/other", shut)
      fs.chmod(d .. "/b/c", shut)
      ok, m, c = fs.remove(d, all)
      assert(not ok and c == "EACCES", m)
      local which = m:match "^EACCES: permission denied: .*/goro%.%w+/(.*)$"
      assert(which == "keep/none" or which:find "^keep/other/%d+$" or which == "b/c/d", which)
      fs.chmod(d .. "/keep/none", open)
      local n = 0
      for path in fs.walk(d .. "/keep/other") do n = n + (path and 1 or 0) end
      assert(n == 60)
      assert(fs.exists(d .. "/keep/none/x") and #fs.list(d .. "/b/c/d") == 0)
      for _, gone in ipairs { "keep/in", "a", "z" } do assert(not fs.exists(d .. "/" .. gone)) end
      fs.chmod(d .. "/keep/other", open)
      fs.chmod(d .. "/b/c", open)
      -- Nor may the tree's own name be removed: it is emptied.
      assert(fs.mkdir(d .. "/shut/top/x", { parents = true }) and fs.chmod(d .. "/shut", shut))
      ok, m = fs.remove(d .. "/shut/top", all)
      assert(not ok and m == denied .. d .. "/shut/top" and #fs.list(d .. "/shut/top") == 0, m)
      fs.chmod(d .. "/shut", open)
      assert(fs.remove(d, all) and not fs.exists(d))
    ]], { wrap = wrap })
  end)

  it("removes many files and folders beside each other, and deep ones", function()
    passes_anywhere(function()
      local fs = require "goro".fs
      local d = assert(fs.mkdtemp())
      for i = 1, 60 do
        fs.mkdir(("%s/%d/x/y"):format(d, i), { parents = true })
        fs.write_file(("%s/%d/x/f"):format(d, i), "")
        fs.write_file(("%s/f%d"):format(d, i), "")
        fs.symlink("/", ("%s/%d/link"):format(d, i))
        fs.symlink(d, ("%s/l%d"):format(d, i))
      end
      local deep = d
      for _ = 1, 150 do deep = deep .. "/" .. ("n"):rep(20) end
      fs.mkdir(deep, { parents = true })
      assert(fs.remove(d, { recursive = true }) and not fs.exists(d))
    end)
  end)
end)
