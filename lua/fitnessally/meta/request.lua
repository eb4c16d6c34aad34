---@meta

--| ## request
--|
--| A handle that dies with its request. A later use is an error that says so. What middleware adds to an answer is there on errors, too.
--|
--| `headers` of any answer are names to values, or to lists of values: `{ Vary = { "Accept", "Origin" } }`. A line break or a NUL in
--| one is an error, and so are those that frame the message (`Content-Length`, `Transfer-Encoding`, `Connection`).

---@alias fitnessally.headers table<string, string|string[]>

---@class fitnessally.request A handle: it dies with its request; a late use is an error that says so.
---@field method string "GET"
---@field path string decoded
---@field id string the request id
---@field trace_id string the W3C trace it belongs to: the client's (`traceparent`), or one that began here
---@field traceparent string what a request to another service bears to belong to the same trace
---@field remote string the client's address
---@field params table<string, string> from the pattern
---@field status? integer what it has been answered with; nil before
---@field locals table what middleware wants to tell handlers
---@field body fitnessally.buffer? the request body; nil when there is none
local req = {}

---A request header, or nil. name in lower case. Yields: no. Copies: no.
---@param name string
---@return string?
function req:header(name) end

---A query parameter, percent-decoded, or nil. Yields: no. Copies: no.
---@param name string
---@return string?
function req:query(name) end

---The JSON body as a table. nil, a message and a word for it when there is none ("missing"), it is longer than max_json
---("too_large"), malformed, nested too deep, or neither object nor array ("malformed"). Yields: no. Copies: the body.
---@return table? value, string? message, string? problem
function req:json() end

---The fields of an application/x-www-form-urlencoded body: a text for each name, or the list of them when it came several times. nil, a
---message and a word when it is of another type ("unsupported"), above a limit ("too_large") or malformed. Yields: no. Copies: the body.
---@param options? {max?: integer|string, max_fields?: integer, max_name?: integer|string, max_value?: integer|string}
---@return table<string, string|string[]>? fields, string? message, string? problem
function req:form(options) end

---@class fitnessally.multipart_options
---@field max_parts? integer how many
---@field max_field? integer|string bytes of a part without a file name
---@field max_file? integer|string bytes of a part with one; by default only the body's own limit holds
---@field max_head? integer|string bytes of the headers of a part (8KB)

---@class fitnessally.part
---@field name string of the field
---@field filename? string as the client said: no path to be used; may be empty
---@field type? string Content-Type as sent
---@field charset? string of it
---@field headers table<string, string> names in lower case
---@field body fitnessally.buffer its bytes, a slice of the request body: nothing is copied

---The parts of a multipart/form-data body, in order. nil, a message and a word when it is of another type or encoded ("unsupported"),
---above a limit ("too_large"), malformed, or there is no memory for so many parts ("over_budget"). The buffers belong to the innermost
---scope, or to the request; each keeps the whole body. Yields: no. Copies: no.
---@param options? fitnessally.multipart_options
---@return fitnessally.part[]? parts, string? message, string? problem
function req:multipart(options) end

---Answers with one of json (a table, encoded), text, or body (a sealed buffer, sent without a copy); or with nothing. The status is 200,
---or 204 without a body. Fails with an error when it is answered already, and in dev mode when it has a field of another name. headers: names to values, or to lists of values for a header that comes several times; a
---line break or NUL in one is an error, and so are those that frame the message. Yields: no. Copies: json and text.
---@param answer {status?: integer, json?: table, text?: string, type?: string, body?: fitnessally.buffer, headers?: fitnessally.headers}
function req:reply(answer) end

---Answers with {"error":{"code","message","requestId"}}. Yields: no. Copies: no.
---@param status integer
---@param code string snake_case
---@param message string a sentence for a person
---@param header? table<string, string> at most one
function req:fail(status, code, message, header) end

---Begins an answer that is given in pieces. The head leaves with the first piece. It ends with out:finish, or when the handler
---returns. When the handler fails the connection is cut: a client never takes half an answer for a whole one. length: the number of
---bytes, kept to or cut. Without one, HTTP/1.1 is chunked (status 200), everything else ends with the connection. Yields: no. Copies: no.
---@param answer? {status?: integer, headers?: fitnessally.headers, type?: string, length?: integer}
---@return fitnessally.stream out
function req:start(answer) end

---Answers with a stream of server-sent events. The head leaves at once. retry: what the client waits before it comes again; heartbeat:
---a comment is sent when nothing else was for so long (default: ping_interval; 0: never). Ends as req:start does. When the server
---drains, streams end by themselves and tell their clients to come again. Yields: no. Copies: no.
---@param options? {retry?: number|string, heartbeat?: number|string, headers?: fitnessally.headers} milliseconds, or "15s"
---@return fitnessally.events events
function req:events(options) end

---Answers with a file from disk, in C: cache, validators, 304, streaming of large ones; 404 when there is none. A text names a file
---below the app's folder. What lies outside of the root, also by a symbolic link, is 404. GET and HEAD only. The handler may return
---at once. Yields: no. Copies: no.
---@param file string|{path: string, root?: string, type?: string, download?: boolean|string, immutable?: boolean} download: save it, under this name
function req:file(file) end

---Whatever answers, the browser saves it under this name (Content-Disposition, RFC 6266). What is unsafe in a name becomes "_". Not
---on errors. Yields: no. Copies: no.
---@param name string
function req:download(name) end

---Sends the browser elsewhere. status: 301, 302, 303, 307, 308; by default 302, after a POST and the like 303. An address on another
---host is an error unless external = true; one with another scheme than http and https is an error in any case. Yields: no. Copies: no.
---@param location string percent-encoded
---@param status? integer|{status?: integer, external?: boolean}
function req:redirect(location, status) end

---Whatever answers bears this line, too, errors as well. Yields: no. Copies: no.
---@param name string
---@param value string
function req:add_header(name, value) end

---Whatever answers bears this instead of its own of that name, errors as well. Yields: no. Copies: no.
---@param name string
---@param value string
function req:set_header(name, value) end

---A cookie that the client sent, without its quotes, or nil. Yields: no. Copies: no.
---@param name string
---@return string?
function req:cookie(name) end

---Sets a cookie with whatever answers; several may be set. An error for what does not belong into one, and for __Host- or __Secure-
---without what they demand. Defaults: path "/", http_only, same_site "Lax", not secure. To remove one: max_age = 0. Yields: no.
---Copies: no.
---@param name string
---@param value string|number
---@param options? {path?: string, domain?: string, max_age?: number|string, secure?: boolean, http_only?: boolean, same_site?: "Strict"|"Lax"|"None", partitioned?: boolean} max_age: seconds, or "12h"
function req:set_cookie(name, value, options) end

---Whether what the client has is current (If-None-Match before If-Modified-Since): then it has been answered with 304. Else the
---validators are added to the answer to come. GET and HEAD only. Yields: no. Copies: no.
---@param validators {etag?: string, modified?: number} etag: without quotes; modified: seconds since 1970
---@return boolean answered
function req:fresh(validators) end
