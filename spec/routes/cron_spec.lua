-- When something is due. Pure Lua: no server.
local root = os.getenv("FA_ROOT") or "."
local cron = dofile(root .. "/lua/fitnessally/cron.lua")

local function at(year, month, day, hour, minute, second)
  local days = 0
  for y = 1970, year - 1 do
    days = days + ((y % 4 == 0 and y % 100 ~= 0 or y % 400 == 0) and 366 or 365)
  end
  local leap = year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0
  local lengths = { 31, leap and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  for m = 1, month - 1 do
    days = days + lengths[m]
  end
  return (((days + day - 1) * 24 + hour) * 60 + minute) * 60000 + (second or 0) * 1000
end

local function due(specification, ...)
  local next_due = assert(cron.parse(specification))
  return next_due(at(...))
end

describe("cron", function()
  it("knows minutes, hours, days, months and weekdays", function()
    assert.equal(at(2026, 11, 29, 10, 31), due("* * * * *", 2026, 11, 29, 10, 30, 59))
    assert.equal(at(2026, 11, 29, 10, 45), due("*/15 * * * *", 2026, 11, 29, 10, 30))
    assert.equal(at(2026, 11, 30, 3, 0), due("0 3 * * *", 2026, 11, 29, 3, 0))
    assert.equal(at(2026, 12, 1, 0, 0), due("0 0 1 * *", 2026, 11, 29, 3, 0))
    assert.equal(at(2027, 1, 1, 0, 0), due("0 0 1 jan *", 2026, 11, 29, 3, 0))
    assert.equal(at(2026, 11, 30, 6, 0), due("0 6 * * mon-fri", 2026, 11, 28, 3, 0)) -- a Saturday
    assert.equal(at(2026, 11, 29, 6, 0), due("0 6 * * 7", 2026, 11, 28, 3, 0))
    assert.equal(at(2026, 11, 29, 6, 0), due("0 6 * * 0", 2026, 11, 28, 3, 0))
    assert.equal(at(2026, 11, 29, 10, 40), due("10-50/30 10 * * *", 2026, 11, 29, 10, 11))
    assert.equal(at(2026, 11, 29, 10, 55), due("5,55 * * * *", 2026, 11, 29, 10, 30))
    assert.equal(at(2026, 11, 29, 11, 0), due("@hourly", 2026, 11, 29, 10, 0))
    assert.equal(at(2026, 12, 6, 0, 0), due("@weekly", 2026, 11, 29, 10, 0))
    assert.equal(at(2027, 1, 1, 0, 0), due("@yearly", 2026, 11, 29, 10, 0))
    assert.equal(at(2026, 11, 30, 0, 0), due("@Midnight", 2026, 11, 29, 10, 0))
    assert.equal(at(2026, 11, 29, 6, 0), due("0 6 * * mon-sun", 2026, 11, 28, 7, 0)) -- a Sunday
    assert.equal(at(2026, 11, 29, 6, 0), due("0 6 * * fri-sun", 2026, 11, 28, 7, 0))
    assert.equal(at(2026, 12, 3, 6, 0), due("0 6 * * sun-sun,thu", 2026, 11, 29, 7, 0))
  end)

  it("takes either day when both are restricted", function()
    assert.equal(at(2026, 11, 30, 0, 0), due("0 0 13 * mon", 2026, 11, 29, 10, 0))
    assert.equal(at(2026, 12, 13, 0, 0), due("0 0 13 * mon", 2026, 12, 7, 0, 0))
  end)

  it("knows leap years, and days that never come", function()
    assert.equal(at(2028, 2, 29, 0, 0), due("0 0 29 2 *", 2026, 11, 29, 10, 0))
    assert.equal(at(2104, 2, 29, 0, 0), due("0 0 29 2 *", 2096, 3, 1, 0, 0))
    assert.is_nil(due("0 0 31 2 *", 2026, 11, 29, 10, 0))
  end)

  it("goes through every minute of a year in order", function()
    local next_due = assert(cron.parse "*/7 */5 * * *")
    local now, count = at(2026, 1, 1, 0, 0) - 1, 0
    while now < at(2027, 1, 1, 0, 0) - 1 do
      local later = next_due(now)
      assert(later > now)
      now, count = later, count + 1
    end
    assert.equal(365 * 5 * 9 + 1, count)
  end)

  it("says what is wrong", function()
    for specification, problem in pairs {
      [""] = "five fields are needed",
      ["* * * *"] = "five fields are needed",
      ["* * * * * *"] = "five fields are needed",
      ["60 * * * *"] = '"60" is no minute',
      ["* 24 * * *"] = '"24" is no hour',
      ["* * 0 * *"] = '"0" is no day of the month',
      ["* * * foo *"] = '"foo" is no month',
      ["* * * * 8"] = '"8" is no day of the week',
      ["*/0 * * * *"] = '"*/0" is no minute',
      ["5-1 * * * *"] = '"5-1" is no minute',
      ["1,,2 * * * *"] = '"1,,2" is no minute',
      ["-1 * * * *"] = '"-1" is no minute',
    } do
      local next_due, why = cron.parse(specification)
      assert.is_nil(next_due)
      assert.truthy(why:find(problem, 1, true), specification .. ": " .. why)
    end
  end)
end)
