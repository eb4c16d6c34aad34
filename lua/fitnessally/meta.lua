---@meta fitnessally
-- What the core gives to route files, flows and tools, as LuaLS annotations. This file is the contract: docs/lua-api.md is its
-- readable twin. Each function says whether it yields (waits, while others are served) and whether it copies bytes into Lua.

--------------------------------------------------------------------------------------------------------------------------
-- app: routes. Available while app.lua and the files it requires are loaded; declaring a route later is an error.

---@alias fitnessally.handler fun(req: fitnessally.request): any
---@alias fitnessally.middleware fun(req: fitnessally.request, next: fun(req?: fitnessally.request): any): any

---@class fitnessally.group Routes with a prefix, options, a host and middleware in common.
local group = {}

---Declares a route. Patterns: "/records/:id" (one segment), "/files/*rest" (all the rest). The handler gets the request and
---answers it with req:reply, req:fail or voice.listen, now or after waiting. Two routes for the same method, host and pattern are a
---load error that names both places. HEAD is answered by the GET route unless there is a HEAD route. Yields: no. Copies: no.
---Options may stand before the handler; one that is not known, or a value out of range, is a load error.
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:get(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:post(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:put(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:patch(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:delete(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:head(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:options(pattern, options, handler) end

---One route for all methods; HEAD goes with GET. Yields: no. Copies: no.
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:any(pattern, options, handler) end

---One route for several methods. Yields: no. Copies: no.
---@param methods string|string[] "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, methods: string|string[], pattern: string, handler: fitnessally.handler)
function group:route(methods, pattern, options, handler) end

---@class fitnessally.route_options What a route says of its requests; what it does not say, its groups and the configuration do.
---@field max_body? integer|string a longer body is answered 413; at most max_upload
---@field max_json? integer|string a longer body is not decoded by req:json
---@field max_json_depth? integer 1 to 1000
---@field max_concurrent? integer so many requests at once, over all workers, until their answers have left; others wait
---@field queue? integer so many may wait (16); one more is answered 503
---@field queue_time? string the longest wait ("2s"); then the answer is 503
---@field use? fitnessally.middleware|fitnessally.middleware[]|false behind those of its groups; false: none at all
---@field host? string "api.example", or "*.example" for all hosts below example
---@field name? string for app:url_for; not of a group

---Routes with a prefix in common: fn declares them. A group's own routes get its options and middleware. Yields: no. Copies: no.
---@param prefix string "/api"; "" for none
---@param options fitnessally.route_options but for name
---@param fn fun(group: fitnessally.group)
---@overload fun(self, prefix: string, fn: fun(group: fitnessally.group))
function group:group(prefix, options, fn) end

---Routes for one host, or for all below one. Asked before those for every host. Yields: no. Copies: no.
---@param pattern string "api.example", "*.example"
---@param options fitnessally.route_options but for name
---@param fn fun(group: fitnessally.group)
---@overload fun(self, pattern: string, fn: fun(group: fitnessally.group))
function group:host(pattern, options, fn) end

---Middleware for all routes that follow, in this order; after the first route it is a load error. Yields: no. Copies: no.
---@param ... fitnessally.middleware
function group:use(...) end

---Serves the files below `root` at `prefix` ("/media", or "/" for what no route takes), from C, with no byte through Lua.
---Middleware of the app and its groups stands before it. Yields: no. Copies: no.
---`precompressed`: for "a.css" also "a.css.br" and "a.css.gz" are looked for. `dotfiles`: names with a leading dot, too.
---@param prefix string
---@param options {root: string, immutable?: boolean, index?: string, precompressed?: boolean, dotfiles?: boolean, name?: string, host?: string, use?: fitnessally.middleware|fitnessally.middleware[]|false}
function group:static(prefix, options) end

---Declares a path that speaks WebSocket. What stands around the route has its say first; then the handshake is checked: 426 when none is asked
---for, or another version; 403 when a page of another origin asks. Afterwards handler(ws, req) runs, as long as it likes; when it returns
---the connection is closed with 1000, when it fails with 1011. Compression is not offered. Yields: no. Copies: no.
---@param pattern string
---@param options fitnessally.websocket_options
---@param handler fun(ws: fitnessally.websocket, req: fitnessally.request)
---@overload fun(self, pattern: string, handler: fun(ws: fitnessally.websocket, req: fitnessally.request))
function group:websocket(pattern, options, handler) end

---@class fitnessally.websocket_options: fitnessally.route_options What a WebSocket says beside what any route may say, but for bodies.
---@field max_message? integer|string largest message of a client (websocket_message); beyond it it is closed with 1009
---@field send_queue? integer|string bytes each way that wait (websocket_queue)
---@field protocols? string[] sub-protocols that are spoken here, the preferred ones first
---@field origins? string|string[] whose pages may connect: "https://a.example", or "*"; by default those of the host that was asked
---@field ping? integer|string silence after which a client is pinged (websocket_ping); 0: never
---@field pong_timeout? integer|string when nothing comes for so long after that, it is cut (websocket_pong)
---@field close_timeout? integer|string how long closing waits for the client (websocket_close)

---The path of a named route, escaped. An error for a parameter that is missing, not the route's, or cannot be in a path. At any time.
---Yields: no. Copies: the texts.
---@param name string
---@param params? table<string, string|number>
---@param query? table<string, string|number|boolean|(string|number|boolean)[]>
---@return string path
function group:url_for(name, params, query) end

---All routes, in the order of declaration. At any time. Yields: no. Copies: the texts.
---@return {methods: string[], pattern: string, host?: string, name?: string, place: string, limits: table, middleware: string[], plugins: string[], folder?: string}[]
function group:routes() end

---@class fitnessally.app: fitnessally.group
app = {}

---Runs once when the server starts, as a task that belongs to the scripts and may wait; requests are served meanwhile.
---Yields: no. Copies: no.
---@param starter fun()
function app:on_start(starter) end

--------------------------------------------------------------------------------------------------------------------------
-- requests

---@alias fitnessally.headers table<string, string|string[]>

---@class fitnessally.request A handle: it dies with its request; a late use is an error that says so.
---@field method string
---@field path string decoded
---@field id string the request id
---@field trace_id string the W3C trace it belongs to: the client's (`traceparent`), or one that began here
---@field traceparent string what a request to another service bears to belong to the same trace
---@field remote string the client's address
---@field params table<string, string> from the pattern
---@field status? integer what it has been answered with
---@field locals table what middleware wants to tell handlers
---@field body fitnessally.buffer? the request body; nil when there is none
local request = {}

---A request header, or nil. name in lower case. Yields: no. Copies: the value.
---@param name string
---@return string?
function request:header(name) end

---A query parameter, percent-decoded, or nil. Yields: no. Copies: the value.
---@param name string
---@return string?
function request:query(name) end

---The JSON body as a table. nil, a message and a word for it when there is none ("missing"), it is longer than max_json
---("too_large"), malformed, nested too deep, or neither object nor array ("malformed"). Yields: no. Copies: the body, into Lua values.
---@return table? value, string? message, string? problem
function request:json() end

---The fields of an application/x-www-form-urlencoded body: a text for each name, or the list of them when it came several times. nil, a
---message and a word when it is of another type ("unsupported"), above a limit ("too_large") or malformed. Yields: no. Copies: the body.
---@param options? {max?: integer|string, max_fields?: integer, max_name?: integer|string, max_value?: integer|string}
---@return table<string, string|string[]>? fields, string? message, string? problem
function request:form(options) end

---@class fitnessally.multipart_options
---@field max_parts? integer
---@field max_field? integer|string bytes of a part without a file name
---@field max_file? integer|string bytes of a part with one; by default only the body's own limit holds
---@field max_head? integer|string bytes of the headers of a part (8KB)

---@class fitnessally.part
---@field name string
---@field filename? string as the client said: no path to be used; may be empty
---@field type? string Content-Type as sent
---@field charset? string of it
---@field headers table<string, string> names in lower case
---@field body fitnessally.buffer its bytes, a slice of the request body: nothing is copied

---The parts of a multipart/form-data body, in order. nil, a message and a word when it is of another type or encoded ("unsupported"),
---above a limit ("too_large"), malformed, or there is no memory for so many parts ("over_budget"). The buffers belong to the innermost
---scope, or to the request; each keeps the whole body. Yields: no. Copies: names and headers.
---@param options? fitnessally.multipart_options
---@return fitnessally.part[]? parts, string? message, string? problem
function request:multipart(options) end

---Answers. One of json (a table, encoded), text, or body (a sealed buffer, sent without a copy); none for an empty answer. Fails with
---an error when it is answered already. headers: names to values, or to lists of values for a header that comes several times; a
---line break or NUL in one is an error, and so are those that frame the message. Yields: no. Copies: json and text only.
---@param answer {status?: integer, json?: table, text?: string, type?: string, body?: fitnessally.buffer, headers?: fitnessally.headers}
function request:reply(answer) end

---Answers with {"error":{"code","message","requestId"}}. Yields: no. Copies: no.
---@param status integer
---@param code string snake_case
---@param message string a sentence for a person
---@param header? table<string, string> at most one
function request:fail(status, code, message, header) end

---Begins an answer that is given in pieces. The head leaves with the first piece. It ends with out:finish, or when the handler
---returns. When the handler fails the connection is cut: a client never takes half an answer for a whole one. length: the number of
---bytes, kept to or cut. Without one, HTTP/1.1 is chunked (status 200), everything else ends with the connection. Yields: no. Copies: no.
---@param answer? {status?: integer, headers?: fitnessally.headers, type?: string, length?: integer}
---@return fitnessally.stream out
function request:start(answer) end

---Answers with a stream of server-sent events. The head leaves at once. retry: what the client waits before it comes again; heartbeat:
---a comment is sent when nothing else was for so long (default: ping_interval; 0: never). Ends as req:start does. When the server
---drains, streams end by themselves and tell their clients to come again. Yields: no. Copies: no.
---@param options? {retry?: number|string, heartbeat?: number|string, headers?: fitnessally.headers} milliseconds, or "15s"
---@return fitnessally.events events
function request:events(options) end

---Answers with a file from disk, in C: cache, validators, 304, streaming of large ones; 404 when there is none. A text names a file
---below the app's folder. What lies outside of the root, also by a symbolic link, is 404. GET and HEAD only. The handler may return
---at once. Yields: no. Copies: no.
---@param file string|{path: string, root?: string, type?: string, download?: boolean|string, immutable?: boolean} download: save it, under this name
function request:file(file) end

---Whatever answers, the browser saves it under this name (Content-Disposition, RFC 6266). What is unsafe in a name becomes "_". Not
---on errors. Yields: no. Copies: the name.
---@param name string
function request:download(name) end

---Sends the browser elsewhere. status: 301, 302, 303, 307, 308; by default 302, after a POST and the like 303. An address on another
---host is an error unless external = true; one with another scheme than http and https is an error in any case. Yields: no. Copies: no.
---@param location string percent-encoded
---@param status? integer|{status?: integer, external?: boolean}
function request:redirect(location, status) end

---Whatever answers bears this line, too, errors as well. Yields: no. Copies: the texts.
---@param name string
---@param value string
function request:add_header(name, value) end

---Whatever answers bears this instead of its own of that name, errors as well. Yields: no. Copies: the texts.
---@param name string
---@param value string
function request:set_header(name, value) end

---A cookie that the client sent, without its quotes, or nil. Yields: no. Copies: the value.
---@param name string
---@return string?
function request:cookie(name) end

---Sets a cookie with whatever answers; several may be set. An error for what does not belong into one, and for __Host- or __Secure-
---without what they demand. Defaults: path "/", http_only, same_site "Lax", not secure. To remove one: max_age = 0. Yields: no.
---Copies: the texts.
---@param name string
---@param value string|number
---@param options? {path?: string, domain?: string, max_age?: number|string, secure?: boolean, http_only?: boolean, same_site?: "Strict"|"Lax"|"None", partitioned?: boolean} max_age: seconds, or "12h"
function request:set_cookie(name, value, options) end

---Whether what the client has is current (If-None-Match before If-Modified-Since): then it has been answered with 304. Else the
---validators are added to the answer to come. GET and HEAD only. Yields: no. Copies: the texts.
---@param validators {etag?: string, modified?: number} etag: without quotes; modified: seconds since 1970
---@return boolean answered
function request:fresh(validators) end

---@class fitnessally.stream An answer in pieces. It goes with its request.
local stream = {}
---Sends a text or a sealed buffer (which may be released at once). Waits while more than answer_queue is on its way to the client.
---nil, "gone" when it is another request's stream and that client has left (a request's own task is cancelled then); nil, message
---without memory, and the connection is cut. An error after the end or beyond the length. Yields: yes. Copies: a text.
---@param data string|fitnessally.buffer
---@return boolean? written, string? problem
function stream:write(data) end
---The end. An error when it is short of its declared length (the connection is cut). nil, "gone" as for write. Yields: no. Copies: no.
---@return boolean? finished, string? problem
function stream:finish() end

---@class fitnessally.events A stream of server-sent events. It goes with its request.
---@field last_id string? what the client had last: its Last-Event-ID
local events = {}
---Sends an event: a text is its data. A table as data becomes JSON; every line of a text is framed. id and event are one line, or it
---is an error. Waits as stream:write does; with wait = false it is nil, "full" instead. nil, "gone" when the client has left or the
---stream was ended by the server; nil, message without memory (the stream goes on). Yields: yes, but not with wait = false.
---Copies: the texts.
---@param event string|{event?: string, id?: string|number, data?: string|table, wait?: boolean}
---@return boolean? sent, string? problem
function events:send(event) end
---Waits until the stream ends: "finished" (by another task), "draining" (there is time for a last event), "gone". For a handler whose
---stream others write to. Yields: yes. Copies: no.
---@return "finished"|"draining"|"gone" reason
function events:wait() end
---The end, when all is sent. Harmless twice. Yields: no. Copies: no.
function events:finish() end

---@class fitnessally.websocket A WebSocket. It goes with its request.
---@field protocol string? the sub-protocol that was agreed on
local websocket = {}
---Waits for the next message. kind: "text" (it is UTF-8) or "binary". The buffer is released when the next message is received, unless it has
---been transferred. At the end nil, "closed" with code and reason (1005: the client gave none), or nil, "gone" when it is another
---request's; a request's own task is cancelled when its client vanishes. An error while another task receives. Yields: yes. Copies: no.
---@return fitnessally.buffer? message, string kind_or_problem, integer? code, string? reason
function websocket:receive() end
---for message, kind in ws:messages() do ... end: ws:receive until the end. Yields: yes, in the loop. Copies: no.
---@return fun(): fitnessally.buffer?, string
function websocket:messages() end
---Sends one message: a sealed buffer as binary (it may be released at once), a text, or a table: text (a string or a sealed buffer), binary
---(the same) or json (a table, encoded). Waits while more than send_queue is on its way to the client; with wait = false it is nil, "full"
---instead. nil, "closed" when it has been closed; nil, message without memory. An error for a text that is not UTF-8. Yields: yes, but not
---with wait = false. Copies: strings and json only.
---@param message fitnessally.buffer|string|{text?: string|fitnessally.buffer, binary?: string|fitnessally.buffer, json?: table, wait?: boolean}
---@return boolean? sent, string? problem
function websocket:send(message) end
---Closes it, after what has been sent; what has not been received is dropped. Only the first close counts. Yields: no. Copies: the reason.
---@param code? integer 1000 by default; 1000 to 1003, 1007 to 1014, 3000 to 4999
---@param reason? string at most 123 bytes are sent
function websocket:close(code, reason) end

--------------------------------------------------------------------------------------------------------------------------
-- buffers

---@class fitnessally.buffer A handle to bytes that the core owns; they go when their owner ends or at release.
local buffer = {}

---Length in bytes; also #buf. Yields: no. Copies: no.
---@return integer
function buffer:len() end
---Adds a string, or the bytes of another buffer. nil, message at a budget; an error when it is sealed. Yields: no. Copies: core to core.
---@param data string|fitnessally.buffer
---@return fitnessally.buffer? self, string? message
function buffer:append(data) end
---From now on it never changes and may be sent. Yields: no. Copies: no.
---@return fitnessally.buffer self
function buffer:seal() end
---Lets the bytes go now (what is on its way into a socket goes when it is sent). Yields: no. Copies: no.
function buffer:release() end
---A sealed buffer that shows bytes from..to of a sealed one, counted as string.sub counts. The bytes are shared, stay charged where they
---are and go with the last that shows them. nil, message at a budget; an error when it is not sealed. Yields: no. Copies: no.
---@param from? integer 1 by default
---@param to? integer -1 by default
---@return fitnessally.buffer? slice, string? message
function buffer:slice(from, to) end
---Gives it to another owner, which pays for it from now on and takes it along; this handle stays good. nil, message when there is no room,
---or while it is being sent or has slices. Yields: no. Copies: no.
---@param to fitnessally.scope|fitnessally.turn|fitnessally.request
---@return fitnessally.buffer? self, string? message
function buffer:transfer(to) end
---The one visible copy into a Lua string, counted; nil, message when the buffer is longer than max. Yields: no. Copies: yes.
---@param options {max: integer|string} bytes, or a size such as "64KB"
---@return string? bytes, string? message
function buffer:copy(options) end
---What encoded sound it holds (WAV, MP3, AAC, FLAC, Opus in Ogg) and how long that lasts, from its headers and frames; nil, message when it
---is none of these. mime as for Content-Type; format "wav", "mp3", "aac", "flac", "opus"; samples of each channel. Yields: no. Copies: no.
---@return {format: string, mime: string, sample_rate: integer, channels: integer, samples: integer, duration_ms: number}? sound, string? message
function buffer:sound() end
---Decodes JSON straight from the buffer. Yields: no. Copies: into Lua values.
---@return any value, string? message
function buffer:json() end

--------------------------------------------------------------------------------------------------------------------------
-- scopes and tasks. A task that is cancelled from outside is resumed once: its wait raises "cancelled: ..."; when it waits again it is
-- dropped. By then its handles are stale. docs/lua-api.md tells it in full.

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

--------------------------------------------------------------------------------------------------------------------------
-- voice

---@class fitnessally.voice
voice = {}

---Opens a dialogue or its next turn and starts flow(turn, context) as the turn's own task; or joins a double of an earlier question.
---nil, code, message: "unknown_dialogue", "too_many_dialogues", "over_budget". buffers: sealed ones that go over to the turn, so that the
---flow has them when the request has ended; those of a question that joins another stay where they are.
---Yields: when it is at home on another worker. Copies: the text.
---@param req fitnessally.request
---@param question {text: string, dialogueId?: string, flow: fun(turn: fitnessally.turn, context: any): table?, context?: any, buffers?: fitnessally.buffer[]}
---@return {dialogueId: string, joined: boolean}? asked, string? code, string? message
function voice.ask(req, question) end

---Answers the request with the dialogue's event stream (or 204, 404, 429). Yields: when it is at home on another worker. Copies: no.
---@param req fitnessally.request
---@param dialogueId string
---@param options? {follow?: boolean}
function voice.listen(req, dialogueId, options) end

---Ends a dialogue. False when there is no such dialogue. Yields: when it is at home on another worker. Copies: no.
---@param dialogueId string
---@return boolean
function voice.delete(dialogueId) end

---Ends the running turn. nil when there is no such dialogue. Yields: when it is at home on another worker. Copies: no.
---@param dialogueId string
---@param playedMs? number
---@return {dropped: {events: integer, bytes: integer}, heard: {ms: number, text: string}}?
function voice.interrupt(dialogueId, playedMs) end

---@class fitnessally.turn A handle: it dies with its turn. A flow that returns ends it as completed (a returned table's members are
---added to the done event); one that raises an error ends it as failed.
---@field text string the question
---@field dialogueId string
---@field number integer 1 for the first turn
local turn = {}

---What was said before this turn, oldest first. Yields: no. Copies: the texts.
---@return {role: "user"|"assistant", content: string}[]
function turn:history() end
---Adds an event to the stream. Waits while listeners are too far behind; nil, message when there will never be room (larger than the
---dialogue's budget, or no memory). Yields: yes. Copies: the data, encoded.
---@param event string
---@param data table|string a table, or JSON text
---@return boolean? pushed, string? message
function turn:push(event, data) end
---Adds an audioChunk event; it gets its chunkIndex here. audio: a sealed buffer, or nil for a chunk that failed. Waits while
---listeners are too far behind; the buffer is released afterwards. nil, message as for push. Yields: yes. Copies: core to core (base64).
---@param audio fitnessally.buffer?
---@param chunk {text: string, isFinal?: boolean, durationMs?: number, fields?: table} fields: further members, such as mime
---@return boolean? pushed, string? message
function turn:audio(audio, chunk) end
---Waits until another audio chunk should be made (`lookahead`). Yields: yes. Copies: no.
function turn:room() end
---Adds to what the history keeps of the answer. Yields: no. Copies: the text.
---@param text string
function turn:said(text) end

--------------------------------------------------------------------------------------------------------------------------
-- plugins

---plugin.NAME.FUNCTION{arguments} calls a plugin: its Lua half in this task, as any function; its C half on its own thread: that returns the table of its results (texts, numbers, and
---buffers that belong to the calling request or turn), or nil and {code=, message=}. An argument `progress` may be a function(done,
---total). plugin.NAME is nil when no such plugin is loaded. Yields: yes. Copies: arguments and short results only.
---@type table<string, table<string, fun(arguments: table): table?, {code: string, message: string}?>>
plugin = {}

---The functions of the plugin that does `kind`, and its name: the one that settings[kind], or `name`, chooses. X names the plugin KIND-X,
---or X. nil when none is named; nil and a message when there is no such plugin. Yields: no. Copies: no.
---@param kind string "tts", "llm", "stt", or what a manifest says in `provides`
---@param name? string
---@return table<string, function>|nil functions
---@return string|nil name or the message
function fitnessally.service(kind, name) end

---The plugins that are enabled. Yields: no. Copies: the texts.
---@return {name: string, version?: string, provides: string[], priority: number, state: "ready"|"failed", problem?: string}[]
function fitnessally.plugins() end

--------------------------------------------------------------------------------------------------------------------------
-- everything else

---@class fitnessally.json
json = {}
---@param value any
---@return string
function json.encode(value) end
---nil, message when it is malformed.
---@param text string
---@return any value, string? message
function json.decode(text) end
---JSON's null.
json.null = nil
---Stands for an empty array, [] (an empty table is written as {}).
---@type string
json.empty_array = ""

---@class fitnessally.log One line each; never pass secrets, bodies or speech.
log = {}
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
---@type string
fitnessally.version = ""

---@alias fitnessally.format "hex"|"raw"|"base64"|"base64url"

---@class fitnessally.crypto Yields: no. Copies: the texts.
local crypto = {}
fitnessally.crypto = crypto
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.sha256(data, format) end
---@param name "sha256"|"sha384"|"sha512"|"sha1"
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.digest(name, data, format) end
---@param name "sha256"|"sha384"|"sha512"|"sha1"
---@param key string
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.hmac(name, key, data, format) end
---Bytes that nobody can guess, 1 to 1024.
---@param bytes? integer 16
---@param format? fitnessally.format
---@return string
function crypto.random(bytes, format) end
---Whether two texts are the same, in time that tells only their lengths.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end
---@param data string
---@return string
function crypto.base64(data) end
---@param data string
---@return string
function crypto.base64url(data) end
---@param text string
---@return string? data, string? message
function crypto.from_base64(text) end
---@param text string
---@return string? data, string? message
function crypto.from_base64url(text) end
---A public key.
---@param pem string
---@return userdata? key, string? message
function crypto.key(pem) end
---Whether a signature, as in JWT, is right.
---@param algorithm "RS256"|"ES256"
---@param key userdata
---@param data string
---@param signature string
---@return boolean
function crypto.verify(algorithm, key, data, signature) end

---Gives a middleware a name for `fitnessally routes`; it is returned as it is. Yields: no. Copies: no.
---@param name string
---@param fn fitnessally.middleware
---@return fitnessally.middleware
function fitnessally.middleware(name, fn) end
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
---A new mutable buffer owned by the innermost scope, else by the request or turn. nil, message at a budget. Yields: no. Copies: no.
---@param options? {label?: string, capacity?: integer|string}
---@return fitnessally.buffer? buffer, string? message
function fitnessally.buffer(options) end
---Waits. Yields: yes. Copies: no.
---@param milliseconds number
function fitnessally.sleep(milliseconds) end
---Who holds the memory, over all workers, as GET /api/health/memory shows it; the asking request is left out. "report" (the default):
---ledger and process; "analysis": the largest and the oldest owners, and the lines that made most bytes; "tracker": samples, growth
---and alarms; "doctor": what it means, in English. As a table, or ("json") as JSON text, in which empty arrays stay arrays. nil,
---message when there is no memory to say it. Yields: yes. Copies: the answer.
---@param what? "report"|"analysis"|"tracker"|"doctor"
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.memory(what, format) end
---Loads the scripts anew, as `fitnessally reload` does. The request that asks finishes on the scripts it began with. As a table, or
---("json") as JSON text: {ok=true, generation=, previous=, loadMs=, switchMs=, workers=, lateWorkers=}, or {ok=false, generation=,
---error={code=, message=, file?=, line?=, excerpt?=, traceback?=}}, and then nothing has changed. nil, message when nobody could be asked.
---Whoever may call a route with this can hold the processor: let only operators in. Yields: yes. Copies: the answer.
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.reload(format) end
---Which generations of the scripts live, newest first, and what each still has to finish: {serving=, generations={{generation=, serves=,
---workers=, heapBytes=, requests=, turns=, streams=, tasks=, replacedMsAgo?=, left?={"task of …, waits at app.lua:2"}}}, failed?={…}};
---failed: the error of the last reload, when that has failed, and `at`, when, in milliseconds since 1970. nil, message when nobody could
---be asked. Yields: yes. Copies: the answer.
---@param format? "table"|"json"
---@return table|string? answer, string? message
function fitnessally.generations(format) end
---{draining=, uptime_ms=, connections=, dialogues={live,running,resting}, media={files,bytes}, routes={{route, limit, queue, running,
---waiting, admitted, refused, timedOut}}}; routes: those with max_concurrent, over all workers. Yields: no. Copies: no.
---@return table
function fitnessally.status() end
---Milliseconds since 1970. Yields: no. Copies: no.
---@return integer
function fitnessally.now() end

---Loads NAME from the app's folder (a.b is a/b.lua) or from the server's lua folder, once. Text files only. Yields: when the module does. Copies: no.
---@param name string
---@return any
function require(name) end

---@class fitnessally.schedule_options
---@field name? string for the log
---@field each_worker? boolean on every worker, not on one
---@field at_start? boolean a first time at once

---Runs fn(scope) every so often, as a task with a scope of its own. While app.lua is loaded. Yields: no. Copies: no.
---@param interval string|integer "30s", or milliseconds
---@param options fitnessally.schedule_options
---@param fn fun(scope: fitnessally.scope)
---@overload fun(self, interval: string|integer, fn: fun(scope: fitnessally.scope))
function app:every(interval, options, fn) end

---Runs fn(scope) at the times of a crontab entry, in UTC. While app.lua is loaded. Yields: no. Copies: no.
---@param specification string "*/15 6-22 * * mon-fri"
---@param options fitnessally.schedule_options
---@param fn fun(scope: fitnessally.scope)
---@overload fun(self, specification: string, fn: fun(scope: fitnessally.scope))
function app:cron(specification, options, fn) end

---The worker that this state belongs to, from 0.
---@type integer
fitnessally.worker = 0

---@class fitnessally.store Buffers and numbers that all workers share.
local store = {}

---A store; made when no generation of scripts has it open. Yields: no. Copies: no.
---@param name string
---@param limits? {size?: string|integer, entries?: integer}
---@return fitnessally.store
function fitnessally.store(name, limits) end

---Yields: no. Copies: a text; not a buffer, which goes over.
---@param key string
---@param value string|fitnessally.buffer
---@param options? {ttl?: string|integer, add?: boolean}
---@return true|nil ok
---@return string|nil problem
function store:put(key, value, options) end

---Yields: no. Copies: no.
---@param key string
---@return fitnessally.buffer|number|nil
function store:get(key) end

---Yields: no. Copies: no.
---@param key string
---@param by? number
---@param options? {ttl?: string|integer}
---@return number|nil number
---@return string|nil problem
function store:count(key, by, options) end

---Yields: no. Copies: no.
---@param key string
---@return boolean
function store:remove(key) end

---Yields: no. Copies: no.
---@return table<string, integer>
function store:figures() end

---Tells all who listen to a topic. Yields: no. Copies: a text.
---@param topic string
---@param message string|table|fitnessally.buffer
---@return integer|nil listeners
---@return string|nil problem
function fitnessally.publish(topic, message) end

---@class fitnessally.subscription A queue of messages; ends with the scope in which it was made.
local subscription = {}

---Yields: no. Copies: no.
---@param topic string
---@param options? {queue?: integer}
---@return fitnessally.subscription|nil subscription
---@return string|nil problem
function fitnessally.subscribe(topic, options) end

---The next message, and how many were dropped before it; nil once it is closed. Yields: yes. Copies: no.
---@return fitnessally.buffer|nil message
---@return integer|nil missed
function subscription:receive() end

---For a loop until it is closed. Yields: yes. Copies: no.
---@return fun(subscription: fitnessally.subscription): fitnessally.buffer|nil, integer|nil
---@return fitnessally.subscription
function subscription:messages() end

---Yields: no. Copies: no.
function subscription:close() end

--------------------------------------------------------------------------------------------------------------------------
-- upstreams: docs/upstreams.md tells it in full

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
---@field kind "refused"|"dns"|"tls"|"timeout"|"cut"|"too_large"|"protocol"|"status"|"redirect"|"busy"|"breaker"|"guard"|"memory"|"cancelled"
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

---Sends a request and waits for the whole answer. Yields: yes. Copies: no.
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
---Any method: request.method. Yields: yes. Copies: no.
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_answer? answer, fitnessally.upstream_error? problem
function up:request(request) end
---Sends a request and waits for the head of the answer, which is then taken event by event. Yields: yes. Copies: no.
---@param request fitnessally.upstream_request
---@return fitnessally.upstream_stream? stream, fitnessally.upstream_error? problem
function up:stream(request) end
---Gives the answer to the client of req at its pace; returns when all is given. Yields: yes. Copies: no.
---@param req fitnessally.request
---@param request fitnessally.upstream_request
---@return true? given, fitnessally.upstream_error? problem
function up:pipe(req, request) end
---A new pool on this worker; `fitnessally recycle` does it on all. Yields: no. Copies: no.
function up:recycle() end
---Figures of this worker: requests, bytes, failed, retries, recycled, running, waiting, sockets, pools, breaker_open. Yields: no.
---@return table<string, any>
function up:stats() end

---@class fitnessally.upstream_stream An answer that is under way; ends with the scope in which it was opened.
---@field status integer
---@field headers table<string, string>
local reading = {}

---The next event (raw: a sealed buffer); nil at the end; nil and the problem when it failed. Yields: yes. Copies: no.
---@return fitnessally.upstream_event|fitnessally.buffer|nil event, fitnessally.upstream_error? problem
function reading:next() end
---For a loop until the end or a failure; then ask problem(). Yields: yes. Copies: no.
---@return fun(stream: fitnessally.upstream_stream): fitnessally.upstream_event|fitnessally.buffer|nil
---@return fitnessally.upstream_stream
function reading:each() end
---What it ended with; nil when it ended well, or has not ended. Yields: no. Copies: no.
---@return fitnessally.upstream_error?
function reading:problem() end
---Ends the transfer now. Yields: no. Copies: no.
function reading:close() end

---@class fitnessally.upstream_event Valid until the next one is asked for.
---@field event string "message" when it has no name
---@field id? string
---@field data string a copy, counted
local event = {}

---Decodes the data; nil and a message when it is no JSON. Yields: no. Copies: into Lua values.
---@return any value, string? message
function event:json() end

---@type table<string, fitnessally.upstream?>
upstream = {}

---Asks any address, through the guard: for URLs that come from records or users. Yields: yes. Copies: no.
---@param request fitnessally.upstream_request|{url: string, stream?: boolean}
---@return fitnessally.upstream_answer|fitnessally.upstream_stream|nil answer, fitnessally.upstream_error? problem
function fitnessally.fetch(request) end

---Defines an upstream, in app.lua while it is loaded; what the configuration says of it goes before. Yields: no. Copies: no.
---@param name string
---@param settings table<string, string|number|boolean> keys of docs/upstreams.md
---@return fitnessally.upstream
function fitnessally.upstream(name, settings) end
