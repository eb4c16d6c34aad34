-- Small pieces of English.

local phrases = {}

---"a, b and c".
---@param list string[]
---@param last? string instead of "and"
---@return string
function phrases.join(list, last)
  if #list < 2 then
    return list[1] or ""
  end
  return table.concat(list, ", ", 1, #list - 1) .. " " .. (last or "and") .. " " .. list[#list]
end

---The word with "a" or "an".
---@param word string
---@return string
function phrases.a(word)
  return (word:find("^[aeiouAEIOU]") and "an " or "a ") .. word
end

local equipment = {
  ["barbell"] = "a barbell", ["dumbbell"] = "dumbbells", ["kettlebells"] = "kettlebells", ["machine"] = "a machine",
  ["cable"] = "a cable machine", ["bands"] = "bands", ["medicine ball"] = "a medicine ball",
  ["exercise ball"] = "an exercise ball", ["e-z curl bar"] = "an E-Z curl bar", ["foam roll"] = "a foam roller",
}

---What one needs for an exercise, as a phrase; nil when the record does not say it.
---@param name? string
---@return string?
function phrases.equipment(name)
  return name and equipment[name]
end

local levels = {
  beginner = "easy enough for beginners", intermediate = "for people with some experience", expert = "for experts",
}

---Whom an exercise is for; nil when the record does not say it.
---@param level? string
---@return string?
function phrases.level(level)
  return level and levels[level]
end

return phrases
