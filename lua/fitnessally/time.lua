-- Moments: milliseconds since 1970, and how they are written. All in UTC. Yields: no. Copies: no.

local native = fitnessally.policies

local time = {}

local DAY = 86400

---Milliseconds since 1970.
---@return number
time.now = fitnessally.now

---Milliseconds of a clock that is never set, for durations.
---@return number
time.monotonic = native.monotonic

-- Days since 1970 of a date of the Gregorian calendar, and back (Howard Hinnant's way: years begin in March).
local function days_of(year, month, day)
  year = month <= 2 and year - 1 or year
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function date_of(days)
  days = days + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) -
    math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local day = of_year - math.floor((153 * month + 2) / 5) + 1
  month = month + (month < 10 and 3 or -9)
  return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

---"2026-11-29T01:02:03.456Z" (ISO 8601, RFC 3339).
---@param ms? number now when it is left out
---@return string
function time.iso(ms)
  ms = math.floor(ms or time.now())
  if not (ms >= -62167219200000 and ms < 253402300800000) then
    error("time.iso: milliseconds since 1970, of the years 0 to 9999", 2)
  end
  local seconds = math.floor(ms / 1000)
  local days = math.floor(seconds / DAY)
  local rest = seconds - days * DAY
  local year, month, day = date_of(days)
  return ("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"):format(year, month, day, math.floor(rest / 3600),
    math.floor(rest / 60) % 60, rest % 60, ms - seconds * 1000)
end

local LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(year, month, day)
  if month < 1 or month > 12 or day < 1 then
    return false
  end
  local leap = month == 2 and (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 1 or 0
  return day <= LENGTHS[month] + leap
end

-- Milliseconds of "Z" or "+01:30"; nil for what is none.
local function offset_of(zone)
  if zone == "Z" or zone == "z" then
    return 0
  end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):?(%d%d)$")
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then
    return nil
  end
  return (tonumber(hours) * 60 + tonumber(minutes)) * 60000 * (sign == "-" and -1 or 1)
end

---Milliseconds of an ISO 8601 date, or date, time and zone; nil and a message.
---@param text string
---@return number? ms, string? message
function time.parse_iso(text)
  if type(text) ~= "string" then -- a parameter that is not there
    return nil, "this is no date as 2026-11-29T01:02:03Z"
  end
  local year, month, day, rest = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  if not year or #text > 40 or not is_date(tonumber(year), tonumber(month), tonumber(day)) then
    return nil, "this is no date as 2026-11-29T01:02:03Z"
  end
  local ms = days_of(tonumber(year), tonumber(month), tonumber(day)) * DAY * 1000
  if rest == "" then
    return ms
  end
  local hour, minute, second, fraction, zone = rest:match("^[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)(.+)$")
  local offset = hour and offset_of(zone)
  if not offset or tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 60 or fraction == "." then
    return nil, "this is no time as 01:02:03Z or 01:02:03.456+01:00"
  end
  local part = fraction ~= "" and math.floor(tonumber("0" .. fraction) * 1000 + 0.5) or 0
  return ms + ((tonumber(hour) * 60 + tonumber(minute)) * 60 + tonumber(second)) * 1000 + part - offset
end

---"Sun, 29 Nov 2026 01:02:03 GMT", as in headers (RFC 9110 5.6.7).
---@param ms? number now when it is left out
---@return string
function time.http(ms)
  return native.http_date(math.floor((ms or time.now()) / 1000))
end

---Milliseconds of a date in one of the three forms of headers; nil and a message.
---@param text string
---@return number? ms, string? message
function time.parse_http(text)
  local seconds = type(text) == "string" and native.parse_http_date(text)
  if not seconds then
    return nil, "this is no date as in a header"
  end
  return seconds * 1000
end

return time
