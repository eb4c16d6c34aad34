---@meta

--| ## WebSockets
--|
--| `app:websocket("/live/:id", { origins = { "https://a.example" } }, function(ws, req) ... end)`. The options are those of a route (but for
--| bodies: `use`, `name`, `host`, `max_concurrent`, `queue`, `queue_time`; an open connection takes a place) and these:
--|
--| | option | says | default |
--| |---|---|---|
--| | `max_message` | largest message of a client; beyond it the connection is closed with 1009 | `websocket_message`, 1 MB |
--| | `send_queue` | bytes each way that wait: above it `ws:send` waits, and nothing more is read | `websocket_queue`, 256 KB |
--| | `protocols` | sub-protocols that are spoken here, the preferred ones first | none |
--| | `origins` | whose pages may connect, `"*"` for anybody's; a request without `Origin` comes from no page | those of the host that was asked |
--| | `ping`, `pong_timeout` | a client silent for `ping` is pinged (0: never), and cut when nothing has come `pong_timeout` later | 20 s, 10 s |
--| | `close_timeout` | how long closing waits for the other side | 5 s |
--|
--| Middleware runs before the handshake, and may refuse it. A handshake that is none is 426, as is another version; a bad key 400, another's
--| page 403. When the handler returns the connection is closed with 1000, when it fails with 1011, when the server drains with 1001. When
--| the client vanishes the handler is cancelled where it waits. A client's fault closes with 1002, a text that is not UTF-8 with 1007, lack of
--| memory with 1013: always after what came before it has been received, and what was answered to that.

---@class fitnessally.group
local group = {}

---@class fitnessally.websocket_options: fitnessally.route_options What a WebSocket says beside what any route may say, but for bodies.
---@field max_message? integer|string largest message of a client (websocket_message); beyond it it is closed with 1009
---@field send_queue? integer|string bytes each way that wait (websocket_queue)
---@field protocols? string[] sub-protocols that are spoken here, the preferred ones first
---@field origins? string|string[] whose pages may connect: "https://a.example", or "*"; by default those of the host that was asked
---@field ping? integer|string silence after which a client is pinged (websocket_ping); 0: never
---@field pong_timeout? integer|string when nothing comes for so long after that, it is cut (websocket_pong)
---@field close_timeout? integer|string how long closing waits for the client (websocket_close)

---Declares a path that speaks WebSocket. What stands around the route has its say first; then the handshake is checked: 426 when none is asked
---for, or another version; 403 when a page of another origin asks. Afterwards handler(ws, req) runs, as long as it likes; when it returns
---the connection is closed with 1000, when it fails with 1011. Compression is not offered. Yields: no. Copies: no.
---@param pattern string
---@param options fitnessally.websocket_options
---@param handler fun(ws: fitnessally.websocket, req: fitnessally.request)
---@overload fun(self, pattern: string, handler: fun(ws: fitnessally.websocket, req: fitnessally.request))
function group:websocket(pattern, options, handler) end

---@class fitnessally.websocket A WebSocket. It goes with its request.
---@field protocol string? the sub-protocol that was agreed on
local ws = {}
---Waits for the next message. kind: "text" (it is UTF-8) or "binary". The buffer is released when the next message is received, unless it has
---been transferred. At the end nil, "closed" with code and reason (1005: the client gave none), or nil, "gone" when it is another
---request's; a request's own task is cancelled when its client vanishes. An error while another task receives. Yields: yes. Copies: no.
---@return fitnessally.buffer? message, string kind_or_problem, integer? code, string? reason
function ws:receive() end
---for message, kind in ws:messages() do ... end: ws:receive until the end. Yields: yes, in the loop. Copies: no.
---@return fun(): fitnessally.buffer?, string
function ws:messages() end
---Sends one message: a sealed buffer as binary (it may be released at once), a text, or a table: text (a string or a sealed buffer), binary
---(the same) or json (a table, encoded). Waits while more than send_queue is on its way to the client; with wait = false it is nil, "full"
---instead. nil, "closed" when it has been closed; nil, message without memory. An error for a text that is not UTF-8. Yields: yes, while
---the queue is full. Copies: strings and json.
---@param message fitnessally.buffer|string|{text?: string|fitnessally.buffer, binary?: string|fitnessally.buffer, json?: table, wait?: boolean}
---@return boolean? sent, string? problem
function ws:send(message) end
---Closes it, after what has been sent; what has not been received is dropped. Only the first close counts. Yields: no. Copies: no.
---@param code? integer 1000 by default; 1000 to 1003, 1007 to 1014, 3000 to 4999
---@param reason? string at most 123 bytes are sent
function ws:close(code, reason) end
