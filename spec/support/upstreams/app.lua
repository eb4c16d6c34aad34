-- An application that only passes on: what spec/e2e/upstream*.test.mjs and spec/soak/recycle.mjs ask. ?up=NAME is another upstream than `it`,
-- ?path= is what it is asked for.

local function up_of(req)
  return upstream[req:query("up") or "it"], req:query("path") or "/"
end

-- The error as it is: nothing may be in it that nobody should see.
local function fail(req, err)
  req:reply {
    status = 502,
    json = {
      kind = err.kind, message = err.message, which = err.which, status = err.status, excerpt = err.excerpt,
      retryable = err.retryable, retry_after = err.retry_after, attempts = err.attempts,
    },
  }
end

app:get("/get", function(req)
  local up, path = up_of(req)
  local res, err = up:get { path = path, expect = req:query("expect") }
  if not res then return fail(req, err) end
  req:reply { status = res.status, body = res.body, headers = { ["X-Attempts"] = tostring(res.attempts) } }
end)

app:get("/post", function(req)
  local up, path = up_of(req)
  local res, err = up:post { path = path, body = "posted", expect = req:query("expect") }
  if not res then return fail(req, err) end
  req:reply { status = res.status, body = res.body, headers = { ["X-Attempts"] = tostring(res.attempts) } }
end)

-- The headers as a script gets them.
app:get("/heads", function(req)
  local up, path = up_of(req)
  local res, err = up:get { path = path }
  if not res then return fail(req, err) end
  req:reply { json = { status = res.status, headers = res.headers } }
end)

app:get("/pipe", function(req)
  local up, path = up_of(req)
  local ok, err = up:pipe(req, { path = path })
  if not ok then req:reply { status = 502, json = { kind = err.kind } } end
end)

app:get("/words", function(req)
  local up, path = up_of(req)
  local s, err = up:stream { path = path, format = req:query("format") }
  if not s then return req:reply { status = 502, json = { kind = err.kind, status = err.status } } end
  local out = req:start { type = "text/plain" }
  for ev in s:each() do
    if not out:write((req:query("json") and ev:json().word or ev.data) .. "\n") then return end
  end
  local problem = s:problem()
  out:write(problem and "problem " .. problem.kind or "end")
end)

app:get("/recycle", function(req)
  local told, err = fitnessally.recycle(req:query("up") or "it")
  if not told then return req:fail(503, "unavailable", err) end
  req:reply { json = told }
end)

app:get("/stats", function(req)
  req:reply { json = up_of(req):stats() }
end)

app:get("/raise", function(req)
  upstream.it:get { path = "no path", query = req:query("q") }
end)

app:get("/memory", function(req)
  local report = fitnessally.memory(req:query("what") or "report", "table")
  req:reply { json = report }
end)
