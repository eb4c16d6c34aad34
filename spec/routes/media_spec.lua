-- Static files: what is served, how it is cached, and that nothing else is.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local app

setup(function()
  app = server.start()
end)
teardown(function()
  app:stop()
end)

local PLANK = "/media/plank.gif"

describe("a picture", function()
  it("comes whole, with its type and validators, and may be kept for ever", function()
    local answer = http.get(app, PLANK)
    local file = server.read(server.root .. "/examples/coach/data/media/plank.gif")
    assert.are.equal(200, answer.status)
    assert.are.equal("image/gif", answer.headers["content-type"])
    assert.are.equal(tostring(#file), answer.headers["content-length"])
    assert.is_true(answer.body == file)
    assert.are.equal("public, max-age=31536000, immutable", answer.headers["cache-control"])
    assert.is_truthy(answer.headers.etag:find('^"[^"]+"$'), "a strong ETag")
    assert.is_truthy(answer.headers["last-modified"]:find("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"))
  end)

  it("answers HEAD with the same head", function()
    local get, head = http.get(app, PLANK), http.request(app, "HEAD", PLANK)
    assert.are.equal(200, head.status)
    assert.are.equal("", head.body)
    for _, name in ipairs { "content-length", "content-type", "etag", "last-modified", "cache-control" } do
      assert.are.equal(get.headers[name], head.headers[name], name)
    end
  end)

  it("is not sent again to who has it", function()
    local first = http.get(app, PLANK)
    local etag, modified = first.headers.etag, first.headers["last-modified"]
    for _, headers in ipairs {
      { ["If-None-Match"] = etag }, { ["If-None-Match"] = '"other", ' .. etag }, { ["If-None-Match"] = "W/" .. etag },
      { ["If-None-Match"] = "*" }, { ["If-Modified-Since"] = modified },
      { ["If-None-Match"] = etag, ["If-Modified-Since"] = "Thu, 01 Jan 1970 00:00:00 GMT" },
    } do
      local answer = http.get(app, PLANK, headers)
      assert.are.equal(304, answer.status)
      assert.are.equal("", answer.body)
      assert.are.equal(etag, answer.headers.etag)
      assert.are.equal("public, max-age=31536000, immutable", answer.headers["cache-control"])
    end
  end)

  it("is sent again to who has another", function()
    for _, headers in ipairs {
      { ["If-None-Match"] = '"other"' }, { ["If-Modified-Since"] = "Thu, 01 Jan 1970 00:00:00 GMT" },
      { ["If-Modified-Since"] = "nonsense" },
    } do
      assert.are.equal(200, http.get(app, PLANK, headers).status)
    end
  end)
end)

describe("a part of a picture", function()
  local file

  setup(function()
    file = server.read(server.root .. "/examples/coach/data/media/plank.gif")
  end)

  it("comes alone, and says which it is", function()
    for range, part in pairs {
      ["bytes=0-9"] = { 1, 10 }, ["bytes=100-"] = { 101, #file }, ["bytes=-5"] = { #file - 4, #file },
      ["bytes=7-99999999999999999999"] = { 8, #file },
    } do
      local answer = http.get(app, PLANK, { Range = range })
      assert.are.equal(206, answer.status, range)
      assert.is_true(answer.body == file:sub(part[1], part[2]), range)
      assert.are.equal(("bytes %d-%d/%d"):format(part[1] - 1, part[2] - 1, #file), answer.headers["content-range"])
      assert.are.equal(tostring(part[2] - part[1] + 1), answer.headers["content-length"])
      assert.are.equal("image/gif", answer.headers["content-type"])
    end
  end)

  it("is refused when the picture ends before it", function()
    local answer = http.get(app, PLANK, { Range = ("bytes=%d-"):format(#file) })
    assert.are.equal(416, answer.status)
    assert.are.equal("bytes */" .. #file, answer.headers["content-range"])
  end)

  it("is the whole when the client has another picture, asks for several parts, or for HEAD", function()
    local etag = http.get(app, PLANK).headers.etag
    for _, headers in ipairs {
      { Range = "bytes=0-9", ["If-Range"] = '"other"' }, { Range = "bytes=0-9", ["If-Range"] = "W/" .. etag },
      { Range = "bytes=0-9,20-29" }, { Range = "bytes=9-0" },
    } do
      local answer = http.get(app, PLANK, headers)
      assert.are.equal(200, answer.status)
      assert.is_true(answer.body == file)
      assert.are.equal("bytes", answer.headers["accept-ranges"])
    end
    assert.are.equal(206, http.get(app, PLANK, { Range = "bytes=0-9", ["If-Range"] = etag }).status)
    assert.are.equal(200, http.request(app, "HEAD", PLANK, { headers = { Range = "bytes=0-9" } }).status)
  end)

  it("depends on the client's conditions", function()
    assert.are.equal(412, http.get(app, PLANK, { ["If-Match"] = '"other"' }).status)
    assert.are.equal(412, http.get(app, PLANK, { ["If-Unmodified-Since"] = "Sun, 06 Nov 1994 08:49:37 GMT" }).status)
    assert.are.equal(200, http.get(app, PLANK, { ["If-Match"] = http.get(app, PLANK).headers.etag }).status)
  end)
end)

describe("other files", function()
  it("of the page are revalidated, not immutable", function()
    local page = http.get(app, "/")
    assert.is_nil((page.headers["cache-control"] or ""):find("immutable", 1, true))
    assert.are.equal(304, http.get(app, "/", { ["If-None-Match"] = page.headers.etag }).status)
  end)

  it("change when they change on disk", function()
    local root = server.folder()
    server.write(root .. "/note.txt", "one")
    local other = server.start { media_root = root, media_recheck = "0s" }
    local first = http.get(other, "/media/note.txt")
    assert.are.equal("one", first.body)
    server.write(root .. "/note.txt", "another")
    local second = http.get(other, "/media/note.txt")
    assert.are.equal("another", second.body)
    assert.are_not.equal(first.headers.etag, second.headers.etag)
    server.shell("rm " .. root .. "/note.txt")
    assert.are.equal(404, http.get(other, "/media/note.txt").status)
    other:stop()
    server.remove(root)
  end)

  it("are 404 when there is none, and so are folders", function()
    for _, path in ipairs { "/media/none.gif", "/media/", "/media", "/media/plank.gif/", "/media/PLANK.GIF" } do
      assert.are.equal(404, http.get(app, path).status, path)
    end
  end)

  it("cannot be written", function()
    for _, method in ipairs { "POST", "PUT", "DELETE" } do
      assert.are.equal(405, http.request(app, method, PLANK, { body = method ~= "DELETE" and "x" or nil }).status,
        method)
    end
  end)
end)

describe("what lies outside", function()
  local folder, other

  setup(function()
    folder = server.folder()
    server.shell("mkdir -p " .. folder .. "/media/sub")
    server.write(folder .. "/secret.txt", "SECRET")
    server.write(folder .. "/media/inside.txt", "inside")
    server.shell("cd " .. folder .. "/media && ln -s ../secret.txt link.txt && ln -s .. up && "
      .. "ln -s inside.txt fine.txt && mkfifo fifo")
    other = server.start { media_root = folder .. "/media" }
  end)
  teardown(function()
    other:stop()
    server.remove(folder)
  end)

  it("is never served, however it is written", function()
    for _, path in ipairs {
      "../secret.txt", "..%2fsecret.txt", "..%2Fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt",
      "%2E%2E%2Fsecret.txt",
      ".%2e/secret.txt", "%2e./secret.txt", "%252e%252e/secret.txt", "..%252fsecret.txt", "..\\secret.txt",
      "..%5csecret.txt",
      "sub/../../secret.txt", "sub/%2e%2e/%2e%2e/secret.txt", "./../secret.txt", "..//secret.txt", "//../secret.txt",
      "..;/secret.txt", "..%00/secret.txt", "%c0%ae%c0%ae/secret.txt", "%c0%ae%c0%ae%c0%afsecret.txt",
      "inside.txt/../../secret.txt",
      "inside.txt%00/../../secret.txt", "link.txt", "up/secret.txt", "up/media/../secret.txt", folder .. "/secret.txt",
      "%2f" .. folder:sub(2) .. "/secret.txt", "../../../../../../../../etc/passwd",
    } do
      local answer = http.raw(other, ("GET /media/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(path))
      assert.is_true(answer.status < 200 or answer.status > 299, path .. " was answered " .. answer.status)
      assert.is_nil(answer.body:find("SECRET", 1, true), path)
      assert.is_nil(answer.body:find("root:", 1, true), path)
    end
  end)

  it("while what lies inside is", function()
    assert.are.equal("inside", http.get(other, "/media/inside.txt").body)
    assert.are.equal("inside", http.get(other, "/media/%69nside.txt?x=1").body)
    assert.are.equal("inside", http.get(other, "/media/fine.txt").body)
  end)

  it("nor does a FIFO hold the server", function()
    assert.are.equal(404, http.get(other, "/media/fifo").status)
  end)
end)
