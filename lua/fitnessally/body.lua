-- The body of a request: read it as what it is, or answer what is wrong with it.

local body = {}

-- What a body that cannot be read is answered with. There is no 411: a request with neither Content-Length nor chunks
-- has no body (RFC 9112 6.3), which is as wrong as an empty one.
local answers = {
  missing = { 400, "missing_body" },
  malformed = { 400, "invalid_body" },
  too_large = { 413, "body_too_large" },
  unsupported = { 415, "unsupported_media_type" },
  over_budget = { 503, "over_budget", { ["Retry-After"] = "1" } },
}

---Answers a request whose body could not be read, with what req:json, req:form and req:multipart said. Yields: no.
---Copies: no.
---@param req fitnessally.request
---@param message? string
---@param problem? string "missing", "malformed", "too_large", "unsupported", "over_budget"
function body.refuse(req, message, problem)
  local status, code, header = unpack(answers[problem] or answers.malformed)
  req:fail(status, code, "The body cannot be read: " .. (message or "it is malformed") .. ".", header)
end

local function type_of(req)
  return (req:header("content-type") or ""):lower():match("^%s*([^%s;]*)")
end

-- Types that promise something else than JSON.
local function is_other_type(content_type)
  return content_type:find("^multipart/") or content_type == "application/x-www-form-urlencoded"
    or content_type:find("^text/") or content_type:find("^audio/") or content_type == "application/octet-stream"
end

local function refuse_json(req, message, problem)
  if problem == "malformed" and is_other_type(type_of(req)) then
    req:fail(415, "unsupported_media_type", "The body must be JSON (Content-Type: application/json).")
  elseif problem == "malformed" or problem == "missing" then
    req:fail(400, "invalid_json", "The body must be a JSON object: " .. (message or "it is none") .. ".")
  else
    body.refuse(req, message, problem)
  end
end

---The body as a table. When there is none to be had the request is answered, 400, 413 or 415, and nil comes back. A
---body that is JSON is taken whatever its content type says: curl -d says it is a form. Yields: no. Copies: the body.
---@param req fitnessally.request
---@return table?
function body.json(req)
  local value, message, problem = req:json()
  if not value then
    refuse_json(req, message, problem)
  end
  return value
end

---The same for a body that may be missing: then an empty table. Yields: no. Copies: the body.
---@param req fitnessally.request
---@return table?
function body.optional_json(req)
  if req.body == nil or req.body:len() == 0 then
    return {}
  end
  return body.json(req)
end

local function is_utf8(charset)
  charset = (charset or "utf-8"):lower()
  return charset == "utf-8" or charset == "us-ascii"
end

---Whether the request says that its body is multipart/form-data. Yields: no. Copies: no.
---@param req fitnessally.request
---@return boolean
function body.is_multipart(req)
  return type_of(req) == "multipart/form-data"
end

-- The text fields and the files of a multipart body; of several of one name the last field counts, and all files.
local function split(parts)
  local fields, files = {}, {}
  for _, part in ipairs(parts) do
    if part.filename then
      files[#files + 1] = part
    elseif not is_utf8(part.charset) then
      return nil, ("field %q is in %s: send UTF-8"):format(part.name, part.charset), "unsupported"
    else
      fields[part.name] = assert(part.body:copy { max = part.body:len() })
      part.body:release()
    end
  end
  return fields, files
end

local function read_multipart(req, options)
  local parts, message, problem = req:multipart(options)
  if not parts then
    return nil, message, problem
  end
  return split(parts)
end

---The fields of a body that is JSON, a urlencoded form or multipart, and the files of the latter: parts, in order,
---whose bytes stay handles. Fields of forms are texts, in urlencoded ones lists of them where a name comes twice. When
---it cannot be read the request is answered, 400, 413, 415 or 503, and nil comes back. Yields: no. Copies: the fields.
---@param req fitnessally.request
---@param options? fitnessally.multipart_options
---@return table<string, any>? fields, fitnessally.part[] files, "json"|"form"|"multipart" kind
function body.fields(req, options)
  if body.is_multipart(req) then
    local fields, files, problem = read_multipart(req, options)
    if fields then
      return fields, files, "multipart"
    end
    body.refuse(req, files, problem)
    return nil, {}, "multipart"
  end
  local value, message, problem = req:json()
  if not value and problem == "malformed" and type_of(req) == "application/x-www-form-urlencoded" then
    value, message, problem = req:form()
    if not value then
      body.refuse(req, message, problem)
    end
    return value, {}, "form"
  elseif not value then
    refuse_json(req, message, problem)
  end
  return value, {}, "json"
end

return body
