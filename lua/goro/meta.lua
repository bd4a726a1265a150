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
---@field net goro.net
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

---TCP, Unix and UDP sockets; `require "goro.net"`, also `goro.net`. Each call blocks its goroutine only. What the world refuses is returned as
---`nil, "CODE: reason: subject", "CODE"` with libuv's codes (`ECONNREFUSED`, `ETIMEDOUT`, `EAI_NONAME`, …; `ECANCELED`: it was closed); misuse is raised. Connections,
---listeners and UDP sockets are sendable, equal wherever they are, closed by `<close>` and when nobody has them any more; several goroutines may use one at once.
---@class goro.net
local net = {}

---@alias goro.network "tcp"|"tcp4"|"tcp6"|"unix"|"udp"|"udp4"|"udp6"

---@class goro.dial_options
---@field timeout number?  seconds for the whole dial; a look-up of a name is not interrupted, but counts

---A connection to `"host:port"` (`"[::1]:80"`; the port may be a service's name; no host: this machine) or, for `"unix"`, to a path or an abstract name (`"@name"`).
---All addresses of a name are tried, by turns of IPv6 and IPv4, the next one when the last has refused or not answered for 250 ms. `"udp"`: see `goro.conn:read`.
---@param network goro.network
---@param address string
---@param opts goro.dial_options?
---@return goro.conn?, string? message, string? code
function net.dial(network, address, opts) end

---A listener. Port 0 is any that is free (see `addr`); without a host it listens at all interfaces. A Unix socket's path is made here and goes when it is closed.
---@param network "tcp"|"tcp4"|"tcp6"|"unix"
---@param address string
---@return goro.listener?, string? message, string? code
function net.listen(network, address) end

---The addresses of a host, in the order in which they should be tried, each once.
---@param host string
---@return string[]?, string? message, string? code
function net.lookup(host) end

---A UDP socket bound to `address`, or to any free port; see `net.dial` for one that talks to one peer only.
---@param address string?
---@return goro.udp?, string? message, string? code
function net.udp(address) end

---@class goro.listener
local listener = {}

---The next connection. When the process has no descriptor left this fails (`EMFILE`), the connection stays in the system's queue, and the next `accept` tries again
---after a pause of 5 ms to 1 s.
---@param timeout number?
---@return goro.conn?, string? message, string? code
function listener:accept(timeout) end

---Where it listens: `"127.0.0.1:8080"`, `"[::1]:80"`, a path, `"@name"`.
---@return string
function listener:addr() end

---Wakes who waits in `accept`, with `ECANCELED`. The port is free when this returns.
---@return true?, string? message, string? code
function listener:close() end

---@class goro.conn
local conn = {}

---Without `fmt`: what is there, at least a byte. A count: so many bytes, fewer only at the end. `"l"`, `"L"`: a line without and with its newline, `"a"`: all to the end.
---At the end nil (`"a"`: the empty string). Of a dialled UDP socket each read is one datagram, without `fmt`. What has come when a read fails stays for the next one.
---@param fmt integer|"l"|"L"|"a"|nil
---@param timeout number?  instead of `set_timeout`'s
---@return string?, string? message, string? code
function conn:read(fmt, timeout) end

---Writes all strings and numbers, or fails. Waits while the peer does not read. Those of one call stay together; of a dialled UDP socket they are one datagram.
---@param ... string|number
---@return goro.conn?, string? message, string? code
function conn:write(...) end

---An iterator over `read(fmt)` (`"l"` when absent) to the end. It raises a failure.
---@param fmt integer|"l"|"L"|"a"|nil
---@return fun(): string?
function conn:lines(fmt) end

---No more will be written: the peer reads its end. Reading goes on.
---@return true?, string? message, string? code
function conn:shutdown() end

---Wakes all who wait, with `ECANCELED`.
---@return true?, string? message, string? code
function conn:close() end

---How long each call that begins from now on may wait; nil: for ever.
---@param seconds number?
function conn:set_timeout(seconds) end

---How long a line may be, in bytes: 16 MB at first. `read` of a longer one fails (`EMSGSIZE`) and takes nothing.
---@param bytes integer
function conn:max_line(bytes) end

---Whether TCP sends small packets at once (on at first).
---@param on boolean
---@return true?, string? message, string? code
function conn:nodelay(on) end

---After so many seconds of silence TCP asks whether the peer is still there (15 at first); 0 or nil: never.
---@param seconds number?
---@return true?, string? message, string? code
function conn:keepalive(seconds) end

---@return string?, string? message, string? code
function conn:local_addr() end

---@return string?, string? message, string? code
function conn:remote_addr() end

---@class goro.udp
local udp = {}

---@param data string
---@param address string
---@return goro.udp?, string? message, string? code
function udp:send(data, address) end

---One datagram and who sent it.
---@param timeout number?
---@return string?, string? address_or_message, string? code
function udp:recv(timeout) end

---@return string?, string? message, string? code
function udp:local_addr() end

---Wakes who waits, with `ECANCELED`.
---@return true?, string? message, string? code
function udp:close() end

return goro
