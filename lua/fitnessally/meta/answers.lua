---@meta

--| ## Answers in pieces
--|
--| `local out = req:start { type = "text/csv" }`, then `out:write` as often as needed. The head leaves with the first piece. At most
--| `answer_queue` bytes (256 KB) are on their way to a client; who writes more waits, so a slow client costs time, not memory. One
--| piece larger than that goes alone. The answer ends with `out:finish()`, or **when the handler returns**. When the handler fails, or
--| its declared `length` is not kept, **the connection is cut**: a client never takes half an answer for a whole one. For HEAD, 204 and 304
--| what is written is dropped. When the client leaves, the handler's task is cancelled where it waits.

---@class fitnessally.stream An answer in pieces. It goes with its request.
local out = {}
---Sends a text or a sealed buffer (which may be released at once). Waits while more than answer_queue is on its way to the client.
---nil, "gone" when it is another request's stream and that client has left (a request's own task is cancelled then); nil, message
---without memory, and the connection is cut. An error after the end or beyond the length. Yields: yes, while the queue is full. Copies: a text.
---@param data string|fitnessally.buffer
---@return boolean? written, string? problem
function out:write(data) end
---The end. An error when it is short of its declared length (the connection is cut). nil, "gone" as for write. Yields: no. Copies: no.
---@return boolean? finished, string? problem
function out:finish() end

--| ## Events
--|
--| `local events = req:events { retry = "2s" }` answers with `text/event-stream`; the head leaves at once. While nothing is said, the core
--| sends a comment every `heartbeat` (default `ping_interval`; 0: never). It ends as an answer in pieces does. When the server drains, those in
--| `events:wait` are told and have the last word; then each client gets a `retry` and the end of its stream, and comes again.

---@class fitnessally.events A stream of server-sent events. It goes with its request.
---@field last_id string? what the client had last: its Last-Event-ID
local events = {}
---Sends an event: a text is its data. A table as data becomes JSON; every line of a text is framed. id and event are one line, or it
---is an error. Waits as stream:write does; with wait = false it is nil, "full" instead. nil, "gone" when the client has left or the
---stream was ended by the server; nil, message without memory (the stream goes on). Yields: yes, while the
---queue is full. Copies: the texts.
---@param event string|{event?: string, id?: string|number, data?: string|table, wait?: boolean}
---@return boolean? sent, string? problem
function events:send(event) end
---Waits until the stream ends: "finished" (by another task), "draining" (there is time for a last event), "gone". For a handler whose
---stream others write to. Yields: yes. Copies: no.
---@return "finished"|"draining"|"gone" reason
function events:wait() end
---The end, when all is sent. Harmless twice. Yields: no. Copies: no.
function events:finish() end
