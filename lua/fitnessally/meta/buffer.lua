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

--| ### Sound that is still coming
--|
--| `fitnessally.sound_cutter` takes encoded sound as it comes and gives pieces that each play by themselves, so that the first can be heard
--| while the rest is on its way. MP3 and AAC are cut between frames: the pieces in a row are the bytes as they came. WAV, and samples without
--| a header (`pcm_rate`), are cut between samples, and each piece is a WAV. FLAC and Opus in Ogg come as one piece, at the end. Tags behind
--| the sound are left out. A player that decodes MP3 or AAC piece by piece hears a seam, for the frame before is missing: it decodes each
--| together with the piece before, and skips that (`samples` says how much is new; the coach's page does so).
--|
--| ```lua
--| local cutter = fitnessally.sound_cutter { piece_ms = 500 }
--| local piece, sound = cutter:next()
--| while not piece and sound == "more" do
--|   local bytes = stream:next() -- of upstream.NAME:stream { format = "raw" }
--|   if bytes then
--|     cutter:add(bytes)
--|     bytes:release()
--|   end
--|   piece, sound = cutter:next(bytes == nil)
--| end
--| ```

---A cutter for one sound; it belongs to the innermost scope, and goes with its last piece. piece_ms: how long a piece is at least (500; the
---last one is what is left); 0: all is one piece. max: bytes that may wait in it (1 MB). pcm_rate: the bytes have no header and are 16 bit,
---mono, so many samples a second. nil, message at a budget. Yields: no. Copies: no.
---@param options {piece_ms?: number, max?: integer|string, pcm_rate?: integer}
---@return fitnessally.sound_cutter? cutter, string? message
function fitnessally.sound_cutter(options) end

---@class fitnessally.sound_cutter Encoded sound that is still coming; see fitnessally.sound_cutter.
local cutter = {}

---Adds what has come; the buffer stays the caller's. nil, message at a budget; nil, "full" when more than max would wait. Yields: no. Copies: no.
---@param bytes fitnessally.buffer
---@return fitnessally.sound_cutter? self, string? message
function cutter:add(bytes) end
---The next piece, sealed, and what it is, as buf:sound says it; `last` when none follows, and then the cutter is gone. Another piece follows
---each that is not the last. nil, "more": bytes are needed; nil, "end": there is no more; nil, "garbage": it is no sound, or does not go on as
---one; nil, message at a budget. over: no bytes will come any more, so what is there is the last piece. Yields: no. Copies: no.
---@param over? boolean
---@return fitnessally.buffer? piece, {format: string, mime: string, sample_rate: integer, channels: integer, samples: integer, duration_ms: number, last: boolean}|string sound
function cutter:next(over) end
---Ends it before its last piece; what waits in it goes. Yields: no. Copies: no.
function cutter:close() end
