-- Reading what clients send: the value of a field when it has the right type, nil when it is absent, an error that
-- names the field otherwise. The error is a table {field=, message=}; validate.read turns it into a result.
--
--     local wish, problem = validate.read(function()
--       return { text = validate.text(body, "text"), speed = validate.number(body, "speed", 0.1, 10) }
--     end)
--     if not wish then
--       return req:fail(400, "invalid_field", problem.message)
--     end
--
-- Yields: no. Copies: no.

local utf8 = require "fitnessally.utf8"

local validate = {}

local function value_of(object, field)
  local value = object[field]
  if value == json.null then
    return nil
  end
  return value
end

---Ends the reading: the field is wrong. Inside validate.read only.
---@param field string
---@param problem string what is wrong, as in "must be a text"
function validate.fail(field, problem)
  error({ field = field, message = field .. " " .. problem }, 0)
end

---Runs `reader`; nil and what is wrong when one of the functions here refuses a field.
---@generic T
---@param reader fun(): T
---@return T? value, {field: string, message: string}? problem
function validate.read(reader)
  local fine, result = pcall(reader)
  if fine then
    return result
  elseif type(result) == "table" and result.field then
    return nil, result
  end
  error(result, 0)
end

---A text.
---@param object table
---@param field string
---@param longest? integer bytes
---@param path? string what the field is called in the message
---@return string?
function validate.text(object, field, longest, path)
  local value = value_of(object, field)
  if value == nil then
    return nil
  elseif type(value) ~= "string" then
    validate.fail(path or field, "must be a text")
  elseif longest and #value > longest then
    validate.fail(path or field, ("must not be longer than %d bytes"):format(longest))
  elseif not utf8.is_valid(value) then
    validate.fail(path or field, "must be UTF-8")
  end
  return value
end

---A finite number.
---@param object table
---@param field string
---@param least number
---@param most number
---@param path? string
---@return number?
function validate.number(object, field, least, most, path)
  local value = value_of(object, field)
  if value == nil then
    return nil
  elseif type(value) ~= "number" then
    validate.fail(path or field, "must be a number")
  elseif not (value >= least and value <= most) then
    validate.fail(path or field, ("must be from %g to %g"):format(least, most))
  end
  return value
end

---True or false.
---@param object table
---@param field string
---@param path? string
---@return boolean?
function validate.flag(object, field, path)
  local value = value_of(object, field)
  if value ~= nil and type(value) ~= "boolean" then
    validate.fail(path or field, "must be true or false")
  end
  return value
end

---An object or array; or, as the clients of the original system send them, the same as JSON text.
---@param object table
---@param field string
---@param path? string
---@return table?
function validate.object(object, field, path)
  local value = value_of(object, field)
  if type(value) == "string" then
    value = json.decode(value)
    if type(value) ~= "table" then
      validate.fail(path or field, "must be an object, or one as JSON text")
    end
  elseif value ~= nil and type(value) ~= "table" then
    validate.fail(path or field, "must be an object, or one as JSON text")
  end
  return value
end

---A whole number in a query parameter; absent and empty are nil.
---@param req fitnessally.request
---@param name string
---@param least integer
---@param most integer
---@return integer?
function validate.query_number(req, name, least, most)
  local text = req:query(name)
  if text == nil or text == "" then
    return nil
  end
  local value = text:find("^%d+$") and #text <= 15 and tonumber(text)
  if not value or value < least or value > most then
    validate.fail(name, ("must be a whole number from %d to %d"):format(least, most))
  end
  return value
end

---A text in a query parameter; absent and empty are nil.
---@param req fitnessally.request
---@param name string
---@param longest integer bytes
---@return string?
function validate.query_text(req, name, longest)
  local text = req:query(name)
  return text ~= "" and validate.text({ [name] = text }, name, longest) or nil
end

return validate
