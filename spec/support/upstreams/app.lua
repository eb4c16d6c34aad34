-- An application that only passes on: what spec/e2e/upstreams.test.mjs and spec/soak/recycle.mjs ask.

app:get("/get", function(req)
  local res, err = upstream.it:get(req:query("path") or "/")
  if not res then return req:reply { status = 502, json = { kind = err.kind, message = err.message } } end
  req:reply { status = res.status, body = res.body }
end)

app:get("/pipe", function(req)
  local ok, err = upstream.it:pipe(req, { path = req:query("path") or "/" })
  if not ok then req:reply { status = 502, json = { kind = err.kind } } end
end)

app:get("/words", function(req)
  local s, err = upstream.it:stream { path = req:query("path") or "/" }
  if not s then return req:reply { status = 502, json = { kind = err.kind, status = err.status } } end
  local out = req:start { type = "text/plain" }
  for ev in s:each() do
    if not out:write(ev.data .. "\n") then return end
  end
  local problem = s:problem()
  out:write(problem and "problem " .. problem.kind or "end")
end)

app:get("/memory", function(req)
  local report = fitnessally.memory("report", "table")
  req:reply { json = report }
end)
