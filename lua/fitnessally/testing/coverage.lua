-- Which lines of an application its specs have run: luacov.stats.out, as luacov's own tools read it, and luacov.report.out for people.

local native = require "fitnessally.testing.native"
local util = require "jit.util"

local coverage = {}

local RULE = ("="):rep(78)

-- Every line that a function has code on, and those within it.
local function add_lines(fn, lines)
  for pc = 1, util.funcinfo(fn).bytecodes - 1 do
    local line = util.funcinfo(fn, pc).currentline
    if line then
      lines[line] = true
    end
  end
  local index = -1
  local constant = util.funck(fn, index)
  while constant ~= nil do
    if type(constant) == "proto" then
      add_lines(constant, lines)
    end
    index = index - 1
    constant = util.funck(fn, index)
  end
end

-- What only closes something may have code, and is no line that somebody wrote to run.
local function only_closes(text)
  local bare = text:gsub("%-%-.*$", ""):gsub("end", ""):gsub("else", ""):gsub("[%s%)%]},;(]", "")
  return bare == ""
end

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line
  end
  return lines
end

-- A file, line by line with its hits: text, hit or missed or neither.
local function examine(path, hits)
  local lines, active = read_lines(path), {}
  local chunk = loadfile(path)
  if chunk then
    add_lines(chunk, active)
  end
  local found = { path = path, lines = lines, marks = {}, hit = 0, missed = 0 }
  for number, text in ipairs(lines) do
    if only_closes(text) then
      found.marks[number] = nil
    elseif hits[number] then
      found.marks[number] = hits[number]
      found.hit = found.hit + 1
    elseif active[number] then
      found.marks[number] = 0
      found.missed = found.missed + 1
    end
  end
  return found
end

local function percent(hit, missed)
  return hit + missed == 0 and "100.00%" or ("%.2f%%"):format(100 * hit / (hit + missed))
end

local function write_stats(files)
  local out = assert(io.open("luacov.stats.out", "w"))
  for _, file in ipairs(files) do
    out:write(#file.lines, ":", file.path, "\n")
    for number = 1, #file.lines do
      out:write(file.marks[number] or 0, " ")
    end
    out:write "\n"
  end
  out:close()
end

local function write_file(out, file)
  out:write(RULE, "\n", file.path, "\n", RULE, "\n")
  for number, text in ipairs(file.lines) do
    local mark = file.marks[number]
    out:write(mark == 0 and "***0" or mark and ("%4d"):format(mark) or "    ", " ", text, "\n")
  end
  out:write "\n"
end

local function write_report(files)
  local out = assert(io.open("luacov.report.out", "w"))
  for _, file in ipairs(files) do
    write_file(out, file)
  end
  local hit, missed = 0, 0
  out:write(RULE, "\nSummary\n", RULE, "\n\n", ("%-60s %6s %6s %9s\n"):format("File", "Hits", "Missed", "Coverage"))
  for _, file in ipairs(files) do
    hit, missed = hit + file.hit, missed + file.missed
    out:write(("%-60s %6d %6d %9s\n"):format(file.path, file.hit, file.missed, percent(file.hit, file.missed)))
  end
  out:write(("%-60s %6d %6d %9s\n"):format("Total", hit, missed, percent(hit, missed)))
  out:close()
  return hit, missed
end

---Writes both files into the folder one is in, if coverage was asked for.
function coverage.write()
  local covered, files = native.coverage(), {}
  if not covered then
    return
  end
  for path, hits in pairs(covered) do
    files[#files + 1] = examine(path, hits)
  end
  table.sort(files, function(a, b)
    return a.path < b.path
  end)
  write_stats(files)
  local hit, missed = write_report(files)
  io.stdout:flush()
  io.stderr:write(("coverage: %s of the lines of %d files; see luacov.report.out\n"):format(percent(hit, missed),
    #files))
end

return coverage
