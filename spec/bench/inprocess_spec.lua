-- How long a request in process takes, by the wall: build/fitnessally spec spec/bench/inprocess_spec.lua. Figures, not verdicts.

local spec = require "fitnessally.testing"
local system = require "system"

local COUNT = 20000

local function measure(name, ask)
  local times = {}
  for _ = 1, 1000 do
    ask()
  end
  local processor = os.clock()
  for i = 1, COUNT do
    local start = system.monotime()
    ask()
    times[i] = system.monotime() - start
  end
  processor = os.clock() - processor
  table.sort(times)
  print(("%-28s median %6.1f us, p99 %6.1f us, processor %6.1f us"):format(name, times[COUNT / 2] * 1e6,
    times[COUNT * 99 / 100] * 1e6, processor / COUNT * 1e6))
end

it("is measured", function()
  local plain = spec.app { app = "spec/support/testing", plugins = {}, settings = { tts = "" } }
  local coach = spec.app { app = "examples/coach" }
  measure("text", function()
    plain:get "/hello"
  end)
  measure("GET /api/health", function()
    coach:get "/api/health"
  end)
  measure("a picture of 30 KB", function()
    coach:get "/media/plank.gif"
  end)
end)
