local spec = require "fitnessally.testing"

local app = spec.app { app = "spec/support/testing", plugins = {}, settings = { tts = "" } }

it("leaks", function()
  assert.are.equal("leaked", app:get("/leak").body)
  app:advance "100ms"
end)

it("is not to blame", function()
  assert.are.equal("hello", app:get("/hello").body)
end)
