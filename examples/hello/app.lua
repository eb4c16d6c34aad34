-- The smallest app: curl 'http://127.0.0.1:3005/hello/Ada?times=2'
app:get("/hello/:name", function(req)
  local times = tonumber(req:query("times") or "1")
  if not times or times < 1 or times > 10 then
    return req:fail(400, "invalid_parameter", "times must be a number from 1 to 10.")
  end
  req:reply { text = ("Hello, %s!\n"):format(req.params.name):rep(times) }
end)
