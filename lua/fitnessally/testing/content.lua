-- What a body is that a spec gives, as bytes.

local cjson = require "cjson"

local function escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local function form(fields)
  local parts = {}
  for name, value in pairs(fields) do
    parts[#parts + 1] = escape(name) .. "=" .. escape(value)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function quoted(text)
  return (tostring(text):gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }))
end

-- The parts as an upstream takes them: {name=, text=}, or {name=, body=bytes, filename=, type=}.
local function multipart(parts, level)
  local boundary, out = "fitnessally-spec-boundary", {}
  for i, part in ipairs(parts) do
    local bytes = type(part) == "table" and (part.text or part.body)
    if type(bytes) ~= "string" or type(part.name) ~= "string" then
      error(("multipart[%d] must have a name, and text or body"):format(i), level + 1)
    end
    out[#out + 1] = "--" .. boundary .. '\r\nContent-Disposition: form-data; name="' .. quoted(part.name) .. '"'
    out[#out + 1] = part.filename and '; filename="' .. quoted(part.filename) .. '"' or ""
    out[#out + 1] = part.type and "\r\nContent-Type: " .. part.type or ""
    out[#out + 1] = "\r\n\r\n" .. bytes .. "\r\n"
  end
  out[#out + 1] = "--" .. boundary .. "--\r\n"
  return table.concat(out), "multipart/form-data; boundary=" .. boundary
end

local KINDS = "a body is a string, or a table with json, form, multipart, text or body"

---{json = value}, {form = {...}}, {multipart = {...}}, {text = "..."}, {body = bytes, type = "..."}, or the bytes themselves.
---Returns bytes and type.
return function(content, level)
  if content == nil or type(content) == "string" then
    return content
  elseif type(content) ~= "table" then
    error(KINDS, level + 1)
  elseif content.json ~= nil then
    return cjson.encode(content.json), "application/json"
  elseif content.form then
    return form(content.form), "application/x-www-form-urlencoded"
  elseif content.multipart then
    return multipart(content.multipart, level + 1)
  elseif content.text then
    return content.text, "text/plain; charset=utf-8"
  elseif content.body then
    return content.body, content.type
  end
  error(KINDS, level + 1)
end
