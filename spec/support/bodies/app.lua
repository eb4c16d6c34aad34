-- For spec/routes/bodies_spec.lua: a route for each way to read a body.

local body = require "fitnessally.body"

local function sum(buffer)
  return { length = buffer:len(), first = buffer:slice(1, 8):copy { max = 8 }, last = buffer:slice(-8):copy { max = 8 } }
end

app:post("/raw", { max_body = "25MB" }, function(req)
  local answer = req.body and sum(req.body) or { length = 0 }
  answer.ledger = fitnessally.memory().ledger
  req:reply { json = answer }
end)

app:post("/small", { max_body = "2KB" }, function(req)
  req:reply { json = { length = req.body and req.body:len() or 0 } }
end)

app:post("/json", { max_json = "1KB", max_json_depth = 3 }, function(req)
  local value = body.json(req)
  if value then req:reply { json = value } end
end)

app:post("/form", function(req)
  local fields, message, problem = req:form { max_fields = 5, max_value = 20 }
  if not fields then return body.refuse(req, message, problem) end
  req:reply { json = fields }
end)

app:post("/upload", { max_body = "25MB" }, function(req)
  local parts, message, problem = req:multipart { max_parts = 4, max_file = "24MB" }
  if not parts then return body.refuse(req, message, problem) end
  local seen = {}
  for i, part in ipairs(parts) do
    seen[i] = sum(part.body)
    seen[i].name, seen[i].filename, seen[i].type, seen[i].headers = part.name, part.filename, part.type, part.headers
  end
  req:reply { json = { parts = #seen > 0 and seen or json.empty_array, ledger = fitnessally.memory().ledger } }
end)

-- Sends the first file back.
app:post("/mirror", { max_body = "25MB" }, function(req)
  local fields, files = body.fields(req)
  if not fields then return end
  req:reply { type = files[1].type, body = files[1].body, headers = { ["X-Fields"] = json.encode(fields) } }
end)

local running, most = 0, 0
app:post("/slow", { max_concurrent = 2, queue = 3, queue_time = "20s" }, function(req)
  running = running + 1
  most = math.max(most, running)
  fitnessally.sleep(tonumber(req:query("ms") or "50"))
  running = running - 1
  req:reply { json = { most = most } }
end)

app:post("/impatient", { max_concurrent = 1, queue = 1, queue_time = "50ms" }, function(req)
  fitnessally.sleep(1500)
  req:reply {}
end)

app:get("/status", function(req)
  req:reply { json = fitnessally.status().routes }
end)

app:get("/api/health/memory", function(req)
  req:reply { type = "application/json", text = fitnessally.memory("report", "json") }
end)
