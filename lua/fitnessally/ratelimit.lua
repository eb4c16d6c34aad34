-- How often one may ask: a bucket of tokens for each key, counted over all workers. Middleware; docs/middleware.md
-- Yields: no. Copies: no.

local check_options = require "fitnessally.options"

local KNOWN = {
  limit = "number", per = "string|number", burst = "number", key = "string|function", keys = "number", name = "string",
}
local UNITS = { second = 1, minute = 60, hour = 3600, day = 86400 }
local made = 0 -- those without a name, in the order of the app: the same in every worker and generation

local function key_of(req, by)
  if by == "api_key" then
    return req.locals.api_key
  end
  return by(req)
end

---A middleware that answers 429 when one asks more often.
---@param options {limit: number, per?: "second"|"minute"|"hour"|"day"|number, burst?: number, key?: "address"|"api_key"|(fun(req: fitnessally.request): string?), keys?: integer, name?: string} per: "minute", or seconds
---@return fitnessally.middleware
return function(options)
  if type(options) ~= "table" or type(options.limit) ~= "number" or options.limit <= 0 then
    error("ratelimit: it takes { limit = 100, per = \"minute\" }", 2)
  end
  check_options("ratelimit", options, KNOWN)
  local per = UNITS[options.per or "minute"] or options.per
  if type(per) ~= "number" or per <= 0 then
    error("ratelimit: per is second, minute, hour, day or a number of seconds", 2)
  end
  local by = options.key or "address"
  if by ~= "address" and by ~= "api_key" and type(by) ~= "function" then
    error("ratelimit: key is \"address\", \"api_key\" or a function(req)", 2)
  end
  local name = options.name
  if not name then
    made = made + 1
    name = "ratelimit " .. made
  end
  local burst = options.burst or math.max(1, options.limit)
  local take = fitnessally.policies.bucket(name, options.limit / per, burst, options.keys or 10000)
  local limit, policy = ("%d"):format(burst), ("%d;w=%d"):format(options.limit, per)

  return fitnessally.middleware("ratelimit", function(req, next)
    local key = by ~= "address" and key_of(req, by) or nil
    local taken, left, wait, reset
    if key ~= nil then
      taken, left, wait, reset = take("key " .. tostring(key), false)
    else
      taken, left, wait, reset = take(req.remote, true)
    end
    req:set_header("RateLimit-Limit", limit)
    req:set_header("RateLimit-Policy", policy)
    req:set_header("RateLimit-Remaining", ("%d"):format(math.floor(left)))
    req:set_header("RateLimit-Reset", ("%d"):format(math.ceil(reset)))
    if not taken then
      return req:fail(429, "too_many_requests", "There were too many requests; try again later.",
        { ["Retry-After"] = ("%d"):format(math.max(1, math.ceil(wait))) })
    end
    return next(req)
  end)
end
