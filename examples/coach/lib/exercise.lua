-- An exercise as the coach speaks of it, made of a record as GET /api/records shows it.

local exercise = {}

---@class coach.exercise
---@field id string
---@field name string
---@field level? string
---@field equipment? string
---@field category? string
---@field media? string address of its moving picture
---@field primary string[] the muscles it trains mainly
---@field secondary string[] the muscles that help
---@field steps string[] sentences that say how it is done

local function text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

local function texts(value)
  local list = {}
  for _, item in ipairs(type(value) == "table" and value or {}) do
    list[#list + 1] = text(item)
  end
  return list
end

-- A step as it is spoken: one line that ends as a sentence does. Remains of a numbering at its end are no words.
local function spoken(step)
  step = step:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""):gsub("(%a%.) ?%w+>?$", "%1")
  if step:find("[%w)\"'\128-\255]$") then
    step = step .. "."
  end
  return step:find("%w") and step or nil
end

local function media_address(name)
  if not name or name:find("^/") or name:find("^https?://") then
    return name
  end
  return "/media/" .. name
end

---nil when the record is no exercise.
---@param record table
---@return coach.exercise?
function exercise.of(record)
  local data = type(record) == "table" and type(record.data) == "table" and record.data or {}
  local basic, facts, oip = data.basic, data.exercise, record.oip
  if type(basic) ~= "table" or type(facts) ~= "table" or not text(basic.name) then
    return nil
  end
  local did = type(oip) == "table" and text(oip.did) or basic.name
  local steps = {}
  for _, step in ipairs(texts(facts.instructions)) do
    steps[#steps + 1] = spoken(step)
  end
  return {
    id = did:gsub("^did:local:", ""),
    name = basic.name,
    level = text(facts.level),
    equipment = text(facts.equipment),
    category = text(facts.category),
    media = media_address(text(facts.media)),
    primary = texts(facts.primaryMuscles),
    secondary = texts(facts.secondaryMuscles),
    steps = steps,
  }
end

---What a client needs to show where an answer comes from.
---@param found coach.exercise
---@return table
function exercise.source(found)
  return {
    id = found.id,
    name = found.name,
    media = found.media,
    level = found.level,
    equipment = found.equipment,
    primaryMuscles = #found.primary > 0 and found.primary or nil, -- an empty list would be encoded as {}
  }
end

return exercise
