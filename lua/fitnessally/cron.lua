-- When something is due: the five fields of crontab(5), in UTC.
--
--     local cron = require "fitnessally.cron"
--     local due = cron.parse("*/15 6-22 * * mon-fri")
--     local next_ms = due(now_ms)
--
-- minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or jan-dec, day of the week 0-7 or sun-sat (0 and 7:
-- Sunday). A field is *, a number, a range, a list of those, and may go in steps: */5, 10-40/10. When both days are
-- restricted, either will do, as in every cron. @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually are
-- short for the obvious.
-- Yields: no. Copies: no.
local cron = {}

local MINUTE, DAY = 60 * 1000, 24 * 60 * 60 * 1000
local FAR = 366 * 8 -- days that are looked at: from one 29 February to the next, across 2100
local MONTHS = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec" }
local WEEKDAYS = { [0] = "sun", "mon", "tue", "wed", "thu", "fri", "sat" }
local SHORT = {
  ["@hourly"] = "0 * * * *", ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@weekly"] = "0 0 * * 0",
  ["@monthly"] = "0 0 1 * *", ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *",
}
local FIELDS = {
  { name = "minute", from = 0, to = 59 },
  { name = "hour", from = 0, to = 23 },
  { name = "day of the month", from = 1, to = 31 },
  { name = "month", from = 1, to = 12, names = MONTHS },
  { name = "day of the week", from = 0, to = 7, names = WEEKDAYS },
}

local function number_of(text, field)
  for number, name in pairs(field.names or {}) do
    if text == name then
      return number
    end
  end
  local number = text:match "^%d%d?$" and tonumber(text)
  return number and number >= field.from and number <= field.to and number or nil
end

-- Marks the numbers of one item of a list; nil when it is none.
local function mark(item, field, set)
  local range, step = item, 1
  if item:find("/", 1, true) then
    range, step = item:match "^(.-)/(%d+)$"
    step = tonumber(step or 0)
  end
  if not range or step < 1 then
    return nil
  end
  local first, last
  if range == "*" then
    first, last = field.from, field.to
  elseif range:find("-", 1, true) then
    local from, to = range:match "^(%w+)%-(%w+)$"
    first, last = from and number_of(from, field), to and number_of(to, field)
    if to == "sun" and first and first > 0 then
      last = 7 -- "mon-sun"
    end
  else
    first = number_of(range, field)
    last = range ~= item and field.to or first -- "10/5" goes on to the end
  end
  if not first or not last or first > last then
    return nil
  end
  for number = first, last, step do
    set[number] = true
  end
  return true
end

local function parse_field(text, field)
  local set = { any = text == "*" }
  for item in (text .. ","):gmatch "([^,]*)," do
    if not mark(item, field, set) then
      return nil, ('"%s" is no %s'):format(text, field.name)
    end
  end
  return set
end

-- Year, month and day of a number of days since 1970 (the usual arithmetic of years that begin in March).
local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  return mp < 10 and mp + 3 or mp - 9, doy - math.floor((153 * mp + 2) / 5) + 1
end

local function day_fits(sets, days)
  local month, day = civil(days)
  local weekday = (days + 4) % 7
  local by_day, by_weekday = sets[3][day], sets[5][weekday] or (weekday == 0 and sets[5][7])
  if not sets[4][month] then
    return false
  elseif sets[3].any then
    return by_weekday
  elseif sets[5].any then
    return by_day
  end
  return by_day or by_weekday
end

-- The first minute of the day, from `from` on, that fits.
local function minute_of_day(sets, from)
  for minute = from, 24 * 60 - 1 do
    if sets[2][math.floor(minute / 60)] and sets[1][minute % 60] then
      return minute
    end
  end
end

---Reads a specification.
---@param text string
---@return (fun(now_ms: number): number|nil)|nil due the next time after now_ms (milliseconds since 1970); nil: never
---@return string|nil problem
function cron.parse(text)
  if type(text) ~= "string" then
    return nil, ("the time is a text such as \"0 3 * * *\", not a %s"):format(type(text))
  end
  local sets, words = {}, {}
  for word in (SHORT[text:lower()] or text):gmatch "%S+" do
    words[#words + 1] = word:lower()
  end
  if #words ~= #FIELDS then
    return nil, "five fields are needed: minute, hour, day of the month, month, day of the week"
  end
  for i = 1, #FIELDS do
    local problem
    sets[i], problem = parse_field(words[i], FIELDS[i])
    if not sets[i] then
      return nil, problem
    end
  end
  return function(now_ms)
    local minutes = math.floor(now_ms / MINUTE) + 1
    local today = math.floor(minutes * MINUTE / DAY)
    for days = today, today + FAR do
      local minute = day_fits(sets, days) and minute_of_day(sets, days == today and minutes - days * 24 * 60 or 0)
      if minute then
        return days * DAY + minute * MINUTE
      end
    end
    return nil
  end
end

return cron
