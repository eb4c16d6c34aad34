-- From a question and what was said before to an answer. It finds everything through the function `search` that it is
-- given, so it can be tried without a server.

local answer = require "lib.answer"
local match = require "lib.match"
local question = require "lib.question"

local coach = {}

-- How many records are looked at for one exercise and for a list; how many of a list are named; how many follow-ups
-- in a row are followed back.
local FEW, MANY, NAMED, LONGEST_CHAIN = 8, 24, 5, 8

local levels = { beginner = 1, intermediate = 2, expert = 3 }

---@alias coach.search fun(query: string, limit: integer): coach.exercise[]

local function contains(list, values)
  for _, value in ipairs(list) do
    for _, wanted in ipairs(values) do
      if value == wanted then
        return true
      end
    end
  end
  return false
end

local function fits(found, filter)
  return (not filter.muscle or contains(found.primary, filter.muscle))
    and (not filter.equipment or contains({ found.equipment }, filter.equipment))
    and (not filter.level or contains({ found.level }, filter.level))
    and (not filter.category or contains({ found.category }, filter.category))
end

-- What a filter lets through, the muscles in turn, without stretches unless they are asked for.
local function select(filter, search)
  local conditions, each, seen, all = "", {}, {}, {}
  for _, kind in ipairs { "equipment", "level", "category" } do
    conditions = conditions .. (filter[kind] and " " .. filter[kind][1] or "")
  end
  for i, muscle in ipairs(filter.muscle or { "" }) do
    each[i] = {}
    for _, found in ipairs(search(muscle .. conditions, MANY)) do
      local stretch = found.category == "stretching" and not filter.category
      local mine = muscle == "" or contains(found.primary, { muscle })
      if mine and fits(found, filter) and not stretch and not seen[found.id] then
        seen[found.id] = true
        table.insert(each[i], found)
      end
    end
  end
  for row = 1, MANY do
    for _, list in ipairs(each) do
      all[#all + 1] = list[row]
    end
  end
  return all
end

local function first(list, count)
  local some = {}
  for i = 1, math.min(count, #list) do
    some[i] = list[i]
  end
  return some
end

-- An exercise for the same muscle that is easier or harder; among equals the simplest name comes first in the search.
local function alternative(found, way, search)
  if not found.primary[1] or not levels[found.level] then
    return nil
  end
  local best
  for _, other in ipairs(select({ muscle = { found.primary[1] } }, search)) do
    local step = (levels[other.level] or 0) - levels[found.level]
    if levels[other.level] and ((way == "easier" and step < 0) or (way == "harder" and step > 0)) then
      if not best or math.abs(step) < math.abs(levels[best.level] - levels[found.level]) then
        best = other
      end
    end
  end
  return best
end

-- What a question that names something is about: the exercise, or the list.
local function find(asked, search)
  if asked.kind == "list" then
    return { list = select(asked.filter, search), filter = asked.filter }
  end
  local hits = search(asked.text, FEW)
  local best, how, others = match.best(asked.words, hits)
  if (not best or how == "partial") and asked.filter.muscle then
    local list = select(asked.filter, search)
    if #list > 0 then
      return { list = list, filter = asked.filter }
    end
  end
  if how == "mentioned" then
    -- Many further words are a story around the name; one or two may make it another exercise.
    local missing = match.missing(asked.rest, best.name)
    how = (missing == 1 or missing == 2 or not fits(best, asked.filter)) and "near" or how
  end
  return { exercise = best, how = how, others = others }
end

-- What the i-th question was about, following "which muscles?" and "an easier one?" back to the question that named
-- something.
local function subject(questions, i, search, depth)
  local asked = questions[i]
  if not asked or depth > LONGEST_CHAIN then
    return {}
  elseif asked.kind == "about" or asked.kind == "list" then
    return find(asked, search)
  end
  local before = subject(questions, i - 1, search, depth + 1)
  local way = asked.aspect
  if asked.kind ~= "follow" then
    return before
  elseif way == "pick" and (before.list or before.picked_from) then
    local list = before.list or before.picked_from
    local named = first(list, NAMED)
    local picked = named[asked.pick == -1 and #named or asked.pick]
    return { exercise = picked, how = "exact", others = {}, picked_from = list }
  elseif (way == "easier" or way == "harder") and before.exercise then
    local other = alternative(before.exercise, way, search)
    local now = other or before.exercise
    return { exercise = now, how = "exact", others = {}, instead_of = before.exercise, other = other }
  elseif before.list and (way == "next" or not way) then
    return { exercise = before.list[1], how = "exact", others = {} }
  end
  return before
end

-- What is said about one exercise.
local function about(asked, topic, last, search)
  local found, way = topic.exercise, asked.aspect
  local unsure = topic.how == "partial" or topic.how == "near"
  if way == "easier" or way == "harder" then
    local from = topic.instead_of or found
    local other = topic.instead_of and topic.other
    if not topic.instead_of then
      other = alternative(from, way, search)
    end
    return answer.alternative(from, other, way), { other or from }
  elseif way == "next" then
    return answer.next_step(found, last), { found }
  elseif not unsure and (way == "muscles" or way == "equipment" or way == "level") then
    return answer[way](found), { found }
  elseif unsure and asked.kind == "about" then
    return answer.closest(found, asked.words), { found }
  end
  return answer.how(found) .. answer.others(topic.others), { found, unpack(topic.others) }
end

---@class coach.reply
---@field text string
---@field sources coach.exercise[] what the answer is made of
---@field searched boolean whether records were looked for

---@param text string the question
---@param history {role: string, content: string}[] what was said before, oldest first
---@param search coach.search
---@return coach.reply
function coach.reply(text, history, search)
  local asked = question.understand(text)
  if asked.kind == "greeting" or asked.kind == "thanks" then
    return { text = answer[asked.kind], sources = {}, searched = false }
  elseif asked.kind == "help" then
    return { text = (asked.pain and answer.pain or "") .. answer.help, sources = {}, searched = false }
  end

  local questions, last = {}, ""
  for _, entry in ipairs(history) do
    if entry.role == "user" then
      questions[#questions + 1] = question.understand(entry.content)
    else
      last = entry.content
    end
  end
  if asked.aspect == "again" and asked.kind == "follow" and last ~= "" then
    return { text = last, sources = {}, searched = false }
  end

  questions[#questions + 1] = asked
  local topic = subject(questions, #questions, search, 1)
  local reply = { searched = true, sources = {} }
  if topic.list then
    reply.sources = first(topic.list, NAMED)
    reply.text = answer.list(topic.filter, reply.sources, #topic.list)
  elseif topic.exercise then
    reply.text, reply.sources = about(asked, topic, last, search)
  elseif asked.kind == "follow" then
    reply.text = answer.lost
  else
    reply.text = asked.pain and answer.help or answer.nothing(asked.words) -- "knee hurts" is nothing to be looked for
  end
  reply.text = (asked.pain and answer.pain or "") .. reply.text
  return reply
end

return coach
