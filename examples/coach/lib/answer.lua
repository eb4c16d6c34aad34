-- The coach's sentences. Everything said about an exercise is in its record, most of it word for word: nothing is
-- made up, and what the records do not say is said to be missing. Plain text, made to be spoken.

local phrases = require "lib.phrases"

local answer = {}

-- An answer stops after the step that reaches this many bytes, and offers the rest.
local LONGEST_STEPS = 1600

answer.greeting = "Hello! Ask me how to do an exercise, or for exercises for a part of your body."
answer.thanks = "You are welcome. Keep it up!"
answer.help = "I can tell you how an exercise is done. Ask for one by its name, such as the plank or the squat, "
  .. "or for a part of your body, such as chest exercises."
answer.lost = "I am not sure which exercise you mean. Please ask with its name."
answer.pain = "I cannot judge pain or injuries: please ask a doctor or a physiotherapist about them. "

---@param found coach.exercise
---@return string
function answer.muscles(found)
  if #found.primary == 0 then
    return ("My records do not say which muscles the %s trains."):format(found.name)
  end
  local text = ("The %s mainly trains the %s"):format(found.name, phrases.join(found.primary))
  if #found.secondary > 0 then
    text = text .. (", with help from the %s"):format(phrases.join(found.secondary))
  end
  return text .. "."
end

---@param found coach.exercise
---@return string
function answer.equipment(found)
  local needed = phrases.equipment(found.equipment)
  if needed then
    return ("For the %s you need %s."):format(found.name, needed)
  elseif found.equipment == "body only" then
    return ("You need no equipment for the %s, only your body."):format(found.name)
  elseif found.equipment == "other" then
    return ("The %s needs some equipment, but my records do not say which."):format(found.name)
  end
  return ("My records do not say whether the %s needs equipment."):format(found.name)
end

---@param found coach.exercise
---@return string
function answer.level(found)
  local level = phrases.level(found.level)
  if not level then
    return ("My records do not say how hard the %s is."):format(found.name)
  end
  return ("The %s is %s."):format(found.name, level)
end

-- What one should know before the steps, in one sentence; "" when the record says nothing.
local function facts(found)
  local level = phrases.level(found.level)
  local trains = #found.primary > 0 and ("It mainly trains the %s"):format(phrases.join(found.primary))
  if trains and level then
    trains = ("%s and is %s"):format(trains, level)
  elseif level then
    trains = "It is " .. level
  end
  local needed = phrases.equipment(found.equipment)
  local need = needed and ("You need %s."):format(needed)
  if found.equipment == "body only" then
    need = "You need no equipment."
  end
  local sentences = {}
  sentences[1] = trains and trains .. "."
  sentences[#sentences + 1] = need or nil
  return table.concat(sentences, " ")
end

---How to do it: what it is good for, then the steps as the record has them.
---@param found coach.exercise
---@param opening? string instead of "Here is how to do the …."
---@return string
function answer.how(found, opening)
  local parts = { opening or ("Here is how to do the %s."):format(found.name) }
  local about = facts(found)
  parts[#parts + 1] = about ~= "" and about or nil
  if #found.steps == 0 then
    parts[#parts + 1] = "My record of it has no instructions."
  end
  local length = 0
  for i, step in ipairs(found.steps) do
    parts[#parts + 1] = step
    length = length + #step
    if length >= LONGEST_STEPS and i < #found.steps then
      parts[#parts + 1] = ("That was step %d of %d; ask for the next step to hear more."):format(i, #found.steps)
      break
    end
  end
  return table.concat(parts, " ")
end

---How to do something that is not quite what was asked for.
---@param found coach.exercise
---@param asked string[]
---@return string
function answer.closest(found, asked)
  local opening = "I found no exact match for %s. The closest is the %s."
  return answer.how(found, opening:format(table.concat(asked, " "), found.name))
end

---Names of others that would fit the question as well.
---@param others coach.exercise[]
---@return string "" when there are none
function answer.others(others)
  local names = {}
  for _, other in ipairs(others) do
    names[#names + 1] = "the " .. other.name
  end
  return #names > 0 and (" I also know %s."):format(phrases.join(names)) or ""
end

---One step, the one after what was said last.
---@param found coach.exercise
---@param last string what the coach said last
---@return string
function answer.next_step(found, last)
  local said, of = last:match("[Ss]tep (%d+) of (%d+)")
  local number = said and tonumber(of) == #found.steps and tonumber(said) + 1 or 1
  if #found.steps == 0 then
    return ("My record of the %s has no instructions."):format(found.name)
  elseif number > #found.steps then
    return ("That was the last step of the %s."):format(found.name)
  end
  return ("Step %d of %d: %s"):format(number, #found.steps, found.steps[number])
end

---An easier or harder exercise for the same muscle.
---@param found coach.exercise the one that is too hard or too easy
---@param other? coach.exercise
---@param way "easier"|"harder"
---@return string
function answer.alternative(found, other, way)
  local muscle = found.primary[1] or "same muscles"
  if not other then
    return ("I found nothing %s than the %s for the %s."):format(way, found.name, muscle)
  end
  return ("For the %s you could try the %s. It is %s."):format(muscle, other.name, phrases.level(other.level))
    .. " Ask me how to do it."
end

local function describe(filter)
  local level = filter.level and filter.level[1] .. " " or ""
  local category = filter.category and filter.category[1] .. " " or ""
  local with = filter.equipment and phrases.equipment(filter.equipment[1])
  local text = level .. category .. "exercises"
  if filter.said then
    text = text .. " for the " .. filter.said
  end
  if filter.equipment then
    text = text .. (with and " with " .. with or " without equipment")
  end
  return text
end

---@param filter coach.filter
---@param found coach.exercise[] those that are named
---@param total integer how many there are
---@return string
function answer.list(filter, found, total)
  local what = describe(filter)
  if #found == 0 then
    return ("I found no %s. Try another part of your body, or ask with fewer conditions."):format(what)
  elseif #found == 1 then
    return ("I found one for you: the %s."):format(found[1].name) .. " Ask me how to do it."
  end
  local names = {}
  for i, one in ipairs(found) do
    names[i] = "the " .. one.name
  end
  local opening = ("I found these %s: "):format(what)
  if total > #found then
    opening = ("Here are %d %s: "):format(#found, what)
  end
  return opening .. phrases.join(names) .. ". Ask me how to do one of them."
end

---@param asked string[]
---@return string
function answer.nothing(asked)
  local what = table.concat(asked, " ")
  what = #what <= 60 and what ~= "" and (" about %s"):format(what) or " about that"
  return ("I found nothing%s in my records. "):format(what)
    .. "You could ask for an exercise by its name, such as the squat, or for a part of your body, such as legs."
end

return answer
