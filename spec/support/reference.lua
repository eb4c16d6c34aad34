-- The reference, docs/lua-api.md, from its one source: the annotations in lua/fitnessally/meta/*.lua, and those in the modules
-- lua/fitnessally/*.lua. CONTRIBUTING.md says how they are written.
--
--   luajit spec/support/reference.lua > docs/lua-api.md     (./dev docs)
--
-- spec/routes/reference_spec.lua holds the page against it, spec/unit/test_script_reference.c what it says of each function against
-- what the function does.
local reference = {}

-- In the order of the page; what is not named here comes after them.
local ORDER = {
  "app", "request", "answers", "websocket", "buffer", "scope", "shared", "upstream", "voice", "plugin", "crypto", "core",
}
local SHOWN = { group = "app", up = "upstream.NAME" } -- what readers write for a name of the annotations

-- ---- reading -------------------------------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:add(item)
  item.place = self.file .. ":" .. self.line
  self.items[#self.items + 1] = item
  return item
end

function Reader:fresh()
  self.doc = { text = {}, params = {}, returns = {} }
end

-- What is left of a description without its flags, and these.
local function flags_of(text)
  local yields, copies = text:match("Yields: ([^.]-)%.%s*Copies: ([^.]-)%.")
  text = text:gsub("%s*Yields: [^.]-%.%s*Copies: [^.]-%.%s*", " ", 1)
  return text:match("^%s*(.-)%s*$"), yields, copies
end

-- A type and what follows it: blanks within brackets, after a comma, colon or bar belong to the type.
local function split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c:find "[%({<%[]" then
      depth = depth + 1
    elseif c:find "[%)}>%]]" then
      depth = depth - 1
    elseif c == "\"" then
      at = text:find("\"", at + 1, true) or #text
    elseif c == " " and depth == 0 and not text:sub(1, at - 1):find "[:,|]$" then
      break
    end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

local tags = {}

function tags.param(reader, rest)
  local name, more = rest:match("^(%S+)%s*(.*)$")
  local kind, text = split_type(more)
  table.insert(reader.doc.params, { name = name:gsub("%?$", ""), type = kind, text = text })
end

tags["return"] = function(reader, rest)
  table.insert(reader.doc.returns, rest)
end

function tags.class(reader, rest)
  local name, text = rest:match("^([%w_.]+)%s*(.*)$")
  local after = text:match("^:%s*[%w_.]+%s*(.*)$") -- its parent
  local yields, copies
  text, yields, copies = flags_of(after or text)
  reader.class = reader:add { kind = "class", name = name, text = text, yields = yields, copies = copies, fields = {} }
  reader:fresh()
end

function tags.field(reader, rest)
  local name, more = rest:match("^(%S+)%s+(.*)$")
  local kind, text = split_type(more)
  if not name:find "^%[" then
    table.insert(reader.class.fields, { name = name, type = kind, text = text })
  end
end

function tags.type(reader, rest)
  reader.doc.type = split_type(rest)
end

-- variable: what stands before the name, "" for a global function.
function Reader:func(variable, mark, name, arguments, key)
  local doc, class = self.doc, self.classes[variable]
  local text, yields, copies = flags_of(table.concat(doc.text, " "))
  local joins = text == "" and not yields and self.last
  local item = self:add {
    kind = "function", variable = variable, mark = mark, name = name, arguments = arguments, class = class and class.name,
    key = key or (class and class.name or variable ~= "" and variable or "") .. (variable ~= "" and "." or "") .. name,
    text = text, params = doc.params, returns = doc.returns, with = joins or nil,
    yields = yields or joins and joins.yields or class and class.yields or self.yields,
    copies = copies or joins and joins.copies or class and class.copies or self.copies,
  }
  self.last = joins or item
  self:fresh()
end

function Reader:value(name)
  if #self.doc.text > 0 and self.doc.type then
    self:add { kind = "value", name = name, type = self.doc.type, text = table.concat(self.doc.text, " ") }
  end
  self:fresh()
end

function Reader:code(line)
  local variable, mark, name, arguments = line:match("^function ([%w_.]-)([.:]?)([%w_]+)%((.-)%)")
  local documented = #self.doc.text + #self.doc.params + #self.doc.returns > 0
  if name and (documented or self.meta) then
    return self:func(variable, mark, name, arguments)
  end
  local given = line:match("^return function%((.-)%)") -- a module that is a function
  if given and documented then
    return self:func("", "", self.module:match("[%w_]+$"), given, self.module)
  end
  variable, name = line:match("^([%w_]+)%.([%w_]+) = ")
  if variable and documented and (#self.doc.returns > 0 or #self.doc.params > 0) then
    local names = {}
    for i, param in ipairs(self.doc.params) do
      names[i] = param.name
    end
    return self:func(variable, ".", name, table.concat(names, ", "))
  end
  local made = line:match("^local ([%w_]+) = {}") or line:match("^([%w_]+) = {}")
  if made and self.class and not self.classes[made] and self.named ~= self.class then
    self.classes[made], self.named = self.class, self.class
    self.class.variable = made
    if self.doc.type then
      self:value(made)
    end
    self.last = nil
  elseif self.module and made and not self.classes[made] then
    self.classes[made] = { name = self.module, yields = self.yields, copies = self.copies } -- the module's own table
  elseif line:find "^[%w_.]+ = " then
    self:value(line:match("^[%w_.]+"))
  end
  self:fresh()
end

function Reader:read_line(line)
  local prose = line:match("^%-%-|%s?(.*)$")
  local tag, rest = line:match("^%-%-%-@([%a_]+)%s*(.*)$")
  if prose then
    self.prose = self.prose or self:add { kind = "prose", lines = {} }
    table.insert(self.prose.lines, prose)
    self.last = nil
    return
  end
  self.prose = nil
  if tag then
    if tags[tag] then
      tags[tag](self, rest)
    end
  elseif line:find "^%-%-%-" then
    table.insert(self.doc.text, (line:match("^%-%-%-%s?(.*)$")))
  elseif line ~= "" and not line:find "^%-%-" then
    self:code(line)
  elseif line == "" then
    self:fresh()
  end
end

-- The comment at the top of a module, and what it says of all that the module gives.
local function read_header(lines)
  local header = {}
  for _, line in ipairs(lines) do
    local text = line:match("^%-%- ?(.*)$")
    if not text or line:find "^%-%-%-" then
      break
    end
    header[#header + 1] = text
  end
  local text = table.concat(header, "\n")
  local yields, copies = select(2, flags_of(text))
  text = text:gsub("%s*Yields: [^.]-%.%s*Copies: [^.]-%.", "", 1):gsub("%s*docs/lua%-api%.md%.?", "")
    :gsub("docs/([%w-]+%.md)", "[%1](%1)")
  return text, yields, copies
end

local function read_file(path, module)
  local lines = {}
  for line in assert(io.open(path)):lines() do
    lines[#lines + 1] = line
  end
  local reader = setmetatable({ items = {}, file = path, line = 1, classes = {}, module = module, meta = not module }, Reader)
  reader:fresh()
  if module then
    local text
    text, reader.yields, reader.copies = read_header(lines)
    if text:find "not a%s+module" then
      return {}
    end
    reader:add { kind = "module", name = module, text = text }
  end
  for number, line in ipairs(lines) do
    reader.line = number
    reader:read_line(line)
  end
  return reader.items
end

local function list(command)
  local pipe = assert(io.popen(command))
  local names = {}
  for line in pipe:lines() do
    names[#names + 1] = line
  end
  pipe:close()
  return names
end

-- All that is annotated, in order. root: the repository.
function reference.read(root)
  local place, files, items = {}, {}, {}
  for i, name in ipairs(ORDER) do
    place[name] = i
  end
  for _, path in ipairs(list("ls '" .. root .. "'/lua/fitnessally/meta/*.lua")) do
    files[#files + 1] = { path = path, rank = ("%03d%s"):format(place[path:match("([%w_]+)%.lua$")] or 500, path) }
  end
  for _, path in ipairs(list("ls '" .. root .. "'/lua/fitnessally/*.lua")) do
    files[#files + 1] = { path = path, rank = "999" .. path, module = "fitnessally." .. path:match("([%w_]+)%.lua$") }
  end
  table.sort(files, function(a, b) return a.rank < b.rank end)
  for _, file in ipairs(files) do
    for _, item in ipairs(read_file(file.path, file.module)) do
      items[#items + 1] = item
    end
  end
  return items
end

-- ---- writing -------------------------------------------------------------------------------------------------------

local function cell(text)
  return (text:gsub("|", "\\|"))
end

local function short(kind)
  return (kind:gsub("fitnessally%.", ""))
end

local function shown(item)
  local variable = SHOWN[item.variable] or item.variable
  return variable .. item.mark .. item.name
end

-- Texts of annotations are plain: names of things in them become code.
local function marked(text)
  return (text:gsub("<", "&lt;"))
end

local function sentence(text)
  return text ~= "" and not text:find "[.:!?]$" and text .. "." or text
end

local function describe(item)
  local parts = { sentence(marked(item.text)) }
  for _, param in ipairs(item.params) do
    local shape = param.type:find "^{" or param.type:find "^\"" or param.type:find "|"
    if param.text ~= "" or shape then
      local type_text = shape and "`" .. short(param.type) .. "`" or ""
      local both = type_text ~= "" and param.text ~= "" and "; " or ""
      parts[#parts + 1] = ("`%s`: %s"):format(param.name, sentence(type_text .. both .. marked(param.text)))
    end
  end
  if #item.returns > 0 then
    parts[#parts + 1] = "→ `" .. short(table.concat(item.returns, ", ")) .. "`"
  end
  if parts[1] == "" then
    table.remove(parts, 1)
  end
  return table.concat(parts, " ")
end

local function flag(text)
  return not text and "?" or text == "no" and "no" or text == "yes" and "**yes**" or "**yes**, " .. text
end

local Page = {}
Page.__index = Page

function Page:put(...)
  for _, line in ipairs { ... } do
    self[#self + 1] = line
  end
end

function Page:gap()
  if self[#self] ~= "" and #self > 0 then
    self:put("")
  end
  self.table = nil
end

function Page:row(kind, head, ...)
  if self.table ~= kind then
    self:gap()
    self:put("| " .. table.concat(head, " | ") .. " |", "|" .. ("---|"):rep(#head))
    self.table = kind
  end
  self:put("| " .. table.concat({ ... }, " | ") .. " |")
end

local writers = {}

function writers.prose(page, item)
  page:gap()
  page:put(unpack(item.lines))
  page.table = nil
end

function writers.module(page, item)
  page:gap()
  page:put("### " .. item.name, "")
  for line in (item.text .. "\n"):gmatch("(.-)\n") do
    page:put(line)
  end
end

function writers.class(page, item)
  if #item.fields == 0 then
    return
  end
  page:gap()
  local name = item.name:gsub("^fitnessally%.", "")
  page:put(("**%s**%s"):format(name, item.text ~= "" and ": " .. marked(item.text) or ""))
  for _, field in ipairs(item.fields) do
    page:row(item.name, { "field", "type", "is" }, "`" .. field.name .. "`", "`" .. cell(short(field.type)) .. "`",
      cell(marked(field.text)))
  end
  page.table = nil
end

writers["function"] = function(page, item, index, items)
  if item.with then
    return
  end
  local names = { ("`%s(%s)`"):format(shown(item), item.arguments) }
  for i = index + 1, #items do
    if items[i].with == item then
      names[#names + 1] = ("`%s%s`"):format(item.mark == ":" and ":" or ".", items[i].name)
    end
  end
  page:row("functions", { "function", "does", "yields", "copies" }, table.concat(names, ", "), cell(describe(item)),
    flag(item.yields), flag(item.copies))
end

function writers.value(page, item)
  page:row("functions", { "function", "does", "yields", "copies" }, "`" .. item.name .. "`", cell(marked(item.text)), "no", "no")
end

local HEAD = [[
<!-- Made by `./dev docs` from lua/fitnessally/meta/*.lua and lua/fitnessally/*.lua: change those. -->
# The Lua API
]]

function reference.page(items)
  local page = setmetatable({ HEAD:gsub("\n$", "") }, Page)
  page[2] = nil
  local modules = false
  for index, item in ipairs(items) do
    if item.kind == "module" and not modules then
      modules = true
      page:gap()
      page:put("## The library", "", "Modules in Lua, in `lua/fitnessally`: `require \"fitnessally.schema\"`. To be read, and"
        .. " copied where they do not fit.")
    end
    writers[item.kind](page, item, index, items)
  end
  return table.concat(page, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find "reference%.lua$" then
  io.stdout:write(reference.page(reference.read(".")))
end

return reference
