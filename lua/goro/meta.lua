-- SPDX-License-Identifier: MIT
-- meta.lua - types and documentation of goro's public functions for editors (LuaCATS annotations); nothing loads it at run time.
-- luacheck: ignore 212 241
---@meta goro

---@class goro
---@field _VERSION string
---@field runtime goro.runtime
local goro = {}

---Starts `f(...)` in a goroutine: a Lua state of its own, run in parallel by a pool of threads. `f`, its upvalues and the arguments are
---copied before `go` returns. An uncaught error in it is a panic: it is printed and raised in the main goroutine.
---@param f function
---@param ... any
function goro.go(f, ...) end

---Starts `f(...)` as a goroutine, waits for it and returns its results; an error in it is raised here with its value.
---@param f function
---@param ... any
---@return any ...
function goro.run(f, ...) end

---The traceback, taken where it was thrown, of the last error that `run` raised in this state.
---@return string?
function goro.traceback() end

---Lets others run.
function goro.gosched() end

---Ends the calling goroutine, running its pending `__close`; `pcall` does not catch it. In a host state it is misuse.
function goro.goexit() end

---How many goroutines exist, the host states included.
---@return integer
function goro.num_goroutine() end

---How many goroutines may run Lua at once. With `n` (at least 1) changes it. Returns the value before.
---@param n? integer
---@return integer
function goro.maxprocs(n) end

---CPUs that this process may use.
---@return integer
function goro.num_cpu() end

---Waits for `seconds`.
---@param seconds number
function goro.sleep(seconds) end

---A channel that receives the time once, `seconds` from now.
---@param seconds number
---@return goro.chan
function goro.after(seconds) end

---A channel; `capacity` 0 (default) hands over directly, else up to `capacity` messages are buffered.
---@param capacity? integer
---@return goro.chan
function goro.chan(capacity) end

---@class goro.chan
---@operator len: integer
local chan = {}

---Sends a copy of `v`. Raises `send on closed channel`. Without `timeout` (seconds) waits for ever, with 0 not at all.
---@param v any
---@param timeout? number
---@return boolean sent
---@return "timeout"? reason
function chan:send(v, timeout) end

---`v, true`; `nil, false` when closed and drained; `nil, nil, "timeout"`.
---@param timeout? number
---@return any v
---@return boolean? ok
---@return "timeout"? reason
function chan:recv(timeout) end

---No more sends. Twice raises `close of closed channel`.
function chan:close() end

---Iterator for `for v in ch:range() do`, until the channel is closed and drained.
---@return fun(): any
---@return any
---@return any
---@return any
function chan:range() end

---Messages buffered.
---@return integer
function chan:len() end

---@return integer
function chan:cap() end

---The same channel, for sending only.
---@return goro.sender
function chan:sender() end

---The same channel, for receiving only.
---@return goro.receiver
function chan:receiver() end

---@class goro.sender
---@operator len: integer
---@field send fun(self: goro.sender, v: any, timeout?: number): boolean, "timeout"?
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

---@class goro.case
---@field recv? goro.chan|goro.receiver|false  false: switched off
---@field send? goro.chan|goro.sender|false
---@field value? any  what to send
---@field [1]? fun(v: any, ok: boolean): ...  the handler

---@class goro.cases
---@field [integer] goro.case
---@field timeout? number
---@field on_timeout? fun(): ...
---@field default? true|fun(): ...

---Waits until one of the cases can happen and does it, chosen at random among those that are ready. Returns what the chosen case's handler
---returns; without one, the case's index (`"default"`, `"timeout"`), then `v, ok` for a receive.
---@param cases goro.cases
---@return any ...
function goro.select(cases) end

---@class goro.runtime
local runtime = {}

---Counters of the scheduler.
---@return { goroutines: integer, running: integer, threads: integer, spawned: integer, steals: integer, handoffs: integer, preemptions: integer, bytes: integer }
function runtime.stats() end

return goro
