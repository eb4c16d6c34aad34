-- The configuration of fitnessally. It is a small Lua program: plain `key = value`, one a line.
-- Every key has a default; docs/configuration.md lists them all. `fitnessally check` says whether this file is right.
-- The environment (FITNESSALLY_LINGER=2s) and the command line (--set linger=2s) win over what is written here.

listen = { "127.0.0.1:3005" }            -- where it listens; "0.0.0.0:3005" lets other machines in
app = "examples/coach"                   -- the application: the folder with app.lua
-- data = "/srv/exercises"               -- your exercises.json and media/ instead of the sample that comes along
state_dir = ".fitnessally"               -- what the server writes goes here: imported records, reports

tts = "espeak"                           -- the plugin that speaks; "" makes answers text only
plugins_enabled = { "espeak", "records" } -- what is loaded at start
plugins.espeak = {                       -- the keys of a plugin stand in its plugin.lua
    voice = "en",                        -- "en-us", "de", "fr" ...
    rate = 175,                          -- words a minute
}

memory_budget = "512MB"                  -- beyond it new questions are refused, and running ones go on
-- tracker = false                       -- no memory samples, no memory alarms: `fitnessally memory` still works
log_level = "info"                       -- "debug" says more, "warn" less
mode = "production"                      -- "dev" shows errors of scripts to the client
-- plugins.NAME.key = env("MY_API_KEY")  -- secrets come from the environment, not from this file
