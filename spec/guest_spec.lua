-- SPDX-License-Identifier: MIT
-- goro as a guest in a C program that is particular (spec/embed/guest.c): each case checks by itself.

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "guest")

local function guest(name, n, opts)
  local all = { lua = program, bare = true, args = { name, tostring(n or 1) } }
  for k, v in pairs(opts or {}) do all[k] = v end
  return helper.run_script("", all)
end

describe("a particular host program", function()
  local function it_passes(name, case, opts)
    it_runs(name, function()
      local n = tonumber(os.getenv "GORO_STRESS") or opts and opts.n
      local r = guest(case, n, { timeout = 120 + (n or 0) / 50, env = opts and opts.env })
      assert.is_true(r.code == 0 and r.stdout:find "ok\n$" ~= nil, helper.describe(r))
      local stderr = r.stderr
      -- ThreadSanitizer delivers no signal to code that makes no calls: what loops when its state closes is left behind.
      if (os.getenv "GORO_SANITIZE" or ""):find "thread" then stderr = stderr:gsub("goro: %d+ goroutines? of a closed [^\n]*\n", "") end
      assert.equal(opts and opts.stderr or "", (stderr:gsub("%(.-%): going on with %d+", "(…): going on with N")), helper.describe(r))
    end)
  end

  it_passes("requires goro in a coroutine", "coroutine")
  it_passes("has its own allocator and panic function", "allocator")
  it_passes("opens and closes states while goroutines run", "churn", { n = 100 })
  it_passes("opens and closes states before their goroutines get anywhere", "brief", { n = 300 })
  it_passes("does so on several threads at once", "crowd", { n = 5 })
  it_passes("keeps its signal handlers and masks", "signals")
  it_passes("gets few threads from the system", "threads", {
    stderr = "goro: no more threads (…): going on with N; raise `ulimit -u`, or block in fewer goroutines at a time\n",
  })
  it_passes("gets no thread from the system", "nothread", {
    stderr = "goro: no more threads (…): going on with N; raise `ulimit -u`, or block in fewer goroutines at a time\n",
  })
  -- At the end of a forked child AddressSanitizer looks for leaks, and waits for locks that threads held which are not in the child.
  local asan = os.getenv "ASAN_OPTIONS"
  it_passes("forks", "fork", { env = { ASAN_OPTIONS = asan and asan .. ":detect_leaks=0" } })
  it_passes("closes a state whose goroutines loop in __close", "closers")
  it_passes("has threads that send, objects that are shared, and blocking regions", "foreign")
end)
