-- How the server is.

local metrics = require "lib.metrics"
local prometheus = require "fitnessally.prometheus"

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
    },
  }
end)

app:get("/api/health/memory", function(req)
  req:reply { headers = { ["Cache-Control"] = "no-store" }, json = fitnessally.memory() }
end)

app:get("/metrics", function(req)
  req:reply { type = prometheus.content_type, text = metrics.text(fitnessally.status(), fitnessally.memory()) }
end)
