---@meta

--| ## plugin
--|
--| What plugins do: one in Lua in the calling task, as any function; one in C on a thread of its own: [plugins.md](plugins.md). `plugin.NAME` is
--| nil when no such plugin is enabled; one that could not be loaded answers nil and `{code = "unavailable"}`. Arguments of a C half are
--| texts, numbers and booleans; `progress` may be a `function(done, total)`. One with a Lua state of its own (`isolation = "state"`) takes
--| and gives copies of plain values, and buffers; what goes wrong there is nil and `{code = "failed", message=, detail=}`.

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
--| | `plugin.elasticsearch.client{upstream=, response_max=, distribution=}` | a client for Elasticsearch and OpenSearch: its `README.md` |
--| | `plugin.elasticsearch.search{query=, recordType=, limit=, page=}` | as `plugin.records.search`, from an index |
--| | `plugin.graphql.client{upstream=, path=, headers=, response_max=, persisted=}` | a client for a GraphQL service: its `README.md` |

---The functions of the plugin that does `kind`, and its name: the one that settings[kind], or `name`, chooses. X names the plugin KIND-X,
---or X. nil when none is named; nil and a message when there is no such plugin. Yields: no. Copies: no.
---@param kind string "tts", "llm", "stt", "records", or what a manifest says in `provides`
---@param name? string
---@return table<string, function>? functions, string? name
function fitnessally.service(kind, name) end

---The plugins that are enabled, in that order; isolated: it has a Lua state of its own. Yields: no. Copies: no.
---@return {name: string, version?: string, provides: string[], priority: number, state: string, problem?: string, isolated?: true}[]
function fitnessally.plugins() end
