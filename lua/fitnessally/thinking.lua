-- Takes what a language model thinks out of what it says: <think>...</think> and <thinking>...</thinking>, whose marks may come in pieces.
-- Yields: no. Copies: no.

local thinking = {}
thinking.__index = thinking

local OPENING, CLOSING = { "<think>", "<thinking>" }, { "</think>", "</thinking>" }

---A filter for one text.
---@return fitnessally.thinking
function thinking.filter()
  return setmetatable({ rest = "", inside = false, begun = false }, thinking)
end

-- The first of the marks in the text: where it begins and ends.
local function find(text, marks)
  local first, last
  for _, mark in ipairs(marks) do
    local from, to = text:find(mark, 1, true)
    if from and (not first or from < first) then
      first, last = from, to
    end
  end
  return first, last
end

-- How much of the end of the text may be the beginning of a mark.
local function held(text, marks)
  local at = text:match(".*()<")
  local tail = at and text:sub(at) or ""
  for _, mark in ipairs(marks) do
    if #tail > 0 and #tail < #mark and mark:sub(1, #tail) == tail then
      return #tail
    end
  end
  return 0
end

---@class fitnessally.thinking
---What is said in the next piece of the text; white space before the first word is not.
---@param text string
---@return string
function thinking:add(text)
  text = self.rest .. text
  local said = {}
  while true do
    local marks = self.inside and CLOSING or OPENING
    local first, last = find(text, marks)
    local keep = first and 0 or held(text, marks)
    if not self.inside then
      said[#said + 1] = text:sub(1, first and first - 1 or #text - keep)
    end
    if not first then
      self.rest = text:sub(#text - keep + 1)
      break
    end
    self.inside = not self.inside
    text = text:sub(last + 1)
  end
  local out = table.concat(said)
  if not self.begun then
    out = out:gsub("^%s+", "")
    self.begun = out ~= ""
  end
  return out
end

---What was held back, as it could have become a mark.
---@return string
function thinking:finish()
  local rest = self.inside and "" or self.rest
  self.rest = ""
  return rest
end

return thinking
