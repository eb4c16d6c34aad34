-- How well the name of an exercise answers to the words of a question. The plugin has found and ordered the records;
-- this says how sure the coach may be, so that it does not sell the next best thing as what was asked for.

local words = require "lib.words"

local match = {}

local HALF = 0.5

-- "exact": the name is what was asked for; "covered": the name says all that was asked for, and more; "mentioned":
-- the whole name stands in the question; "partial": at least half of the words are there; nil: none of these.
local function grade(asked, name)
  local stems = words.stems(name)
  local together, name_together = table.concat(asked), table.concat(stems)
  if together == name_together then
    return "exact"
  end
  local hits, mentioned = 0, 0
  for _, word in ipairs(asked) do
    for _, stem in ipairs(stems) do
      if words.alike(word, stem) then
        hits = hits + 1
        break
      end
    end
  end
  for _, stem in ipairs(stems) do
    for _, word in ipairs(asked) do
      if stem == word then
        mentioned = mentioned + 1
        break
      end
    end
  end
  if hits == #asked and #asked == #stems then
    return "exact"
  elseif #stems > 0 and mentioned == #stems then
    return "mentioned"
  elseif hits == #asked or (#together > 4 and name_together:find(together, 1, true)) then
    return "covered"
  end
  return hits >= #asked * HALF and "partial" or nil
end

-- The same, those without instructions last.
local function useful_first(list)
  local useful, others = {}, {}
  for _, candidate in ipairs(list) do
    table.insert(#candidate.steps > 0 and useful or others, candidate)
  end
  for _, candidate in ipairs(others) do
    useful[#useful + 1] = candidate
  end
  return useful
end

---How many of the words a name has nothing of.
---@param asked string[]
---@param name string
---@return integer
function match.missing(asked, name)
  local stems, missing = words.stems(name), 0
  for _, word in ipairs(words.stems(table.concat(asked, " "))) do
    local there = false
    for _, stem in ipairs(stems) do
      there = there or words.alike(word, stem)
    end
    missing = missing + (there and 0 or 1)
  end
  return missing
end

---The exercise that was asked for, how sure that is, and others that would answer as well.
---@param asked string[] the words that name it
---@param found coach.exercise[] best first
---@return coach.exercise? best
---@return "exact"|"covered"|"mentioned"|"partial"|nil how
---@return coach.exercise[] others
function match.best(asked, found)
  local stems = words.stems(table.concat(asked, " "))
  local graded = {}
  if #stems > 0 then
    for _, candidate in ipairs(found) do
      local how = grade(stems, candidate.name)
      if how then
        graded[how] = graded[how] or {}
        table.insert(graded[how], candidate)
      end
    end
    for how, list in pairs(graded) do
      graded[how] = useful_first(list)
    end
  end
  for _, how in ipairs { "exact", "mentioned", "covered", "partial" } do
    if graded[how] then
      local others = {}
      for i = 2, how == "covered" and math.min(#graded[how], 4) or 0 do
        others[#others + 1] = graded[how][i]
      end
      return graded[how][1], how, others
    end
  end
  return nil, nil, {}
end

return match
