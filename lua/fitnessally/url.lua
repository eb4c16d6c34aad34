-- Addresses (RFC 3986): taken apart, put together, escaped. Yields: no. Copies: no.

local url = {}

local function escape_byte(byte)
  return ("%%%02X"):format(byte:byte())
end

---Escapes all but letters, digits, "-", ".", "_" and "~": for one part of a path, a name or a value.
---@param text string|number
---@return string
function url.encode(text)
  return (tostring(text):gsub("[^%w%-._~]", escape_byte))
end

---Undoes it; nil and a message for a "%" that is none. plus: "+" is a space, as in queries.
---@param text string
---@param plus? boolean
---@return string? text, string? message
function url.decode(text, plus)
  if plus then
    text = text:gsub("%+", " ")
  end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil, "a % is not followed by two hex digits"
  end
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = tostring(key)
  end
  table.sort(keys)
  return keys
end

---"a=1&b=x%20y", in the order of the names; a list gives its name several times.
---@param values table<string, string|number|boolean|(string|number|boolean)[]>
---@return string
function url.query(values)
  local parts = {}
  for _, key in ipairs(sorted_keys(values)) do
    local value = values[key]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      parts[#parts + 1] = url.encode(key) .. "=" .. url.encode(one)
    end
  end
  return table.concat(parts, "&")
end

---The names and values of a query: a text, or the list of them when a name comes several times; nil and a message.
---@param text string without "?"
---@return table<string, string|string[]>? values, string? message
function url.parse_query(text)
  local values = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    local message
    name, message = url.decode(name, true)
    if name then
      value, message = url.decode(value, true)
    end
    if not name or not value then
      return nil, message
    end
    local before = values[name]
    if type(before) == "table" then
      before[#before + 1] = value
    else
      values[name] = before and { before, value } or value
    end
  end
  return values
end

---@class fitnessally.url
---@field scheme? string in lower case
---@field user? string as written
---@field host? string in lower case
---@field port? integer
---@field path string as written
---@field query? string as written, without "?"
---@field fragment? string as written, without "#"

local function split_authority(authority, parts)
  local user, rest = authority:match("^(.*)@(.-)$")
  local host, port = (rest or authority):match("^(%b[]):?(%d*)$")
  if not host then
    host, port = (rest or authority):match("^([^:%[%]]*):?(%d*)$")
  end
  if not host or (host == "" and (port ~= "" or user)) or #port > 5 or (tonumber(port) or 0) > 65535 then
    return false
  end
  parts.user, parts.host, parts.port = user, host:lower(), tonumber(port)
  return true
end

---Takes an address apart, a relative one as well; nil and a message for what can be none.
---@param text string
---@return fitnessally.url? parts, string? message
function url.parse(text)
  if text:find("[%c%s\"<>\\^`{|}]") or text:find("[\128-\255]") then
    return nil, "an address has no spaces, quotes, backslashes or letters beyond ASCII"
  elseif text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil, "a % is not followed by two hex digits"
  end
  local parts, rest = {}, text
  rest, parts.fragment = rest:match("^([^#]*)#?(.*)$")
  parts.fragment = text:find("#", 1, true) and parts.fragment or nil
  local before = rest
  rest, parts.query = rest:match("^([^?]*)%??(.*)$")
  parts.query = before:find("?", 1, true) and parts.query or nil
  local scheme, behind = rest:match("^(%a[%w+.-]*):(.*)$")
  if scheme then
    parts.scheme, rest = scheme:lower(), behind
  end
  local authority, path = rest:match("^//([^/]*)(.*)$")
  if authority and not split_authority(authority, parts) then
    return nil, "its host or port is malformed"
  end
  parts.path = path or rest
  return parts
end

---Puts an address together; query may be a table. What is in path and query as text is taken as it is.
---@param parts {scheme?: string, user?: string, host?: string, port?: integer, path?: string, query?: string|table, fragment?: string}
---@return string
function url.build(parts)
  local text = parts.scheme and parts.scheme .. ":" or ""
  if parts.host then
    text = text .. "//" .. (parts.user and parts.user .. "@" or "") .. parts.host ..
      (parts.port and (":%d"):format(parts.port) or "")
    if parts.path and parts.path ~= "" and parts.path:sub(1, 1) ~= "/" then
      error("url.build: behind a host, the path begins with /", 2)
    end
  end
  local query = parts.query
  if type(query) == "table" then
    query = url.query(query)
  end
  return text .. (parts.path or "") .. (query and "?" .. query or "") ..
    (parts.fragment and "#" .. parts.fragment or "")
end

return url
