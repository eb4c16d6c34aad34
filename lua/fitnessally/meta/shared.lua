---@meta

--| ## store
--|
--| What all workers and the generations of scripts that follow share: buffers and numbers by key, in C, without a copy. When a store is full,
--| what was used least recently goes. `local cache = fitnessally.store("answers", { size = "4MB", entries = 1000 })` (by default 1 MB
--| and 1000) opens it, at load or later; it lives as long as a generation has it open, so it outlives a reload. All stores together take at
--| most `store_budget`.

---@class fitnessally.store Buffers and numbers that all workers share.
local store = {}

---Opens a store; by default of 1 MB and 1000 entries. It is made when no generation of scripts has it open. Yields: no. Copies: no.
---@param name string
---@param limits? {size?: string|integer, entries?: integer}
---@return fitnessally.store
function fitnessally.store(name, limits) end

---Puts in a text or a sealed buffer. The buffer goes over: the handle is stale then. (A slice, a body that lies in a file, and one that
---is being sent cannot; they are copied, in C, and stay.) nil, "there is one already" with add; nil, "full" when it would not fit at all;
---nil and a message at a budget. Yields: no. Copies: a text.
---@param key string
---@param value string|fitnessally.buffer
---@param options? {ttl?: string|integer, add?: boolean}
---@return true|nil ok
---@return string|nil problem
function store:put(key, value, options) end

---A buffer of the innermost scope that shows the store's bytes, which stay readable when the entry goes; or the number; or nil.
---Yields: no. Copies: no.
---@param key string
---@return fitnessally.buffer|number|nil
function store:get(key) end

---Adds to a number (by default 1) and gives it; one that is not there begins at 0, and ttl counts from then. Yields: no. Copies: no.
---@param key string
---@param by? number
---@param options? {ttl?: string|integer}
---@return number|nil number
---@return string|nil problem
function store:count(key, by, options) end

---Whether there was one. Yields: no. Copies: no.
---@param key string
---@return boolean
function store:remove(key) end

---entries, bytes, found, missed, evicted, expired, refused. Yields: no. Copies: no.
---@return table<string, integer>
function store:figures() end

--| ## topics
--|
--| What one task says, others hear, on whatever worker.

---A text, a table (as JSON) or a sealed buffer (which stays the script's) for all who listen now: how many. At
---topic_budget whoever has the most waiting loses its oldest message; nil and a problem when that would not make room. Yields: no.
---Copies: a text or table.
---@param topic string
---@param message string|table|fitnessally.buffer
---@return integer|nil listeners
---@return string|nil problem
function fitnessally.publish(topic, message) end

---@class fitnessally.subscription A queue of messages; ends with the scope in which it was made.
local subscription = {}

---A subscription of the innermost scope. queue: how many messages wait for it (16). Yields: no. Copies: no.
---@param topic string
---@param options? {queue?: integer}
---@return fitnessally.subscription|nil subscription
---@return string|nil problem
function fitnessally.subscribe(topic, options) end

---The next message, a buffer of the innermost scope, and how many were dropped before it because the queue was full or topic_budget was reached
---(the oldest go); nil once it is closed. Yields: yes. Copies: no.
---@return fitnessally.buffer|nil message
---@return integer|nil missed
function subscription:receive() end

---for message, missed in subscription:messages() do ... end: until it is closed. Yields: yes, in the loop. Copies: no.
---@return fun(subscription: fitnessally.subscription): fitnessally.buffer|nil, integer|nil
---@return fitnessally.subscription
function subscription:messages() end

---The end; harmless twice. Yields: no. Copies: no.
function subscription:close() end
