-- The coach on the 873 exercises of ../shared/data, where they are at hand.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local voice = require "spec.support.voice"

local data = server.root .. "/../shared/data/exercises"
local there = server.read(data .. "/exercises.json") ~= nil

describe("the 873 exercises", function()
  if not there then
    pending("are not at hand: no " .. data)
    return
  end

  local app

  setup(function()
    app = server.start(nil, data)
  end)
  teardown(function()
    app:stop()
  end)

  it("are all there", function()
    assert.are.equal(873, http.get(app, "/api/records").json.totalRecords)
  end)

  it("How do I do a plank? is answered about planks", function()
    local events, answer = voice.answer(app, "How do I do a plank?")
    assert.are.equal("Plank", voice.named(events, "sources")[1].data.records[1].name)
    assert.is_truthy(answer:find("prone position on the floor", 1, true), answer)
    local texts = {}
    for i, chunk in ipairs(voice.named(events, "audioChunk")) do
      assert.are.equal(i, chunk.data.chunkIndex)
      texts[i] = chunk.data.text
    end
    assert.are.equal(answer, table.concat(texts))
  end)

  for question, name in pairs {
    ["pushups"] = "Pushups", ["How do I do a push-up?"] = "Pushups", ["Show me pull ups"] = "Pullups",
    ["crunches"] = "Crunches",
    ["How do I do a good morning?"] = "Good Morning", ["dumbbell bench press"] = "Dumbbell Bench Press",
    ["What is the child's pose?"] = "Child's Pose", ["How do I do a barbell curl?"] = "Barbell Curl",
  } do
    it(("%s is about %s"):format(question, name), function()
      local events = voice.answer(app, { text = question, voiceConfig = { enabled = false } })
      assert.are.equal(name, voice.named(events, "sources")[1].data.records[1].name)
    end)
  end

  it("chest exercises are exercises for the chest", function()
    local events, answer = voice.answer(app, { text = "chest exercises", voiceConfig = { enabled = false } })
    local records = voice.named(events, "sources")[1].data.records
    assert.are.equal(3, #records)
    for _, record in ipairs(records) do
      assert.are.same({ "chest" }, record.primaryMuscles)
      assert.is_truthy(answer:find(record.name, 1, true))
    end
  end)

  it("the longest answers are spoken to their end, or offer the rest", function()
    local events, answer = voice.answer(app, "How do I do a power clean?")
    assert.are.equal("completed", events[#events].data.status)
    assert.is_truthy(answer:find("Power Clean", 1, true))
  end)
end)
