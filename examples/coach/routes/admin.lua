-- For whoever runs this server, from the machine it runs on.

-- A request that a proxy has handed on comes from this machine, too, and so does one that a page in somebody's browser makes: both say so.
local forwarded = { "forwarded", "x-forwarded-for", "x-real-ip", "via", "origin", "sec-fetch-site" }

local function is_local(req)
  if req.remote ~= "127.0.0.1" and req.remote ~= "::1" then return false end
  for _, name in ipairs(forwarded) do
    if req:header(name) then return false end
  end
  return true
end

local function answer(req, ask, failure)
  if not is_local(req) then return req:fail(403, "forbidden", "Only from the machine that the server runs on.") end
  local result, problem = ask()
  if not result then return req:fail(503, "unavailable", problem) end
  req:reply { status = result.ok == false and failure or 200, headers = { ["Cache-Control"] = "no-store" }, json = result }
end

app:post("/admin/reload", function(req) answer(req, fitnessally.reload, 409) end)
app:get("/admin/generations", function(req) answer(req, fitnessally.generations) end)
app:post("/admin/upstreams/:name/recycle", function(req)
  answer(req, function() return fitnessally.recycle(req.params.name) end, 404)
end)
