-- How the server is.

-- The plugins that could not be loaded, by name; why is for the log.
local function unavailable()
  local names
  for _, it in ipairs(fitnessally.plugins()) do
    if it.state == "failed" then
      names = names or {}
      names[#names + 1] = it.name
    end
  end
  return names
end

app:get("/api/health", function(req)
  local status = fitnessally.status()
  req:reply {
    status = status.draining and 503 or 200,
    headers = { ["Cache-Control"] = "no-store" },
    json = {
      status = status.draining and "draining" or "OK",
      version = fitnessally.version,
      uptime = status.uptime_ms / 1000,
      timestamp = fitnessally.now(),
      connections = status.connections,
      dialogues = status.dialogues,
      media = status.media,
      unavailable = unavailable(),
    },
  }
end)

-- Who holds the memory: all of it, the largest and oldest owners with their lines, growth, and what it means.
local memory = {
  ["/api/health/memory"] = "report",
  ["/api/health/memory/analyze"] = "analysis",
  ["/api/health/memory/tracker"] = "tracker",
  ["/api/health/memory/doctor"] = "doctor",
}
for path, what in pairs(memory) do
  app:get(path, function(req)
    local text, problem = fitnessally.memory(what, "json")
    if not text then
      log.warn(path .. ": " .. problem)
      return req:fail(503, "over_budget", "There is no memory to say who holds it.")
    end
    req:reply { headers = { ["Cache-Control"] = "no-store" }, type = "application/json", text = text }
  end)
end

app:get("/metrics", require("fitnessally.metrics").answer)
