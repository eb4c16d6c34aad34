-- An application for the specs of this plugin.
app:get("/greet/:name", function(req)
  local said, problem = plugin["sample"].greet { name = req.params.name }
  if not said then
    return req:fail(400, problem.code, problem.message)
  end
  req:reply { text = said.text }
end)
