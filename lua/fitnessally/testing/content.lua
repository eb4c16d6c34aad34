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

---{json = value}, {form = {...}}, {text = "..."}, {body = bytes, type = "..."}, or the bytes themselves. Returns bytes and type.
return function(content, level)
  if content == nil or type(content) == "string" then
    return content
  elseif type(content) ~= "table" then
    error("a body is a string, or a table with json, form, text or body", level + 1)
  elseif content.json ~= nil then
    return cjson.encode(content.json), "application/json"
  elseif content.form then
    return form(content.form), "application/x-www-form-urlencoded"
  elseif content.text then
    return content.text, "text/plain; charset=utf-8"
  elseif content.body then
    return content.body, content.type
  end
  error("a body is a string, or a table with json, form, text or body", level + 1)
end
