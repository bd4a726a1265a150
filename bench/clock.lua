-- SPDX-License-Identifier: MIT
-- clock: the time in seconds, for runs of 0.2 s and more. os.clock() would count CPU time of all threads, and os.time() has
-- whole seconds only; the channel of a timer that fires at once delivers the wall time as a float.
local goro = require "goro"

return function()
  return (goro.after(0):recv())
end
