-- Whether bytes are UTF-8. Yields: no. Copies: no.

local utf8 = {}

-- Lua patterns of one character beyond ASCII (RFC 3629: no surrogates, no overlong forms).
local characters = {
  "^[\194-\223][\128-\191]()",
  "^\224[\160-\191][\128-\191]()",
  "^[\225-\236\238\239][\128-\191][\128-\191]()",
  "^\237[\128-\159][\128-\191]()",
  "^\240[\144-\191][\128-\191][\128-\191]()",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]()",
  "^\244[\128-\143][\128-\191][\128-\191]()",
}

---Whether all of it is.
---@param text string
---@return boolean
function utf8.is_valid(text)
  local at = text:find("[\128-\255]")
  while at do
    local behind
    for _, character in ipairs(characters) do
      behind = behind or text:match(character, at)
    end
    if not behind then
      return false
    end
    at = text:find("[\128-\255]", behind)
  end
  return true
end

return utf8
