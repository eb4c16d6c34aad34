-- What the server knows of this plugin before it loads it. docs/plugins.md has all that may stand here.
return {
  name = "sample",
  version = "0.1.0",
  -- provides = "tts", -- what fitnessally.service finds it by
  phases = { "response" },
  config = { -- plugins.NAME.KEY of the configuration, checked at the start
    greeting = { type = "text", default = "Hello", doc = "what a greeting begins with" },
    longest = { type = "number", default = 40, min = 1, max = 1000, doc = "bytes of the longest name that is greeted" },
  },
}
