-- What clients send, held against a description of it: the values that are wanted, of the right types, or the one field
-- that is wrong and why. Fields are required unless they are optional or have a default; what is not described is left
-- out. docs/lua-api.md
--
--     local note = schema.object {
--       title = schema.text { min = 1, max = 200 },
--       tags = schema.list(schema.text { max = 20 }, { max = 10, optional = true }),
--       kind = schema.choice { "note", "task", default = "note" },
--     }
--     local value = schema.json(req, note)   -- or it has been answered: 400, "tags[2] must be a text."
--
-- Yields: no. Copies: no.

local body = require "fitnessally.body"
local utf8 = require "fitnessally.utf8"

local MOST_MATCHED = 4096 -- bytes that a pattern is held against
local MOST_ITEMS = 10000

local schema = {}

-- A description is a table {check = function(value, path, loose), optional =, default =}. check gives the value, or
-- raises a problem. loose: the value is a text from an address or a form, and may mean a number or a flag.

local function fail(path, problem)
  error({ field = path, message = path .. " " .. problem }, 0)
end

-- level: where the caller of schema.NAME stands; a tail call leaves no place of its own.
local function define(name, options, known, check, level)
  options = options or {}
  if type(options) ~= "table" then
    error("schema." .. name .. ": options are a table", level or 2)
  end
  for key, value in pairs(options) do
    if type(key) == "string" and key ~= "optional" and key ~= "default" then
      if not known[key] then
        error(("schema.%s: there is no option %s"):format(name, key), level or 2)
      elseif type(value) ~= known[key] then
        error(("schema.%s: %s is a %s, not a %s"):format(name, key, type(value), known[key]), level or 2)
      end
    end
  end
  return { check = check, optional = options.optional or options.default ~= nil, default = options.default }
end

local function is_description(value)
  return type(value) == "table" and type(value.check) == "function"
end

local function range(from, to, unit)
  unit = unit or ""
  if from and to then
    return ("from %s to %s%s"):format(from, to, unit)
  end
  return from and ("at least %s%s"):format(from, unit) or ("at most %s%s"):format(to, unit)
end

local function outside(value, from, to)
  return (from and value < from) or (to and value > to)
end

-- ---- single values ----------------------------------------------------------------------------------------------------

local TEXT = { min = "number", max = "number", pattern = "string", trim = "boolean", means = "string" }

---A text in UTF-8, of min to max bytes; a Lua pattern (texts to 4 KB), and what it means in words.
---@param options? {min?: integer, max?: integer, pattern?: string, means?: string, trim?: boolean, optional?: boolean, default?: string}
function schema.text(options)
  options = options or {}
  if type(options) == "table" and type(options.pattern) == "string" then
    local fine, problem = pcall(string.find, "", options.pattern)
    if not fine then
      error("schema.text: pattern: " .. problem, 2)
    end
  end
  local most = type(options) == "table" and (options.max or (options.pattern and MOST_MATCHED))
  return define("text", options, TEXT, function(value, path)
    if type(value) ~= "string" then
      fail(path, "must be a text")
    elseif not utf8.is_valid(value) then
      fail(path, "must be UTF-8")
    end
    if options.trim and #value <= MOST_MATCHED then
      value = value:match("^%s*(.*)$"):reverse():match("^%s*(.*)$"):reverse()
    end
    if outside(#value, options.min, most) then
      fail(path, "must have " .. range(options.min, most, " bytes"))
    elseif options.pattern and not value:find(options.pattern) then
      fail(path, "must be " .. (options.means or "of the form " .. options.pattern))
    end
    return value
  end)
end

local NUMBER = { from = "number", to = "number" }

local function number(name, options, whole)
  options = options or {}
  local what = whole and "a whole number" or "a number"
  return define(name, options, NUMBER, function(value, path, loose)
    if loose and type(value) == "string" and #value <= 32 and value:find("^[-+]?%d*%.?%d+[eE]?[-+]?%d*$") then
      value = tonumber(value) or value
    end
    if type(value) ~= "number" or value ~= value or math.abs(value) == math.huge or
        (whole and (value % 1 ~= 0 or math.abs(value) > 2 ^ 53)) then
      fail(path, "must be " .. what)
    elseif outside(value, options.from, options.to) then
      fail(path, ("must be %s %s"):format(what, range(options.from, options.to)))
    end
    return value
  end)
end

---A finite number.
---@param options? {from?: number, to?: number, optional?: boolean, default?: number}
function schema.number(options)
  return number("number", options, false)
end

---A whole number.
---@param options? {from?: integer, to?: integer, optional?: boolean, default?: integer}
function schema.integer(options)
  return number("integer", options, true)
end

local FLAGS = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false }

---True or false.
---@param options? {optional?: boolean, default?: boolean}
function schema.flag(options)
  return define("flag", options, {}, function(value, path, loose)
    if loose and FLAGS[value] ~= nil then
      value = FLAGS[value]
    end
    if type(value) ~= "boolean" then
      fail(path, "must be true or false")
    end
    return value
  end)
end

---One of the texts or numbers of the list.
---@param options table the list; optional and default beside it
function schema.choice(options)
  local known, names = {}, {}
  for i, value in ipairs(options) do
    known[value], names[i] = true, tostring(value)
  end
  return define("choice", options, {}, function(value, path, loose)
    if loose and not known[value] then
      value = tonumber(value)
    end
    if value == nil or not known[value] then
      fail(path, "must be one of " .. table.concat(names, ", "))
    end
    return value
  end)
end

---Anything that JSON can hold.
---@param options? {optional?: boolean, default?: any}
function schema.any(options)
  return define("any", options, {}, function(value) return value end)
end

-- ---- values of values -------------------------------------------------------------------------------------------------

local function is_list(value)
  local count = 0
  for key in pairs(value) do
    count = count + 1
    if type(key) ~= "number" then
      return false
    end
  end
  return count == #value
end

local LIST = { min = "number", max = "number" }

---A list, at most 10000 long.
---@param item table what each of them is
---@param options? {min?: integer, max?: integer, optional?: boolean, default?: table}
function schema.list(item, options)
  options = options or {}
  if not is_description(item) then
    error("schema.list(item, options): item says what each of them is", 2)
  end
  local most = options.max or MOST_ITEMS
  return define("list", options, LIST, function(value, path, loose)
    if loose and type(value) ~= "table" then
      value = { value }
    end
    if type(value) ~= "table" or not is_list(value) then
      fail(path, "must be a list")
    elseif outside(#value, options.min, most) then
      fail(path, "must have " .. range(options.min, most, " items"))
    end
    local list = {}
    for i = 1, #value do
      if value[i] == json.null then
        fail(("%s[%d]"):format(path, i), "is missing")
      end
      list[i] = item.check(value[i], ("%s[%d]"):format(path, i), loose)
    end
    return list
  end)
end

local OBJECT = { strict = "boolean" }

local function copy_of(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, inner in pairs(value) do
    copy[key] = copy_of(inner)
  end
  return copy
end

---An object.
---@param fields table<string, table> descriptions by name
---@param options? {strict?: boolean, optional?: boolean, default?: table} strict: others are refused
function schema.object(fields, options)
  options = options or {}
  local names = {}
  if type(fields) ~= "table" then
    error("schema.object: it takes a table, { name = schema.text() }", 2)
  end
  for name, field in pairs(fields) do
    if not is_description(field) then
      error(("schema.object: %s is described by schema.text and the like"):format(tostring(name)), 2)
    end
    names[#names + 1] = name
  end
  table.sort(names) -- of several mistakes it is always the same that is told
  local description = define("object", options, OBJECT, function(value, path, loose)
    if type(value) ~= "table" or (#value > 0) then
      fail(path == "" and "the body" or path, "must be an object")
    end
    local object, prefix = {}, path == "" and "" or path .. "."
    for _, name in ipairs(names) do
      local field, given = fields[name], value[name]
      if given ~= nil and given ~= json.null and not (loose and given == "" and field.optional) then
        object[name] = field.check(given, prefix .. name, loose)
      elseif field.default ~= nil then
        object[name] = copy_of(field.default)
      elseif not field.optional then
        fail(prefix .. name, "is missing")
      end
    end
    if options.strict then
      for name in pairs(value) do
        if not fields[name] then
          fail(prefix .. tostring(name), "is not known here")
        end
      end
    end
    return object
  end, 3)
  description.names = names
  return description
end

-- ---- reading ----------------------------------------------------------------------------------------------------------

local function check(description, value, loose)
  local fine, result = pcall(description.check, value, "", loose)
  if fine then
    return result
  elseif type(result) == "table" and result.field then
    return nil, result
  end
  error(result, 0)
end

---The value as it is described; nil and what is wrong otherwise.
---@return any value, {field: string, message: string}? problem
function schema.check(description, value)
  return check(description, value, false)
end

local function read(req, description, value, loose, code)
  local result, problem = check(description, value, loose)
  if problem then
    req:fail(400, code, problem.message .. ".")
    return nil
  end
  return result
end

---The JSON body. When it cannot be had, or is not as described, the request has been answered (400
---invalid_field: "tags[2] must be a text.") and nil comes back. Yields: no. Copies: the body.
---@param req fitnessally.request
function schema.json(req, description)
  local value = body.json(req)
  return value and read(req, description, value, false, "invalid_field")
end

---The same of a JSON body or a form, whichever comes; texts of a form may mean numbers and flags.
---Yields: no. Copies: the body.
---@param req fitnessally.request
---@return table? value, fitnessally.part[] files
function schema.body(req, description)
  local fields, files, kind = body.fields(req)
  return fields and read(req, description, fields, kind ~= "json", "invalid_field"), files
end

local function gather(description, get)
  local values = {}
  for _, name in ipairs(description.names) do
    values[name] = get(name)
  end
  return values
end

---The parameters behind the "?" (400 invalid_parameter).
---@param req fitnessally.request
function schema.query(req, description)
  local values = gather(description, function(name) return req:query(name) end)
  return read(req, description, values, true, "invalid_parameter")
end

---The parts of the path that have names (400 invalid_parameter).
---@param req fitnessally.request
function schema.params(req, description)
  return read(req, description, req.params, true, "invalid_parameter")
end

return schema
