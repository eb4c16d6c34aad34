-- An application with faults, for the specs of the harness.

local wanted, kept = 0, {}

app:on_start(function()
  while true do
    fitnessally.sleep(100)
    if wanted > 0 then
      wanted = wanted - 1
      kept[#kept + 1] = fitnessally.buffer { label = "kept for no reason" }
    end
  end
end)

app:get("/leak", function(req)
  wanted = wanted + 1
  req:reply { text = "leaked" }
end)

app:get("/hello", function(req)
  req:reply { text = "hello" }
end)

app:get("/late", function(req)
  fitnessally.sleep(2000)
  req:reply { text = "late" }
end)

app:post("/copy", function(req)
  req:reply { text = req.body:copy { max = "1KB" } }
end)

app:post("/pass", function(req)
  req:reply { body = req.body }
end)

app:post("/parts", function(req)
  local parts = assert(req:multipart())
  local said = {}
  for i, part in ipairs(parts) do
    said[i] = { name = part.name, filename = part.filename, type = part.type, bytes = part.body:copy { max = "1KB" } }
  end
  req:reply { json = said }
end)

app:get("/broken", function()
  error("this is broken")
end)

app:get("/events", function(req)
  local events = req:events {}
  for i = 1, 3 do
    events:send { event = "count", id = tostring(i), data = { number = i } }
    fitnessally.sleep(1000)
  end
end)

app:get("/large", function(req)
  local out = req:start { type = "application/octet-stream" }
  for _ = 1, 16 do
    out:write(("x"):rep(1024))
  end
  out:finish()
end)

fitnessally.upstream("llm", { url = "http://llm.example/v1", token = "secret", retries = 0, first_byte_timeout = "5s" })

fitnessally.upstream("stubborn", { url = "http://stubborn.example", retries = 1 })

app:get("/stubborn", function(req)
  local res, err = upstream.stubborn:get "/again"
  req:reply { status = res and 200 or 502, text = res and "at last" or err.kind }
end)

app:get("/ask", function(req)
  local res, err = upstream.llm:post { path = "/chat?a=1", json = { question = "why" } }
  if not res then
    return req:fail(502, err.kind, err.message)
  end
  req:reply { status = res.status, body = res.body }
end)

app:get("/tokens", function(req)
  local tokens, err = upstream.llm:stream { path = "/stream", json = { stream = true } }
  if not tokens then
    return req:fail(502, err.kind, err.message)
  end
  local events = req:events {}
  for token in tokens:each() do
    events:send { event = "token", data = token.data }
  end
  local problem = tokens:problem()
  events:send { event = "over", data = { problem = problem and problem.kind or "none" } }
end)

app:get("/pass-on", function(req)
  local passed, err = upstream.llm:pipe(req, { path = "/bytes" })
  if not passed then
    req:fail(502, err.kind, err.message)
  end
end)

app:get("/fetched", function(req)
  local res, err = fitnessally.fetch { url = "https://example.com/page?x=1" }
  req:reply { text = res and res.body:copy { max = "1KB" } or err.kind }
end)
