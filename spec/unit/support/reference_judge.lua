-- What the annotations say of each function, held against what a state has and what calls of it did: test_script_reference.c.
local root = ...
package.path = root .. "/spec/support/?.lua;" .. package.path
local reference = require "reference"

-- Not for scripts: the part in C of modules in lua/fitnessally.
local OURS = { "^fitnessally%.policies%." }
-- Methods of what a module makes, or that are looked up by name: not in a table that could be walked. An example shows that they are there.
local OBJECTS = {
  ["fitnessally.upstream_event.json"] = true,
  ["fitnessally.prometheus.page.add"] = true, ["fitnessally.prometheus.page.text"] = true,
  ["fitnessally.chunker.stream.add"] = true, ["fitnessally.chunker.stream.finish"] = true,
  ["fitnessally.flow.teller.add"] = true, ["fitnessally.flow.teller.finish"] = true,
}
-- Wait only in a server of several workers, or not when the guard refuses: what makes them wait is in their place.
local ELSEWHERE = { ["fitnessally.voice.ask"] = true, ["fitnessally.voice.listen"] = true, ["fitnessally.voice.delete"] = true,
  ["fitnessally.voice.interrupt"] = true, ["fitnessally.fetch"] = true }

local judge = { problems = {} }
local said, modules, there, waits, seen = {}, {}, {}, {}, {}

for _, item in ipairs(reference.read(root)) do
  if item.kind == "function" then
    said[item.key] = item
  elseif item.kind == "module" then
    modules[#modules + 1] = item.name
  end
end

local function complain(...)
  table.insert(judge.problems, (...):format(select(2, ...)))
end

function judge.modules()
  return table.concat(modules, "\n") .. "\n"
end

-- key: as the walk names it; native: fa_lua_waits has made it.
function judge.found(key, native)
  for _, pattern in ipairs(OURS) do
    if key:find(pattern) then
      return
    end
  end
  key = key:gsub("^fitnessally%.plugin%.%w+%.%w+$", "fitnessally.plugin.FUNCTION")
  if not said[key] then
    key = key:gsub("^fitnessally%.app%.", "fitnessally.group.")
  end
  there[key], waits[key] = true, native
  if not said[key] then
    complain("%s is there, and lua/fitnessally/meta says nothing of it", key)
  end
end

function judge.seen(lines)
  for key, what in lines:gmatch "(%S+) ([^\n]+)" do
    local waited, copied = what:match "^(%d) (%d)$"
    seen[key] = { load = what == "load", waited = waited == "1", copied = copied == "1" }
  end
end

local function compare(key, item, example)
  local yields, copies = item.yields ~= "no", item.copies ~= "no"
  if waits[key] and not yields then
    complain("%s: %s waits, and is annotated as one that does not yield", item.place, key)
  elseif example.load then
    if yields then
      complain("%s: %s is for the load, and nothing waits then", item.place, key)
    end
  elseif yields ~= example.waited and not (ELSEWHERE[key] and waits[key]) then
    complain("%s: %s %s, and is annotated \"Yields: %s\"", item.place, key, example.waited and "waited" or "did not wait",
      item.yields)
  end
  if not example.load and copies ~= example.copied then
    complain("%s: %s %s, and is annotated \"Copies: %s\"", item.place, key, example.copied and "copied" or "did not copy",
      item.copies)
  end
end

function judge.judge()
  for key, item in pairs(said) do
    local example = seen[key]
    if not there[key] and not OBJECTS[key] then
      complain("%s: %s is annotated, and is not there", item.place, key)
    elseif not example then
      complain("%s: %s has no example in spec/unit/support/reference_app.lua, or its example did not come to the call",
        item.place, key)
    else
      compare(key, item, example)
    end
  end
  for key in pairs(seen) do
    if not said[key] then
      complain("the example %s is of nothing that is annotated", key)
    end
  end
  table.sort(judge.problems)
  return table.concat(judge.problems, "\n")
end

return judge
