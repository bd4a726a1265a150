-- SPDX-License-Identifier: MIT
-- A module as people write them: some functions, some state of its own.
local module, calls = {}, 0

function module.add(a, b)
  calls = calls + 1
  return a + b
end

function module.calls() return calls end

return module
