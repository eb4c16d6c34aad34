-- For spec/e2e/unlucky.test.mjs.

app:get("/stream", function(req)
  local out = req:start { type = "text/plain" }
  for i = 1, tonumber(req:query "n" or "10000") do
    if not out:write("piece " .. i .. "\n") then return end
    fitnessally.sleep(20)
  end
end)

app:get("/quick", function(req) req:reply { text = "quick" } end)

app:post("/small", { max_body = "1KB" }, function(req) req:reply { text = "small" } end)

app:post("/body", function(req) req:reply { text = "body" } end)

app:get("/status/:status", function(req)
  local out = req:start { status = tonumber(req.params.status), type = "text/plain" }
  for i = 1, 5 do
    if not out:write("piece " .. i .. "\n") then return end
  end
end)

app:get("/broken/:status", function(req)
  local out = req:start { status = tonumber(req.params.status), type = "text/plain" }
  out:write "piece 1\n"
  fitnessally.sleep(50)
  error "broken on purpose"
end)

app:websocket("/ws", function(ws)
  for message in ws:messages() do ws:send(message) end
end)
