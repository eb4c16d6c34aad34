-- What plugins that ask a service share: how options are checked, what problems look like, what a service may ask for. Yields: no. Copies: no.

local client = {}

local LONGEST_REST = 60 -- seconds that a Retry-After is honoured for

---Raises, three levels up (whoever has called the function that takes the options), unless they are a table of options that are known.
---@param options any
---@param known table<string, boolean>
---@param what string the function, for the message
function client.check_options(options, known, what)
  if type(options) ~= "table" then
    error(("%s takes a table"):format(what), 3)
  end
  for name in pairs(options) do
    if not known[name] then
      error(("%s: there is no option %s"):format(what, tostring(name)), 3)
    end
  end
end

---The name of an upstream that is there; raises, three levels up, when it is not.
---@param which string|fitnessally.upstream
---@param what string the function, for the message
---@return string name
function client.upstream_name(which, what)
  local name = type(which) == "string" and which or which.name
  if upstream[name] == nil then
    error(("%s: there is no upstream %q: set upstreams.%s.url"):format(what, name, name), 3)
  end
  return name
end

local problem = {
  __tostring = function(err)
    return err.message
  end,
}

---A problem like that of an upstream: not to be tried again unless somebody says so, and tostring gives its message.
---@param kind string
---@param message string
---@param status? integer
---@return {kind: string, message: string, status?: integer, retryable: boolean}
function client.problem(kind, message, status)
  return setmetatable({ kind = kind, message = message, status = status, retryable = false }, problem)
end

---For a plugin that cannot do without its service: raises unless the upstream has an address.
---@param name string of the upstream
---@param setting string by which its address is set
function client.need(name, setting)
  if not upstream[name] then
    error(setting .. " is not set: the address of the service, as http://127.0.0.1:8080/v1", 0)
  end
end

---What a setting says as a JSON object; an empty table when it is not set. Raises when it is none. Yields: no.
---Copies: the text.
---@param text? string
---@param setting string its name, for the message
---@return table
function client.members(text, setting)
  if not text or text == "" then
    return {}
  end
  local members = json.decode(text)
  if type(members) ~= "table" then
    error(setting .. " is no JSON object", 0)
  end
  return members
end

---For a service that may ask for a pause (429 with Retry-After): told(problem) makes what a flow is told of an upstream's problem, {code,
---message, status}, and notes the pause, of a minute at most; rests() says whether it lasts, and how a flow is told.
---@return fun(problem: table): {code: string, message: string, status?: integer} told, fun(): {code: string, message: string}? rests
function client.pauses()
  local rests_until = 0
  local function told(of)
    if of.status == 429 and of.retry_after then
      rests_until = fitnessally.now() + 1000 * math.min(of.retry_after, LONGEST_REST)
    end
    return { code = of.kind, message = of.message, status = of.status }
  end
  local function rests()
    return fitnessally.now() < rests_until and { code = "busy", message = "The service has asked for a pause." } or nil
  end
  return told, rests
end

return client
