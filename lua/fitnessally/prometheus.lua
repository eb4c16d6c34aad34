-- The text format of Prometheus. Each metric has its HELP and TYPE, said once, before its values.
-- Yields: no. Copies: no.

local prometheus = {}

---@class fitnessally.prometheus.page
local page = {}
page.__index = page

---A page of metrics.
---@return fitnessally.prometheus.page
function prometheus.new()
  return setmetatable({ lines = {}, declared = {} }, page)
end

local function escape(value)
  return (tostring(value):gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n"))
end

local function label_text(labels)
  local names, parts = {}, {}
  for name in pairs(labels or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[i] = ('%s="%s"'):format(name, escape(labels[name]))
  end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

---Adds one value. All values of a metric must be added one after the other. A value that is no number is left out.
---@param kind "gauge"|"counter"
---@param name string
---@param help string one line
---@param value any
---@param labels? table<string, string>
function page:add(kind, name, help, value, labels)
  if type(value) == "boolean" then
    value = value and 1 or 0
  elseif type(value) ~= "number" then
    return
  end
  if not self.declared[name] then
    self.declared[name] = true
    table.insert(self.lines, ("# HELP %s %s"):format(name, (help:gsub("\\", "\\\\"):gsub("\n", " "))))
    table.insert(self.lines, ("# TYPE %s %s"):format(name, kind))
  end
  table.insert(self.lines, ("%s%s %.15g"):format(name, label_text(labels), value))
end

---The page.
---@return string
function page:text()
  return table.concat(self.lines, "\n") .. "\n"
end

prometheus.content_type = "text/plain; version=0.0.4; charset=utf-8"

return prometheus
