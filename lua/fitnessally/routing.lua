-- app and its groups: prefixes, options, middleware, names and hosts, until each route is one pattern, one table of
-- options and one function, which the core takes (core/script/lua_routes.c). Runs once when a state is made; not a
-- module. app: the global of that name; host: the table fitnessally; plugins: what plugins.lua gives to the core.
local native, app, host, plugins = ...
-- What scripts may not take away.
local error, ipairs, pairs, pcall, select, setmetatable, tostring, type =
  error, ipairs, pairs, pcall, select, setmetatable, tostring, type
local concat, sort, format = table.concat, table.sort, string.format

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, PATCH = true, OPTIONS = true }
local ANY = { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } -- HEAD is served by GET

-- What a group has, by its handle: prefix, host, options, middleware (a list, those of the groups around it first),
-- first (where its first route was declared). Handles are what scripts see: app, and what group and host give.
local groups = setmetatable({}, { __mode = "k" })
local named = {} -- the routes that have names
local declared = {} -- what app:routes tells, in order
local names = setmetatable({}, { __mode = "k" }) -- of middleware

-- ---- errors: with the line of the script, whichever function of ours noticed ---------------------------------------

local function fail(message, ...)
  error(native.here() .. ": " .. format(message, ...), 0)
end

-- A native raises without a place.
local function call(fn, ...)
  local ok, problem = pcall(fn, ...)
  if not ok then
    error(native.here() .. ": " .. tostring(problem), 0)
  end
end

local function group_of(handle, what)
  local group = groups[handle]
  if not group and handle == native.face(app) then
    group = groups[app] -- scripts cannot change app: they have a face of it
  end
  if not group then
    fail("app.%s is called with a colon, app:%s(...)", what, what)
  end
  call(native.loading, "app:" .. what)
  return group
end

-- The group whose function runs now. What is declared in it by the handle of another would lack the prefix, the options and
-- the middleware, and look as if it had them.
local innermost

local function check_inside(group, what)
  if innermost and group ~= innermost then
    fail("app:%s inside of the function of %s is not of that %s: use what the function is given, as in function(api) " ..
      "api:%s(...) end, or declare it outside", what, innermost.label, innermost.kind, what)
  end
  return group
end

-- ---- middleware ----------------------------------------------------------------------------------------------------

local function check_middleware(value, what)
  if type(value) ~= "function" then
    fail("%s: a middleware is a function(req, next), not a %s", what, type(value))
  end
  return value
end

-- next, as a middleware calls it: next() and next(req) are the same.
local function step(handler)
  return function(req)
    return handler(req or native.current())
  end
end

local function around(middleware, inner)
  return function(req)
    return middleware(req or native.current(), inner)
  end
end

-- Everything that stands around a handler is put together here, once, while the app is loaded: a request makes no
-- closure and walks no list. The order is what the script says from top to bottom: app, groups, route, handler.
--
-- The `request` phases of plugins stand outside of the whole list, in the order of their priority: a plugin may have to see what a
-- middleware answers by itself. `response` and `log` are the core's (core/script/lua_phases.c).
local function before(phase, inner)
  return function(req)
    req = req or native.current()
    phase(req)
    if not native.answered(req) then
      return inner(req)
    end
  end
end

local function compose(middleware, handler)
  local phases = plugins.requests()
  local chain = handler
  if #middleware > 0 then
    chain = step(handler)
    for i = #middleware, 1, -1 do
      chain = around(middleware[i], chain)
    end
  end
  for i = #phases, 1, -1 do
    chain = before(phases[i], chain)
  end
  return chain
end

local function name_of(middleware)
  return names[middleware] or native.place_of(middleware)
end

-- The list with what is added to it.
local function extended(list, added)
  local all = {}
  for _, part in ipairs { list, added } do
    for _, middleware in ipairs(part) do
      all[#all + 1] = middleware
    end
  end
  return all
end

---Names a middleware for `fitnessally routes`.
function host.middleware(name, fn)
  if type(name) ~= "string" or type(fn) ~= "function" then
    error("fitnessally.middleware(name, fn): a name and a function", 2)
  end
  names[fn] = name
  return fn
end

-- A name that does not exist is nil: it must not take the rest of the list, or all of it, away unnoticed.
local function check_list(use, what)
  local count = 0
  for place, middleware in pairs(use or {}) do
    check_middleware(middleware, what)
    if type(place) ~= "number" then
      fail("%s is a list: { %s }, not { %s = ... }", what, tostring(place), tostring(place))
    end
    count = count + 1
  end
  if use and count == 0 then
    fail("%s: nothing is in the list: a name that does not exist is nil. false is for no middleware at all", what)
  elseif use and count ~= #use then
    fail("%s: something in the list is nil: a name that does not exist", what)
  end
end

-- ---- options -------------------------------------------------------------------------------------------------------

-- Takes those that are not limits out: the list of middleware (false: none at all), the name and the host.
local function split_options(options, what)
  local limits = {}
  if options ~= nil and type(options) ~= "table" then
    fail("%s: options are a table, not a %s", what, type(options))
  end
  for key, value in pairs(options or {}) do
    if key ~= "use" and key ~= "name" and key ~= "host" then
      limits[key] = value
    end
  end
  local use = options and options.use
  if use == nil then
    return limits, {}, options and options.name, options and options.host
  elseif type(use) == "function" then
    use = { use }
  elseif use ~= false and type(use) ~= "table" then
    fail("%s: use is a list of middleware, or false for none", what)
  end
  check_list(use, what .. ": use")
  return limits, use, options and options.name, options and options.host
end

local function merged(outer, inner)
  local all = {}
  for key, value in pairs(outer) do
    all[key] = value
  end
  for key, value in pairs(inner) do
    all[key] = value
  end
  return all
end

-- The middleware of something in the group that says `use`.
local function middleware_of(group, use)
  return use == false and {} or extended(group.middleware, use)
end

local function host_of(group, wanted, what)
  if wanted ~= nil and type(wanted) ~= "string" then
    fail("%s: host is a name such as \"api.example\" or \"*.example\"", what)
  end
  if wanted and group.host and wanted ~= group.host then
    fail("%s: the group is for host %s, so host %s would never be reached", what, group.host, wanted)
  end
  return wanted or group.host
end

-- ---- declaring -----------------------------------------------------------------------------------------------------

-- No more middleware for the group and those around it: it would not stand before this route.
local function note_first(group, route)
  while group do
    group.first = group.first or route
    group = group.parent
  end
end

local function keep_name(route)
  local other = named[route.name]
  if type(route.name) ~= "string" then
    fail("%s: name is a text", route.label)
  elseif other then
    fail("the name \"%s\" is given twice: to %s at %s and to %s at %s", route.name, other.label, other.place,
      route.label, route.place)
  end
  named[route.name] = route
end

local function add(group, route, use, handler, folder)
  route.place = native.here()
  route.middleware = middleware_of(group, use)
  route.plugins = plugins.partakers()
  local bare = #route.middleware == 0 and #route.plugins == 0
  if folder and bare then
    handler = nil -- straight from C
  end
  call(native.declare, route.methods, route.pattern, route.host, route.limits, route.label,
    handler and compose(route.middleware, handler),
    not bare and compose(route.middleware, native.answer_options) or nil, folder)
  if route.name ~= nil then
    keep_name(route)
  end
  declared[#declared + 1] = route
  note_first(group, route)
end

local function check_methods(methods)
  methods = type(methods) == "string" and { methods } or methods
  if type(methods) ~= "table" or #methods == 0 then
    fail("app:route takes a list of methods, as in app:route({\"GET\", \"POST\"}, pattern, handler)")
  end
  for _, method in ipairs(methods) do
    if not METHODS[method] then
      fail("app:route: %s is not a method that routes know", tostring(method))
    end
  end
  return methods
end

local function join(prefix, pattern, what)
  if type(pattern) ~= "string" then
    fail("%s: the pattern is a text such as \"/records/:id\"", what)
  elseif prefix ~= "" and pattern ~= "" and pattern:sub(1, 1) ~= "/" then
    fail("%s: route \"%s\": a pattern begins with /", what, pattern)
  elseif pattern:find "/{[%w_]+}" then
    fail("%s: route \"%s\": a segment that varies is written :%s", what, pattern, pattern:match "/{([%w_]+)}")
  end
  return prefix .. pattern
end

-- The pattern with its host, for people.
local function label_of(methods, at, pattern)
  return format("%s %s%s", concat(methods, ","), at or "", pattern)
end

local function declare(handle, what, methods, pattern, options, handler)
  local group = check_inside(group_of(handle, what), what)
  if handler == nil and type(options) ~= "table" then
    options, handler = nil, options
  end
  pattern = join(group.prefix, pattern, "app:" .. what)
  if type(handler) ~= "function" then
    fail("app:%s(\"%s\"): the handler is a function, not a %s", what, pattern, type(handler))
  end
  local limits, use, name, at = split_options(options, "route " .. pattern)
  at = host_of(group, at, "route " .. pattern)
  add(group, {
    methods = methods, pattern = pattern, host = at, name = name, limits = merged(group.options, limits),
    label = label_of(methods, at, pattern),
  }, use, handler)
end

local Group = { __metatable = false }
Group.__index = Group

for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" } do
  local methods, what = { method }, method:lower()
  Group[what] = function(self, pattern, options, handler)
    declare(self, what, methods, pattern, options, handler)
  end
end

function Group:any(pattern, options, handler)
  declare(self, "any", ANY, pattern, options, handler)
end

function Group:route(methods, pattern, options, handler)
  declare(self, "route", check_methods(methods), pattern, options, handler)
end

-- What a WebSocket says beside what any route may say.
local SOCKET = {
  max_message = true, send_queue = true, ping = true, pong_timeout = true, close_timeout = true, protocols = true,
  origins = true,
}

-- A handshake is a GET, so what stands around the route has its say before there is a connection.
function Group:websocket(pattern, options, handler)
  if handler == nil and type(options) ~= "table" then
    options, handler = nil, options
  end
  check_inside(group_of(self, "websocket"), "websocket")
  if type(handler) ~= "function" then
    fail("app:websocket(\"%s\"): the handler is a function, not a %s", tostring(pattern), type(handler))
  end
  local rest, own = {}, {}
  for key, value in pairs(options or {}) do
    if type(key) == "string" and key:find("^max_[bj]") then
      fail("app:websocket(\"%s\"): %s means nothing here: a message has max_message", tostring(pattern), key)
    end
    (SOCKET[key] and own or rest)[key] = value
  end
  local ok, route = pcall(native.websocket_route, own, "route " .. tostring(pattern))
  if not ok then
    fail("%s", tostring(route))
  end
  declare(self, "websocket", { "GET" }, pattern, rest, function(req)
    local ws = native.upgrade(req, route)
    if ws then
      handler(ws, req)
    end
  end)
end

local FOLDER = { root = true, index = true, immutable = true, precompressed = true, dotfiles = true }
local FOLDER_KEYS = "root, index, immutable, precompressed, dotfiles, name, host and use"

function Group:static(prefix, options)
  local group = check_inside(group_of(self, "static"), "static")
  if type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/" then
    fail("app:static: a prefix begins with /")
  elseif type(options) ~= "table" then
    fail("app:static(\"%s\"): it takes {root = FOLDER}", prefix)
  end
  local rest, use, name, at = split_options(options, "app:static(\"" .. prefix .. "\")")
  for key in pairs(rest) do
    if not FOLDER[key] then
      fail("app:static(\"%s\"): %s is not known: there are %s", prefix, tostring(key), FOLDER_KEYS)
    end
  end
  at = host_of(group, at, "app:static")
  local pattern = (group.prefix .. prefix):gsub("/*$", "") .. "/*file"
  local methods = { "GET" }
  add(group, {
    methods = methods, pattern = pattern, host = at, name = name, limits = {}, label = label_of(methods, at, pattern),
    folder = rest.root,
  }, use, native.serve_folder, rest)
end

-- ---- groups --------------------------------------------------------------------------------------------------------

local function open(outer, kind, label, prefix, limits, use, at)
  local handle = setmetatable({}, Group)
  groups[handle] = {
    parent = outer, prefix = outer.prefix .. prefix, options = merged(outer.options, limits), host = at,
    middleware = middleware_of(outer, use), kind = kind, label = label,
  }
  return handle
end

local function declare_group(group, kind, what, prefix, options, fn)
  if fn == nil and type(options) == "function" then
    options, fn = nil, options
  end
  if type(fn) ~= "function" then
    fail("%s: its routes are declared by a function(group)", what)
  end
  local limits, use, name, at = split_options(options, what)
  if name ~= nil then
    fail("%s: only routes have names", what)
  end
  call(native.check_options, limits, what)
  local handle, outside = open(group, kind, what, prefix, limits, use, host_of(group, at, what)), innermost
  innermost = groups[handle]
  fn(handle)
  innermost = outside
end

function Group:group(prefix, options, fn)
  local group = check_inside(group_of(self, "group"), "group")
  if type(prefix) ~= "string" or (prefix ~= "" and prefix:sub(1, 1) ~= "/") then
    fail("app:group: a prefix begins with /, or is empty")
  end
  declare_group(group, "group", "group \"" .. prefix .. "\"", prefix:gsub("/+$", ""), options, fn)
end

function Group:host(pattern, options, fn)
  local group = check_inside(group_of(self, "host"), "host")
  local what = "app:host(\"" .. tostring(pattern) .. "\")"
  if type(pattern) ~= "string" then
    fail("%s: a host is a name such as \"api.example\" or \"*.example\"", what)
  end
  if type(options) == "table" and options.host ~= nil then
    fail("%s: it has a host already", what)
  end
  if type(options) == "table" or options == nil then
    options = merged(options or {}, { host = pattern })
  else
    options, fn = { host = pattern }, options
  end
  declare_group(group, "host", what, "", options, fn)
end

function Group:use(...)
  local group = check_inside(group_of(self, "use"), "use")
  if select("#", ...) == 0 then
    fail("app:use: it takes a middleware, function(req, next)")
  end
  local first = group.first
  if first then
    fail("app:use: middleware is declared before the routes that it is for, and %s at %s would not have it",
      first.label, first.place)
  end
  for i = 1, select("#", ...) do
    group.middleware[#group.middleware + 1] = check_middleware((select(i, ...)), "app:use")
  end
end

-- ---- addresses -----------------------------------------------------------------------------------------------------

local function escape_byte(byte)
  return format("%%%02X", byte:byte())
end

local function escape(text)
  return (text:gsub("[^%w%-._~]", escape_byte))
end

local function text_of(value, what)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    fail("%s is a text or a number, not a %s", what, kind)
  elseif kind == "number" and value % 1 == 0 and value >= -2 ^ 53 and value <= 2 ^ 53 then
    return format("%d", value) -- tostring gives 14 digits
  end
  return tostring(value)
end

-- A value for ":name" or "*name"; what would not come back as it went is an error.
local function part(value, kind, what)
  local text = text_of(value, what)
  if kind == ":" and (text == "" or text:find("/", 1, true)) then
    fail("%s is one part of a path: not empty, and without a slash", what)
  end
  if text:find("[%z\\]") or ("/" .. text .. "/"):find("/%.%.?/") then
    fail("%s has what no path may have: a NUL, a backslash, or a part that is . or ..", what)
  end
  return (text:gsub("[^/]+", escape))
end

local function query_of(query)
  local pairs_of, keys = {}, {}
  for key in pairs(query) do
    keys[#keys + 1] = text_of(key, "url_for: a name in the query")
  end
  sort(keys)
  for _, key in ipairs(keys) do
    local values = query[key]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      pairs_of[#pairs_of + 1] = escape(key) .. "=" .. escape(text_of(value, "url_for: " .. key))
    end
  end
  return #pairs_of > 0 and "?" .. concat(pairs_of, "&") or ""
end

function Group.url_for(_, name, params, query)
  local route = named[name]
  if not route then
    fail("url_for: no route has the name \"%s\"", tostring(name))
  end
  params = params or {}
  local known = {}
  local path = route.pattern:gsub("/([:*])([^/]+)", function(kind, parameter)
    known[parameter] = true
    if params[parameter] == nil then
      fail("url_for: %s needs %s", route.label, parameter)
    end
    return "/" .. part(params[parameter], kind, "url_for: " .. parameter)
  end)
  for key in pairs(params) do
    if not known[key] then
      fail("url_for: %s has no %s", route.label, tostring(key))
    end
  end
  return path .. query_of(query or {})
end

-- ---- what there is -------------------------------------------------------------------------------------------------

local function copy_list(list, of)
  local copy = {}
  for i, value in ipairs(list) do
    copy[i] = of and of(value) or value
  end
  return copy
end

---Every route, in the order of declaration.
function Group.routes(_)
  local all = {}
  for i, route in ipairs(declared) do
    all[i] = {
      methods = copy_list(route.methods), pattern = route.pattern, host = route.host, name = route.name,
      place = route.place, folder = route.folder, limits = merged(route.limits, {}),
      middleware = copy_list(route.middleware, name_of), plugins = copy_list(route.plugins),
    }
  end
  return all
end

groups[app] = { prefix = "", options = {}, middleware = {} }
setmetatable(app, Group)
