---@meta

--| ## Scopes and tasks
--|
--| `fitnessally.scope(name, {budget=, deadline=}, fn, …)` runs `fn(scope, …)` and returns what it returns. What is made meanwhile belongs to
--| the scope and ends with it: when `fn` returns, raises (the error goes on, with its traceback), or is cut off while it waits. `budget` is
--| memory for all of it. After `deadline` (milliseconds or `"5s"`) the scope ends, and the wait that `fn` is in raises
--| `cancelled: scope 'name' ended (its deadline has passed)`. Scopes nest, 32 of them in one task. A scope that a coroutine of the script
--| has open is only for what that coroutine makes.
--|
--| What a child makes belongs to the scope that it was spawned in, so results of `all` and `race` are good after them. Only a turn's own flow
--| can push to it, its children cannot.
--|
--| **What becomes of a task whose end comes from outside** (its request's client vanished, its turn was interrupted, its scope ended, it was
--| cancelled):
--|
--| 1. Its handles go stale and its memory is freed at once, by the core, whatever the script does.
--| 2. If it was waiting, it is resumed once, a little later and never inside another task: its wait raises `cancelled: …` with the reason.
--|    `pcall`, `with` and `scope` around it do what they are for. What it does with a stale handle is an error, and it can make nothing new.
--| 3. When it waits again, it is dropped without a word.
--|
--| A task that has not begun, the tasks of a server that stops, and coroutines that a script made and left never run again. They leak
--| nothing: what they had belongs to a scope. When only a scope inside of a task has ended (its deadline), the task goes on outside of it; one
--| that catches the error and waits again inside fails.
--|
--| The Lua heap of a state is limited (`script_heap`). The request or turn that asks for more gets the Lua error `not enough memory`; if it
--| does not catch it, it is answered 500, and the others go on.

---Runs fn(scope, ...) in a scope of its own and returns what it returns. All that is made meanwhile (buffers, tasks, scopes) ends when fn
---returns or raises; the error goes on. budget: memory for all of it; deadline: then the scope ends, and the wait in fn raises. Yields: as
---fn does. Copies: no.
---@param name string for stories and reports
---@param options? {budget?: integer|string, deadline?: number|string}
---@param fn fun(scope: fitnessally.scope, ...): ...
---@return any ...
function fitnessally.scope(name, options, fn, ...) end
---Runs fn(thing, ...) and returns what it returns; then the buffer is released or the task cancelled, also after an error. Yields: as fn
---does. Copies: no.
---@param thing fitnessally.buffer|fitnessally.task
---@param fn fun(thing, ...): ...
---@return any ...
function fitnessally.with(thing, fn, ...) end
---Starts fn(...) as a task that belongs to the innermost scope; it begins when this one waits. An error at max_tasks. Yields: no.
---Copies: no.
---@param fn fun(...): ...
---@return fitnessally.task
function fitnessally.spawn(fn, ...) end
---Runs all functions at once and returns the first result of each, in order. The first error cancels the rest and is raised. Yields: yes.
---Copies: no.
---@param functions fun()[] at most 256
---@return any ...
function fitnessally.all(functions) end
---Runs all functions at once; the first to end wins: returns its results or raises its error, and the rest are cancelled. Yields: yes.
---Copies: no.
---@param functions fun()[] 1 to 256
---@return any ...
function fitnessally.race(functions) end

---@class fitnessally.scope A handle; it dies when the function that it was given to returns.
local scope = {}

---A new mutable buffer owned by this scope. nil, message at a budget. Yields: no. Copies: no.
---@param options? {label?: string, capacity?: integer|string}
---@return fitnessally.buffer? buffer, string? message
function scope:buffer(options) end

---@class fitnessally.task A function that runs beside the one that spawned it.
local task = {}

---Waits for its end. Returns its results, or raises its error, or "cancelled: ...". Yields: yes. Copies: no.
---@return any ...
function task:join() end
---Ends it. False when it had ended already. Yields: no. Copies: no.
---@param reason? string
---@return boolean
function task:cancel(reason) end
---nil while it runs, true when it has returned, false when it has failed or was cancelled. Yields: no. Copies: no.
---@return boolean?
function task:ended() end
