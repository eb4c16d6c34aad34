-- `fitnessally routes [--json]`: what the app declares, in the order of declaration. It runs as a task of its own, with
-- the app loaded; see records.lua for what a tool finds.

-- luacheck: read_globals out arg

local columns = { "method", "route", "where", "name", "limits", "middleware", "plugins" }

local function sorted(map, of)
  local list = {}
  for key, value in pairs(map) do
    list[#list + 1] = of(key, value)
  end
  table.sort(list)
  return list
end

local function or_dash(text)
  return text ~= "" and text or "-"
end

local function row_of(route)
  return {
    method = table.concat(route.methods, ","),
    route = (route.host or "") .. route.pattern,
    where = route.place,
    name = route.name or "-",
    limits = or_dash(table.concat(sorted(route.limits, function(key, value)
      return key .. "=" .. tostring(value)
    end), " ")),
    middleware = or_dash(table.concat(route.middleware, " > ")),
    plugins = or_dash(table.concat(route.plugins, " ")),
  }
end

local function print_table(rows)
  local widths = {}
  for _, column in ipairs(columns) do
    for _, row in ipairs(rows) do
      widths[column] = math.max(widths[column] or 0, #row[column])
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for _, column in ipairs(columns) do
      cells[#cells + 1] = row[column] .. (" "):rep(widths[column] - #row[column])
    end
    out((table.concat(cells, "  "):gsub(" +$", "")) .. "\n")
  end
end

-- An empty table would become {}.
local function list_or_empty(list)
  return #list > 0 and list or json.empty_array
end

local routes = app:routes()
local plugins = sorted(plugin, function(name) return name end)
if arg[1] == "--json" then
  for _, route in ipairs(routes) do
    route.middleware, route.plugins = list_or_empty(route.middleware), list_or_empty(route.plugins)
  end
  out(json.encode { routes = list_or_empty(routes), plugins = list_or_empty(plugins) } .. "\n")
  return 0
end
local rows = { {} }
for _, column in ipairs(columns) do
  rows[1][column] = column:upper()
end
for _, route in ipairs(routes) do
  rows[#rows + 1] = row_of(route)
end
print_table(rows)
out("plugins loaded: " .. or_dash(table.concat(plugins, " ")) .. "\n")
return 0
