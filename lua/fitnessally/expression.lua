-- The expressions of templates: text to tokens to functions of the data. A small language of its own (values of the data, a.b[c], texts, numbers,
-- and, or, not, comparisons, "..", +, -, *, /, %, #, and filters: name | upper), of which nothing is run as Lua. docs/templates.md
-- Yields: no. Copies: no.

local expression = {}

local MOST_DEPTH = 50 -- of parentheses and operators

local JSON_ESCAPES = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026", ["'"] = "\\u0027",
  ["\226\128\168"] = "\\u2028", ["\226\128\169"] = "\\u2029" }

local filters = {
  upper = function(value) return tostring(value):upper() end,
  lower = function(value) return tostring(value):lower() end,
  trim = function(value) return tostring(value):match("^%s*(.-)%s*$") end,
  length = function(value) return #value end,
  join = function(value) return table.concat(value, ", ") end,
  url = function(value) return (tostring(value):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)) end,
  json = function(value) -- safe within <script>, too
    return (json.encode(value):gsub("[<>&']", JSON_ESCAPES):gsub("\226\128[\168\169]", JSON_ESCAPES))
  end,
}

local SYMBOLS = { "..", "==", "~=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ".", "|", "#", "," }
local LITERALS = { ["true"] = true, ["false"] = false }
local WORDS = { ["and"] = true, ["or"] = true, ["not"] = true }
local QUOTED = { n = "\n", t = "\t", ["\\"] = "\\", ['"'] = '"', ["'"] = "'" }

local function tokenize(text, fail)
  local tokens, at = {}, 1
  local function add(kind, value, behind)
    tokens[#tokens + 1] = { kind = kind, value = value }
    at = behind
  end
  while true do
    at = text:find("%S", at)
    if not at then
      return tokens
    end
    local word, behind = text:match("^([%a_][%w_]*)()", at)
    local digits, after = text:match("^(%d+%.?%d*)()", at)
    local quote = text:match("^[\"']", at)
    if word then
      add((WORDS[word] and "symbol") or "name", word, behind)
    elseif digits then
      if text:sub(at, after):find("%.%.$") then
        digits, after = text:match("^(%d+)()", at)
      end
      add("value", tonumber(digits), after)
    elseif quote then
      local stop = at
      repeat
        stop = text:find(quote, stop + 1, true)
        local slashes = stop and text:sub(at, stop - 1):match("(\\*)$")
      until not stop or #slashes % 2 == 0
      if not stop then
        fail("a text has no end")
      end
      add("value", (text:sub(at + 1, stop - 1):gsub("\\(.)", function(c) return QUOTED[c] or c end)), stop + 1)
    else
      local found
      for _, symbol in ipairs(SYMBOLS) do
        if not found and text:sub(at, at + #symbol - 1) == symbol then
          found = symbol
        end
      end
      if not found then
        fail(("\"%s\" means nothing here"):format(text:sub(at, at)))
      end
      add("symbol", found, at + #found)
    end
  end
end

local function arithmetic(operate, what)
  return function(a, b, fail)
    if type(a) ~= "number" or type(b) ~= "number" then
      fail(("%s wants two numbers, not a %s and a %s"):format(what, type(a), type(b)))
    end
    return operate(a, b)
  end
end

local function comparison(operate)
  return function(a, b, fail)
    if type(a) ~= type(b) or (type(a) ~= "number" and type(a) ~= "string") then
      fail(("a %s cannot be compared with a %s"):format(type(a), type(b)))
    end
    return operate(a, b)
  end
end

-- What a value is on a page: nothing for nil and null; a table is none.
local function text_of(value, fail)
  if value == nil or value == json.null then
    return ""
  elseif type(value) == "table" or type(value) == "function" or type(value) == "userdata" then
    fail(("a %s is no text"):format(type(value)))
  elseif type(value) == "number" and value % 1 == 0 and math.abs(value) <= 2 ^ 53 then
    return ("%d"):format(value) -- tostring gives 14 digits
  end
  return tostring(value)
end

-- From the loosest to the tightest.
local LEVELS = {
  { ["=="] = function(a, b) return a == b end, ["~="] = function(a, b) return a ~= b end,
    ["<"] = comparison(function(a, b) return a < b end), ["<="] = comparison(function(a, b) return a <= b end),
    [">"] = comparison(function(a, b) return a > b end), [">="] = comparison(function(a, b) return a >= b end) },
  { [".."] = function(a, b, fail) return text_of(a, fail) .. text_of(b, fail) end },
  { ["+"] = arithmetic(function(a, b) return a + b end, "+"), ["-"] = arithmetic(function(a, b) return a - b end, "-") },
  { ["*"] = arithmetic(function(a, b) return a * b end, "*"), ["/"] = arithmetic(function(a, b) return a / b end, "/"),
    ["%"] = arithmetic(function(a, b) return a % b end, "%") },
}

local Parser = {}
Parser.__index = Parser

function Parser:peek(symbol)
  local token = self.tokens[self.at]
  return token and token.kind == "symbol" and token.value == symbol
end

function Parser:take(symbol)
  if self:peek(symbol) then
    self.at = self.at + 1
    return true
  end
end

function Parser:expect(symbol)
  if not self:take(symbol) then
    self.fail(("\"%s\" is missing"):format(symbol))
  end
end

function Parser:name(what)
  local token = self.tokens[self.at]
  if not token or token.kind ~= "name" then
    self.fail(what .. " is missing")
  end
  self.at = self.at + 1
  return token.value
end

-- The member of a value, only of what data can be: no metatable is asked.
local function member(value, key, path, fail)
  if type(value) ~= "table" then
    fail(("%s is a %s: it has no %s"):format(path, value == nil and "nil" or type(value), tostring(key)))
  end
  return rawget(value, key)
end

function Parser:primary()
  local token, fail = self.tokens[self.at], self.fail
  if self:take("(") then
    local inner = self:expression()
    self:expect(")")
    return inner, "(…)"
  elseif not token or token.kind == "symbol" then
    fail(token and ("\"%s\" is not expected here"):format(token.value) or "an expression is missing")
  end
  self.at = self.at + 1
  local value = token.value
  if token.kind == "value" then
    return function() return value end, "a value"
  elseif value == "nil" then
    return function() return nil end, "nil"
  elseif LITERALS[value] ~= nil then
    local literal = LITERALS[value]
    return function() return literal end, value
  end
  return function(data) return data[value] end, value
end

function Parser:suffixed()
  local value, path = self:primary()
  local fail = self.fail
  while true do
    local outer, where = value, path
    if self:take(".") then
      local key = self:name("the name behind the dot")
      value, path = function(data) return member(outer(data), key, where, fail) end, where .. "." .. key
    elseif self:take("[") then
      local key = self:expression()
      self:expect("]")
      value, path = function(data) return member(outer(data), key(data), where, fail) end, where .. "[…]"
    else
      return value
    end
  end
end

function Parser:unary()
  local fail = self.fail
  if self:take("not") then
    local inner = self:deeper(self.unary)
    return function(data) return not inner(data) end
  elseif self:take("-") then
    local inner = self:deeper(self.unary)
    return function(data) return LEVELS[3]["-"](0, inner(data), fail) end
  elseif self:take("#") then
    local inner = self:deeper(self.unary)
    return function(data)
      local value = inner(data)
      if type(value) ~= "table" and type(value) ~= "string" then
        fail(("a %s has no length"):format(type(value)))
      end
      return #value
    end
  end
  return self:suffixed()
end

function Parser:deeper(parse, ...)
  self.depth = self.depth + 1
  if self.depth > MOST_DEPTH then
    self.fail("it is nested too deep")
  end
  local result = parse(self, ...)
  self.depth = self.depth - 1
  return result
end

function Parser:binary(level)
  local operators, fail = LEVELS[level], self.fail
  if not operators then
    return self:unary()
  end
  local left = self:binary(level + 1)
  while true do
    local token = self.tokens[self.at]
    local operate = token and token.kind == "symbol" and operators[token.value]
    if not operate then
      return left
    end
    self.at = self.at + 1
    local a, b = left, self:binary(level + 1)
    left = function(data) return operate(a(data), b(data), fail) end
  end
end

function Parser:logical()
  local left = self:binary(1)
  while self:take("and") do
    local a, b = left, self:binary(1)
    left = function(data) return a(data) and b(data) end
  end
  return left
end

function Parser:either()
  local left = self:logical()
  while self:take("or") do
    local a, b = left, self:logical()
    left = function(data) return a(data) or b(data) end
  end
  while self:take("|") do
    local inner, name = left, self:name("the name of a filter")
    local filter, fail = self.filters[name] or filters[name], self.fail
    if not filter then
      fail(("there is no filter %s"):format(name))
    end
    left = function(data)
      local fine, result = pcall(filter, inner(data))
      if not fine then
        fail(("filter %s: %s"):format(name, tostring(result)))
      end
      return result
    end
  end
  return left
end

function Parser:expression()
  return self:deeper(self.either)
end

---An expression as a function of the data. What is wrong with it, now or then, is told to `fail`, which raises it.
---@param text string
---@param own table<string, fun(value: any): any> filters beside those of the language
---@param fail fun(problem: string)
---@return fun(data: table): any
function expression.compile(text, own, fail)
  local parser = setmetatable({ tokens = tokenize(text, fail), at = 1, depth = 0, filters = own, fail = fail }, Parser)
  local value = parser:expression()
  if parser.tokens[parser.at] then
    fail(("\"%s\" is not expected here"):format(tostring(parser.tokens[parser.at].value)))
  end
  return value
end

---What a value is as a text in a page: nil and json.null are nothing, a table is told to `fail`.
---@param value any
---@param fail fun(problem: string)
---@return string
function expression.text(value, fail)
  return text_of(value, fail)
end

return expression
