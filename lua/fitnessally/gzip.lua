-- Compresses answers where it pays. Middleware; docs/middleware.md
-- Yields: no. Copies: no.

local check_options = require "fitnessally.options"

local KNOWN = { min = "number|string", max = "number|string", level = "number" }

---A middleware that compresses texts of min to max bytes for clients that take it.
---@param options? {min?: integer|string, max?: integer|string, level?: integer} 1KB, 256KB, 5
---@return fitnessally.middleware
return function(options)
  options = check_options("gzip", options or {}, KNOWN)
  local fine, wish = pcall(fitnessally.policies.gzip, options.min or 1024, options.max or 262144, options.level or 5)
  if not fine then
    error(wish, 2)
  end
  return fitnessally.middleware("gzip", function(req, next)
    wish(req)
    return next(req)
  end)
end
