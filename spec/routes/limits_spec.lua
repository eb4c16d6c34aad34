-- What the server answers at its limits, and what it refuses to start with.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local voice = require "spec.support.voice"

describe("unknown paths and wrong methods", function()
  local app
  setup(function() app = server.start() end)
  teardown(function() app:stop() end)

  it("are told apart below static folders too", function()
    assert.are.equal(404, http.post(app, "/nope", {}).status)
    assert.are.equal(404, http.post(app, "/media/nope.gif", {}).status)
    local answer = http.post(app, "/media/plank.gif", {})
    assert.are.equal(405, answer.status)
    assert.are.equal("GET, HEAD", answer.headers.allow)
    assert.are.equal("method_not_allowed", answer.json.error.code)
  end)

  it("HEAD of a stream says nothing of a length and takes nothing of the answer", function()
    local id = voice.ask(app, "How do I do a plank?")
    local head = http.request(app, "HEAD", voice.path(id))
    assert.are.equal(200, head.status)
    assert.are.equal("text/event-stream", head.headers["content-type"])
    assert.is_nil(head.headers["content-length"])
    local events = voice.hear(app, id)
    assert.are.equal("complete", events[#events].name)
  end)
end)

describe("a small memory budget", function()
  local app
  setup(function() app = server.start { memory_budget = "12MB" } end)
  teardown(function() app:stop() end)

  it("refuses questions at the door and lets those that run speak to their end", function()
    local ids, refused = {}, 0
    for i = 1, 20 do
      local answer = http.post(app, "/api/voice/converse", { text = "How do I do a squat, number " .. i .. "?" })
      if answer.status == 200 then
        ids[#ids + 1] = answer.json.dialogueId
      else
        assert.are.equal(503, answer.status)
        assert.are.equal("over_budget", answer.json.error.code)
        assert.is_truthy(answer.headers["retry-after"])
        refused = refused + 1
      end
    end
    assert.is_true(refused > 0, "none was refused")
    assert.is_true(#ids > 0, "all were refused")
    for _, id in ipairs(ids) do
      local stream = http.stream(app, voice.path(id))
      if stream.status == 200 then -- one that waited too long for its first listener has ended
        local events = stream:all()
        local last = events[#events]
        assert.are.equal("complete", last.name)
        assert.are.equal("completed", last.data.status)
        assert.are.equal(0, last.data.failedChunks)
      end
    end
  end)
end)

describe("a start", function()
  it("is refused with a folder that is not there", function()
    for _, setting in ipairs { "data", "media_root" } do
      local ok, problem = pcall(server.start, { [setting] = "/nonexistent" })
      assert.is_false(ok)
      local wanted = "/nonexistent: there is no such folder (" .. setting .. ")"
      assert.is_truthy(tostring(problem):find(wanted, 1, true), problem)
    end
  end)
end)
