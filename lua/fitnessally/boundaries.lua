-- Where a text may be cut without hurting it: after sentences, after clauses, between words; and where not: inside
-- "2.5 kg", "10 - 20" or "e.g. this", after "Dr.", after the number of a list item. Every cut lies behind white
-- space, so that the pieces put together are the text again. Yields: no. Copies: no.

local boundaries = {}

boundaries.WORD, boundaries.CLAUSE, boundaries.SENTENCE = 1, 2, 3

-- How far an opening bracket may keep a full stop from ending a sentence; one that is never closed must not hold the
-- rest.
local LONGEST_BRACKET = 160

local function set(words)
  local members = {}
  for word in words:gmatch("%S+") do
    members[word] = true
  end
  return members
end

-- Written without their last full stop. A sentence never ends at these,
local titles = set "dr mr mrs ms prof st mt e.g i.e vs cf approx ca resp incl"
-- and not at these when a number follows.
local numbered = set "no nr fig p pp vol ch ex sec min max"

-- Marks of other scripts, which need no space behind them.
local foreign_stops = { "。", "！", "？", "।", "۔", "።" }

local closers = { ['"'] = true, ["'"] = true, [")"] = true, ["]"] = true, ["”"] = true, ["’"] = true, ["»"] = true }
local openers = { ['"'] = true, ["'"] = true, ["("] = true, ["["] = true, ["“"] = true, ["‘"] = true, ["«"] = true }

-- A word without closing quotes and brackets at its end, and one without opening ones at its beginning.
local function bare_end(word)
  local last = #word
  while last > 0 do
    local size = closers[word:sub(last, last)] and 1 or closers[word:sub(last - 1, last)] and 2
      or closers[word:sub(last - 2, last)] and 3
    if not size then
      break
    end
    last = last - size
  end
  return word:sub(1, last)
end

local function bare_start(word)
  local first = 1
  while first <= #word do
    local size = openers[word:sub(first, first)] and 1 or openers[word:sub(first, first + 1)] and 2
      or openers[word:sub(first, first + 2)] and 3
    if not size then
      break
    end
    first = first + size
  end
  return word:sub(first)
end

local function ends_with(text, tail)
  return text:sub(-#tail) == tail
end

local function is_dash(word)
  return word == "-" or word == "–" or word == "—"
end

-- Whether the full stop at the end of `word` (given without it) belongs to the word. following: the next word.
local function is_abbreviation(word, following)
  local lower = bare_start(word):lower()
  if titles[lower] then
    return true
  elseif numbered[lower] and following:find("^%d") then
    return true
  elseif word:find("^%u$") then
    return word ~= "I" -- an initial
  end
  return lower:find("^%a%.%a[%a%.]*$") ~= nil and (word:find("%u") ~= nil or not following:find("^%u"))
end

local function is_stop(bare)
  return bare:find("[.!?]$") or ends_with(bare, "…") or ends_with(bare, "؟") or ends_with(bare, "।")
end

-- How good a place between two words is, nil when it is none. opens: whether `word` is the first of its sentence;
-- inside: whether a bracket is open behind it.
local function strength_between(word, following, opens, inside)
  local bare, next_bare = bare_end(word), bare_start(following)
  local stem = bare:match("^(.*)%.$")
  local abbreviated = stem and is_abbreviation(stem, next_bare)
  if is_stop(bare) and not abbreviated then
    if opens and stem and bare_start(stem):find("^%d*%w$") then
      return nil -- "1." or "a." of a list
    elseif next_bare:find("^%l") then
      return boundaries.WORD
    end
    return inside and boundaries.CLAUSE or boundaries.SENTENCE
  end

  local before_mark = bare:match("^(.*)[,;:]$")
  if before_mark then
    local before_stop = before_mark:match("^(.*)%.$")
    return not (before_stop and is_abbreviation(before_stop, next_bare)) and boundaries.CLAUSE or nil
  elseif is_dash(word) then
    return not following:find("^%d") and boundaries.CLAUSE or nil
  elseif abbreviated or bare:find("%d$") or is_dash(following) or (#word == 1 and following:find("^%d")) then
    return nil
  end
  return boundaries.WORD
end

-- Cuts inside a run without white space: behind the full stops of scripts that write none.
local function add_foreign(found, text, first, last)
  local run = text:sub(first, last)
  if not run:find("[\224-\239]") then
    return
  end
  local cuts = {}
  for _, stop in ipairs(foreign_stops) do
    local from = 1
    while true do
      local _, at = run:find(stop, from, true)
      if not at or at == #run then
        break
      end
      cuts[#cuts + 1] = first + at
      from = at + 1
    end
  end
  table.sort(cuts)
  for _, at in ipairs(cuts) do
    found[#found + 1] = { at = at, stop = at, strength = boundaries.SENTENCE }
  end
end

---All places where the text may be cut, in order. stop: the first byte of the white space there; at: the first byte
---behind it.
---@param text string
---@return {stop: integer, at: integer, strength: integer}[]
function boundaries.find(text)
  local found = {}
  local opens, depth, opened = true, 0, 0
  local next_at, next_stop = text:match("^%s*()%S+()")
  while next_at do
    local at, stop = next_at, next_stop
    local word = text:sub(at, stop - 1)
    local space
    space, next_at, next_stop = text:match("^(%s+)()%S+()", stop)
    add_foreign(found, text, at, stop - 1)
    if next_at then
      local _, opening = word:gsub("[%(%[]", "")
      local _, closing = word:gsub("[%)%]]", "")
      if opening > 0 and depth == 0 then
        opened = at
      end
      depth = math.max(0, depth + opening - closing)
      local inside = depth > 0 and stop - opened < LONGEST_BRACKET
      local strength
      if space:find("\n", 1, true) then
        strength = boundaries.SENTENCE
      else
        strength = strength_between(word, text:sub(next_at, next_stop - 1), opens, inside)
      end
      opens = strength == boundaries.SENTENCE
      if opens then
        depth = 0
      end
      if strength then
        found[#found + 1] = { at = next_at, stop = stop, strength = strength }
      end
    end
  end
  return found
end

return boundaries
