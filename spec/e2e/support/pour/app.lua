-- An app that says far more than any socket takes: for tests of back-pressure.
local voice = require "fitnessally.voice"
local text = ("x"):rep(60000)
local poured = 0

app:post("/api/voice/converse", function(req)
  local count = req:json().count
  poured = 0
  local id, code, message = voice.ask(req, {
    text = "pour",
    flow = function(turn)
      for i = 1, count do
        assert(turn:push("textChunk", { text = text, number = i }))
        poured = i
      end
    end,
  })
  if not id then
    return req:fail(503, code, message)
  end
  req:reply { json = { success = true, dialogueId = id } }
end)

app:get("/api/voice/open-stream", function(req) voice.listen(req, req:query("dialogueId")) end)
app:get("/poured", function(req) req:reply { json = { poured = poured } } end)
app:get("/api/health/memory", function(req) req:reply { json = fitnessally.memory() } end)
app:get("/big", function(req) req:reply { text = text:rep(400) } end)
