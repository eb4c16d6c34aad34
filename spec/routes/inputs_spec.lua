-- schema, template, time and crypto on a server: what clients get.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local app
setup(function() app = server.start { app = server.root .. "/spec/support/inputs", workers = "1" } end)
teardown(function() app:stop() end)
after_each(function() app:settle() end)

local function refusal(answer)
  return answer.status .. " " .. answer.json.error.code .. ": " .. answer.json.error.message
end

describe("schema on requests", function()
  it("gives what was sent, or says which field is wrong", function()
    assert.are.same({ title = "a", tags = 2, size = 5 },
      http.post(app, "/json", { title = "a", tags = { "x", "y" }, size = 5 }).json)
    assert.are.same({ title = "a", tags = 0 }, http.post(app, "/json", { title = "a" }).json)
    assert.are.equal("400 invalid_field: tags[2] must be a text.",
      refusal(http.post(app, "/json", { title = "a", tags = { "x", 5 } })))
    assert.are.equal("400 invalid_field: title is missing.", refusal(http.post(app, "/json", { tags = { "a" } })))
    assert.are.equal("400 invalid_field: size must be a whole number.",
      refusal(http.post(app, "/json", { title = "a", size = "5" })))
    assert.are.equal("400 invalid_json", refusal(http.request(app, "POST", "/json", { body = "{" })):match("^%S+ [%w_]+"))
  end)

  it("takes forms, whose numbers are texts", function()
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    assert.are.same({ title = "a b", tags = 2, size = 5 },
      http.request(app, "POST", "/body", { body = "title=a+b&tags=x&tags=y&size=5", headers = form }).json)
    assert.are.same({ title = "a", tags = 1 },
      http.request(app, "POST", "/body", { body = "title=a&tags=x&size=", headers = form }).json)
    assert.are.equal("400 invalid_field: size must be a whole number.",
      refusal(http.request(app, "POST", "/body", { body = "title=a&size=x", headers = form })))
    assert.are.equal("400 invalid_field: size must be a whole number.",
      refusal(http.post(app, "/body", { title = "a", size = "5" }))) -- JSON has numbers
  end)

  it("reads addresses", function()
    assert.are.equal("7 2", http.get(app, "/query/7").body)
    assert.are.equal("7 5", http.get(app, "/query/7?limit=5").body)
    assert.are.equal("400 invalid_parameter: limit must be a whole number from 1 to 5.",
      refusal(http.get(app, "/query/7?limit=9")))
    assert.are.equal("400 invalid_parameter: id must be a whole number.", refusal(http.get(app, "/query/x")))
  end)
end)

describe("template on a server", function()
  it("makes pages", function()
    local answer = http.get(app, "/page?title=%3Cb%3E")
    assert.are.equal("<title>&lt;b&gt;</title>\n<p>1</p><p>2</p>\n", answer.body)
    assert.are.equal("text/html; charset=utf-8", answer.headers["content-type"])
  end)

  it("is read while the app is loaded, not later", function()
    assert.is_truthy(http.get(app, "/late").body:find("false", 1, true))
    assert.is_truthy(http.get(app, "/late").body:find("are read while it is loaded, not later", 1, true))
  end)

  it("says at load what is wrong, and reads nothing outside of the app", function()
    local folder = server.folder()
    server.shell("ln -s /etc/hostname " .. folder .. "/link.html")
    server.write(folder .. "/bad.html", "fine\n{{ a | none }}\n")
    for file, message in pairs {
      ["bad.html"] = "bad.html:2: there is no filter none",
      ["none.html"] = "none.html: No such file or directory",
      ["link.html"] = "link.html: Permission denied",
      ["../../etc/hostname"] = "../../etc/hostname: Permission denied",
    } do
      server.write(folder .. "/app.lua", ("require 'fitnessally.template'.load('%s')\n"):format(file))
      local output, status = server.command("check", "-c", server.root .. "/fitnessally.conf.lua", "--set",
        "app=" .. folder, "--set", "state_dir=" .. folder .. "/state")
      assert.are.equal(1, status)
      assert.is_truthy(output:find(message, 1, true), output)
    end
    server.remove(folder)
  end)
end)

describe("small things", function()
  it("tell the time and digests", function()
    assert.are.equal("Sun, 06 Nov 1994 08:49:37 GMT 1994-11-06T08:49:37.000Z http://a/b?c", http.get(app, "/time").body)
    assert.are.equal(204, http.get(app, "/digests").status)
  end)
end)
