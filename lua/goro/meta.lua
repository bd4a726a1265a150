-- SPDX-License-Identifier: MIT
-- meta.lua - types and documentation of goro's public functions for editors (LuaCATS annotations); nothing loads it at run time.
-- luacheck: ignore 212 241
---@meta goro

---Goroutines, channels and select. Seconds are floats; a timeout of nil or infinity is for ever, 0 or less polls, NaN is misuse.
---Misuse raises an error at the caller's line. What blocks, blocks the calling goroutine only, and may be called anywhere.
---
---Every goro call may also raise, in a host state: a panic of one of its goroutines that nobody has met yet (the goroutine's own error
---value), and, when it waits and nobody can ever run again, `all goroutines are asleep - deadlock!` and a list of them.
---@class goro
---@field _VERSION string  `"goro 0.1.0"`
---@field runtime goro.runtime
---@field vet boolean  starting a goroutine warns on stderr, once for each function, that it assigns to captured variables, which are copies; at first true when `GORO_VET` is set
local goro = {}

---What can be copied from state to state: all but coroutines, full userdata without `__goro`, C functions with upvalues, and tables
---that hold such, or have a `__gc` and no `__goro`.
---@alias goro.sendable nil|boolean|number|string|table|function|lightuserdata|userdata

---Starts `f(...)` in a goroutine: a Lua state of its own, run in parallel by a pool of threads. `f`, its upvalues and the arguments are
---copied before `go` returns. An uncaught error in it is a panic: it is printed and raised in the main goroutine that it descends from.
---Does not block.
---
---Goroutines have modules of their own: `require` runs a Lua module in each, compiled once for all of them while its file keeps its inode, size and modification
---time; a C module is opened for the first time by one goroutine at a time, and others that want to open one for the first time wait.
---
---Errors: `cannot send <path> (<type>)` when something cannot be copied (`f` is argument #1), `not enough memory`; nothing has been
---started then.
---@param f fun(...: goro.sendable)  a Lua or C function
---@param ... goro.sendable
function goro.go(f, ...) end

---Starts `f(...)` as a goroutine, waits for it and returns copies of its results (none when it called `goexit`). Blocks.
---
---Errors: those of `go`; an error in `f` is raised here with its value, see `goro.traceback`; a result that cannot be sent.
---@param f fun(...: goro.sendable): ...
---@param ... goro.sendable
---@return any ...
function goro.run(f, ...) end

---The traceback, taken where it was thrown, of the last error that `run` raised in this state; nil before the first. Does not block.
---@return string?
function goro.traceback() end

---Lets others run. Does not block: the caller is runnable again at once.
function goro.gosched() end

---Ends the calling goroutine, running its pending `__close`; nothing after it runs, and `pcall` does not catch it. A `goro.run` that waits
---for it returns nothing.
---
---Errors: misuse in a host state (the main script).
function goro.goexit() end

---How many goroutines exist, the host states included. Does not block.
---@return integer
function goro.num_goroutine() end

---How many goroutines may run Lua at once (a host state runs on its own thread and is not counted). With `n` of at least 1 changes it, at
---the next scheduling points; less than 1 changes nothing. `GOROMAXPROCS` in the environment sets it at the start; default: `num_cpu()`.
---@param n? integer
---@return integer before  the value before
function goro.maxprocs(n) end

---CPUs that this process may use.
---@return integer
function goro.num_cpu() end

---Waits for `seconds`, never less; 0 or less does not wait, infinity is for ever. Blocks.
---@param seconds number
function goro.sleep(seconds) end

---A channel that receives the time (seconds since 1970, with fractions) once, `seconds` from now. Does not block.
---@param seconds number
---@return goro.chan
function goro.after(seconds) end

---A channel. With capacity 0 (default) a message goes from hand to hand, else up to `capacity` are buffered.
---
---Errors: misuse when `capacity` is not an integer or negative.
---@param capacity? integer
---@return goro.chan
function goro.chan(capacity) end

---Waits until one of the cases can happen and does exactly that one, chosen uniformly at random among those that are ready; with `default`
---it does not wait. Returns what the chosen case's handler returns; without one, the case's index (`"default"`, `"timeout"`), then `v, ok`
---for a receive. The tables are read, not changed. Without any case that can happen and no timeout it waits for ever. Blocks, except with
---`default` or a timeout of 0.
---
---Errors: `send on closed channel` when that is the chosen case; `cannot send …` for a value that cannot be copied; misuse: a case with
---both `recv` and `send` or neither, a direction that a view lacks, both `default` and `timeout`.
---@param cases goro.cases
---@return any ...
function goro.select(cases) end

---@class goro.case
---@field recv? goro.chan|goro.receiver|false  receive from it; false: this case is switched off
---@field send? goro.chan|goro.sender|false  send `value` to it; false: this case is switched off
---@field value? goro.sendable  what to send
---@field [1]? fun(v: any, ok: boolean?): ...  the handler; `v, ok` as from `recv`, nothing for a send

---@class goro.cases
---@field [integer] goro.case
---@field timeout? number  seconds
---@field on_timeout? fun(): ...  called when the timeout passes
---@field default? true|fun(): ...  chosen when no case is ready

---A channel; copies of it in other states are the same channel. Usable as `local ch <close>`, which closes it.
---@class goro.chan
---@operator len: integer
local chan = {}

---Sends a copy of `v` (nil and false are messages like others). Blocks while the buffer is full, without a buffer until somebody receives.
---`true` in the timeout's place is ignored, so that `out:send(inp:recv())` works; `false` (from a closed channel) is misuse.
---
---Errors: `send on closed channel`, also when it is closed meanwhile; `cannot send message… (<type>)`. Nothing has been sent then.
---@param v goro.sendable
---@param timeout? number|true  seconds
---@return boolean sent
---@return "timeout"? reason
function chan:send(v, timeout) end

---`v, true`; `nil, false` when closed and drained; `nil, nil, "timeout"`. Blocks while there is no message.
---
---Errors: what a module's `require` or a `__goro` function raises while the value is rebuilt; the message is consumed then.
---@param timeout? number  seconds
---@return any v
---@return boolean? ok
---@return "timeout"? reason
function chan:recv(timeout) end

---No more sends: receivers get what is buffered, then `nil, false`; senders that wait raise. Does not block.
---
---Errors: `close of closed channel`.
function chan:close() end

---For `for v in ch:range() do`: receives until the channel is closed and drained; blocks as `recv` does.
---
---Errors: `nil message in range`, since `for` cannot carry it.
---@return fun(): any
function chan:range() end

---Messages buffered, as `#ch`.
---@return integer
function chan:len() end

---Room for messages.
---@return integer
function chan:cap() end

---The same channel, for sending only: receiving from it is misuse. Equal to its other sender views, not to the channel.
---@return goro.sender
function chan:sender() end

---The same channel, for receiving only: sending to it or closing it is misuse. Equal to its other receiver views, not to the channel.
---@return goro.receiver
function chan:receiver() end

---@class goro.sender
---@operator len: integer
---@field send fun(self: goro.sender, v: goro.sendable, timeout?: number|true): boolean, "timeout"?
---@field close fun(self: goro.sender)
---@field len fun(self: goro.sender): integer
---@field cap fun(self: goro.sender): integer
---@field sender fun(self: goro.sender): goro.sender

---@class goro.receiver
---@operator len: integer
---@field recv fun(self: goro.receiver, timeout?: number): any, boolean?, "timeout"?
---@field range fun(self: goro.receiver): fun(): any
---@field len fun(self: goro.receiver): integer
---@field cap fun(self: goro.receiver): integer
---@field receiver fun(self: goro.receiver): goro.receiver

---@class goro.runtime
local runtime = {}

---@class goro.stats
---@field goroutines integer  that exist, the host states included
---@field running integer  that run now
---@field threads integer  of the operating system, in the pool
---@field spawned integer  goroutines started ever
---@field steals integer  times that a place to run took work from another
---@field handoffs integer  times that a place to run was given on because its thread was blocked
---@field preemptions integer  goroutines that were interrupted
---@field bytes integer  of memory in use by the process
---@field image string  "on": new states are cloned; else "off: " and why

---Counters of the scheduler. Does not block.
---@return goro.stats
function runtime.stats() end

---What every goroutine does at this moment: its state, what it waits for and since when, its traceback, where it was created. One that runs is asked, which
---takes up to 50 ms; of one that sits in C code all that time nothing more is told. In a stand-alone `lua`, SIGQUIT prints the same on stderr.
---@return string
function runtime.dump() end

---A group of goroutines that belong together, after x/sync's errgroup. Leaving the block of `local g <close> = goro.group()` waits for all of them,
---whichever way it is left; by an error it cancels `g.ctx` first. Does not block.
---
---Errors: misuse when `limit` is no integer of at least 1 (infinity is no limit), or `ctx` is no context.
---@param opts? { limit?: integer, ctx?: goro.context }
---@return goro.group
function goro.group(opts) end

---The same group in every state.
---@class goro.group
---@field ctx goro.context  a child of the given context; cancelled at the first error, with the error's value as the cause
local group = {}

---Starts `f(...)` as a goroutine of the group; its error is the group's, and no panic. With a limit blocks while so many run, strictly first come,
---first served; a cancelled context does not end that wait, nor does it keep `f` from being started: `f` asks `g.ctx`.
---
---Errors: those of `goro.go`.
---@param f fun(...: goro.sendable)
---@param ... goro.sendable
function group:go(f, ...) end

---Waits until no goroutine of the group is left, then raises the first error, if there was one, with its value; `goro.traceback` tells where it was
---thrown. Again, it raises it again. Blocks.
function group:wait() end

---`f(item, i)` for each item of the list, in parallel; the results, in the list's order (the first result of each; where it was nil there is a hole, so
---`#` of the result is then one of its borders, while `#list` remains what it was). A few workers take the items one by one, each with one copy of `f` and what
---it refers to: what `f` changes there is seen by the items that the same worker takes later. `limit` is the number of workers: by default 16 or four times
---`maxprocs`, whichever is more, so that items that wait do not hold each other up. Blocks.
---
---Errors: the first one in `f` is raised here with its value, see `goro.traceback`, when those that ran have ended; no more are started then. `cannot
---send …` for an item, a result, or `f`.
---@generic T, R
---@param list T[]
---@param f fun(item: T, i: integer): R
---@param opts? { limit?: integer }
---@return R[]
function goro.map(list, f, opts) end

---A table that goroutines share: values are copied into it and out of it. Keys are strings, numbers (1 and 1.0 are the same), booleans, light userdata and goro's
---objects by identity; others, nil and NaN are misuse. `#m` is `m:len()`, `pairs(m)` is `m:pairs()`. A map that holds itself is never collected.
---@class goro.sync.map
---@operator len: integer
local map = {}

---A copy of what is there, or nil. Blocks while somebody else updates the key, as all calls with a key do: first come, first served.
---@param key string|number|boolean|lightuserdata|userdata
---@return any value
function map:get(key) end

---Sets a copy of the value; nil deletes.
---@param key string|number|boolean|lightuserdata|userdata
---@param value goro.sendable
function map:set(key, value) end

---What was there, or nil.
---@param key string|number|boolean|lightuserdata|userdata
---@return any old
function map:delete(key) end

---The value that is there, and true; or, when there is none, sets `value` and returns it, and false.
---@param key string|number|boolean|lightuserdata|userdata
---@param value goro.sendable
---@return any value
---@return boolean there
function map:get_or_set(key, value) end

---Sets what `f(old)` returns, which is returned too; nil deletes. Atomic: others that want this key wait meanwhile, `f` may block, and may use other keys. An error
---in `f`, or goexit, leaves the entry as it was.
---
---Errors: those of `f`; misuse to touch the key itself inside `f`.
---@param key string|number|boolean|lightuserdata|userdata
---@param f fun(old: any): goro.sendable
---@return any new
function map:update(key, f) end

---How many keys have a value.
---@return integer
function map:len() end

---For `for key, value in m:pairs() do`: what was in the map when it was called, in no order. Each entry is as it was at some moment of the call; one that is being
---updated is as it was before.
---@return fun(): any, any
function map:pairs() end

return goro
