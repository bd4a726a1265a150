-- SPDX-License-Identifier: MIT
-- Threads of a program's own that send by goro.h while its Lua states open and close (spec/embed/foreign.c).

local helper = require "spec.helper"

local program, it_runs = helper.embedding(it, pending, "foreign")

describe("threads of the program's own", function()
  it_runs("send at any moment, also while the last state closes and while threads of an earlier life are abroad", function()
    local seconds = tonumber(os.getenv "GORO_FOREIGN") or 3
    local r = helper.run_script("", { lua = program, bare = true, args = { tostring(seconds) }, timeout = 60 + 2 * seconds })
    local out = helper.ended_well(r)
    local rounds, sent, received, ended = out:match "^(%d+) rounds, (%d+) sent, (%d+) received, (%d+) ended\nend\n$"
    assert.is_truthy(rounds, out)
    assert.is_true(tonumber(rounds) > 0 and tonumber(sent) > 0 and tonumber(received) > 0 and tonumber(ended) > 0, out)
    assert.is_true(tonumber(received) <= tonumber(sent), out)
  end)
end)
