-- Routes of every kind: for specs.
local function tell(text)
  return function(req)
    req:reply { text = text }
  end
end

local key = fitnessally.middleware("key", function(req, next)
  if req:header("x-key") ~= "secret" then
    return req:fail(401, "no_key", "Say the key.")
  end
  next(req)
end)

app:get("/", { name = "home" }, tell("every host"))
app:host("api.localhost", function(api)
  api:get("/", tell("the api"))
  api:post("/upload", { max_body = "10B" }, function(req) req:reply { text = tostring(req.body:len()) } end)
end)
app:group("/private", { max_json = "1KB" }, function(private)
  private:use(key)
  private:put("/notes/:id", { name = "note", max_concurrent = 2, use = { function(_, next) next() end } }, function(req)
    req:reply { text = app:url_for("note", { id = req.params.id }, { again = true }) }
  end)
  private:static("/files", { root = settings.app })
end)
app:get("/api/health/memory", function(req)
  req:reply { type = "application/json", text = assert(fitnessally.memory("report", "json")) }
end)
