---@meta

--| What scripts have beside the language. Made from the annotations that editors with the Lua language server show, too.
--|
--| **Yields**: the task waits, and others are served meanwhile. It can wait anywhere but inside `table.sort`, `string.gsub` and coroutines
--| that the script made itself: there it is an error that says so.
--|
--| **Copies**: bytes of a body, a file, a message, a conversation or an answer come into being in Lua, or go from a Lua text into the core;
--| JSON that is encoded or decoded is a copy. Each is counted (`copies` and `copiedBytes` of a memory report), and `assert.copies` of a
--| spec reads the counter. Names, addresses, header lines, keys, codes and log lines are short, and no copies in this sense. What the page
--| says of each function is tested: whether it waits, and whether the counter goes up.
--|
--| A script holds no bytes of ours, only handles. Using one whose owner has ended is an error that tells its story: what it was, whose,
--| the line that made it, and the line and the reason of its end.
--|
--| ## app
--|
--| Only while `app.lua` and what it requires are loaded; later it is an error, but for `app:url_for` and `app:routes`. The `group` that
--| `app:group` and `app:host` give to a function has all that `app` has but `on_start`, `every` and `cron`; `group:get("", …)` is the
--| prefix itself. [writing-routes.md](writing-routes.md) shows it at work.
--|
--| An OPTIONS that no route answers is answered by the server: 204 with `Allow`, where the path is known. When a browser asks before a request
--| to another origin (`Access-Control-Request-Method`), the middleware of the route that it is about to ask runs first.

---@alias fitnessally.handler fun(req: fitnessally.request): any
---@alias fitnessally.middleware fun(req: fitnessally.request, next: fun(req?: fitnessally.request): any): any

---@class fitnessally.group Routes with a prefix, options, a host and middleware in common.
local group = {}

---Declares a route. Patterns: "/records/:id" (one segment), "/files/*rest" (all the rest). The handler gets the request and
---answers it with req:reply, req:fail or voice.listen, now or after waiting. Two routes for the same method, host and pattern are a
---load error that names both places. HEAD is answered by the GET route unless there is a HEAD route. Options may
---stand before the handler; one that is not known, or a value out of range, is a load error. Yields: no. Copies: no.
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:get(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:post(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:put(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:patch(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:delete(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:head(pattern, options, handler) end
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:options(pattern, options, handler) end

---One route for all methods; HEAD goes with GET. Yields: no. Copies: no.
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, pattern: string, handler: fitnessally.handler)
function group:any(pattern, options, handler) end

---One route for several methods. Yields: no. Copies: no.
---@param methods string|string[] "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"
---@param pattern string
---@param options fitnessally.route_options
---@param handler fitnessally.handler
---@overload fun(self, methods: string|string[], pattern: string, handler: fitnessally.handler)
function group:route(methods, pattern, options, handler) end

---@class fitnessally.route_options What a route says of its requests; what it does not say, its groups and the configuration do.
---@field max_body? integer|string a longer body is answered 413; at most max_upload
---@field max_json? integer|string a longer body is not decoded by req:json
---@field max_json_depth? integer 1 to 1000
---@field max_concurrent? integer so many requests at once, over all workers, until their answers have left; others wait
---@field queue? integer so many may wait (16); one more is answered 503
---@field queue_time? string the longest wait ("2s"); then the answer is 503
---@field use? fitnessally.middleware|fitnessally.middleware[]|false behind those of its groups; false: none at all
---@field host? string "api.example", or "*.example" for all hosts below example
---@field name? string for app:url_for; not of a group

---Routes with a prefix in common: fn declares them. A group's own routes get its options and middleware. Yields: no. Copies: no.
---@param prefix string "/api"; "" for none
---@param options fitnessally.route_options but for name
---@param fn fun(group: fitnessally.group)
---@overload fun(self, prefix: string, fn: fun(group: fitnessally.group))
function group:group(prefix, options, fn) end

---Routes for one host, or for all below one. Asked before those for every host. Yields: no. Copies: no.
---@param pattern string "api.example", "*.example"
---@param options fitnessally.route_options but for name
---@param fn fun(group: fitnessally.group)
---@overload fun(self, pattern: string, fn: fun(group: fitnessally.group))
function group:host(pattern, options, fn) end

---Middleware for all routes of the app or the group, in this order, before its first route: [middleware.md](middleware.md). Yields: no. Copies: no.
---@param ... fitnessally.middleware
function group:use(...) end

---Serves the files below `root` at `prefix` ("/media", or "/" for what no route takes), from C, with no byte through Lua.
---Middleware of the app and its groups stands before it. Yields: no. Copies: no.
---`precompressed`: for "a.css" also "a.css.br" and "a.css.gz" are looked for. `dotfiles`: names with a leading dot, too.
---@param prefix string
---@param options {root: string, immutable?: boolean, index?: string, precompressed?: boolean, dotfiles?: boolean, name?: string, host?: string, use?: fitnessally.middleware|fitnessally.middleware[]|false}
function group:static(prefix, options) end

---The path of a named route, escaped: app:url_for("record", {id = 5}, {page = 2}) is "/records/5?page=2". An error for a parameter that is missing, not the route's, or cannot be in a path. At any time.
---Yields: no. Copies: no.
---@param name string
---@param params? table<string, string|number>
---@param query? table<string, string|number|boolean|(string|number|boolean)[]>
---@return string path
function group:url_for(name, params, query) end

---All routes, in the order of declaration. At any time. Yields: no. Copies: no.
---@return {methods: string[], pattern: string, host?: string, name?: string, place: string, limits: table, middleware: string[], plugins: string[], folder?: string}[]
function group:routes() end

---@class fitnessally.app: fitnessally.group
app = {}

---Runs once when the server starts, as a task that belongs to the scripts and may wait; requests are served meanwhile.
---Yields: no. Copies: no.
---@param starter fun()
function app:on_start(starter) end

---@class fitnessally.schedule_options
---@field name? string for the log
---@field each_worker? boolean on every worker, not on one
---@field at_start? boolean a first time at once

---Runs fn(scope) every so often, as a task with a scope of its own. Left out, and logged, while the run before has not ended. While app.lua is loaded. Yields: no. Copies: no.
---@param interval string|integer "30s", or milliseconds
---@param options fitnessally.schedule_options
---@param fn fun(scope: fitnessally.scope)
---@overload fun(self, interval: string|integer, fn: fun(scope: fitnessally.scope))
function app:every(interval, options, fn) end

---The same at the times of a crontab entry, in UTC: "*/15 6-22 * * mon-fri", "@daily". While app.lua is loaded. Yields: no. Copies: no.
---@param specification string "*/15 6-22 * * mon-fri"
---@param options fitnessally.schedule_options
---@param fn fun(scope: fitnessally.scope)
---@overload fun(self, specification: string, fn: fun(scope: fitnessally.scope))
function app:cron(specification, options, fn) end

---Gives a middleware a name for `fitnessally routes`; it is returned as it is. Yields: no. Copies: no.
---@param name string
---@param fn fitnessally.middleware
---@return fitnessally.middleware
function fitnessally.middleware(name, fn) end
