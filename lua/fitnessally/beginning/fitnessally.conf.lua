-- Every command that is started in this folder goes by this file. All keys: docs/configuration.md; `fitnessally check` reads it.
app = "."
mode = "dev" -- what is saved runs, and errors are shown to clients; leave it out where strangers come
listen = { "127.0.0.1:3005" }

tts = "espeak" -- what speaks; "": nothing
plugins_enabled = {} -- beside those that are named above
-- plugin_path = { "plugins" } -- your own: fitnessally plugin new NAME

-- Secrets come from the environment, and only the core sees them:
-- upstreams.news = { url = "https://news.example/v1", token_env = "NEWS_TOKEN" }
