---@meta

--| ## upstream
--|
--| `upstream.NAME` asks another service; `fitnessally.fetch` asks any address: [upstreams.md](upstreams.md) tells it all.

---@class fitnessally.upstream_request What is asked; of body, json, form and multipart at most one.
---@field path? string behind the upstream's url, percent-encoded; begins with "/"
---@field query? string|table<string, any> percent-encoded, or names and values
---@field headers? table<string, string|string[]>
---@field json? any
---@field body? string|fitnessally.buffer a sealed buffer is sent without a copy
---@field type? string Content-Type of body
---@field form? table<string, any>
---@field multipart? {name: string, text?: string, body?: fitnessally.buffer, filename?: string, type?: string}[]
---@field method? string
---@field timeout? integer|string of the whole, milliseconds or "30s"
---@field first_byte? integer|string
---@field idle? integer|string
---@field max? integer|string bytes of the answer
---@field expect? "2xx"|"any"
---@field idempotent? boolean
---@field retries? integer
---@field format? "sse"|"ndjson"|"raw" of a stream
---@field event_max? integer|string of a stream
---@field status? integer of a pipe
---@field answer_headers? table<string, string> of a pipe

---@class fitnessally.upstream_answer
---@field status integer
---@field headers table<string, string> lower-case names
---@field body fitnessally.buffer sealed
---@field attempts integer

---@class fitnessally.upstream_error
---@field kind "refused"|"dns"|"tls"|"proxy"|"timeout"|"cut"|"too_large"|"protocol"|"status"|"redirect"|"busy"|"breaker"|"guard"|"memory"|"cancelled"
---@field message string
---@field which? "connect"|"first_byte"|"idle"|"total"
---@field status? integer
---@field excerpt? string at most 4 KB
---@field retryable boolean
---@field retry_after? number seconds
---@field attempts integer
---@field begun? boolean of a pipe: the client has been cut

---@class fitnessally.upstream A service that is asked, by the name that the configuration or fitnessally.upstream gave it.
---@field name string
local up = {}

---Sends a request and waits for the whole answer, a buffer. Yields: yes. Copies: texts and json that are sent.
---@param request string|fitnessally.upstream_request a path, or a table
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:get(request) end
---@param request string|fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:head(request) end
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:post(request) end
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:put(request) end
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:patch(request) end
---@param request string|fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:delete(request) end
---Any method: request.method. Yields: yes. Copies: texts and json that are sent.
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:request(request) end
---Sends a request and waits for the head of the answer, which is then taken event by event. Yields: yes. Copies: texts and json that are sent.
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_stream? stream, fitnessally.upstream_error? problem
function up:stream(request) end
---Gives the answer to the client of req at its pace; returns when all is given. Yields: yes. Copies: texts and json that are sent.
---@param req fitnessally.request
---@param request fitnessally.upstream_request
---@return true? given, fitnessally.upstream_error? problem
function up:pipe(req, request) end
---A new pool on this worker; fitnessally.recycle and `fitnessally recycle` do it on all. Yields: no. Copies: no.
function up:recycle() end
---Figures of this worker: requests, bytes, failed, retries, moves (to another address), recycled, running, waiting, sockets, pools, breaker_open. Yields: no. Copies: no.
---@return table<string, any>
function up:stats() end

---@class fitnessally.upstream_stream An answer that is under way; ends with the scope in which it was opened.
---@field status integer
---@field headers table<string, string>
local stream = {}

---The next event (raw: a sealed buffer); nil at the end; nil and the problem when it failed. Yields: yes. Copies: no.
---@return fitnessally.upstream_event|fitnessally.buffer|nil event, fitnessally.upstream_error? problem
function stream:next() end
---For a loop until the end or a failure; then ask problem(). Yields: yes, in the loop. Copies: no.
---@return fun(stream: fitnessally.upstream_stream): fitnessally.upstream_event|fitnessally.buffer|nil
---@return fitnessally.upstream_stream
function stream:each() end
---What it ended with; nil when it ended well, or has not ended. Yields: no. Copies: no.
---@return fitnessally.upstream_error?
function stream:problem() end
---Ends the transfer now. Yields: no. Copies: no.
function stream:close() end

---@class fitnessally.upstream_event Valid until the next one is asked for.
---@field event string "message" when it has no name
---@field id? string
---@field data string a copy, counted
local event = {}

---Decodes the data; nil and a message when it is no JSON. Yields: no. Copies: yes.
---@return any value, string? message
function event:json() end

---@type table<string, fitnessally.upstream?>
upstream = {}

---Asks any address, through the guard: for URLs that come from records or users. Yields: yes. Copies: texts and json that are sent.
---@param request fitnessally.upstream_request|{url: string, stream?: boolean}
---@return fitnessally.upstream_answer|fitnessally.upstream_stream|nil answer, fitnessally.upstream_error? problem
function fitnessally.fetch(request) end

---Defines an upstream, in app.lua while it is loaded; what the configuration says of it goes before. Yields: no. Copies: no.
---@param name string
---@param settings table<string, string|number|boolean> keys of docs/upstreams.md
---@return fitnessally.upstream
function fitnessally.upstream(name, settings) end
