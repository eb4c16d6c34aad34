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

local expression = require "fitnessally.expression"

local read_file = fitnessally.policies.read

local template = {}

local MOST_DEPTH = 50 -- of blocks and includes
local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---Escapes a text for HTML, also within quoted attributes.
---@param text string
---@return string
function template.escape(text)
  return (tostring(text):gsub("[&<>\"']", ESCAPES))
end

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

local function output(value, fail, escaped)
  return function(data, out)
    local text = expression.text(value(data), fail)
    out[#out + 1] = escaped and text:gsub("[&<>\"']", ESCAPES) or text
  end
end

local function parse_if(state, condition, fail)
  local branches, otherwise = {}, nil
  local test = expression.compile(condition, state.filters, fail)
  while true do
    local parts, word, rest, fail_here = parse_block(state, fail)
    branches[#branches + 1] = { test = test, parts = parts }
    if word == "elseif" then
      test = expression.compile(rest, state.filters, fail_here)
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
  local values = expression.compile(list, state.filters, fail)
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
      parts[#parts + 1] = output(expression.compile(body, state.filters, fail), fail, opening == "{{")
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
