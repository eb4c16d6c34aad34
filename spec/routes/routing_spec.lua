-- Routes as clients and the command line see them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local cjson = require "cjson"
local http = require "spec.support.http"
local server = require "spec.support.server"

local APP = server.root .. "/spec/support/routing"

describe("declared routes", function()
  local app
  setup(function() app = server.start { app = APP } end)
  teardown(function() app:stop() end)
  after_each(function() app:settle() end)

  it("go by host, and by no host", function()
    assert.are.equal("every host", http.get(app, "/").body)
    local text = "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
    assert.are.equal("the api", http.raw(app, text:format("API.localhost:" .. app.port)).body)
    assert.are.equal("every host", http.raw(app, text:format("www.localhost")).body)
  end)

  it("limit bodies for their host before the body is read", function()
    local text = "POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Length: 11\r\nConnection: close\r\n\r\n"
    assert.are.equal(413, http.raw(app, text:format("api.localhost")).status)
    text = "POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789"
    assert.are.equal("10", http.raw(app, text:format("api.localhost")).body)
    assert.are.equal(404, http.raw(app, text:format("localhost")).status)
  end)

  it("stand behind their middleware, files as well", function()
    local refused = http.request(app, "PUT", "/private/notes/5")
    assert.are.equal(401, refused.status)
    assert.are.equal("no_key", refused.json.error.code)
    assert.are.equal(401, http.get(app, "/private/files/app.lua").status)
    local keyed = { headers = { ["X-Key"] = "secret" } }
    assert.are.equal("/private/notes/a%20b?again=true", http.request(app, "PUT", "/private/notes/a%20b", keyed).body)
    local file = http.get(app, "/private/files/app.lua", keyed.headers)
    assert.are.equal(server.read(APP .. "/app.lua"), file.body)
    keyed.headers["If-None-Match"] = file.headers.etag
    assert.are.equal(304, http.get(app, "/private/files/app.lua", keyed.headers).status)
  end)

  it("answer OPTIONS where nobody else does", function()
    local answer = http.request(app, "OPTIONS", "/private/notes/5")
    assert.are.equal(204, answer.status)
    assert.are.equal("PUT, OPTIONS", answer.headers.allow)
    assert.are.equal(404, http.request(app, "OPTIONS", "/nothing").status)
    assert.are.equal("PUT, OPTIONS", http.get(app, "/private/notes/5").headers.allow)
  end)
end)

describe("fitnessally reload", function()
  it("says which server it has found by itself", function()
    local app = server.start { app = APP }
    server.shell(("ln -s control '%s/fitnessally'"):format(app.folder))
    local output = server.shell(("XDG_RUNTIME_DIR='%s' '%s' reload 2>&1"):format(app.folder, server.binary))
    app:stop()
    if output:find("servers run here", 1, true) then -- others of this user's do, on this machine
      assert.is_truthy(output:find(tostring(app.pid), 1, true), output)
    else
      assert.is_truthy(output:find(("process %d in /"):format(app.pid), 1, true), output)
      assert.is_truthy(output:find("generation 2 serves", 1, true), output)
    end
  end)
end)

describe("fitnessally routes", function()
  local folder
  setup(function() folder = server.folder() end)
  teardown(function() server.remove(folder) end)

  local function routes(app, ...)
    return server.command("routes", "-c", server.root .. "/fitnessally.conf.lua", "--set", "app=" .. app, "--set",
      "state_dir=" .. folder .. "/state", ...)
  end

  it("tells everything as JSON", function()
    local output, status = routes(APP, "--json")
    assert.are.equal(0, status, output)
    local told = cjson.decode(output)
    assert.are.same({ "espeak", "records" }, told.plugins)
    assert.are.same({ methods = { "GET" }, pattern = "/", name = "home", place = "app.lua:15", limits = {},
      middleware = {}, plugins = {} }, told.routes[1])
    assert.are.same({ methods = { "GET" }, pattern = "/", host = "api.localhost", place = "app.lua:17", limits = {},
      middleware = {}, plugins = {} }, told.routes[2])
    assert.are.same({ methods = { "PUT" }, pattern = "/private/notes/:id", name = "note", place = "app.lua:22",
      limits = { max_json = "1KB", max_concurrent = 2 }, middleware = { "key", "app.lua:22" }, plugins = {} },
      told.routes[4])
    assert.are.same({ methods = { "GET" }, pattern = "/private/files/*file", place = "app.lua:25", limits = {},
      middleware = { "key" }, plugins = {}, folder = APP }, told.routes[5])
  end)

  it("prints a table for people", function()
    local output, status = routes(APP)
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("METHOD%s+ROUTE%s+WHERE%s+NAME%s+LIMITS%s+MIDDLEWARE%s+PLUGINS\n"), output)
    assert.is_truthy(output:find("GET%s+api.localhost/%s+app.lua:17%s+%-%s+%-%s+%-%s+%-\n"), output)
    assert.is_truthy(output:find(
      "PUT%s+/private/notes/:id%s+app.lua:22%s+note%s+max_concurrent=2 max_json=1KB%s+key > app.lua:22%s+%-\n"), output)
    assert.is_truthy(output:find("plugins loaded: espeak records\n", 1, true))
  end)

  it("says what is wrong with an app that does not load", function()
    server.write(folder .. "/app.lua", "app:get('/a/:x', print)\n\napp:get('/a/:y', print)\n")
    local output, status = routes(folder)
    assert.are.equal(1, status)
    assert.is_truthy(output:find("app.lua:3", 1, true), output)
    assert.is_truthy(output:find("already called \"x\" by the route at app.lua:1", 1, true), output)
    output, status = server.command("routes", "what")
    assert.are.equal(2, status)
    assert.is_truthy(output:find("takes no argument", 1, true))
  end)

  it("holds an app to max_routes", function()
    server.write(folder .. "/app.lua", "for i = 1, 20 do app:get('/' .. i, print) end\n")
    local output, status = routes(folder, "--set", "max_routes=16")
    assert.are.equal(1, status)
    assert.is_truthy(output:find("app.lua:1: more than 16 routes: max_routes says how many", 1, true), output)
  end)
end)
