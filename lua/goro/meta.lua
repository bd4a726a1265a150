-- SPDX-License-Identifier: MIT
-- meta.lua - types and documentation of goro's public functions, for editors (LuaCATS annotations).
-- Nothing loads it at run time.
-- luacheck: ignore 212 241
---@meta goro

---Goroutines, channels and select. Seconds are floats; a timeout of nil or infinity is for ever, 0
---or less polls, NaN is misuse. Misuse raises an error at the caller's line. What blocks, blocks
---the calling goroutine only, and may be called anywhere.
---
---Every goro call may also raise, in a host state: a panic of one of its goroutines that nobody has
---met yet (the goroutine's own error value), and, when it waits and nobody can ever run again,
---`all goroutines are asleep - deadlock!` and a list of them.
---
---When `goro.vet` is true, starting a goroutine warns on stderr of what its function does to
---copies. It warns once for each variable of a function, as far as the code shows it:
---`job.lua:14: assigns to captured variable 'n', which is a copy`,
---`… changes captured table 'results', which is a copy`,
---`… assigns to global 'counter', which is a copy`,
---`… changes global table 'cfg', which is a copy`. Of tables and globals it looks at plain data
---only.
---@class goro
---@field _VERSION string  `"goro 0.2.0"`
---@field runtime goro.runtime
---@field fs goro.fs
---@field process goro.process
---@field signal goro.signal
---@field net goro.net
---@field sync goro.sync
---@field time goro.time
---@field context goro.context.module
---@field vet boolean  see above; true at first when `GORO_VET` is set
local goro = {}

---What can be copied from state to state. Excepted are coroutines, full userdata without `__goro`,
---C functions with upvalues, tables that hold one of these, and tables that have a `__gc` and no
---`__goro`.
---
---A function's globals come along with it. There a placeholder stands for a value that cannot be
---copied: a userdata that raises
---`global 'conf'.out (FILE*) could not come along: open it inside the goroutine` when it is used in
---any way but `==`, truth and passing on.
---@alias goro.sendable nil|boolean|number|string|table|function|lightuserdata|userdata

---Starts `f(...)` in a goroutine: a Lua state of its own, run in parallel by a pool of threads.
---`f`, its upvalues and the arguments are copied before `go` returns. An uncaught error in it is a
---panic: it is printed and raised in the main goroutine that it descends from. Does not block.
---
---Goroutines have modules of their own: `require` runs a Lua module in each. It is compiled once
---for all of them, as long as its file keeps its inode, size and times of modification and change.
---C modules are opened for the first time by one goroutine at a time; others wait.
---
---Errors: `cannot send <path> (<type>)` when something cannot be copied (`f` is argument #1),
---`not enough memory`; nothing has been started then.
---@param f fun(...: goro.sendable)  a Lua or C function
---@param ... goro.sendable
function goro.go(f, ...) end

---Starts `f(...)` as a goroutine, waits for it and returns copies of its results (none when it
---called `goexit`). Blocks.
---
---Errors: those of `go`; an error in `f` is raised here with its value, see `goro.traceback`; a
---result that cannot be sent.
---@param f fun(...: goro.sendable): ...
---@param ... goro.sendable
---@return any ...
function goro.run(f, ...) end

---The traceback, taken where it was thrown, of the last error that `run`, `wait` or `map` raised in
---this state; nil before the first. When such an error ends a script under `lua`, it is printed
---after lua's report. Does not block.
---@return string?
function goro.traceback() end

---Lets others run. Does not block: the caller is runnable again at once.
function goro.gosched() end

---Ends the calling goroutine, running its pending `__close`; nothing after it runs, and `pcall`
---does not catch it. A `goro.run` that waits for it returns nothing.
---
---Errors: misuse in a host state (the main script).
function goro.goexit() end

---A copy of `f` runs in each goroutine that is started from now on, in that goroutine's state,
---before its function and its modules. It is for settings of modules, strict globals, coverage.
---Several run in the order of the calls; nil clears them. `f` may wait, and an error in it is the
---goroutine's. Goroutines that `f` starts run no setup. It holds for the whole process: for all
---main scripts. Does not block.
---
---Errors: `cannot send …` when `f` cannot be copied; misuse when it is neither a function nor nil.
---@param f? fun()
function goro.setup(f) end

---How many goroutines exist, the host states included. Does not block.
---@return integer
function goro.num_goroutine() end

---How many goroutines may run Lua at once (a host state runs on its own thread and is not counted).
---With `n` of at least 1 changes it, at the next scheduling points; less than 1 changes nothing.
---`GOROMAXPROCS` in the environment sets it at the start; default: `num_cpu()`.
---@param n? integer
---@return integer before  the value before
function goro.maxprocs(n) end

---CPUs that this process may use.
---@return integer
function goro.num_cpu() end

---Waits for `seconds`, never less; 0 or less does not wait, infinity is for ever. Blocks.
---@param seconds number
function goro.sleep(seconds) end

---A channel that receives the time (seconds since 1970, with fractions) once, `seconds` from now.
---Does not block.
---@param seconds number
---@return goro.chan
function goro.after(seconds) end

---A channel. With capacity 0 (default) a message goes from hand to hand, else up to `capacity` are
---buffered.
---
---Errors: misuse when `capacity` is not an integer or negative.
---@param capacity? integer
---@return goro.chan
function goro.chan(capacity) end

---Waits until one of the cases can happen and does exactly that one, chosen uniformly at random
---among those that are ready; with `default` it does not wait. Returns what the chosen case's
---handler returns; without one, the case's index (`"default"`, `"timeout"`), then `v, ok` for a
---receive. The tables are read, not changed. Without any case that can happen and no timeout it
---waits for ever. Blocks, except with `default` or a timeout of 0.
---
---Errors: `send on closed channel` when that is the chosen case; `cannot send …` for a value that
---cannot be copied; misuse: a case with both `recv` and `send` or neither, a direction that a view
---lacks, both `default` and `timeout`.
---@param cases goro.cases
---@return any ...
function goro.select(cases) end

---@class goro.case
---@field recv? goro.chan|goro.receiver|false  receive from it; false: this case is switched off
---@field send? goro.chan|goro.sender|false  send `value` to it; false: this case is switched off
---@field value? goro.sendable  what to send
---@field [1]? fun(v: any, ok: boolean?): ...  gets `v, ok` as from `recv`; for a send nothing

---@class goro.cases
---@field [integer] goro.case
---@field timeout? number  seconds
---@field on_timeout? fun(): ...  called when the timeout passes
---@field default? true|fun(): ...  chosen when no case is ready

---A channel; copies of it in other states are the same channel. Usable as `local ch <close>`, which
---closes it.
---@class goro.chan
---@operator len: integer
local chan = {}

---Sends a copy of `v` (nil and false are messages like others). Blocks while the buffer is full,
---without a buffer until somebody receives. A second argument is misuse, but `true` is ignored, so
---that `out:send(inp:recv())` works; `false` says that `inp` was closed.
---
---Errors: `send on closed channel`, also when it is closed meanwhile;
---`cannot send message… (<type>)`. Nothing has been sent then.
---@param v goro.sendable
---@return true sent
function chan:send(v) end

---As `send`, but with a limit of time. Without one, and with 0, it does not block.
---@param v goro.sendable
---@param timeout? number  seconds; default: 0
---@return boolean sent
---@return "timeout"? reason
function chan:try_send(v, timeout) end

---`v, true`; `nil, false` when closed and drained; `nil, nil, "timeout"`. Blocks while there is no
---message.
---
---Errors: what a module's `require` or a `__goro` function raises while the value is rebuilt; the
---message is consumed then.
---@param timeout? number  seconds
---@return any v
---@return boolean? ok
---@return "timeout"? reason
function chan:recv(timeout) end

---No more sends: receivers get what is buffered, then `nil, false`; senders that wait raise. Does
---not block.
---
---Errors: `close of closed channel`.
function chan:close() end

---For `for v in ch:range() do`: receives until the channel is closed and drained; blocks as `recv`
---does.
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

---The same channel, for sending only: receiving from it is misuse. Equal to its other sender views,
---not to the channel.
---@return goro.sender
function chan:sender() end

---The same channel, for receiving only: sending to it or closing it is misuse. Equal to its other
---receiver views, not to the channel.
---@return goro.receiver
function chan:receiver() end

---@class goro.sender
---@operator len: integer
---@field send fun(self: goro.sender, v: goro.sendable): true
---@field try_send fun(self: goro.sender, v: goro.sendable, timeout?: number): boolean, "timeout"?
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

---What every goroutine does at this moment: its state, what it waits for and since when, its
---traceback, where it was created. One that runs is asked, which takes up to 50 ms; of one that
---sits in C code all that time nothing more is told. In a stand-alone `lua`, SIGQUIT prints the
---same on stderr.
---@return string
function runtime.dump() end

---A group of goroutines that belong together, after x/sync's errgroup. Leaving the block of
---`local g <close> = goro.group()` waits for all of them, whichever way it is left; by an error it
---cancels `g.ctx` first. Does not block.
---
---With `on_error` each member's error goes there: the function is called in the goroutine that
---failed, with the error and its traceback. Then `wait` does not raise the error, and nobody is
---cancelled. An error in `on_error` is a panic. Without `on_error`, an error that nobody has been
---told of when the group is dropped, or when the script ends, goes to stderr as a panic's text
---does.
---
---Errors: misuse when `limit` is no integer of at least 1 (infinity is no limit), `ctx` is no
---context, or `on_error` no function; `cannot send …` when `on_error` cannot be copied.
---@param opts? goro.group_options
---@return goro.group
function goro.group(opts) end

---@class goro.group_options
---@field limit? integer  how many run at once
---@field ctx? goro.context  the parent of the group's own
---@field on_error? fun(err: any, traceback: string?)

---The same group in every state.
---@class goro.group
---A child of the given context. It is cancelled at the first error; its cause is the error's value.
---@field ctx goro.context
local group = {}

---Starts `f(...)` as a goroutine of the group. Its error is the group's, and no panic. With a limit
---this blocks while so many run, strictly first come, first served. A cancelled context does not
---end that wait, and does not keep `f` from being started: `f` asks `g.ctx`.
---
---Errors: those of `goro.go`.
---@param f fun(...: goro.sendable)
---@param ... goro.sendable
function group:go(f, ...) end

---Waits until no goroutine of the group is left, then raises the first error, if there was one,
---with its value; `goro.traceback` tells where it was thrown. Again, it raises it again. Blocks.
function group:wait() end

---Calls `f(item, i)` for each item of the list, in parallel, and gives the first result of each, in
---the list's order. Where the result was nil there is a hole: use `#list`, not `#` of the result.
---
---A few workers take the items one by one, each with one copy of `f` and what it refers to. What
---`f` changes there is seen by the items that the same worker takes later. `limit` is the number of
---workers: by default 16 or four times `maxprocs`, whichever is more, so that items that wait do
---not hold each other up; `"io"` is 256, for items that do little but wait. Blocks.
---
---Errors: the first one in `f` is raised here with its value, see `goro.traceback`, when those that
---ran have ended; no more are started then. `cannot send …` for an item, a result, or `f`.
---@generic T, R
---@param list T[]
---@param f fun(item: T, i: integer): R
---@param opts? { limit?: integer|"io" }
---@return R[]
function goro.map(list, f, opts) end

---A table that goroutines share: values are copied into it and out of it. Keys are strings, numbers
---(1 and 1.0 are the same), booleans, light userdata and goro's objects by identity; others, nil
---and NaN are misuse. `#m` is `m:len()`, `pairs(m)` is `m:pairs()`; `m[k]` is misuse. A map that
---holds itself is never collected.
---@class goro.sync.map
---@operator len: integer
local map = {}

---A copy of what is there, or nil. Blocks while somebody else updates the key, as all calls with a
---key do: first come, first served.
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

---The value that is there, and true; or, when there is none, sets `value` and returns it, and
---false.
---@param key string|number|boolean|lightuserdata|userdata
---@param value goro.sendable
---@return any value
---@return boolean there
function map:get_or_set(key, value) end

---Sets what `f(old)` returns, which is returned too; nil deletes. Atomic: others that want this key
---wait meanwhile, `f` may block, and may use other keys. An error in `f`, or goexit, leaves the
---entry as it was.
---
---Errors: those of `f`; misuse to touch the key itself inside `f`.
---@param key string|number|boolean|lightuserdata|userdata
---@param f fun(old: any): goro.sendable
---@return any new
function map:update(key, f) end

---How many keys have a value.
---@return integer
function map:len() end

---For `for key, value in m:pairs() do`: what was in the map when it was called, in no order. Each
---entry is as it was at some moment of the call; one that is being updated is as it was before.
---@return fun(): any, any
function map:pairs() end

---Files, folders and trees. All of it may be called anywhere, and blocks only the goroutine that
---calls it. A failure is `nil, message, code`, as in
---`nil, "ENOENT: no such file or directory: /x", "ENOENT"`; so is a path with a zero in it
---(`EINVAL`). Wrong types are errors at the caller's line. Paths are any bytes else; relative ones
---are the process's, as in `io.open`.
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

---Makes the file, or overwrites it. With `atomic` whoever opens the path finds the old contents or
---all of the new, also after a power cut: it is written beside the file, put on disk, and renamed;
---the file that a link leads to is replaced, and its permissions stay.
---@param path string
---@param data string|number
---@param opts? { mode?: integer, atomic?: boolean }  mode: of a new file, less the umask; else 0666
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
---@return goro.fs.file? file, string? message, string? code
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

---What is below a folder: `for path, type, message in fs.walk(dir) do`. A folder comes before what
---is in it; links are not followed (`dir` itself may be one). A folder that cannot be looked into
---comes with a message, and the walk goes on. Takes little memory however many files there are, and
---a descriptor for each level of folders, given back when the loop is left in any way. Belongs to
---its state: it cannot be sent. Errors: the message, when `dir` cannot be opened.
---@param dir string
---@return fun(): string?, goro.fs.type?, string?
function fs.walk(dir) end

---@class goro.fs.event
---@field path string  as it was given to `watch`, with the name in the folder
---`overflow`: the reader, or the system, was too slow, and events are missing.
---@field event "create"|"remove"|"change"|"attributes"|"overflow"

---What happens to a file, or to a folder and what is directly in it. A new name is a `remove` of
---the old one and a `create`. The channel is closed when the path itself is gone; an editor that
---saves by renaming ends a file's watch, so watch its folder. Closing the channel ends the watch,
---and so does the collector when nobody has it.
---@param path string
---@return goro.chan? events, string? message, string? code
function fs.watch(path) end

---Makes a folder; with `parents` also those above it, and one that is there is no failure.
---@param path string
---@param opts? { parents?: boolean }
---@return true? ok, string? message, string? code
function fs.mkdir(path, opts) end

---Removes a file or an empty folder; with `recursive` a folder with all that is in it. Links are
---removed, never followed. The first failure ends it, and names what it was about.
---@param path string
---@param opts? { recursive?: boolean }
---@return true? ok, string? message, string? code
function fs.remove(path, opts) end

---@param from string
---@param to string  replaced when it is there
---@return true? ok, string? message, string? code
function fs.rename(from, to) end

---Copies contents and permissions of a file over `to`. Shares the blocks where the file system can;
---holes stay holes.
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
---@return goro.fs.file? file, string path_or_message, string? code
function fs.mkstemp(template) end

---An open file. May be sent, and used by several goroutines: one operation at a time, in the order
---in which they came. Closed by `<close>`, and when nobody refers to it. After its end every call
---is `nil, "EBADF: …", "EBADF"`; who waited for it at that moment gets `ECANCELED`.
---@class goro.fs.file
local file = {}

---As `file:read` of `io`: "n", "l" (otherwise), "L", "a", or a number of bytes; several give
---several values, until one is nil.
---@param ... string|integer
---@return string|number|nil ..., string? message, string? code
function file:read(...) end

---Writes all of its arguments, at once, and without a buffer in between unless `setvbuf` gives it
---one: many short pieces are better given to one call.
---@param ... string|number
---@return goro.fs.file? self, string? message, string? code
function file:write(...) end

---`for line in file:lines() do`, with the formats of `read`. The file stays open. Errors: the
---message, when reading fails.
---@param ... string|integer
---@return fun(): any
function file:lines(...) end

---As `file:seek` of `io`.
---@param whence? "set"|"cur"|"end"
---@param offset? integer
---@return integer? position, string? message, string? code
function file:seek(whence, offset) end

---As in `io`: `"full"`: writes are gathered up to `size` bytes (8192 when absent), `"line"`: up to
---the end of a line, `"no"`: each goes to the system at once, as at first. Gathered ones go out
---before whatever else is done with the file, at `flush`, at `close`, and at the end of the
---process.
---@param mode "no"|"full"|"line"
---@param size integer?
---@return true?, string? message, string? code
function file:setvbuf(mode, size) end

---What was gathered goes to the system; `sync` has it put on disk.
---@return true?, string? message, string? code
function file:flush() end

---Has all that was written put on disk.
---@return true? ok, string? message, string? code
function file:sync() end

---Makes it so many bytes long.
---@param size integer
---@return true? ok, string? message, string? code
function file:truncate(size) end

---@return goro.fs.stat? stat, string? message, string? code
function file:stat() end

---Closes it, after what others are doing with it; who waits for the other end of a pipe is woken.
---Again: does nothing.
---@return true? ok, string? message, string? code
function file:close() end

---Child processes. `cmd` is a list, whose first word is looked for in the child's `PATH` and which
---no shell sees, or a string for `/bin/sh`. Failures to start are `nil, message, code`, as in
---`nil, "ENOENT: no such file or directory: x", "ENOENT"`.
---@class goro.process
local process = {}

---@class goro.process.options
---@field cwd? string
---Added to the inherited environment; `false` removes a name.
---@field env? table<string, string|number|false>
---@field clear_env? boolean  nothing is inherited
---@field stdout? "capture"|"inherit"|"null"  `capture` otherwise
---@field stderr? "capture"|"inherit"|"null"  `capture` otherwise
---A process group of its own, which cannot use the terminal. The whole group gets the signals that
---are for the child. `false` otherwise; `true` with a `timeout`.
---@field group? boolean

---@class goro.process.run_options: goro.process.options
---@field stdin? string  what it reads; otherwise nothing
---Seconds. Then it is killed with its process group; with `group = false` alone.
---@field timeout? number

---@class goro.process.result
---@field code? integer  nil when a signal ended it
---@field signal? string  as `"TERM"`
---@field stdout? string  when captured
---@field stderr? string  when captured
---@field timed_out? true

---Runs a command to its end, which is that of all who have its pipes; the result says how it ended.
---When the call is given up before (an error, the end of the program) the command is killed, with
---its process group if it has one of its own. One that has a group of its own and is stopped, as
---the kernel does to it when it asks on the terminal, is killed: a failure (`EIO`). Blocks.
---@param cmd (string|number)[]|string
---@param opts? goro.process.run_options
---@return goro.process.result? result, string? message, string? code
function process.run(cmd, opts) end

---@class goro.process.spawn_options: goro.process.options
---@field stdin? "pipe"|"inherit"|"null"  `pipe` otherwise

---Starts a command. It goes on when nobody has its handle any more, and is reaped in any case. With
---`group = true` it is killed when it asks on the terminal.
---@param cmd (string|number)[]|string
---@param opts? goro.process.spawn_options
---@return goro.process.child? child, string? message, string? code
function process.spawn(cmd, opts) end

---A child. May be sent; several may wait. `<close>` closes its pipes, kills it and waits for its
---end.
---@class goro.process.child
---@field pid integer
---@field stdin? goro.net.conn
---@field stdout? goro.net.conn
---@field stderr? goro.net.conn
local child = {}

---Waits for its end. Code, or nil and the name of the signal that ended it. Failures: `ETIMEDOUT`;
---`ECHILD`: the program ignores SIGCHLD, or somebody else took the status; `EIO`: it asked on the
---terminal, and was killed. Blocks.
---@param timeout? number
---@return integer? code, string? signal, string? err
function child:wait(timeout) end

---Sends it, or its process group if it has one of its own, a signal, by name or number, TERM
---otherwise. `ESRCH` when it has ended.
---@param sig? string|integer
---@return true? ok, string? message, string? code
function child:kill(sig) end

---The process's signals, by names without SIG. Unknown ones, and those that nobody can take (KILL,
---STOP, URG, faults), are misuse.
---@class goro.signal
local signal = {}

---A channel of names: each of these signals goes to every channel that wants it, and has no other
---effect from now on. It holds 16; what finds it full is lost to it. What the program had comes
---back when the last channel that wants the signal is stopped, closed, or collected. Failures:
---`EMFILE`, `ENFILE`.
---@param ... string
---@return goro.chan? channel, string? message, string? code
function signal.notify(...) end

---The channel gets no more signals; it stays open.
---@param ch goro.chan
function signal.stop(ch) end

---Nobody gets these signals any more, and they have no effect.
---@param ... string
function signal.ignore(...) end

---TCP, Unix and UDP sockets; `require "goro.net"`, also `goro.net`. Each call blocks its goroutine
---only. What the world refuses is returned as `nil, "CODE: reason: subject", "CODE"` with libuv's
---codes (`ECONNREFUSED`, `ETIMEDOUT`, `EAI_NONAME`, …; `ECANCELED`: it was closed meanwhile,
---`EBADF`: before); misuse is raised. Connections, listeners and UDP sockets are sendable, equal
---wherever they are, closed by `<close>` and when nobody has them any more; several goroutines may
---use one at once.
---@class goro.net
local net = {}

---@alias goro.network "tcp"|"tcp4"|"tcp6"|"unix"|"udp"|"udp4"|"udp6"

---@class goro.dial_options
---@field timeout number?  seconds for all of it, the look-up of the name included

---A connection to `"host:port"` (`"[::1]:80"`; the port may be a service's name; no host: this
---machine) or, for `"unix"`, to a path or an abstract name (`"@name"`). All addresses of a name are
---tried, by turns of IPv6 and IPv4, the next one when the last has refused or not answered for 250
---ms. `"udp"`: see `goro.net.conn:read`.
---@param network goro.network
---@param address string
---@param opts goro.dial_options?
---@return goro.net.conn?, string? message, string? code
function net.dial(network, address, opts) end

---@class goro.listen_options
---@field unlink boolean?  false: a Unix socket's path stays when the listener is closed

---A listener. Port 0 is any that is free (see `addr`); without a host it listens at all interfaces.
---A Unix socket's path is made here and goes when it is closed, unless another file has that name
---by then.
---@param network "tcp"|"tcp4"|"tcp6"|"unix"
---@param address string
---@param opts goro.listen_options?
---@return goro.net.listener?, string? message, string? code
function net.listen(network, address, opts) end

---The addresses of a host, in the order in which they should be tried, each once.
---@param host string
---@param opts goro.dial_options?
---@return string[]?, string? message, string? code
function net.lookup(host, opts) end

---A UDP socket bound to `address`, or to any free port; see `net.dial` for one that talks to one
---peer only.
---@param address string?
---@return goro.net.udp?, string? message, string? code
function net.udp(address) end

---@class goro.net.listener
local listener = {}

---The next connection. When the process has no descriptor left this fails (`EMFILE`), the
---connection stays in the system's queue, and the next `accept` tries again after a pause of 5 ms
---to 1 s.
---@param timeout number?
---@return goro.net.conn?, string? message, string? code
function listener:accept(timeout) end

---Where it listens: `"127.0.0.1:8080"`, `"[::1]:80"`, a path, `"@name"`.
---@return string
function listener:addr() end

---Wakes who waits in `accept`, with `ECANCELED`. The port is free when this returns. Again: does
---nothing.
---@return true
function listener:close() end

---@class goro.net.conn
local conn = {}

---Without `fmt`: what is there, at least a byte. A count: so many bytes, fewer only at the end.
---`"l"`, `"L"`: a line without and with its newline, `"a"`: all to the end. At the end nil (`"a"`:
---the empty string). Of a dialled UDP socket each read is one datagram, without `fmt`. What has
---come when a read fails stays for the next one.
---@param fmt integer|"l"|"L"|"a"|nil
---@param timeout number?  instead of `set_timeout`'s
---@return string?, string? message, string? code
function conn:read(fmt, timeout) end

---Writes all strings and numbers, or fails. Waits while the peer does not read. Those of one call
---stay together; of a dialled UDP socket they are one datagram.
---@param ... string|number
---@return goro.net.conn?, string? message, string? code
function conn:write(...) end

---An iterator over `read(fmt)` (`"l"` when absent) to the end. It raises a failure.
---@param fmt integer|"l"|"L"|"a"|nil
---@return fun(): string?
function conn:lines(fmt) end

---`"full"`: writes are gathered from now on, and go out when there are `size` bytes (8192 when
---absent), at `flush`, `shutdown`, `close`, and whenever a read of this connection is about to
---wait. A failure then is told by the next `write`, `flush`, `setvbuf`, `shutdown` or `close`.
---`"no"`: each write goes out at once, as at first. Not for datagrams.
---@param mode "no"|"full"
---@param size integer?
---@return true?, string? message, string? code
function conn:setvbuf(mode, size) end

---Sends what was gathered (`setvbuf`), waiting while the peer does not read. What a failure by
---`ETIMEDOUT` leaves stays for the next call.
---@return true?, string? message, string? code
function conn:flush() end

---What was gathered goes out; no more will be written: the peer reads its end. Reading goes on.
---@return true?, string? message, string? code
function conn:shutdown() end

---What was gathered (`setvbuf`) goes out first, which waits as `flush` does and may fail, unless
---somebody else is at writing; then all who wait are woken, with `ECANCELED`. Again: does nothing.
---@return true?, string? message, string? code
function conn:close() end

---How long each call that begins from now on may wait; nil: for ever.
---@param seconds number?
function conn:set_timeout(seconds) end

---How long a line may be, in bytes: 16 MB at first. `read` of a longer one fails (`EMSGSIZE`) and
---takes nothing.
---@param bytes integer
function conn:max_line(bytes) end

---Whether TCP sends small packets at once (on at first).
---@param on boolean
---@return true?, string? message, string? code
function conn:nodelay(on) end

---After so many seconds of silence TCP asks whether the peer is still there (15 at first); 0 or
---nil: never.
---@param seconds number?
---@return true?, string? message, string? code
function conn:keepalive(seconds) end

---@return string?, string? message, string? code
function conn:local_addr() end

---@return string?, string? message, string? code
function conn:remote_addr() end

---@class goro.net.udp
local udp = {}

---@param data string
---@param address string
---@return goro.net.udp?, string? message, string? code
function udp:send(data, address) end

---One datagram and who sent it.
---@param timeout number?
---@return string?, string? address_or_message, string? code
function udp:recv(timeout) end

---@return string?, string? message, string? code
function udp:local_addr() end

---Wakes who waits, with `ECANCELED`. Again: does nothing.
---@return true
function udp:close() end

---What goroutines share besides channels. All of it may be sent, arrives as the same object, and is
---equal to itself everywhere. What blocks takes a time limit in seconds (nil or infinity: for ever;
---0 or less: does not wait; NaN is misuse), and returns `true`, or `false, "timeout"`; it may be
---called anywhere, and blocks only the goroutine that calls it. A panic, a deadlock or the end of
---the program raise from such a call, and then nothing has been taken.
---@class goro.sync
local sync = {}

---@return goro.sync.map
function sync.map() end

---@return goro.sync.mutex
function sync.mutex() end

---@return goro.sync.rwmutex
function sync.rwmutex() end

---@param lock goro.sync.mutex|goro.sync.rwmutex  of a rwmutex what its writers lock
---@return goro.sync.cond
function sync.cond(lock) end

---A function that runs once, in the state of the first caller. All callers get what it returned, or
---its error is raised in them (`goro.traceback` tells where it was thrown). A caller that comes
---while it runs waits. The function is copied at once, as by `goro.go`. Its results, or its error,
---are copied once into each state; later calls there give the same values, as long as the state
---holds the once.
---
---Errors: `cannot send …` here for the function, in the call for its results;
---`the function of this once did not return` when it ended by `goexit`.
---@param f fun(): ...
---@return goro.sync.once
function sync.once(f) end

---An object that is called like a function. The same once in every state.
---@class goro.sync.once
---@overload fun(): ...

---@param n integer  how much there is to be acquired
---@return goro.sync.semaphore
function sync.semaphore(n) end

---@param n? integer  0 otherwise
---@return goro.sync.waitgroup
function sync.waitgroup(n) end

---@param v? number|boolean|string  0 otherwise
---@return goro.sync.atomic
function sync.atomic(v) end

---Held by one at a time. It belongs to nobody: anyone may unlock it. A newcomer may take it before
---those who wait; but after a millisecond of waiting it is handed over, in order.
---@class goro.sync.mutex
local mutex = {}

---Blocks while somebody holds it.
---@param timeout? number
---@return boolean locked, "timeout"? why
function mutex:lock(timeout) end

---@return boolean locked
function mutex:try_lock() end

---Errors: misuse when it is not locked.
function mutex:unlock() end

---Calls `f(...)` while it is held and returns what that returns. Unlocks whichever way that ends.
---Blocks like `lock`.
---@generic R
---@param f fun(...): R...
---@param ... any
---@return R...
function mutex:with(f, ...) end

---Locks it for a block: `local _ <close> = m:guard()`. Leaving the block unlocks, if that has not
---been done by hand. Blocks like `lock`.
---@return userdata
function mutex:guard() end

---Held by one writer or any number of readers. A writer that waits keeps new readers out; readers
---that have waited while it was in come before the next writer. `lock`, `try_lock`, `unlock`,
---`with` and `guard` are the writer's.
---@class goro.sync.rwmutex: goro.sync.mutex
local rwmutex = {}

---@param timeout? number
---@return boolean locked, "timeout"? why
function rwmutex:rlock(timeout) end

---@return boolean locked
function rwmutex:try_rlock() end

---Errors: misuse when no reader holds it.
function rwmutex:runlock() end

---@generic R
---@param f fun(...): R...
---@param ... any
---@return R...
function rwmutex:rwith(f, ...) end

---@return userdata
function rwmutex:rguard() end

---A condition that holds or not of what a mutex guards.
---@class goro.sync.cond
local cond = {}

---Unlocks the mutex, waits to be told, and locks it again. The mutex is locked whichever way this
---returns, also with a timeout or an error (except when all are asleep, or the program ends, and
---the mutex is not free). Ask again whether the condition holds.
---
---Errors: misuse when the mutex is not locked.
---@param timeout? number
---@return boolean told, "timeout"? why
function cond:wait(timeout) end

---Wakes the one who has waited longest, if anybody waits. The mutex need not be held.
function cond:signal() end

---Wakes all who wait.
function cond:broadcast() end

---Strictly first come, first served: a large request is not passed over for small ones that would
---fit.
---@class goro.sync.semaphore
local semaphore = {}

---Errors: misuse to ask for more than the semaphore has in all.
---@param k? integer  1 otherwise
---@param timeout? number
---@return boolean acquired, "timeout"? why
function semaphore:acquire(k, timeout) end

---@param k? integer  1 otherwise
---@return boolean acquired
function semaphore:try_acquire(k) end

---Errors: misuse to release more than was acquired.
---@param k? integer  1 otherwise
function semaphore:release(k) end

---@class goro.sync.waitgroup
local waitgroup = {}

---Errors: `negative WaitGroup counter`; then nothing has happened.
---@param n integer
function waitgroup:add(n) end

---`add(-1)`.
function waitgroup:done() end

---Starts `f(...)` as `goro.go` does; it counts until it has ended, in whatever way. Its error is a
---panic.
---@param f fun(...: goro.sendable)
---@param ... goro.sendable
function waitgroup:go(f, ...) end

---Blocks until the counter is zero.
---@param timeout? number
---@return boolean zero, "timeout"? why
function waitgroup:wait(timeout) end

---A number, a boolean or a string, which may turn into one of another type. Each call is one step.
---@class goro.sync.atomic
local atomic = {}

---@return number|boolean|string value
function atomic:load() end

---@param v number|boolean|string
function atomic:store(v) end

---@param v number|boolean|string
---@return number|boolean|string before
function atomic:swap(v) end

---Sets `new` if the value equals `old`, as Lua compares them (NaN equals itself here).
---@param old number|boolean|string
---@param new number|boolean|string
---@return boolean done
function atomic:cas(old, new) end

---Adds as Lua does: integers wrap around, and with a float it becomes one.
---
---Errors: misuse when the value is no number.
---@param n number
---@return number new
function atomic:add(n) end

---@class goro.time
local time = {}

---Seconds since 1970, with fractions, by the clock of the wall, which may be set. Does not block.
---@return number
function time.now() end

---Seconds since some moment, with fractions; never goes back. Does not block.
---@return number
function time.mono() end

---A timer: its channel `c` receives `time.now()` once, `seconds` from now; never early. Infinity:
---never. Does not block.
---
---Errors: misuse when `seconds` is no number, or NaN.
---@param seconds number
---@return goro.time.timer
function time.timer(seconds) end

---A ticker: its channel `c` receives `time.now()` every `seconds`; a slow reader misses ticks. Does
---not block.
---
---Errors: misuse when `seconds` is not positive.
---@param seconds number
---@return goro.time.ticker
function time.ticker(seconds) end

---Starts `f(...)` as a goroutine, `seconds` from now; `f` and the arguments are copied now. The
---timer has no channel. Does not block.
---
---Errors: those of `go`; misuse when `seconds` is no number, or NaN.
---@param seconds number
---@param f fun(...: goro.sendable)
---@param ... goro.sendable
---@return goro.time.timer
function time.after_func(seconds, f, ...) end

---Of `timer` or `after_func`. Leaving the block of `local t <close>` stops it.
---@class goro.time.timer
---@field c? goro.receiver  receives the time once; none of `after_func`
local timer = {}

---Stops it: its value will not be received, or its function not be started. Returns whether it was
---still to come (a value that nobody has received yet is dropped).
---@return boolean
function timer:stop() end

---Sets it to `seconds` from now, whether it was still to come or not. Returns as `stop` does.
---@param seconds number
---@return boolean
function timer:reset(seconds) end

---Leaving the block of `local t <close>` stops it.
---@class goro.time.ticker
---@field c goro.receiver
local ticker = {}

---No tick comes any more; the channel stays open.
function ticker:stop() end

---The next tick comes in `seconds`, and from then on one every `seconds`.
---@param seconds number
function ticker:reset(seconds) end

---Contexts as in Go: a tree of reasons to stop, which functions hand on to what they call.
---@class goro.context.module
local contexts = {}

---The root: never cancelled, without deadline and values.
---@return goro.context
function contexts.background() end

---A child that can be cancelled, and is when its parent is.
---@param parent goro.context
---@return goro.context
function contexts.with_cancel(parent) end

---A child that is cancelled `seconds` from now at the latest.
---@param parent goro.context
---@param seconds number
---@return goro.context
function contexts.with_timeout(parent, seconds) end

---A child that is cancelled at `when`, as `time.now()` counts, at the latest.
---@param parent goro.context
---@param when number
---@return goro.context
function contexts.with_deadline(parent, when) end

---A child that has a copy of `value` under `key`.
---
---Errors: `cannot send …`; misuse when `key` is no string, number or boolean.
---@param parent goro.context
---@param key string|number|boolean
---@param value goro.sendable
---@return goro.context
function contexts.with_value(parent, key, value) end

---The same context in each state that it is sent to. Leaving the block of `local ctx <close>`
---cancels one that can be cancelled.
---@class goro.context
local context = {}

---A channel that is closed at the cancellation.
---@return goro.receiver
function context:done() end

---Cancels it and all its children; has reached them when it returns. Again does nothing.
---
---Errors: misuse for one that was not made by `with_cancel`, `with_timeout`, `with_deadline` and is
---no group's.
---@param cause? goro.sendable  what `cause()` gives afterwards
function context:cancel(cause) end

---Why it was cancelled; nil: it was not.
---@return "canceled"|"deadline exceeded"|nil
function context:err() end

---What `cancel` was given, else the same as `err()`.
---@return any
function context:cause() end

---When it is cancelled at the latest, as `time.now()` counts; nil: at no time.
---@return number?
function context:deadline() end

---The value under `key`, its own or the nearest parent's.
---@param key string|number|boolean
---@return any
function context:value(key) end

return goro
