-- Pages for who develops. Runs once when the application of a state has been loaded in dev mode; not a module. native:
-- core/script/lua_dev.c. What it returns is called for each request that no route takes.
local native, app = ...
local escape = native.escape
local concat, sort, format = table.concat, table.sort, string.format
local abs, floor, max, min, huge = math.abs, math.floor, math.max, math.min, math.huge

local RELOAD = "/api/dev/reload"
local MOST_ROUTES, MOST_NEAR, MOST_IN_TEXT = 300, 5, 6
local LONGEST_PART = 40 -- longer parts of a path are near to nothing but themselves

local function page(title, body, well)
  return concat {
    '<!doctype html>\n<meta charset="utf-8">\n<title>', escape(title), "</title>\n<style>", native.style, "</style>\n",
    well and '<h1 style="color:inherit">' or "<h1>", escape(title), "</h1>\n", concat(body),
    '<p>This page is shown because of <code>mode = "dev"</code>; so is <a href="', RELOAD,
    '">how the last reload went</a>.</p>\n',
  }
end

local function cells(tag, ...)
  local row = { "<tr>" }
  for _, text in ipairs { ... } do
    row[#row + 1] = "<" .. tag .. ">" .. escape(text) .. "</" .. tag .. ">"
  end
  row[#row + 1] = "</tr>\n"
  return concat(row)
end

-- ---- no route ----------------------------------------------------------------------------------------------------------

local function parts_of(path)
  local parts = {}
  for part in path:gmatch("/([^/]*)") do
    parts[#parts + 1] = part
  end
  return parts
end

-- How many letters must be changed, added or left out (Levenshtein); huge when it is more than two for certain.
local function edits(a, b)
  if a == b then
    return 0
  elseif abs(#a - #b) > 2 or #a > LONGEST_PART or #b > LONGEST_PART then
    return huge
  end
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local best = min(row[j] + 1, row[j - 1] + 1, diagonal + (a:byte(i) == b:byte(j) and 0 or 1))
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

-- How far a path is from what the pattern takes: 0 it takes it, huge when they have nothing in common.
local function distance(path, pattern)
  local sum, same = 0, 0
  for i = 1, max(#path, #pattern) do
    local part, wanted = path[i], pattern[i]
    local kind = wanted and wanted:sub(1, 1)
    if kind == "*" then
      return same > 0 and sum + 0.5 or huge
    elseif not part or not wanted then
      sum = sum + (part == "" and 0.5 or 1.5)
    elseif kind == ":" then
      sum = sum + (part == "" and 1 or 0.25)
    else
      local wrong = part:lower() == wanted:lower() and (part == wanted and 0 or 0.5) or edits(part, wanted)
      sum, same = sum + wrong, same + ((wrong == 0 or wrong < max(#part, #wanted)) and 1 or 0)
    end
    if sum > 2.5 then
      return huge
    end
  end
  return same > 0 and sum or huge
end

local function row_of(route)
  return { method = concat(route.methods, ","), pattern = (route.host or "") .. route.pattern, place = route.place }
end

-- The routes that take the path with another method; or those that are near it, the nearest first.
local function nearest(path, other_method)
  local wanted, near = parts_of(path), {}
  for i, route in ipairs(app:routes()) do
    local far = distance(wanted, parts_of(route.pattern))
    if far < huge then
      near[#near + 1] = { far = far, at = i, row = row_of(route) }
    end
  end
  sort(near, function(a, b)
    if a.far ~= b.far then
      return a.far < b.far
    end
    return a.at < b.at
  end)
  local rows = {}
  for i = 1, min(#near, MOST_NEAR) do
    if not other_method or near[i].far <= near[1].far then
      rows[i] = near[i].row
    end
  end
  return rows
end

local function all_rows(most)
  local rows, routes = {}, app:routes()
  for i = 1, min(#routes, most) do
    rows[i] = row_of(routes[i])
  end
  return rows, #routes
end

local function table_of(class, rows)
  local html = { '<table class="', class, '">\n' }
  for _, row in ipairs(rows) do
    html[#html + 1] = cells("td", row.method, row.pattern, row.place)
  end
  html[#html + 1] = "</table>\n"
  return concat(html)
end

local function as_text(rows)
  local texts = {}
  for i = 1, min(#rows, MOST_IN_TEXT) do
    texts[i] = format("%s %s (%s)", rows[i].method, rows[i].pattern, rows[i].place)
  end
  return concat(texts, ", ")
end

local function text_of(what, near)
  if #near > 0 then
    return format("%s Near it: %s.", what, as_text(near))
  end
  local rows, count = all_rows(MOST_IN_TEXT)
  if count == 0 then
    return what .. " The application declares no routes."
  end
  return format("%s There %s: %s%s.", what, count == 1 and "is" or "are", as_text(rows), count > #rows and ", ..." or "")
end

local function page_of(title, near)
  local rows, count = all_rows(MOST_ROUTES)
  local body = {}
  if #near > 0 then
    body[#body + 1] = "<h2>Near it</h2>\n" .. table_of("near", near)
  end
  body[#body + 1] = format("<h2>All %d routes</h2>\n", count) .. table_of("routes", rows)
  if count > #rows then
    body[#body + 1] = format("<p>and %d more: <code>fitnessally routes</code></p>\n", count - #rows)
  end
  return page(title, body)
end

local function missing(method, path, allow, html)
  local near = nearest(path, allow ~= nil)
  if html then
    return page_of(allow and format("405: %s does not answer to %s, but to %s", path, method, allow)
      or format("404: there is nothing at %s", path), near)
  elseif allow then
    return text_of("This path does not answer to this method.", near)
  end
  return text_of("There is nothing at this path.", near)
end

-- ---- how the last reload went ------------------------------------------------------------------------------------------

local function clock(ms)
  return os.date("!%H:%M:%S", floor(ms / 1000)) .. " UTC"
end

-- The failing line is the one that begins with >.
local function excerpt(text)
  local html = { '<pre class="excerpt">' }
  for line in text:gmatch("([^\n]*)\n") do
    local marked = line:sub(1, 1) == ">"
    html[#html + 1] = (marked and "<mark>" or "") .. escape(line:sub(2)) .. (marked and "</mark>\n" or "\n")
  end
  html[#html + 1] = "</pre>\n"
  return concat(html)
end

local function failure(failed, body)
  body[#body + 1] = failed.excerpt and excerpt(failed.excerpt) or ""
  if failed.traceback then
    body[#body + 1] = '<h2>How it came there</h2>\n<pre class="traceback">' .. escape(failed.traceback) .. "</pre>\n"
  end
  body[#body + 1] = format("<p>That was at %s. Nothing has changed: what was loaded before serves on.</p>\n", clock(failed.at))
end

local function generations(list, body)
  body[#body + 1] = '<h2>What is alive</h2>\n<table class="generations">\n'
    .. cells("th", "generation", "", "requests", "turns", "streams", "tasks", "Lua heap")
  for _, one in ipairs(list) do
    local state = one.serves and "serves" or format("replaced %d s ago, on %d workers", one.replacedMsAgo / 1000, one.workers)
    body[#body + 1] = cells("td", one.generation, state, one.requests, one.turns, one.streams, one.tasks,
      format("%.1f MB", one.heapBytes / 1024 / 1024))
  end
  body[#body + 1] = "</table>\n"
  for _, one in ipairs(list) do
    local left = one.left or {}
    if #left > 0 then
      body[#body + 1] = format('<h2>What generation %d still has to finish</h2>\n<ul class="left">\n', one.generation)
      for _, what in ipairs(left) do
        body[#body + 1] = "<li>" .. escape(what) .. "</li>\n"
      end
      body[#body + 1] = "</ul>\n"
    end
  end
end

local function title_of(status)
  local failed, loaded = status.failed, status.loaded
  if failed and failed.file then
    return format("The reload failed: %s:%d: %s", failed.file, failed.line, failed.message)
  elseif failed then
    return "The reload failed: " .. failed.message
  elseif loaded then
    return format("Generation %d serves: loaded at %s in %.1f ms, changed over in %.1f ms", status.serving, clock(loaded.at),
      loaded.loadMs, loaded.switchMs)
  end
  return format("Generation %d serves: nothing was reloaded yet", status.serving)
end

local function show_reload(req)
  local status, problem = fitnessally.generations()
  local headers = { ["cache-control"] = "no-store" }
  if not status then
    return req:fail(503, "unavailable", problem)
  elseif not native.wants_html(req) then
    return req:reply { text = fitnessally.generations("json"), type = "application/json", headers = headers }
  end
  local body = {}
  if status.failed then
    failure(status.failed, body)
  end
  generations(status.generations, body)
  req:reply { text = page(title_of(status), body, not status.failed), type = "text/html; charset=utf-8", headers = headers }
end

-- When the application has this path itself, it stays the application's.
pcall(native.declare, { "GET" }, RELOAD, nil, {}, "GET " .. RELOAD, show_reload, nil, nil)

return missing
