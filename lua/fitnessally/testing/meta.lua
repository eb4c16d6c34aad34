---@meta

-- What specs have: `local spec = require "fitnessally.testing"`. docs/testing.md is the guide.

---@class fitnessally.testing
local testing = {}

---@class fitnessally.testing.options
---@field app? string folder of the application; default: what the configuration says
---@field config? string a configuration file; default: that of `fitnessally spec`
---@field settings? table<string, any> keys of the configuration, nested or dotted
---@field plugins? string[] short for plugins_enabled
---@field data? string
---@field clock? "fake"|"real" fake (default): time stands still but for app:advance
---@field graces? string how much time may pass before what is there counts as left behind

---Loads an application and starts it, with one worker and without listeners. An error when it cannot be loaded.
---@param options? fitnessally.testing.options|string its folder
---@return fitnessally.testing.App
function testing.app(options) end

---@class fitnessally.testing.event
---@field name string "message" when the event has none
---@field id? string
---@field text string the data as it came
---@field data any the value, when it is JSON, else the text

---The complete events of a text/event-stream.
---@param text string
---@return fitnessally.testing.event[]
function testing.events(text) end

---@param events fitnessally.testing.event[]
---@param name string
---@return fitnessally.testing.event[]
function testing.named(events, name) end

---@param text string
---@return any
function testing.json(text) end

---@class fitnessally.testing.body One of these.
---@field json? any
---@field form? table<string, string>
---@field text? string
---@field body? string
---@field type? string Content-Type of body

---@class fitnessally.testing.Answer
---@field status integer
---@field headers table<string, string> lower-case names
---@field body string
---@field complete boolean false: it was cut
local Answer = {}

---@return any
function Answer:json() end

---@return fitnessally.testing.event[]
function Answer:events() end

---@class fitnessally.testing.App
---@field leaves? string why something may be left behind
local App = {}

---@param method string
---@param target string
---@param body? string|fitnessally.testing.body
---@param headers? table<string, string|string[]>
---@return fitnessally.testing.Answer
function App:request(method, target, body, headers) end

---@param target string
---@param headers? table<string, string|string[]>
---@return fitnessally.testing.Answer
function App:get(target, headers) end
App.head, App.delete, App.options = App.get, App.get, App.get

---@param target string
---@param body? string|fitnessally.testing.body
---@param headers? table<string, string|string[]>
---@return fitnessally.testing.Answer
function App:post(target, body, headers) end
App.put, App.patch = App.post, App.post

---Sends a request and returns when its head is there, or nothing is on its way that could bring it about.
---@param target string
---@param options? {method?: string, body?: string|fitnessally.testing.body, headers?: table<string, string>, stepped?: boolean, remote?: string}
---@return fitnessally.testing.Stream
function App:open(target, options) end

---Takes the place of an upstream; "fetch" of all addresses that are none's.
---@param name string
---@return fitnessally.testing.Upstream
function App:upstream(name) end

---@param duration string "10s"
function App:advance(duration) end

---Until nothing is on its way.
function App:settle() end

---@return number seconds since 1970, by its clock
function App:now() end

---@return string
function App:log() end

---@param name string
---@return string|number|boolean|nil
function App:setting(name) end

---@return table<string, {bytes: integer, count: integer, inFlight: integer}> by kind
function App:ledger() end

---@return integer copies of bytes that scripts have made in this test
---@return integer bytes of all of them
function App:copies() end

---@return string[] what is left behind, after the graces
function App:left() end

---Stops it; an error when something is left behind.
function App:close() end

---@class fitnessally.testing.Stream
local Stream = {}

---@return integer 0 until the head is there
function Stream:status() end

---@return table<string, string>
function Stream:headers() end

---@return string all that has come
function Stream:body() end

---@return fitnessally.testing.event[] all that have come
function Stream:events() end

---@param name string
---@return fitnessally.testing.event[]
function Stream:named(name) end

---@return boolean nothing more comes
function Stream:ended() end

---@return boolean it was not cut
function Stream:complete() end

---Waits for the end.
---@return fitnessally.testing.Answer
function Stream:finish() end

---Of a client opened with `stepped`.
---@param bytes? integer default: all there will be
function Stream:take(bytes) end

---@return integer bytes sent and not taken
function Stream:waiting() end

---@param bytes string after an upgrade
function Stream:feed(bytes) end

---The client leaves.
function Stream:vanish() end

---@class fitnessally.testing.reply : fitnessally.testing.body
---@field status? integer 200
---@field headers? table<string, string>
---@field after? string "10ms", before the head
---@field times? integer 1

---@class fitnessally.testing.piece
---@field after? string
---@field data? string
---@field json? any framed as the data of an event
---@field event? string its name
---@field cut? boolean the connection breaks here

---@class fitnessally.testing.Upstream
---@field requests {method: string, url: string, path: string, headers: table<string, string>, body?: string, parts?: table[]}[] in this test
local Upstream = {}

---@param reply fitnessally.testing.reply
---@return fitnessally.testing.Upstream
function Upstream:reply(reply) end

---@param stream (string|fitnessally.testing.piece)[] and status, headers, type, after, times
---@return fitnessally.testing.Upstream
function Upstream:stream(stream) end

---@param how "refused"|"dns"|"tls"|"timeout"|"silent"
---@param times? integer
---@return fitnessally.testing.Upstream
function Upstream:fail(how, times) end

---@param fn? fun(request: table): table what reply or stream takes
---@return fitnessally.testing.Upstream
function Upstream:answers(fn) end

return testing
