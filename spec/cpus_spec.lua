-- SPDX-License-Identifier: MIT
--
-- How many CPUs there are to use: by affinity, on machines of any size, and by the quotas of cgroups (v2), which are read here from files
-- made for the test.

local helper = require "spec.helper"
local testing = require "goro.testing"

local few, it_rations = helper.embedding(it, pending, "few")

--- What goro reads when /proc/self/cgroup, mountinfo and the cgroups' cpu.max are these.
local function quota(cgroup, mountinfo, files)
  local root = os.tmpname()
  os.remove(root)
  local function write(path, text)
    assert(os.execute(("mkdir -p %s"):format(helper.quote((root .. path):match "^(.*)/"))))
    local f = assert(io.open(root .. path, "w"))
    f:write(text)
    f:close()
  end
  write("/proc/self/cgroup", cgroup)
  write("/proc/self/mountinfo", mountinfo)
  for path, text in pairs(files) do write(path, text) end
  local n = testing.cpu_quota(root)
  os.execute("rm -rf " .. helper.quote(root))
  return n
end

local mounts = [[
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate
]]

describe("a cgroup's quota", function()
  local function of(max, path)
    return quota(("0::%s\n"):format(path or "/app"), mounts, { ["/sys/fs/cgroup/app/cpu.max"] = max })
  end

  it("is rounded up", function()
    assert.equal(2, of "150000 100000\n")
    assert.equal(2, of "200000 100000\n")
    assert.equal(3, of "200001 100000\n")
    assert.equal(1, of "50000 100000\n")
    assert.equal(1, of "1000 100000\n")
    assert.equal(8, of "400000 50000\n")
  end)

  it("is none when it says max, or nothing that can be read", function()
    for _, text in ipairs { "max 100000\n", "max\n", "", "nonsense\n", "100000\n", "0 100000\n", "-1 100000\n", "100000 0\n" } do
      assert.is_nil(of(text), text)
    end
    assert.is_nil(quota("0::/app\n", mounts, {}))
    assert.is_nil(quota("", mounts, { ["/sys/fs/cgroup/app/cpu.max"] = "100000 100000\n" }))
    assert.is_nil(quota("0::/app\n", "", { ["/sys/fs/cgroup/app/cpu.max"] = "100000 100000\n" }))
    assert.is_nil(testing.cpu_quota "/nowhere/at/all")
  end)

  it("is the least on the way up to the root", function()
    local function nested(a, b, c)
      return quota("0::/a/b/c\n", mounts, { ["/sys/fs/cgroup/a/cpu.max"] = a, ["/sys/fs/cgroup/a/b/cpu.max"] = b,
        ["/sys/fs/cgroup/a/b/c/cpu.max"] = c })
    end
    assert.equal(2, nested("200000 100000\n", "max 100000\n", "800000 100000\n"))
    assert.equal(3, nested("max 100000\n", "300000 100000\n", "max 100000\n"))
    assert.equal(1, nested("900000 100000\n", "300000 100000\n", "90000 100000\n"))
    assert.is_nil(nested("max 100000\n", "max 100000\n", "max 100000\n"))
  end)

  it("may be that of the hierarchy's root, as a container with a namespace sees it", function()
    assert.equal(2, quota("0::/\n", mounts, { ["/sys/fs/cgroup/cpu.max"] = "120000 100000\n" }))
    assert.equal(2, quota("0::/a/b\n", mounts, { ["/sys/fs/cgroup/cpu.max"] = "120000 100000\n" }))
  end)

  it("is found where a part of the hierarchy is mounted, and beside cgroups of version 1", function()
    local part = "30 22 0:26 /docker/x1 /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
    assert.equal(4, quota("0::/docker/x1/job\n", part, { ["/sys/fs/cgroup/job/cpu.max"] = "400000 100000\n" }))
    assert.equal(5, quota("0::/docker/x1\n", part, { ["/sys/fs/cgroup/cpu.max"] = "500000 100000\n" }))
    local hybrid = "29 22 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n30 29 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    assert.equal(2, quota("3:cpu,cpuacct:/x\n1:name=systemd:/x\n0::/x\n", hybrid,
      { ["/sys/fs/cgroup/unified/x/cpu.max"] = "200000 100000\n" }))
  end)
end)

describe("the CPUs of this machine", function()
  it("are at least one, and maxprocs is no more of them than there are", function()
    helper.passes(function()
      local goro = require "goro"
      assert(goro.num_cpu() >= 1)
      assert(goro.maxprocs() >= 1 and goro.maxprocs() <= goro.num_cpu())
    end, { env = { GOROMAXPROCS = false } })
  end)

  it_rations("may be more than 1,024", function()
    for _, n in ipairs { 1, 2, 1024, 1025, 5000 } do
      local r = helper.run_script([[
        local goro = require "goro"
        print(goro.num_cpu(), goro.run(function() return goro.num_cpu() end))
        assert(goro.maxprocs() <= goro.num_cpu() and goro.maxprocs() >= 1)]],
        { lua = few, env = { FEW_CPUS = tostring(n), GOROMAXPROCS = false } })
      assert.equal(("%d\t%d\n"):format(n, n), helper.ended_well(r))
    end
  end)
end)
