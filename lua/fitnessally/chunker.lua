-- Cuts an answer into the pieces that are spoken one by one. The first is short, so that something is heard soon;
-- later ones are longer, because speech sounds better when a sentence is made whole. table.concat(pieces) is the
-- answer, byte for byte. Yields: no. Copies: no.

local boundaries = require "fitnessally.boundaries"

local chunker = {}

-- Bytes. A first piece of a few words would be over before the second is made.
local defaults = { first = 80, second = 140, later = 220 }
local SHORTEST_FIRST, SHORTEST_CLAUSE, SHORTEST_TAIL = 20, 25, 20

-- The end of the last whole UTF-8 character within `limit` bytes from `first`.
local function hard_end(text, first, limit)
  local last = first + limit - 1
  while last > first and (text:byte(last + 1) or 0) >= 0x80 and text:byte(last + 1) < 0xC0 do
    last = last - 1
  end
  return last
end

-- The end of one piece that begins at `first`: at the earliest sentence end when `soon`, else at the latest, within
-- `limit`. cuts: from boundaries.find; index: the first one behind `first`.
local function piece_end(text, first, cuts, index, limit, soon)
  local sentence, early_clause, late_clause, word
  for i = index, #cuts do
    local cut = cuts[i]
    local length = cut.at - first
    if cut.stop - first > limit then
      break
    end
    if cut.strength == boundaries.SENTENCE and (not soon or length >= SHORTEST_FIRST) then
      sentence = soon and sentence or cut.at
    elseif cut.strength >= boundaries.CLAUSE and length >= SHORTEST_CLAUSE then
      early_clause, late_clause = early_clause or cut.at, cut.at
    end
    word = cut.at
  end
  if late_clause and late_clause - first < limit / 3 and not soon then
    late_clause = nil
  end
  local at = sentence or (soon and early_clause or late_clause) or word
  return at and at - 1 or hard_end(text, first, limit)
end

-- A last piece of a word or two belongs to the one before.
local function join_tail(pieces, limit)
  local count = #pieces
  local tail = pieces[count]
  if count > 2 and #tail < SHORTEST_TAIL and #pieces[count - 1] + #tail <= limit + SHORTEST_TAIL then
    pieces[count - 1] = pieces[count - 1] .. tail
    pieces[count] = nil
  end
end

---The pieces of a text, each with the white space that follows it. limits: the longest first, second and later piece
---in bytes (80, 140, 220).
---@param text string
---@param limits? {first?: integer, second?: integer, later?: integer}
---@return string[]
function chunker.split(text, limits)
  limits = setmetatable(limits or {}, { __index = defaults })
  local cuts = boundaries.find(text)
  local pieces = {}
  local first, index = 1, 1
  while first <= #text do
    local soon = #pieces == 0
    local limit = soon and limits.first or #pieces == 1 and limits.second or limits.later
    local last = #text
    if last - first + 1 > limit then
      last = piece_end(text, first, cuts, index, limit, soon)
    end
    pieces[#pieces + 1] = text:sub(first, last)
    first = last + 1
    while cuts[index] and cuts[index].at <= first do
      index = index + 1
    end
  end
  join_tail(pieces, limits.later)
  return pieces
end

-- ---- a text that is still coming ------------------------------------------------------------------------------------

---@class fitnessally.chunker.stream
local stream = {}
stream.__index = stream

---The same for a text that comes bit by bit. Its pieces may be cut elsewhere than those of the whole text.
---@param limits? {first?: integer, second?: integer, later?: integer}
---@return fitnessally.chunker.stream
function chunker.stream(limits)
  return setmetatable({ limits = setmetatable(limits or {}, { __index = defaults }), pending = "", count = 0 }, stream)
end

-- Cuts that what is still to come cannot change: the word that is being written may go on.
local function certain(cuts, text)
  local blank = text:reverse():find("%s")
  local word = blank and #text - blank + 2 or 1
  local sure = {}
  for _, cut in ipairs(cuts) do
    if cut.at < word or cut.at == cut.stop then
      sure[#sure + 1] = cut
    end
  end
  return sure
end

-- A sentence that is long enough to be spoken as it is; the first one is wanted soon.
local function sentence_end(cuts, limit, soon)
  local shortest = soon and SHORTEST_FIRST or limit / 2
  for _, cut in ipairs(cuts) do
    if cut.strength == boundaries.SENTENCE and cut.at > shortest and cut.stop - 1 <= limit then
      return cut.at - 1
    end
  end
end

-- The end of the next piece, nil while that must wait. Something to say always stays behind, so that the last piece is known as such.
local function next_end(self)
  local soon = self.count == 0
  local limit = soon and self.limits.first or self.count == 1 and self.limits.second or self.limits.later
  local window = self.pending:sub(1, 2 * limit)
  local cuts = boundaries.find(window)
  cuts = #window == #self.pending and certain(cuts, window) or cuts
  local last = sentence_end(cuts, limit, soon)
  if not last and #self.pending > limit + SHORTEST_TAIL then
    last = piece_end(self.pending, 1, cuts, 1, limit, soon)
  end
  return last and self.pending:find("%S", last + 1) and last
end

---Takes more of the text; gives the pieces that are ready.
---@param text string
---@return string[]
function stream:add(text)
  local pieces = {}
  self.pending = self.pending .. text
  local last = next_end(self)
  while last do
    pieces[#pieces + 1] = self.pending:sub(1, last)
    self.pending = self.pending:sub(last + 1)
    self.count = self.count + 1
    last = next_end(self)
  end
  return pieces
end

---The text is over: what is left of it as pieces.
---@return string[]
function stream:finish()
  local limits = self.limits
  local next_limit = self.count == 0 and limits.first or self.count == 1 and limits.second or limits.later
  local second = self.count == 0 and limits.second or limits.later
  local rest = self.pending
  self.pending = ""
  return rest == "" and {} or chunker.split(rest, { first = next_limit, second = second, later = limits.later })
end

return chunker
