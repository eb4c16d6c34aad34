-- Scripts call what is returned here as plugin.NAME.FUNCTION(...), with this plugin's name. `config` has the values of the
-- configuration.
local M = {}

---Greets somebody: {text=}, or nil and {code=, message=}.
---@param arguments {name: string}
function M.greet(arguments)
  local name = arguments.name
  if type(name) ~= "string" or #name > config.longest then
    return nil, { code = "invalid", message = "The name is missing or too long." }
  end
  return { text = config.greeting .. ", " .. name .. "!" }
end

-- What it takes part in without being called; plugin.lua names these, too.
M.phases = {
  response = function(req)
    req:set_header("X-Plugin", "sample")
  end,
}

return M
