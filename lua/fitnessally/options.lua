-- Options that a function of the library takes when the app is loaded: one that is not known, or of another type, is an error there. What
-- is left out by a slip of a key would else be left out for good: `audiance` is a token that no audience is asked of.
-- Yields: no. Copies: no.

---The options, when they are of those that are known; an error that blames the app's own line otherwise.
---@param what string who asks, as in "ratelimit"
---@param options any
---@param known table<string, string> the type of each, "any" or several as in "string|table"
---@param level? integer whom the error blames, as in error(); whoever called the caller without it
---@return table
return function(what, options, known, level)
  level = (level or 2) + 1
  if type(options) ~= "table" then
    error(("%s: options are a table, not a %s"):format(what, type(options)), level)
  end
  for key, value in pairs(options) do
    local wanted = known[key]
    if not wanted then
      error(("%s: there is no option %s"):format(what, tostring(key)), level)
    elseif wanted ~= "any" and not ("|" .. wanted .. "|"):find("|" .. type(value) .. "|", 1, true) then
      error(("%s: %s is a %s, not a %s"):format(what, key, type(value), (wanted:gsub("|", " or a "))), level)
    end
  end
  return options
end
