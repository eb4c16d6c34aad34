-- Words: how a question falls apart, which words say nothing, and when two forms are the same word.

local words = {}

---A set of the words in a text.
---@param text string
---@return table<string, boolean>
function words.set(text)
  local members = {}
  for word in text:gmatch("%S+") do
    members[word] = true
  end
  return members
end

local empty = words.set [[
  a about after again all also am an and any anything are as at be been before best better but by called can coach could
  correct correctly day describe did do does doing don done each else every explain find for from get getting give
  gives go going good had has have having help home how i if improve in into is it its just kind know learn let
  lets like list look lot make many may me mean might more most much must my name need new now of ok okay on or our
  perform performing please properly right s say shall should show so some someone something start strengthen
  strong stronger such suggest t target targets teach tell than that the their them then there these they thing
  things this those to today train trained training trains try us use used uses using very want was way we well
  were what when where which who why will with without work worked works would yes you your]]
local generic = words.set [[
  drill drills exercise exercises exercising fitness gym move movement movements moves muscle muscles practice
  recommend routine routines session workout workouts equipment gear level]]
-- What a name may have and a question leave out.
local light = words.set "a an and at in of on or the to with"

---Lower-case words of letters and digits; an apostrophe and what follows it are left out ("farmer's" is "farmer").
---@param text string
---@return string[]
function words.split(text)
  local found = {}
  for word in text:lower():gsub("’", "'"):gsub("(%w)'%w+", "%1"):gmatch("[%w\128-\255]+") do
    found[#found + 1] = word
  end
  return found
end

---The word without the ending of its plural.
---@param word string
---@return string
function words.stem(word)
  if #word <= 2 or word:find("[su]s$") or word:find("ceps$") then
    return word
  elseif word:find("[cs]hes$") or word:find("xes$") or word:find("sses$") then
    return word:sub(1, -3)
  elseif word:find("s$") then
    return word:sub(1, -2)
  end
  return word
end

---Whether a word says nothing about what is asked for.
---@param word string
---@return boolean
function words.is_empty(word)
  return empty[word] == true
end

---Whether a word only says that exercises are asked for.
---@param word string
---@return boolean
function words.is_generic(word)
  return generic[word] == true
end

---The stems of a name, without the words that a question may leave out.
---@param name string
---@return string[]
function words.stems(name)
  local stems = {}
  for _, word in ipairs(words.split(name)) do
    if not light[word] then
      stems[#stems + 1] = words.stem(word)
    end
  end
  return stems
end

-- Whether one letter more, less, other, or two swapped make b of a (two such for long words).
local function is_typo(a, b)
  local allowed = (#a < 5 or #b < 5) and 0 or (#a < 8 or #b < 8) and 1 or 2
  if allowed == 0 or math.abs(#a - #b) > allowed then
    return false
  end
  local before, row = {}, {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local older
    older, before, row = before, row, { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], older[j - 2] + 1)
      end
    end
  end
  return row[#b] <= allowed
end

---Whether two stems are the same word, or one is the other with a typing error.
---@param a string
---@param b string
---@return boolean
function words.alike(a, b)
  return a == b or is_typo(a, b)
end

return words
