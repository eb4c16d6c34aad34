---@meta

--| ## plugin
--|
--| What native plugins do, each on a thread of its own: [plugins.md](plugins.md). `plugin.NAME` is nil when no such plugin is loaded.
--| Arguments are texts, numbers and booleans; `progress` may be a `function(done, total)`.

---@class fitnessally.plugin
local plugins = {}

---Runs a function of a plugin: a table of its results (texts, numbers, and buffers that belong to the calling request or turn), or nil and
---{code=, message=}. Yields: yes. Copies: texts, both ways.
---@param arguments table
---@return table? results, {code: string, message: string}? problem
function plugins.FUNCTION(arguments) end

---@type table<string, table<string, fun(arguments: table): table?, {code: string, message: string}?>>
plugin = {}

--| | function | gives |
--| |---|---|
--| | `plugin.espeak.synthesize{text=, voice=, rate=, pitch=, speed=}` | `audio` (a WAV), `samples`, `sample_rate`, `duration_ms`, `mime`, `voice`; error `unknown_voice` |
--| | `plugin.espeak.voices{}` | `json`: the voices |
--| | `plugin.records.search{query=, recordType=, limit=, page=, ids=}` | `json`: the reply of `GET /api/records`; `count` |
--| | `plugin.records.import{file=, progress=}` | `imported`, `updated`, `unchanged`, `skipped`, `total`, `note` |
--| | `plugin.records.export{}` | `json`: all records as import takes them |
--| | `plugin.records.stats{}`, `prepare{}` | numbers; looks at the data folder now |
