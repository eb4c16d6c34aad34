-- What `fitnessally top` shows: two reports of a running server (GET /api/health/memory), one after the other, and what happened between them.
-- It runs in a plain Lua state, beside no server. core/server/cli_top.c asks; docs/command-line.md

local cjson = require "cjson"

-- What begins and ends with the work, and how people call what ends of it.
local ACTIVITY = { "connection", "request", "dialogue", "turn", "listener", "transfer", "job" }
local MOST_OWNERS = 12

local UNITS = { "B", "KB", "MB", "GB", "TB" }

local function bytes_text(bytes)
  local unit, size = 1, math.abs(bytes)
  while size >= 1024 and unit < #UNITS do
    unit, size = unit + 1, size / 1024
  end
  return (unit == 1 and "%s%d %s" or "%s%.1f %s"):format(bytes < 0 and "-" or "", size, UNITS[unit])
end

local function change_text(bytes)
  return bytes == 0 and "" or (bytes > 0 and "+" or "") .. bytes_text(bytes)
end

local function age_text(seconds)
  if seconds < 120 then
    return ("%d s"):format(seconds)
  elseif seconds < 7200 then
    return ("%d min"):format(seconds / 60)
  elseif seconds < 172800 then
    return ("%d h"):format(seconds / 3600)
  end
  return ("%d days"):format(seconds / 86400)
end

local function rate_text(count, seconds)
  local rate = count / seconds
  return rate == 0 and "" or (rate < 10 and "%.1f" or "%.0f"):format(rate)
end

local function activity_of(now, before)
  local rows = {}
  for _, kind in ipairs(ACTIVITY) do
    local is, was = now.ledger.byKind[kind], before.ledger.byKind[kind]
    rows[#rows + 1] = { kind = kind, now = is.count, ended = is.ended - was.ended, bytes = is.bytes,
      change = is.bytes - was.bytes, inFlight = is.inFlightBytes }
  end
  return rows
end

-- An owner has no number: it is the same one when all that is known of it is the same, its beginning included.
local function same_owner(a, b, seconds)
  return a.owner == b.owner and a.kind == b.kind and a.worker == b.worker and a.madeAt == b.madeAt
    and math.abs(a.ageMs - b.ageMs - seconds * 1000) < 250
end

local function owners_of(now, before, seconds)
  local rows = {}
  for _, owner in ipairs(now.ledger.byOwner) do
    local was
    for _, other in ipairs(before.ledger.byOwner) do
      was = was or same_owner(owner, other, seconds) and other
    end
    if #rows < MOST_OWNERS then
      rows[#rows + 1] = { owner = owner.owner, kind = owner.kind, worker = owner.worker, bytes = owner.bytes,
        change = was and owner.bytes - was.bytes or nil, ageMs = owner.ageMs, madeAt = owner.madeAt }
    end
  end
  return rows
end

local function with_change(bytes, was)
  local change = change_text(bytes - was)
  return bytes_text(bytes) .. (change ~= "" and " (" .. change .. ")" or "")
end

local function head(now, before, out)
  local ledger, was, memory, d = now.ledger, before.ledger, now.memory, now.dialogues
  out(("%s   up %s   %d workers, %d threads, %d open files   pressure %s"):format(now.status, age_text(now.uptime),
    now.process.workers, now.process.threads, now.process.openFiles, ledger.pressure.name))
  for _, warning in ipairs(now.warnings) do
    out("  ! " .. warning)
  end
  local budget = ledger.budget and (" of %s"):format(bytes_text(ledger.budget)) or ""
  out(("RSS %s   owned %s%s   Lua %s   no owner %s"):format(with_change(memory.rss.bytes, before.memory.rss.bytes),
    with_change(ledger.ours, was.ours), budget, with_change(memory.lua.bytes, before.memory.lua.bytes),
    with_change(ledger.residual, was.residual)))
  out(("dialogues: %d running, %d resting; %d listeners, %d of them behind; %d wait for a slow one"):format(d.running, d.resting,
    d.listeners, d.listenersBehind, d.waitingForSlowest))
end

local function page(now, before, seconds)
  local lines = {}
  local function out(line)
    lines[#lines + 1] = line
  end
  head(now, before, out)
  out ""
  out(("%-12s %8s %9s %11s %11s %11s"):format("", "NOW", "ENDED/S", "BYTES", "CHANGE", "IN FLIGHT"))
  for _, row in ipairs(activity_of(now, before)) do
    out(("%-12s %8d %9s %11s %11s %11s"):format(row.kind .. "s", row.now, rate_text(row.ended, seconds),
      bytes_text(row.bytes), change_text(row.change), row.inFlight > 0 and bytes_text(row.inFlight) or ""))
  end
  out ""
  out(("%-48s %11s %11s %7s  %s"):format("WHO HOLDS MOST", "BYTES", "CHANGE", "AGE", "MADE AT"))
  for _, row in ipairs(owners_of(now, before, seconds)) do
    out(("%-48s %11s %11s %7s  %s"):format(row.owner:sub(1, 48), bytes_text(row.bytes),
      row.change and change_text(row.change) or "new", age_text(row.ageMs / 1000), row.madeAt))
  end
  return table.concat(lines, "\n")
end

---The page, or with `as_json` one line for programs.
---@param now string the later report, as JSON
---@param before string the earlier one
---@param seconds number between them
---@param as_json boolean
---@return string
return function(now, before, seconds, as_json)
  local is, was = cjson.decode(now), cjson.decode(before)
  if not as_json then
    return page(is, was, seconds)
  end
  return cjson.encode { seconds = seconds, status = is.status, rss = is.memory.rss.bytes, ours = is.ledger.ours,
    residual = is.ledger.residual, lua = is.memory.lua.bytes, activity = activity_of(is, was),
    owners = owners_of(is, was, seconds) }
end
