-- `fitnessally records import FILE | export | search QUERY | stats`. It runs as a task of its own, with the
-- command line in `arg`, out and err to write to the two standard streams, and tty: whether the error stream is a
-- terminal. It returns the exit status: 0 done, 1 failed, 2 wrong usage.

-- luacheck: read_globals out err tty

local exercise_line = "%-40s %-13s %-15s %s\n"
local usage = [[
usage: fitnessally records import FILE     read a JSON file of exercises
       fitnessally records export          write all records as JSON
       fitnessally records search QUERY    what the coach would find
       fitnessally records stats           how many there are
Each takes --json.
]]
local BAR_WIDTH, MOST_EXPORT, MOST_RESULTS = 30, 256 * 1024 * 1024, 20

local function misused(what)
  err("fitnessally records: " .. what .. "\n" .. usage)
  return 2
end

local function failed(problem)
  err(("fitnessally records: %s\n"):format(problem.message))
  return 1
end

-- The arguments without the options. nil and what is wrong for an unknown option; the option "help" for --help.
local function parse(list)
  local words, options, only_words = {}, {}, false
  for _, word in ipairs(list) do
    if only_words or not word:find("^%-.") then
      words[#words + 1] = word
    elseif word == "--" then
      only_words = true
    elseif word == "--json" or word == "--help" then
      options[word:sub(3)] = true
    else
      return nil, "unknown option " .. word
    end
  end
  return words, options
end

-- A bar on a terminal, drawn again only when it would look different.
local function progress_bar()
  local drawn
  local function draw(done, total)
    local part = total > 0 and math.min(done / total, 1) or 1
    local filled = math.floor(part * BAR_WIDTH)
    local line = ("\r[%s%s] %3d %% of %d"):format(("#"):rep(filled), ("."):rep(BAR_WIDTH - filled),
      math.floor(part * 100), total)
    if line ~= drawn then
      drawn = line
      err(line)
    end
  end
  local function clear()
    if drawn then
      err("\r" .. (" "):rep(#drawn) .. "\r")
    end
  end
  return draw, clear
end

local function one_line(counts)
  local text = ("%d records: %d new, %d changed, %d unchanged"):format(counts.total, counts.imported, counts.updated,
    counts.unchanged)
  if counts.skipped and counts.skipped > 0 then
    text = text .. (", %d left out"):format(counts.skipped) .. (counts.note and (" (%s)"):format(counts.note) or "")
  end
  return text .. "\n"
end

local actions = {}

function actions.import(file, options)
  local draw, clear = progress_bar()
  local counts, problem = plugin.records.import { file = file, progress = tty and draw or nil }
  clear()
  if not counts then
    return failed(problem)
  end
  if options.json then
    out(json.encode(counts) .. "\n")
  else
    err(one_line(counts))
  end
  return 0
end

function actions.export()
  local made, problem = plugin.records.export {}
  if not made then
    return failed(problem)
  end
  local text, message = made.json:copy { max = MOST_EXPORT }
  if not text then
    return failed { message = message }
  end
  out(text)
  return 0
end

function actions.search(query, options)
  local found, problem = plugin.records.search { query = query, limit = MOST_RESULTS }
  if not found then
    return failed(problem)
  elseif options.json then
    out(found.json:copy { max = MOST_EXPORT } .. "\n")
    return 0
  end
  local reply = found.json:json()
  for _, record in ipairs(reply.records) do
    local facts = record.data.exercise or {}
    local function shown(value)
      return type(value) == "string" and value or "-"
    end
    local muscles = type(facts.primaryMuscles) == "table" and table.concat(facts.primaryMuscles, ", ") or ""
    out(exercise_line:format(record.data.basic.name, shown(facts.level), shown(facts.equipment), muscles):gsub(" +\n",
      "\n"))
  end
  if #reply.records == 0 then
    err("nothing found\n")
  elseif found.count > #reply.records then
    err(("the best %d of %d\n"):format(#reply.records, found.count))
  end
  return 0
end

function actions.stats(_, options)
  local figures, problem = plugin.records.stats {}
  if not figures then
    return failed(problem)
  elseif options.json then
    out(json.encode(figures) .. "\n")
    return 0
  end
  local names = {}
  for name in pairs(figures) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    out(("%-16s %s\n"):format(name, type(figures[name]) == "number" and ("%d"):format(figures[name]) or figures[name]))
  end
  return 0
end

local wanted_words = { import = { 1, 1 }, export = { 0, 0 }, search = { 1, 64 }, stats = { 0, 0 } }

local words, options = parse(arg)
if not words then
  return misused(options)
elseif options.help then
  out(usage)
  return 0
elseif not words[1] or not actions[words[1]] then
  return misused(words[1] and ("there is no action %s"):format(words[1]) or "what shall be done?")
elseif plugin.records == nil then
  return failed { message = "the plugin 'records' is not loaded: add it to plugins_enabled" }
end
local action, count = words[1], #words - 1
if count < wanted_words[action][1] or count > wanted_words[action][2] then
  return misused(action .. (count == 0 and " wants an argument" or " does not take so many arguments"))
end
return actions[action](count > 0 and table.concat(words, " ", 2) or nil, options)
