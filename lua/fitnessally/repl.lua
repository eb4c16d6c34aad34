-- What a line of `fitnessally repl` runs in, and how its values are shown. Runs once in a state to which a repl is attached;
-- not a module. native: core/script/lua_repl.c.
local native = ...
local type, tostring, next, select, getmetatable = type, tostring, next, select, getmetatable
local pcall, concat, sort, format = pcall, table.concat, table.sort, string.format

local DEEPEST, MOST_ENTRIES, LONGEST_TEXT, LONGEST = 4, 100, 2000, 60 * 1024
local WIDE = 100 -- a table that is longer than that takes a line for each entry

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
  local shown = text:sub(1, LONGEST_TEXT):gsub('[%c"\\\127]', function(c)
    return escapes[c] or format("\\%03d", c:byte())
  end)
  local rest = #text > LONGEST_TEXT and format(" (%d bytes)", #text) or ""
  return '"' .. shown .. '"' .. rest
end

local function show_key(key)
  if type(key) ~= "string" then
    return nil
  end
  return key:find("^[%a_][%w_]*$") and key or "[" .. quote(key) .. "]"
end

local function before(a, b)
  local first, second = type(a), type(b)
  if first ~= second then
    return first < second
  elseif first == "number" or first == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

-- The keys behind the list's part, in an order that is the same each time; at most `room` of them, and how many there are.
local function keys_of(value, length, room)
  local keys, count = {}, 0
  for key in next, value do
    local in_list = type(key) == "number" and key >= 1 and key <= length and key % 1 == 0
    if not in_list then
      count = count + 1
      if count <= 2000 then -- what is more is not shown anyway, and sorting takes time
        keys[count] = key
      end
    end
  end
  pcall(sort, keys, before)
  for i = room + 1, #keys do
    keys[i] = nil
  end
  return keys, count
end

local show

local function lay_out(parts, depth)
  local width = 0
  for i = 1, #parts do
    width = width + #parts[i] + 2
  end
  if width <= WIDE and not concat(parts):find("\n") then
    return #parts == 0 and "{}" or "{ " .. concat(parts, ", ") .. " }"
  end
  local indent = ("  "):rep(depth)
  return "{\n  " .. indent .. concat(parts, ",\n  " .. indent) .. "\n" .. indent .. "}"
end

local function show_table(value, depth, above)
  if above[value] then
    return "{ itself }"
  elseif depth >= DEEPEST then
    return next(value) == nil and "{}" or "{ ... }"
  end
  above[value] = true
  local parts, length = {}, getmetatable(value) == nil and #value or 0
  for i = 1, length < MOST_ENTRIES and length or MOST_ENTRIES do
    parts[i] = show(value[i], depth + 1, above)
  end
  local keys, count = keys_of(value, length, MOST_ENTRIES - #parts)
  for _, key in next, keys do
    local name = show_key(key) or "[" .. show(key, DEEPEST, above) .. "]"
    parts[#parts + 1] = name .. " = " .. show(value[key], depth + 1, above)
  end
  local left_out = length + count - #parts
  if left_out > 0 then
    parts[#parts + 1] = format("... %d more", left_out)
  end
  above[value] = nil
  return lay_out(parts, depth)
end

function show(value, depth, above)
  local kind = type(value)
  if kind == "string" then
    return quote(value)
  elseif kind == "function" then
    return "function (" .. native.place(value) .. ")"
  elseif value == json.null then
    return "json.null"
  elseif kind == "userdata" and native.within(value) then
    return show_table(native.within(value), depth, above)
  end
  local ok, text = pcall(tostring, value)
  if kind == "table" and ok and text:find("^table: ") then
    return show_table(value, depth, above)
  end
  return ok and text or "(its __tostring fails: " .. tostring(text) .. ")"
end

-- One text of all values, "" for none.
local function show_all(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local text = show((select(i, ...)), 0, {})
    texts[i] = #text <= LONGEST and text or text:sub(1, LONGEST) .. "\n... (the rest is left out)"
  end
  local all = concat(texts, "\t")
  return #all <= LONGEST + 100 and all or all:sub(1, LONGEST) .. "\n... (the rest is left out)"
end

-- An expression as a chunk that hands its values to the function it is called with; not by `return`, which would be a tail call, and its
-- line would be missing in errors. nil when it is none.
local function compile_expression(text, environment)
  if native.compile("return " .. text, environment) then
    return native.compile("return (...)(" .. text .. "\n)", environment)
  end
end

-- The text of its values; nil and a message when it is no Lua.
return function(text, environment)
  local marked = text:match("^%s*=(.*)")
  local expression = compile_expression(marked or text, environment)
  if expression then
    return expression(show_all)
  end
  local chunk, problem = native.compile(marked and "return " .. marked or text, environment)
  if not chunk then
    return nil, problem
  end
  return show_all(chunk())
end
