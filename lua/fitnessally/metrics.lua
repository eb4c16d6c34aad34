-- The server's own figures, of all workers, for Prometheus: app:get("/metrics", require("fitnessally.metrics").answer)

local prometheus = require "fitnessally.prometheus"

local metrics = {}

-- A figure is a number, or a table that holds its bytes.
local function amount(figure)
  if type(figure) == "table" then
    return figure.bytes
  end
  return figure
end

local function add_ledger(page, ledger)
  local classes = { "ours", "attributed", "residual", "cachedAndMapped", "inFlight" }
  for _, class in ipairs(classes) do
    page:add("gauge", "fitnessally_memory_bytes", "Memory by how it is known to the ledger.",
      amount(ledger[class]), { class = class })
  end
  page:add("gauge", "fitnessally_ledger_scopes", "Live scopes.", amount(ledger.scopes))
  page:add("gauge", "fitnessally_ledger_handles", "Live handles.", amount(ledger.handles))
  local kinds = {}
  for kind in pairs(ledger.byKind or {}) do
    kinds[#kinds + 1] = kind
  end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    local bytes = ledger.byKind[kind].bytes
    page:add("gauge", "fitnessally_ledger_bytes", "Bytes owned by each kind of scope.", bytes, { kind = kind })
  end
  for _, kind in ipairs(kinds) do
    local count = ledger.byKind[kind].count
    page:add("gauge", "fitnessally_ledger_count", "Live scopes of each kind.", count, { kind = kind })
  end
end

-- All of one figure stand together, as the format wants it.
local function add_routes(page, routes)
  for _, figure in ipairs {
    { "gauge", "running", "Requests that a route with max_concurrent is answering." },
    { "gauge", "waiting", "Requests that wait for such a route." },
    { "counter", "admitted", "Requests that it has let in." },
    { "counter", "refused", "Requests that it has refused because too many waited." },
    { "counter", "timedOut", "Requests that waited too long for it." },
  } do
    local kind, name, help = unpack(figure)
    local full = "fitnessally_route_" .. (name == "timedOut" and "timed_out" or name)
    for _, route in ipairs(routes) do
      page:add(kind, full .. (kind == "counter" and "_total" or ""), help, route[name], { route = route.route })
    end
  end
end

---A page that has the server's figures; page:add says figures of your own behind them. Yields: yes. Copies: the figures.
---@return fitnessally.prometheus.page
function metrics.page()
  local status, memory = fitnessally.status(), fitnessally.memory() or {}
  local page = prometheus.new()
  page:add("gauge", "fitnessally_info", "The version that runs.", 1, { version = fitnessally.version })
  page:add("gauge", "fitnessally_uptime_seconds", "Time since the start.", status.uptime_ms / 1000)
  page:add("gauge", "fitnessally_draining", "1 while the server stops and lets work finish.", status.draining)
  page:add("gauge", "fitnessally_connections", "Open connections.", status.connections)
  local websockets, access_log = status.websockets or {}, status.access_log or {}
  page:add("gauge", "fitnessally_websockets", "Open WebSockets.", websockets.open)
  page:add("counter", "fitnessally_websockets_total", "WebSockets that were opened.", websockets.total)
  page:add("counter", "fitnessally_access_log_dropped_total", "Lines of the access log that found no room, as nobody read them.",
    access_log.dropped)
  page:add("counter", "fitnessally_access_log_held_back_total", "Lines of the access log above its rate.", access_log.heldBack)
  for _, state in ipairs { "live", "running", "resting" } do
    page:add("gauge", "fitnessally_dialogues", "Dialogues by state; resting: only a history between turns.",
      status.dialogues and status.dialogues[state], { state = state })
  end
  local media = status.media or {}
  page:add("gauge", "fitnessally_media_files", "Media files in the cache.", media.files)
  page:add("gauge", "fitnessally_media_bytes", "Bytes of media files in the cache.", media.bytes)
  page:add("gauge", "fitnessally_spooled_bytes", "Disk taken by request bodies that are being handled.",
    amount((memory.ledger or {}).spooled))
  add_routes(page, status.routes or {})
  page:add("gauge", "process_resident_memory_bytes", "Resident memory.", amount(memory.memory and memory.memory.rss))
  add_ledger(page, memory.ledger or {})
  return page
end

---A handler that answers with that page. Yields: yes. Copies: the page.
---@param req request
function metrics.answer(req)
  req:reply { type = prometheus.content_type, text = metrics.page():text() }
end

return metrics
