-- Which other pages may ask. A middleware: app:use(cors { origins = { "https://app.example" } }). docs/middleware.md
-- Yields: no. Copies: no.

local check_options = require "fitnessally.options"

local SAFE_METHODS = { "GET", "HEAD", "POST" }

-- Raised within whatever reads an option, and told by `read` as of the app's own line.
local function wrong(message, ...)
  error("cors: " .. message:format(...), 0)
end

-- What every origin is compared with: texts, and patterns for "https://*.example".
local function read_origins(origins)
  local exact, patterns = {}, {}
  if type(origins) ~= "table" or #origins == 0 then
    wrong("origins is \"*\" or a list such as { \"https://app.example\", \"https://*.example\" }")
  end
  for _, origin in ipairs(origins) do
    if type(origin) ~= "string" or not (origin == "null" or origin:find("^%a[%w+.-]*://[^/%s]+$")) then
      wrong("\"%s\" is no origin: scheme://host or scheme://host:port, without a path", tostring(origin))
    end
    if origin:find("*", 1, true) then
      if not origin:find("^%a[%w+.-]*://%*%.[^*]+$") then
        wrong("\"%s\": a star stands for what is before the first dot of the host", origin)
      end
      patterns[#patterns + 1] = "^" .. origin:lower():gsub("[%-%.%+%[%]%(%)%$%^%%%?]", "%%%0"):gsub("%*", "[%%w.-]+") .. "$"
    else
      exact[origin:lower()] = true
    end
  end
  return exact, patterns
end

local function list_option(options, name, default)
  local list = options[name] or default
  if type(list) ~= "table" then
    wrong("%s is a list of texts", name)
  end
  for _, item in ipairs(list) do
    if type(item) ~= "string" or not item:find("^[%w!#$%%&'*+.^_`|~-]+$") then
      wrong("%s: \"%s\" is no name", name, tostring(item))
    end
  end
  return list
end

-- A star stands for nothing here: `headers = { "*" }` would allow a header of that name.
local function no_star(name, list)
  for _, item in ipairs(list) do
    if item == "*" then
      wrong("%s: they are named one by one, there is no *", name)
    elseif name == "methods" and item ~= item:upper() then
      wrong("methods: \"%s\" is written %s", item, item:upper())
    end
  end
end

local function set_of(list)
  local set = {}
  for _, item in ipairs(list) do
    set[item:lower()] = true
  end
  return set
end

local KNOWN = {
  origins = "string|table", methods = "table", headers = "table", expose = "table", credentials = "boolean", max_age = "number",
}

local function read(options)
  local everyone = options.origins == "*"
  if everyone and options.credentials then
    wrong("origins = \"*\" with credentials would let every page act as the user: name the origins")
  end
  local exact, patterns = {}, {}
  if not everyone then
    exact, patterns = read_origins(options.origins)
  end
  local methods, headers = list_option(options, "methods", SAFE_METHODS), list_option(options, "headers", {})
  no_star("methods", methods)
  no_star("headers", headers)
  return everyone, exact, patterns, methods, headers, table.concat(list_option(options, "expose", {}), ", ")
end

---A middleware that tells browsers which other pages may ask.
---@param options {origins: "*"|string[], methods?: string[], headers?: string[], expose?: string[], credentials?: boolean, max_age?: integer} max_age: seconds
---@return fitnessally.middleware
return function(options)
  check_options("cors", options, KNOWN)
  local fine, everyone, exact, patterns, methods, headers, expose = pcall(read, options)
  if not fine then
    error(everyone, 2)
  end
  local allowed_methods, allowed_headers = {}, set_of(headers)
  for _, method in ipairs(methods) do
    allowed_methods[method] = true
  end
  local method_list, header_list = table.concat(methods, ", "), table.concat(headers, ", ")
  local max_age = options.max_age or 600
  if type(max_age) ~= "number" or max_age < 0 or max_age > 86400 then
    error("cors: max_age is 0 to 86400 seconds", 2)
  end

  local function allows(origin)
    if everyone or exact[origin:lower()] then
      return true
    end
    for _, pattern in ipairs(patterns) do
      if origin:lower():find(pattern) then
        return true
      end
    end
    return false
  end

  local function allow_origin(req, origin)
    req:set_header("Access-Control-Allow-Origin", everyone and "*" or origin)
    if options.credentials then
      req:set_header("Access-Control-Allow-Credentials", "true")
    end
  end

  local function allows_headers(asked)
    for name in (asked or ""):gmatch("[^,%s]+") do
      if not allowed_headers[name:lower()] then
        return false
      end
    end
    return true
  end

  -- The browser asks before. Without our headers it does not send what it would have sent.
  local function answer_preflight(req, origin)
    req:add_header("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
    if allows(origin) and allowed_methods[req:header("access-control-request-method")] and
        allows_headers(req:header("access-control-request-headers")) then
      allow_origin(req, origin)
      req:set_header("Access-Control-Allow-Methods", method_list)
      if header_list ~= "" then
        req:set_header("Access-Control-Allow-Headers", header_list)
      end
      req:set_header("Access-Control-Max-Age", ("%d"):format(max_age))
    end
    req:reply { status = 204 }
  end

  return fitnessally.middleware("cors", function(req, next)
    local origin = req:header("origin")
    if not everyone then
      req:add_header("Vary", "Origin")
    end
    if not origin then
      return next(req)
    end
    if req.method == "OPTIONS" and req:header("access-control-request-method") then
      return answer_preflight(req, origin)
    end
    if allows(origin) then
      allow_origin(req, origin)
      if expose ~= "" then
        req:set_header("Access-Control-Expose-Headers", expose)
      end
    end
    return next(req)
  end)
end
