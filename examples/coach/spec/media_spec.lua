-- Pictures and the page.

local spec = require "fitnessally.testing"

local PLANK = "/media/plank.gif"
local app, file

setup(function()
  app = spec.app { app = "examples/coach" }
  local handle = assert(io.open(app:setting "media_root" .. "/plank.gif", "rb"))
  file = handle:read "*a"
  handle:close()
end)

describe("a picture", function()
  it("comes whole, with its type and validators, and may be kept for ever", function()
    local answer = app:get(PLANK)
    assert.are.equal(200, answer.status)
    assert.are.equal("image/gif", answer.headers["content-type"])
    assert.is_true(answer.body == file)
    assert.are.equal("public, max-age=31536000, immutable", answer.headers["cache-control"])
    assert.is_truthy(answer.headers.etag:find '^"[^"]+"$', "a strong ETag")
    assert.copies(0)
  end)

  it("is not sent again to who has it", function()
    local etag = app:get(PLANK).headers.etag
    for _, given in ipairs { etag, '"other", ' .. etag, "W/" .. etag, "*" } do
      local answer = app:get(PLANK, { ["If-None-Match"] = given })
      assert.are.equal(304, answer.status)
      assert.are.equal("", answer.body)
    end
    assert.are.equal(200, app:get(PLANK, { ["If-None-Match"] = '"other"' }).status)
  end)

  it("comes in parts", function()
    for range, part in pairs {
      ["bytes=0-9"] = { 1, 10 }, ["bytes=100-"] = { 101, #file }, ["bytes=-5"] = { #file - 4, #file },
    } do
      local answer = app:get(PLANK, { Range = range })
      assert.are.equal(206, answer.status, range)
      assert.is_true(answer.body == file:sub(part[1], part[2]), range)
    end
    assert.are.equal(416, app:get(PLANK, { Range = ("bytes=%d-"):format(#file) }).status)
  end)

  it("waits for a slow client without being held twice", function()
    local streams = {}
    app:get(PLANK)
    local before = app:ledger().cache.bytes
    for i = 1, 20 do
      streams[i] = app:open(PLANK, { stepped = true })
    end
    assert.are.equal(before, app:ledger().cache.bytes)
    assert.is_true(app:ledger().request.bytes < 20 * 4096)
    for _, stream in ipairs(streams) do
      stream:take()
      assert.are.equal(#file, #stream:finish().body)
    end
  end)
end)

describe("other files", function()
  it("of the page are revalidated, not immutable", function()
    local page = app:get "/"
    assert.are.equal(200, page.status)
    assert.is_nil((page.headers["cache-control"] or ""):find("immutable", 1, true))
    assert.are.equal(304, app:get("/", { ["If-None-Match"] = page.headers.etag }).status)
  end)

  it("are 404 when there is none, and nothing outside is there", function()
    for _, path in ipairs { "/media/none.gif", "/media/", "/media/plank.gif/", "/media/PLANK.GIF",
      "/media/../exercises.json", "/media/%2e%2e/exercises.json", "/../app.lua" } do
      local status = app:get(path).status
      assert.is_true(status == 404 or status == 400, path)
    end
  end)

  it("cannot be written", function()
    for _, method in ipairs { "POST", "PUT", "DELETE" } do
      local answer = app:request(method, PLANK)
      assert.are.equal(405, answer.status, method)
      assert.is_truthy(answer.headers.allow:find "GET")
    end
  end)
end)
