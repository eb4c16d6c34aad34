-- The JSON body of a request.

local body = {}

-- Types that promise something else than JSON, which is not read (yet).
local function is_other_type(content_type)
  return content_type:find("^multipart/") or content_type:find("^application/x%-www%-form%-urlencoded")
    or content_type:find("^text/") or content_type:find("^audio/") or content_type:find("^application/octet%-stream")
end

---The body as a table. When there is none to be had the request is answered, 400 or 415, and nil comes back. A body
---that is JSON is taken whatever its content type says: curl -d says it is a form. Yields: no. Copies: into Lua
---values.
---@param req fitnessally.request
---@return table?
function body.json(req)
  local value, message = req:json()
  if value then
    return value
  end
  local content_type = (req:header("content-type") or ""):lower()
  if is_other_type(content_type) then
    req:fail(415, "unsupported_media_type", "The body must be JSON (Content-Type: application/json).")
  else
    req:fail(400, "invalid_json", "The body must be a JSON object: " .. (message or "it is none") .. ".")
  end
  return nil
end

---The same for a body that may be missing: then an empty table.
---@param req fitnessally.request
---@return table?
function body.optional_json(req)
  if req.body == nil or req.body:len() == 0 then
    return {}
  end
  return body.json(req)
end

return body
