---@meta

--| ## The rest

---@class fitnessally.json
json = {}
---JSON text; an error for what cannot be JSON. Keys 1 to n are an array, an empty table is {} (json.empty_array: []); whole numbers up to 2^53
---are written as they are, others to 15 digits. Yields: no. Copies: yes.
---@param value any
---@return string
function json.encode(value) end
---The value; nil and a message when it is malformed. Yields: no. Copies: yes.
---@param text string
---@return any value, string? message
function json.decode(text) end
---JSON's null.
---@type userdata
json.null = nil
---What stands for an empty array, [] (an empty table is written as {}).
---@type string
json.empty_array = ""

---@class fitnessally.log
log = {}
---One line in the log. Never secrets, bodies or speech. Yields: no. Copies: no.
---@param message string
function log.debug(message) end
---@param message string
function log.info(message) end
---@param message string
function log.warn(message) end
---@param message string
function log.error(message) end

---The configuration, read-only: texts, numbers, booleans; sizes in bytes and durations in milliseconds.
---@type table<string, any>
settings = {}

---@class fitnessally
fitnessally = {}
---The version.
---@type string
fitnessally.version = ""

---The worker that this state belongs to, from 0.
---@type integer
fitnessally.worker = 0

---Waits. Yields: yes. Copies: no.
---@param duration number|string milliseconds, or "2s"
function fitnessally.sleep(duration) end
---Who holds the memory, over all workers, as GET /api/health/memory shows it; the asking request is left out. "report" (the default):
---ledger and process; "analysis": the largest and the oldest owners, and the lines that made most bytes; "tracker": samples, growth
---and alarms; "doctor": what it means, in English. As a table, or ("json") as JSON text, in which empty arrays stay arrays. nil,
---message when there is no memory to say it. Yields: yes. Copies: the answer.
---@param what? "report"|"analysis"|"tracker"|"doctor"
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.memory(what, format) end
---Loads the scripts anew, as `fitnessally reload` does. The request that asks finishes on the scripts it began with. As a table, or
---("json") as JSON text: {ok=true, generation=, previous=, loadMs=, switchMs=, specsMs?=, workers=, lateWorkers=}, or {ok=false, generation=,
---error={code=, message=, file?=, line?=, excerpt?=, traceback?=}}, and then nothing has changed. nil, message when nobody could be asked.
---Whoever may call a route with this can hold the processor: let only operators in. Yields: yes. Copies: the answer.
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.reload(format) end
---Which generations of the scripts live, newest first, and what each still has to finish: {serving=, generations={{generation=, serves=,
---workers=, heapBytes=, requests=, turns=, streams=, tasks=, replacedMsAgo?=, left?={"task of …, waits at app.lua:2"}}}, failed?={…},
---loaded?={loadMs=, switchMs=, lateWorkers=, at=}}; how the last reload went, if there was one: failed is its error, and `at`, when, in
---milliseconds since 1970. nil, message when nobody could be asked. Yields: yes. Copies: the answer.
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.generations(format) end
---Fresh pools for the upstream of that name on every worker, as `fitnessally recycle NAME` does; transfers that are under way finish on
---the old ones. As a table, or ("json") as JSON text: {ok=true, workers=, of=}, or {ok=false, error=} when there is no such upstream.
---nil, message when nobody could be asked. Yields: yes. Copies: the answer.
---@param name string
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.recycle(name, format) end
---{draining=, uptime_ms=, connections=, websockets={open,total}, access_log={dropped,heldBack}, dialogues={live,running,resting},
---media={files,bytes}, routes={{route, limit, queue, running, waiting, admitted, refused, timedOut}}}; access_log: lines that found no
---room, and those above its rate; nil when there is none; routes: those with max_concurrent, over all workers. Yields: no. Copies: no.
---@return table
function fitnessally.status() end
---Milliseconds since 1970. Yields: no. Copies: no.
---@return integer
function fitnessally.now() end

---Loads NAME from the app's folder (a.b is a/b.lua) or from the server's lua folder, once. Text files only. [limits.md](limits.md) tells of globals and trusted
---modules. Yields: as the module does. Copies: no.
---@param name string
---@return any
function require(name) end

--| ## Tools
--|
--| A file in `lua/fitnessally/tools` is run by a command of the same name as one task, with `arg` (the words of the command line),
--| `out(text)` and `err(text)` (the two standard streams) and `tty` (whether the error stream is a terminal). It returns the exit
--| status.
