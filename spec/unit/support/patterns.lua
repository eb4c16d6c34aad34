-- For spec/unit/test_script_patterns.c: random patterns on random subjects; runs on LuaJIT's string functions and on ours. Returns a
-- function that runs a hundred cases and says all that came of them.
local pieces = {
  "a", "b", "1", " ", ".", "%a", "%d", "%s", "%w", "%A", "%x", "%p", "%g", "%l", "%u", "%c", "%z", "[ab]", "[^a]", "[a-c1]",
  "[]a]",
  "[^]]", "[%d_]", "[a%-z]", "[a-]", "(", ")", "()", "(", ")", "*", "+", "-", "?", "*", "+", "-", "?", "^", "$", "%b()", "%bab",
  "%f[%w]", "%f[^a]", "%1", "%2", "%%", "%.", "%(", "[", "]", "%", "%f", "%b", "\255", "_",
}
local letters = { "a", "b", "a", "b", "c", "1", "2", " ", "(", ")", "_", "-", ".", "A", "Z", "\n", "\0", "\255", "%" }

local function random(seed)
  return function(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
end

local function text(pick, from, most)
  local t = {}
  for i = 1, pick(most + 1) - 1 do
    t[i] = from[pick(#from)]
  end
  return table.concat(t)
end

local function said(ok, ...)
  local t = { tostring(ok) }
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    t[#t + 1] = ok and tostring(value) or tostring(value):gsub("^[^ ]-:%d+: ", "")
  end
  return table.concat(t, "|")
end

local function all(subject, pattern)
  local t = {}
  for a, b in subject:gmatch(pattern) do
    t[#t + 1] = tostring(a) .. "," .. tostring(b)
  end
  return table.concat(t, ";")
end

local function run(number)
  local pick = random(number * 7919 + 1)
  local subject, pattern = text(pick, letters, 12), text(pick, pieces, 6)
  local init = pick(3) == 1 and pick(16) - 5 or nil
  local replacement = ({ "<%0>", "%1", "x%%y", "%2", "" })[pick(5)]
  local results = {
    said(pcall(string.find, subject, pattern, init)),
    said(pcall(string.find, subject, pattern, init, true)),
    said(pcall(string.match, subject, pattern, init)),
    said(pcall(string.gsub, subject, pattern, replacement)),
    said(pcall(string.gsub, subject, pattern, replacement, pick(3))),
    said(pcall(string.gsub, subject, pattern, { a = 1, b = false, ab = "AB" })),
    said(pcall(string.gsub, subject, pattern, function(c) return c ~= "a" and c .. "!" or nil end)),
    said(pcall(all, subject, pattern)),
  }
  return ("%q %q %s: "):format(subject, pattern, tostring(init)) .. table.concat(results, " # ")
end

-- A hundred cases, a line each.
return function(first)
  local lines = {}
  for number = first, first + 99 do
    lines[#lines + 1] = run(number)
  end
  return table.concat(lines, "\n")
end
