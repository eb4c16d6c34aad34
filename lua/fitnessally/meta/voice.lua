---@meta

--| ## voice

---@class fitnessally.voice
voice = {}

---Opens a dialogue or its next turn and starts flow(turn, context) as the turn's own task; or joins a double of an earlier question.
---nil, code, message: "unknown_dialogue", "too_many_dialogues", "over_budget". buffers: sealed ones that go over to the turn, so that the
---flow has them when the request has ended; those of a question that joins another stay where they are.
---Yields: yes, when it is at home on another worker. Copies: the text.
---@param req fitnessally.request
---@param question {text: string, dialogueId?: string, flow: fun(turn: fitnessally.turn, context: any): table?, context?: any, buffers?: fitnessally.buffer[]}
---@return {dialogueId: string, joined: boolean}? asked, string? code, string? message
function voice.ask(req, question) end

---Answers the request with the dialogue's event stream (or 204, 404, 429). Yields: yes, when it is at home on another worker. Copies: no.
---@param req fitnessally.request
---@param dialogueId string
---@param options? {follow?: boolean}
function voice.listen(req, dialogueId, options) end

---Ends a dialogue. False when there is no such dialogue. Yields: yes, when it is at home on another worker. Copies: no.
---@param dialogueId string
---@return boolean
function voice.delete(dialogueId) end

---Ends the running turn. nil when there is no such dialogue. Yields: yes, when it is at home on another worker. Copies: no.
---@param dialogueId string
---@param playedMs? number
---@return {dropped: {events: integer, bytes: integer}, heard: {ms: number, text: string}}?
function voice.interrupt(dialogueId, playedMs) end

--| ## turn
--|
--| What a flow gets. It dies with its turn. A flow that returns ends the turn as `completed`, and a table that it returns is added to
--| the `done` event; one that raises an error ends it as `failed`. Only the flow itself may push.

---@class fitnessally.turn A handle: it dies with its turn.
---@field text string the question
---@field dialogueId string
---@field number integer 1 for the first turn
local turn = {}

---What was said before this turn, oldest first. Yields: no. Copies: the texts.
---@return {role: "user"|"assistant", content: string}[]
function turn:history() end
---Adds an event to the stream. Waits while listeners are too far behind; nil, message when there will never be room (larger than the
---dialogue's budget, or no memory). Yields: yes, while listeners are too far behind. Copies: the data.
---@param event string
---@param data table|string a table, or JSON text
---@return boolean? pushed, string? message
function turn:push(event, data) end
---Adds an audioChunk event; it gets its chunkIndex here. audio: a sealed buffer, or nil for a chunk that failed. Waits while
---listeners are too far behind; the buffer is released afterwards. nil, message as for push. Yields: yes, while listeners are too far behind. Copies: no.
---@param audio fitnessally.buffer?
---@param chunk {text: string, isFinal?: boolean, durationMs?: number, fields?: table} fields: further members, such as mime
---@return boolean? pushed, string? message
function turn:audio(audio, chunk) end
---Waits until another audio chunk should be made (`lookahead`). Yields: yes, while enough is ahead. Copies: no.
function turn:room() end
---Adds to what the history keeps of the answer. Yields: no. Copies: the text.
---@param text string
function turn:said(text) end
