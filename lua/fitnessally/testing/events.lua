-- Server-sent events, as a client reads them.

local cjson = require "cjson"

local events = {}

local function parse_event(block)
  local event, data = { name = "message" }, {}
  for line in (block .. "\n"):gmatch("(.-)\r?\n") do
    local field, value = line:match("^([%w]+): ?(.*)$")
    if field == "event" then
      event.name = value
    elseif field == "data" then
      data[#data + 1] = value
    elseif field == "id" then
      event.id = value
    elseif field == "retry" then
      event.retry = tonumber(value)
    end
  end
  if #data > 0 then
    event.text = table.concat(data, "\n")
    local good, decoded = pcall(cjson.decode, event.text)
    event.data = good and decoded or event.text
  end
  return event.text and event
end

---Adds what a text/event-stream has to `found`. Returns that, and how many bytes of the text were complete events.
function events.parse(text, found)
  local at = 1
  while true do
    local first, last = text:find("\r?\n\r?\n", at)
    if not first then
      return found, at - 1
    end
    found[#found + 1] = parse_event(text:sub(at, first - 1)) or nil
    at = last + 1
  end
end

---Those of one name.
function events.named(list, name)
  local found = {}
  for _, event in ipairs(list) do
    if event.name == name then
      found[#found + 1] = event
    end
  end
  return found
end

return events
