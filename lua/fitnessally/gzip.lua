-- Compresses answers where it pays. Middleware; docs/middleware.md
-- Yields: no. Copies: no.

---A middleware that compresses texts of min to max bytes for clients that take it.
---@param options? {min?: integer|string, max?: integer|string, level?: integer} 1KB, 256KB, 5
---@return fitnessally.middleware
return function(options)
  options = options or {}
  local wish = fitnessally.policies.gzip(options.min or 1024, options.max or 262144, options.level or 5)
  return fitnessally.middleware("gzip", function(req, next)
    wish(req)
    return next(req)
  end)
end
