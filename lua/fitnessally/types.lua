-- What `fitnessally check` does with lua-language-server: the scripts are checked against the annotations of the server. Runs in a state of
-- the command line that has all of Lua (core/server/cli_types.c); not a module.
local cjson = require "cjson"
local format, concat, sort = string.format, table.concat, table.sort

local PROGRAM = "lua-language-server"
local PATIENCE = 300 -- seconds, for each folder
local SEVERITIES = { "error", "warning", "information", "hint" }

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Status of a command of the shell, whatever this LuaJIT gives of it.
local function run(command)
  local status, _, code = os.execute(command)
  if type(status) == "number" then
    return status >= 256 and math.floor(status / 256) or status
  end
  return status and 0 or code
end

local function is_there(path)
  local file = io.open(path)
  if file then
    file:close()
  end
  return file ~= nil
end

local function read_all(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

local function line_of(command)
  local pipe = io.popen(command)
  local line = pipe and pipe:read("*l")
  if pipe then
    pipe:close()
  end
  return line
end

-- What an editor would be told by a .luarc.json, when the folder has none of its own.
local function configuration(library)
  return cjson.encode {
    ["runtime.version"] = "LuaJIT",
    ["runtime.path"] = { "?.lua" },
    ["workspace.library"] = { library },
    ["workspace.checkThirdParty"] = false,
    ["diagnostics.globals"] = { "config", "native", "describe", "it", "before_each", "after_each", "setup", "teardown" },
    ["telemetry.enable"] = false,
  }
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function decode_uri(uri)
  return (uri:gsub("^file://", ""):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- Below the folder without it, as scripts call their files.
local function name_of(uri, folder)
  local path = decode_uri(uri)
  return path:sub(1, #folder + 1) == folder .. "/" and path:sub(#folder + 2) or path
end

local function add(found, report, folder)
  for uri, diagnostics in pairs(report) do
    for _, one in ipairs(diagnostics) do
      found[#found + 1] = {
        file = name_of(uri, folder), line = one.range.start.line + 1, column = one.range.start.character + 1,
        severity = SEVERITIES[one.severity] or "warning", code = tostring(one.code), message = one.message,
      }
    end
  end
end

-- nil, or why it could not be done.
local function check(folder, library, work, found)
  local report, output = work .. "/check.json", work .. "/output"
  local words = { "timeout", tostring(PATIENCE), PROGRAM, "--check=" .. folder, "--checklevel=Warning", "--check_format=json",
    "--check_out_path=" .. report, "--logpath=" .. work, "--metapath=" .. work .. "/meta" }
  if not is_there(folder .. "/.luarc.json") then
    write(work .. "/config.json", configuration(library))
    words[#words + 1] = "--configpath=" .. work .. "/config.json"
  end
  for i, word in ipairs(words) do
    words[i] = quote(word)
  end
  os.remove(report)
  local status = run(concat(words, " ") .. " >" .. quote(output) .. " 2>&1 </dev/null")
  local text = read_all(report)
  if status == 124 then
    return format("%s took longer than %d s", PROGRAM, PATIENCE)
  elseif not text and status ~= 0 then -- without a report all is well, as old versions have it
    local said = (read_all(output) or ""):gsub("%s+$", "")
    return format("%s ended with status %d: %s", PROGRAM, status, said:sub(-400))
  end
  local ok, decoded = pcall(cjson.decode, text or "{}")
  if not ok or type(decoded) ~= "table" then
    return PROGRAM .. " has written no report that can be read"
  end
  add(found, decoded, folder)
end

local function by_place(a, b)
  if a.file ~= b.file then
    return a.file < b.file
  elseif a.line ~= b.line then
    return a.line < b.line
  end
  return a.column < b.column
end

local function as_lines(found)
  local lines = {}
  for i, one in ipairs(found) do
    local message = one.message:gsub("%s*\n%s*", " ")
    lines[i] = format("%s:%d:%d: %s: %s (%s)", one.file, one.line, one.column, one.severity, message, one.code)
  end
  return lines
end

-- folders: of the application and of plugins that are not ours. Returns whether all is well, and what there is to say: lines of text, or the
-- value of "types" in JSON.
return function(folders, library, json)
  local path = line_of("command -v " .. PROGRAM .. " 2>/dev/null")
  if not path or path == "" then
    return true, json and '{"checked":false}' or "types not checked: " .. PROGRAM .. " is not on the PATH"
  end
  local work = line_of("mktemp -d -t fitnessally-check.XXXXXX")
  if not work then
    return false, json and '{"checked":false}' or "types not checked: no folder for the report can be made"
  end
  local found, problem = {}, nil
  for _, folder in ipairs(folders) do
    problem = problem or check(folder, library, work, found)
  end
  run("rm -rf " .. quote(work))
  if problem then
    return false, json and '{"checked":false,"problem":' .. cjson.encode(problem) .. "}" or "types not checked: " .. problem
  end
  sort(found, by_place)
  if json then
    return #found == 0, '{"checked":true,"diagnostics":' .. (#found > 0 and cjson.encode(found) or "[]") .. "}"
  end
  local lines = as_lines(found)
  lines[#lines + 1] = #found == 0 and "types ok" or format("types: %d findings", #found)
  return #found == 0, concat(lines, "\n")
end
