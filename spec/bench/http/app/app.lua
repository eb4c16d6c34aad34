-- What ./dev bench http asks for: one JSON route, and files.
app:get("/json", function(req)
  req:reply { json = { message = "Hello, World!" } }
end)
app:static("/files", { root = settings.media_root })
