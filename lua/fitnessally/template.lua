-- Pages from templates. A template is text with
--
--     {{ expression }}           its value, escaped for HTML            {! expression !}   as it is
--     {% if expression %} … {% elseif expression %} … {% else %} … {% end %}
--     {% for item in list %} … {% end %}     {% for key, value in table %} … {% end %}     {# a remark #}
--     {% include "views/head.html" %}
--
-- Expressions are a small language of their own (values of the data, a.b[c], texts, numbers, and, or, not, comparisons,
-- "..", +, -, and filters: name | upper). Nothing of it is run as Lua: a template can call only filters. It is read once,
-- while the app is loaded, into functions; an error names its file and line. docs/templates.md
-- Yields: no. Copies: no.

local read_file = fitnessally.policies.read

local template = {}

local MOST_DEPTH = 50 -- of blocks, expressions and includes
local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---Escapes a text for HTML, also within quoted attributes.
---@param text string
---@return string
function template.escape(text)
  return (tostring(text):gsub("[&<>\"']", ESCAPES))
end

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

-- ---- expressions: text to tokens to functions of the data ---------------------------------------------------------------

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

local function text_of(value, fail)
  if value == nil or value == json.null then
    return ""
  elseif type(value) == "table" or type(value) == "function" or type(value) == "userdata" then
    fail(("a %s is no text"):format(type(value)))
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

local function parser_of(text, filters_of, fail)
  return setmetatable({ tokens = tokenize(text, fail), at = 1, depth = 0, filters = filters_of, fail = fail }, Parser)
end

local function expression_of(text, state, fail)
  local parser = parser_of(text, state.filters, fail)
  local expression = parser:expression()
  if parser.tokens[parser.at] then
    fail(("\"%s\" is not expected here"):format(tostring(parser.tokens[parser.at].value)))
  end
  return expression
end

-- ---- templates: text to a tree of functions(data, out) ------------------------------------------------------------------

-- The next tag from `at` on: what it is, what is in it, where it begins and what is behind it.
local TAGS = { ["{{"] = "}}", ["{!"] = "!}", ["{%"] = "%}", ["{#"] = "#}" }

local function next_tag(text, at)
  local from = at
  while true do
    from = text:find("{", from, true)
    if not from then
      return nil
    end
    local opening = text:sub(from, from + 1)
    if TAGS[opening] then
      local close = text:find(TAGS[opening], from + 2, true)
      return opening, close and text:sub(from + 2, close - 1), from, close and close + 2
    end
    from = from + 1
  end
end

local function line_of(text, at)
  local _, lines = text:sub(1, at - 1):gsub("\n", "")
  return lines + 1
end

local function fail_at(name, line)
  return function(message)
    error(("%s:%d: %s"):format(name, line, message), 0)
  end
end

local function run_all(parts, data, out)
  for i = 1, #parts do
    parts[i](data, out)
  end
end

local parse_block, compile

local function output(expression, fail, escaped)
  return function(data, out)
    local text = text_of(expression(data), fail)
    out[#out + 1] = escaped and text:gsub("[&<>\"']", ESCAPES) or text
  end
end

local function parse_if(state, condition, fail)
  local branches, otherwise = {}, nil
  local test = expression_of(condition, state, fail)
  while true do
    local parts, word, rest, fail_here = parse_block(state, fail)
    branches[#branches + 1] = { test = test, parts = parts }
    if word == "elseif" then
      test = expression_of(rest, state, fail_here)
    else
      if word == "else" then
        otherwise, word = parse_block(state, fail)
      end
      if word ~= "end" then
        fail("if has no end")
      end
      break
    end
  end
  return function(data, out)
    for i = 1, #branches do
      if branches[i].test(data) then
        return run_all(branches[i].parts, data, out)
      end
    end
    if otherwise then
      run_all(otherwise, data, out)
    end
  end
end

local function compare_keys(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
    return a < b
  end
  return type(a) < type(b)
end

-- The names of a loop are seen in it only.
local function scope_of(data)
  return setmetatable({}, { __index = data })
end

local function parse_for(state, text, fail)
  local first, second, list = text:match("^%s*([%a_][%w_]*)%s*,?%s*([%a_]*[%w_]*)%s+in%s+(.+)$")
  if not first then
    fail("for is written {% for item in list %} or {% for key, value in table %}")
  end
  local values = expression_of(list, state, fail)
  local parts, word = parse_block(state, fail)
  if word ~= "end" then
    fail("for has no end")
  end
  return function(data, out)
    local all = values(data)
    if all == nil or all == json.null then
      return
    elseif type(all) ~= "table" then
      fail(("for wants a table, not a %s"):format(type(all)))
    end
    if second == "" then
      local count = #all
      for i = 1, count do
        local inner = scope_of(data)
        inner[first], inner.loop = all[i], { index = i, first = i == 1, last = i == count, count = count }
        run_all(parts, inner, out)
      end
      return
    end
    local keys = {}
    for key in pairs(all) do
      keys[#keys + 1] = key
    end
    table.sort(keys, compare_keys)
    for i, key in ipairs(keys) do
      local inner = scope_of(data)
      inner[first], inner[second] = key, all[key]
      inner.loop = { index = i, first = i == 1, last = i == #keys, count = #keys }
      run_all(parts, inner, out)
    end
  end
end

local function parse_include(state, rest, fail)
  local file = rest:match("^%s*[\"']([^\"']+)[\"']%s*$")
  if not file then
    fail("include is written {% include \"views/head.html\" %}")
  elseif state.depth >= MOST_DEPTH then
    fail("includes are nested too deep")
  end
  local text, problem = read_file(file)
  if not text then
    fail(problem)
  end
  local parts = compile(text, file, state.filters, state.depth + 1)
  return function(data, out) run_all(parts, data, out) end
end

local function statement(state, body, fail)
  local word, rest = body:match("^%s*(%a+)(.*)$")
  if word == "if" then
    return parse_if(state, rest, fail)
  elseif word == "for" then
    return parse_for(state, rest, fail)
  elseif word == "include" then
    return parse_include(state, rest, fail)
  end
  fail(("\"%s\" is no statement: there are if, elseif, else, for, end and include"):format(tostring(word or body)))
end

local ENDS = { ["elseif"] = true, ["else"] = true, ["end"] = true }

-- Until the word that ends the block, or the end of the text: the parts, that word, what is behind it in its tag.
function parse_block(state)
  local parts = {}
  while true do
    local opening, body, from, behind = next_tag(state.text, state.at)
    local plain = state.text:sub(state.at, (from or 0) - 1)
    if plain ~= "" then
      parts[#parts + 1] = function(_, out) out[#out + 1] = plain end
    end
    if not opening then
      state.at = #state.text + 1
      return parts, nil
    end
    local fail = fail_at(state.name, line_of(state.text, from))
    if not body then
      fail(("%s has no %s"):format(opening, TAGS[opening]))
    end
    state.at = behind
    if opening == "{{" or opening == "{!" then
      parts[#parts + 1] = output(expression_of(body, state, fail), fail, opening == "{{")
    elseif opening == "{%" then
      local word, rest = body:match("^%s*(%a+)(.*)$")
      if ENDS[word] then
        return parts, word, rest, fail
      end
      if state.text:sub(state.at, state.at) == "\n" then
        state.at = state.at + 1 -- a statement on a line of its own leaves no empty line
      end
      parts[#parts + 1] = statement(state, body, fail)
    end
  end
end

function compile(text, name, own, depth)
  local state = { text = text, name = name, at = 1, filters = own, depth = depth }
  local parts, word = parse_block(state)
  if word then
    fail_at(name, line_of(text, state.at))(("\"%s\" ends nothing"):format(word))
  end
  return parts
end

-- ---- for the app --------------------------------------------------------------------------------------------------------

---A template from text: a function of the data that gives the page. Errors name `name` and the line.
---@param text string
---@param options? {name?: string, filters?: table<string, fun(value: any): any>}
---@return fun(data?: table): string
function template.compile(text, options)
  options = options or {}
  local parts = compile(text, options.name or "template", options.filters or {}, 0)
  return function(data)
    local out = {}
    run_all(parts, data or {}, out)
    return table.concat(out)
  end
end

---A template from a file of the app. While the app is loaded only. Yields: no. Copies: the file.
---@param file string "views/page.html"
---@param options? {filters?: table<string, fun(value: any): any>}
---@return fun(data?: table): string
function template.load(file, options)
  local text, problem = read_file(file)
  if not text then
    error("template.load: " .. problem, 2)
  end
  return template.compile(text, { name = file, filters = options and options.filters })
end

return template
