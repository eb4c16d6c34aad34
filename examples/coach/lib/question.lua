-- What somebody wants to know.

local vocabulary = require "lib.vocabulary"
local words = require "lib.words"

local question = {}

local MOST_WORDS = 16 -- further ones are not looked at

---@alias coach.aspect "muscles"|"equipment"|"level"|"easier"|"harder"|"next"|"again"|"pick"

---@class coach.question
---@field kind "greeting"|"thanks"|"help"|"about"|"list"|"follow"
---@field text string the sentence that asks
---@field words string[] about: the words that name the exercise
---@field rest string[] about: the same without those that the filter stands for
---@field filter coach.filter list, and about when it says more than a name
---@field aspect? coach.aspect what of it is asked for; nil: how to do it
---@field pick? integer which one of a list; -1: the last
---@field pain boolean whether it speaks of pain or injury

local greetings = words.set "hi hello hey good morning evening afternoon there coach"
local thanks = words.set "thank thanks cheers"
local pains = words.set "pain pains painful hurt hurts hurting injury injured aches"
local pronouns = words.set "it that this one"
local ordinals = { first = 1, second = 2, third = 3, fourth = 4, fifth = 5, last = -1 }

-- Lua patterns over the lower-case sentence.
local aspects = {
  next = {
    "next step", "what'?s next", "^next%p*$", "and then%p*$", "^continue", "^go on", "keep going", "what comes next",
  },
  again = { "say that again", "^again%p*$", "repeat", "once more", "what did you say" },
  easier = { "easier", "too hard", "too difficult", "less difficult" },
  harder = { "harder", "too easy", "more difficult", "more challenging" },
  muscles = {
    "which muscle", "what muscle", "muscles do", "^what do[es]* .* train%p*$", "^what do[es]* .* work%p*$",
    "^what do[es]* .* target%p*$",
  },
  equipment = {
    "what equipment", "which equipment", "what gear", "what do i need", "need any equipment", "what do you need",
  },
  level = {
    "how hard", "how difficult", "what level", "which level", "how easy", "^is .*beginner", "^can beginners",
    "suitable for",
  },
}
local order = { "next", "again", "easier", "harder", "muscles", "equipment", "level" }

-- Words that say which aspect is meant, and so are no part of a name.
local aspect_words = words.set [[
  next step steps easier harder hard difficult easy too challenging less suitable again continue repeat comes one first
  second third fourth fifth last number beginner beginners alternative alternatives version variation other]]
local asking_words = words.set "how tell show teach what which explain describe"

local function any(list, members)
  for _, word in ipairs(list) do
    if members[word] then
      return word
    end
  end
  return nil
end

-- The sentence that asks: the first that looks like it, else the first that says anything.
local function asking(text)
  local first
  for sentence in (text .. "\n"):gsub("%.%s", ".\n"):gsub("%?", "?\n"):gmatch("[^!;\n(]+") do
    local list, says = words.split(sentence), false
    for _, word in ipairs(list) do
      says = says or not (words.is_empty(word) or greetings[word])
    end
    if says and (sentence:find("?", 1, true) or any(list, asking_words)) then
      return sentence
    end
    first = first or (says and sentence)
  end
  return first or text
end

local function aspect_of(lower)
  for _, aspect in ipairs(order) do
    for _, pattern in ipairs(aspects[aspect]) do
      if lower:find(pattern) then
        return aspect
      end
    end
  end
  return nil
end

local function only(list, members)
  for _, word in ipairs(list) do
    if not members[word] then
      return false
    end
  end
  return #list > 0
end

-- The words that carry meaning, the same without those that only name an aspect, and whether exercises in general are
-- meant.
local function weigh(list)
  local content, named, general = {}, {}, false
  for _, word in ipairs(list) do
    if words.is_generic(word) then
      general = true
    elseif not words.is_empty(word) and #content < MOST_WORDS then
      content[#content + 1] = word
      if not aspect_words[word] then
        named[#named + 1] = word
      end
    end
  end
  return content, named, general
end

---@param text string
---@return coach.question
function question.understand(text)
  local sentence = asking(text):match("^%s*(.*%S)") or ""
  local lower = sentence:lower():gsub("without any equipment", "bodyweight"):gsub("without equipment", "bodyweight")
    :gsub("with no equipment", "bodyweight"):gsub("at home", "bodyweight")
  local list = words.split(lower)
  local content, named, general = weigh(list)
  local hurts = any(words.split(text), pains) ~= nil
  local asked = { kind = "help", text = sentence, words = named, rest = {}, filter = {}, pain = hurts }

  if only(list, greetings) then
    asked.kind = "greeting"
    return asked
  elseif any(list, thanks) and #content <= 1 then
    asked.kind = "thanks"
    return asked
  end

  asked.aspect = aspect_of(lower)
  local pick = any(list, ordinals)
  if pick and #named == 0 and not asked.aspect then
    asked.aspect, asked.pick = "pick", ordinals[pick]
  end
  asked.filter, asked.rest = vocabulary.read(asked.aspect and named or content)
  if next(asked.filter) and #asked.rest == 0 then
    asked.kind = "list"
  elseif #named > 0 then
    asked.kind = "about"
  elseif asked.aspect or (not general and #content == 0 and any(list, pronouns)) then
    asked.kind = "follow"
  end
  return asked
end

return question
