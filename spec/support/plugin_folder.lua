-- A folder with an application and plugins of a spec's own.

local server = require "spec.support.server"

local Folder = {}
Folder.__index = Folder

---settings: of every start in it, beside the folder's own.
local function new(path, settings)
  return setmetatable({ path = path, settings = settings }, Folder)
end

---A plugin of these files below plugins/; a file that is nil is not written.
function Folder:write_plugin(name, files)
  local path = self.path .. "/plugins/" .. name
  server.shell("mkdir -p " .. path)
  for file, text in pairs(files) do
    server.write(path .. "/" .. file .. ".lua", text)
  end
end

function Folder:write_app(text)
  server.shell("mkdir -p " .. self.path .. "/app")
  server.write(self.path .. "/app/app.lua", text)
end

function Folder:start(settings)
  local all = { app = self.path .. "/app", plugin_path = self.path .. "/plugins", workers = "2", mode = "production" }
  for _, some in ipairs { self.settings, settings or {} } do
    for key, value in pairs(some) do
      all[key] = value
    end
  end
  return server.start(all)
end

---A start fails, and `part` is in what it says.
function Folder:refused(part, settings)
  local ok, problem = pcall(self.start, self, settings)
  if ok then
    problem:stop()
  end
  assert(not ok, "it started")
  assert(tostring(problem):find(part, 1, true), problem)
end

return new
