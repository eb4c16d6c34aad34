local spec = require "fitnessally.testing"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."

local function open(settings)
  settings = settings or {}
  settings.plugin_path = here .. "/../.."
  settings.tts = ""
  return spec.app { app = here .. "/app", plugins = { "sample" }, settings = settings }
end

describe("sample", function()
  it("greets by name, and says who did", function()
    -- Said here, for a fitnessally.conf.lua in the folder one is in holds for specs, too.
    local answer = open({ ["plugins.sample.greeting"] = "Hello" }):get "/greet/Ada"
    assert.are.equal("Hello, Ada!", answer.body)
    assert.are.equal("sample", answer.headers["x-plugin"])
  end)

  it("is configured", function()
    local app = open { ["plugins.sample.greeting"] = "Good day", ["plugins.sample.longest"] = 3 }
    assert.are.equal("Good day, Ada!", app:get("/greet/Ada").body)
    assert.are.equal(400, app:get("/greet/Grace").status)
  end)
end)
