-- What is served. It runs once in each worker, and anew when a Lua file here is saved (mode = "dev").
local flow = require "fitnessally.flow"
local schema = require "fitnessally.schema"
local tts = require "fitnessally.tts"

app:get("/hello/:name", function(req)
  req:reply { text = "Hello, " .. req.params.name .. "!\n" }
end)

-- A question opens a dialogue, and is answered at once with its id; the answer is made by a flow, while the page listens.
local service = tts.connect(settings.tts) -- nil: nothing speaks, the answers are words only

local function answer(turn, wish)
  turn:push("textChunk", { role = "user", text = turn.text })
  local first = #turn:history() == 0
  local text = (first and "You said: " or "And now you said: ") .. turn.text
  flow.say(turn, text, tts.speaker(service, wish))
  return { said = #text } -- goes along in `done`
end

local question = schema.object {
  text = schema.text { min = 1, max = 1000, trim = true },
  dialogueId = schema.text { max = 100, optional = true },
  voice = schema.text { max = 50, optional = true },
}

app:group("/api", function(api)
  api:post("/ask", function(req)
    local wanted = schema.json(req, question)
    if not wanted then
      return -- it has been answered: 400, "text is missing."
    end
    local asked, code, message = voice.ask(req, {
      text = wanted.text, dialogueId = wanted.dialogueId, flow = answer, context = { voice = wanted.voice },
    })
    if not asked then
      return req:fail(code == "unknown_dialogue" and 404 or 503, code, message)
    end
    req:reply { json = { dialogueId = asked.dialogueId } }
  end)

  api:get("/listen", function(req)
    voice.listen(req, req:query "dialogueId" or "")
  end)
end)

app:get("/metrics", require("fitnessally.metrics").answer)

app:static("/", { root = settings.app .. "/public", index = "index.html" })
