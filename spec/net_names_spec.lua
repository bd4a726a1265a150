-- SPDX-License-Identifier: MIT
-- Names with several addresses, slow ones, bad ones: in a program that is its own resolver (spec/embed/resolver.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "resolver")

describe("names", function()
  local function it_passes(name, case)
    it_runs(name, function()
      local r = helper.run_script("", { lua = program, bare = true, args = { case }, timeout = 120 })
      assert.is_true(r.code == 0 and r.stdout:find "ok\n$" ~= nil, helper.describe(r))
    end)
  end

  it_passes("with several addresses: each is tried, the families by turns, the next after 250 ms or a refusal", "eyeballs")
  it_passes("whose look-up takes long hold up nobody", "slow")
  it_passes("that the resolver refuses", "failures")
end)
