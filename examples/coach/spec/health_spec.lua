local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

describe("health", function()
  it("is OK", function()
    local answer = app:get "/api/health"
    assert.are.equal(200, answer.status)
    assert.are.equal("OK", answer:json().status)
  end)
end)
