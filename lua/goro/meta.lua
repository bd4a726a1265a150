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
---@field fs goro.fs
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
---Files, folders and trees. All of it may be called anywhere, and blocks only the goroutine that calls it. A failure is `nil, message, code`, as in
---`nil, "ENOENT: no such file or directory: /x", "ENOENT"`; so is a path with a zero in it (`EINVAL`). Wrong types are errors at the caller's line.
---Paths are any bytes else; relative ones are the process's, as in `io.open`.
---@class goro.fs
local fs = {}

---@alias goro.fs.type "file"|"directory"|"link"|"fifo"|"socket"|"char"|"block"|"unknown"

---@class goro.fs.stat
---@field type goro.fs.type
---@field size integer  bytes
---@field mode integer  permissions only, as `chmod` takes them
---@field mtime number  seconds since 1970, as the other times
---@field atime number
---@field ctime number
---@field ino integer
---@field dev integer
---@field nlink integer
---@field uid integer
---@field gid integer

---The whole file as a string.
---@param path string
---@return string? data, string? message, string? code
function fs.read_file(path) end

---Makes the file, or overwrites it. With `atomic` whoever opens the path finds the old contents or all of the new, also after a power cut: it is written beside the
---file, put on disk, and renamed; the file that a link leads to is replaced, and its permissions stay.
---@param path string
---@param data string|number
---@param opts? { mode?: integer, atomic?: boolean }  mode: permissions of a new file, less the umask; 0666 otherwise
---@return true? ok, string? message, string? code
function fs.write_file(path, data, opts) end

---Adds at the end of the file, which is made when there is none.
---@param path string
---@param data string|number
---@return true? ok, string? message, string? code
function fs.append_file(path, data) end

---Opens a file. Modes as in `io.open`.
---@param path string
---@param mode? string  "r" otherwise
---@return goro.file? file, string? message, string? code
function fs.open(path, mode) end

---What the path is, through links.
---@param path string
---@return goro.fs.stat? stat, string? message, string? code
function fs.stat(path) end

---What the path is; a link is told of itself.
---@param path string
---@return goro.fs.stat? stat, string? message, string? code
function fs.lstat(path) end

---Is there something, through links? That it cannot be found out is a failure.
---@param path string
---@return boolean? exists, string? message, string? code
function fs.exists(path) end

---What is in a folder, sorted by name (by bytes).
---@param dir string
---@return { name: string, type: goro.fs.type }[]? entries, string? message, string? code
function fs.list(dir) end

---What is below a folder: `for path, type, message in fs.walk(dir) do`. A folder comes before what is in it; links are not followed (`dir` itself may be one).
---A folder that cannot be looked into comes with a message, and the walk goes on. Takes little memory however many files there are, and a descriptor for each level of
---folders, given back when the loop is left in any way. Belongs to its state: it cannot be sent. Errors: the message, when `dir` cannot be opened.
---@param dir string
---@return fun(): string?, goro.fs.type?, string?
function fs.walk(dir) end

---Makes a folder; with `parents` also those above it, and one that is there is no failure.
---@param path string
---@param opts? { parents?: boolean }
---@return true? ok, string? message, string? code
function fs.mkdir(path, opts) end

---Removes a file or an empty folder; with `recursive` a folder with all that is in it. Links are removed, never followed. The first failure ends it, and names what it was about.
---@param path string
---@param opts? { recursive?: boolean }
---@return true? ok, string? message, string? code
function fs.remove(path, opts) end

---@param from string
---@param to string  replaced when it is there
---@return true? ok, string? message, string? code
function fs.rename(from, to) end

---Copies contents and permissions of a file over `to`. Shares the blocks where the file system can; holes stay holes.
---@param from string
---@param to string
---@return true? ok, string? message, string? code
function fs.copy(from, to) end

---A second name (a hard link) for a file.
---@param path string
---@param new string
---@return true? ok, string? message, string? code
function fs.link(path, new) end

---A symbolic link at `path`.
---@param target string
---@param path string
---@return true? ok, string? message, string? code
function fs.symlink(target, path) end

---@param path string
---@return string? target, string? message, string? code
function fs.readlink(path) end

---The absolute path without links, `.` and `..`.
---@param path string
---@return string? real, string? message, string? code
function fs.realpath(path) end

---@param path string
---@param mode integer
---@return true? ok, string? message, string? code
function fs.chmod(path, mode) end

---Sets the times of access and change, in seconds since 1970.
---@param path string
---@param atime? number  now otherwise
---@param mtime? number  atime otherwise
---@return true? ok, string? message, string? code
function fs.utime(path, atime, mtime) end

---Makes a folder of a new name.
---@param template? string  ends in XXXXXX, which is replaced; otherwise one in $TMPDIR or /tmp
---@return string? path, string? message, string? code
function fs.mkdtemp(template) end

---Makes and opens (for reading and writing) a file of a new name.
---@param template? string  ends in XXXXXX, which is replaced; otherwise one in $TMPDIR or /tmp
---@return goro.file? file, string path_or_message, string? code
function fs.mkstemp(template) end

---An open file. May be sent, and used by several goroutines: one operation at a time, in the order in which they came. Closed by `<close>`, and when nobody refers to it.
---After its end every call is `nil, "EBADF: …", "EBADF"`; who waited for it at that moment gets `ECANCELED`.
---@class goro.file
local file = {}

---As `file:read` of `io`: "n", "l" (otherwise), "L", "a", or a number of bytes; several give several values, until one is nil.
---@param ... string|integer
---@return string|number|nil ..., string? message, string? code
function file:read(...) end

---Writes all of its arguments, at once, and without a buffer in between: many short pieces are better given to one call.
---@param ... string|number
---@return goro.file? self, string? message, string? code
function file:write(...) end

---`for line in file:lines() do`, with the formats of `read`. The file stays open. Errors: the message, when reading fails.
---@param ... string|integer
---@return fun(): any
function file:lines(...) end

---As `file:seek` of `io`.
---@param whence? "set"|"cur"|"end"
---@param offset? integer
---@return integer? position, string? message, string? code
function file:seek(whence, offset) end

---Has all that was written put on disk.
---@return true? ok, string? message, string? code
function file:sync() end

---Makes it so many bytes long.
---@param size integer
---@return true? ok, string? message, string? code
function file:truncate(size) end

---@return goro.fs.stat? stat, string? message, string? code
function file:stat() end

---Closes it, after what others are doing with it; who waits for the other end of a pipe is woken. Again: does nothing.
---@return true? ok, string? message, string? code
function file:close() end

return goro
