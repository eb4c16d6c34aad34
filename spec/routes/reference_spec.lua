-- docs/lua-api.md is what the annotations say (./dev docs), and each function says whether it yields and whether it copies.
local root = assert(os.getenv("FA_ROOT"), "FA_ROOT: the repository")
package.path = root .. "/spec/support/?.lua;" .. package.path
local reference = require "reference"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

-- The first line that differs, with its number.
local function difference(a, b)
  local number, other = 0, b:gmatch "(.-)\n"
  for line in a:gmatch "(.-)\n" do
    number = number + 1
    local there = other()
    if line ~= there then
      return ("line %d should be\n%s\nand is\n%s\nRun ./dev docs."):format(number, line, tostring(there))
    end
  end
  return a ~= b and "there is more than there should be; run ./dev docs" or nil
end

describe("the reference", function()
  local items = reference.read(root)

  it("is what the annotations say", function()
    assert.is_nil(difference(reference.page(items), read(root .. "/docs/lua-api.md")))
  end)

  it("says of each function whether it yields and copies", function()
    local silent = {}
    for _, item in ipairs(items) do
      if item.kind == "function" and not (item.yields and item.copies) then
        silent[#silent + 1] = item.place .. ": " .. item.key
      end
    end
    assert.same({}, silent)
  end)

  it("has a text for each function", function()
    local silent = {}
    for _, item in ipairs(items) do
      if item.kind == "function" and item.text == "" and not item.with then
        silent[#silent + 1] = item.place .. ": " .. item.key
      end
    end
    assert.same({}, silent)
  end)
end)
