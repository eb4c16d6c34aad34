-- The coach: ask about an exercise, hear the answer.

require "routes.voice"
require "routes.records"
require "routes.health"
require "routes.admin"

app:static("/media", { root = settings.media_root, immutable = true })
app:static("/", { root = settings.app .. "/public", index = "index.html" })

-- The records are read into the database before the first question needs them.
app:on_start(function()
  local records = fitnessally.service "records"
  if records and records.prepare then records.prepare {} end
end)
