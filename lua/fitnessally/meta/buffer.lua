---@meta

--| ## buffer
--|
--| A handle to bytes in the core. It belongs to the scope that was innermost when it was made (`fitnessally.scope`, else the request or
--| turn), and goes with it. Sizes are numbers of bytes or texts such as `"64KB"`.

---A new mutable buffer owned by the innermost scope, else by the request or turn. nil, message at a budget. Yields: no. Copies: no.
---@param options? {label?: string, capacity?: integer|string}
---@return fitnessally.buffer? buffer, string? message
function fitnessally.buffer(options) end

---@class fitnessally.buffer A handle to bytes that the core owns; they go when their owner ends or at release.
local buf = {}

---Length in bytes; also #buf. Yields: no. Copies: no.
---@return integer
function buf:len() end
---Adds a string, or the bytes of another buffer. nil, message at a budget; an error when it is sealed. Yields: no. Copies: a string.
---@param data string|fitnessally.buffer
---@return fitnessally.buffer? self, string? message
function buf:append(data) end
---From now on it never changes and may be sent. Yields: no. Copies: no.
---@return fitnessally.buffer self
function buf:seal() end
---Lets the bytes go now (what is on its way into a socket goes when it is sent). Yields: no. Copies: no.
function buf:release() end
---A sealed buffer that shows bytes from..to of a sealed one, counted as string.sub counts. The bytes are shared, stay charged where they
---are and go with the last that shows them. nil, message at a budget; an error when it is not sealed. Yields: no. Copies: no.
---@param from? integer 1 by default
---@param to? integer -1 by default
---@return fitnessally.buffer? slice, string? message
function buf:slice(from, to) end
---Gives it to another owner, which pays for it from now on and takes it along; this handle stays good. nil, message when there is no room,
---or while it is being sent or has slices. Yields: no. Copies: no.
---@param to fitnessally.scope|fitnessally.turn|fitnessally.request
---@return fitnessally.buffer? self, string? message
function buf:transfer(to) end
---The one visible copy into a Lua string, counted; nil, message when the buffer is longer than max. Yields: no. Copies: yes.
---@param options {max: integer|string} bytes, or a size such as "64KB"
---@return string? bytes, string? message
function buf:copy(options) end
---What encoded sound it holds (WAV, MP3, AAC, FLAC, Opus in Ogg) and how long that lasts, from its headers and frames; nil, message when it
---is none of these. mime as for Content-Type; format "wav", "mp3", "aac", "flac", "opus"; samples of each channel. Yields: no. Copies: no.
---@return {format: string, mime: string, sample_rate: integer, channels: integer, samples: integer, duration_ms: number}? sound, string? message
function buf:sound() end
---Decodes JSON straight from the buffer. Yields: no. Copies: yes.
---@return any value, string? message
function buf:json() end
