-- The small parts of the server's Lua library that need no server.

package.path = (os.getenv("FA_ROOT") or ".") .. "/lua/?.lua;" .. package.path

local cjson = require "cjson"
local prometheus = require "fitnessally.prometheus"
local utf8 = require "fitnessally.utf8"

describe("utf8.is_valid", function()
  for text, valid in pairs {
    [""] = true, ["plain"] = true, ["é ü 日本 🏋️"] = true, ["\0"] = true, ["\244\143\191\191"] = true,
    ["\237\159\191"] = true,
    ["\128"] = false, ["\255"] = false, ["caf\233"] = false, ["\192\175"] = false, ["\193\129"] = false,
    ["\224\128\175"] = false,
    ["\237\160\128"] = false, ["\244\144\128\128"] = false, ["\240\159\143"] = false, ["a\226\130"] = false,
  } do
    it(("says %s to %q"):format(tostring(valid), text), function()
      assert.are.equal(valid, utf8.is_valid(text))
    end)
  end
end)

describe("validate", function()
  local validate

  setup(function()
    rawset(_G, "json", { null = cjson.null, decode = function(text)
      local fine, value = pcall(cjson.decode, text)
      return fine and value or nil
    end })
    validate = require "fitnessally.validate"
  end)

  teardown(function()
    rawset(_G, "json", nil)
    package.loaded["fitnessally.validate"] = nil
  end)

  local function problem_of(reader)
    local value, problem = validate.read(reader)
    assert.is_nil(value)
    return problem.message
  end

  it("gives what has the right type, and nil for what is absent or null", function()
    local object = { text = "a", number = 1.5, flag = false, list = { 1 }, json = '{"a":1}', null = cjson.null }
    local got = validate.read(function()
      return {
        text = validate.text(object, "text", 10), number = validate.number(object, "number", 0, 2),
        flag = validate.flag(object, "flag"),
        list = validate.object(object, "list"), json = validate.object(object, "json"),
        null = validate.text(object, "null"),
        absent = validate.number(object, "absent", 0, 1),
      }
    end)
    assert.are.same({ text = "a", number = 1.5, flag = false, list = { 1 }, json = { a = 1 } }, got)
  end)

  it("names the field that is wrong", function()
    local object = { text = 5, long = "abc", raw = "\255", number = "5", nan = 0 / 0, big = 9, flag = "yes",
      object = 5, bad = "{" }
    assert.are.equal("text must be a text", problem_of(function() return validate.text(object, "text") end))
    assert.are.equal("long must not be longer than 2 bytes", problem_of(function() return validate.text(object,
      "long", 2) end))
    assert.are.equal("raw must be UTF-8", problem_of(function() return validate.text(object, "raw") end))
    assert.are.equal("number must be a number", problem_of(function() return validate.number(object, "number", 0,
      1) end))
    assert.are.equal("nan must be from 0 to 1", problem_of(function() return validate.number(object, "nan", 0, 1) end))
    assert.are.equal("big must be from 0 to 1", problem_of(function() return validate.number(object, "big", 0, 1) end))
    assert.are.equal("a.flag must be true or false", problem_of(function() return validate.flag(object, "flag",
      "a.flag") end))
    for _, field in ipairs { "object", "bad", "raw" } do
      assert.are.equal(field .. " must be an object, or one as JSON text",
        problem_of(function() return validate.object(object, field) end))
    end
  end)

  it("lets other errors pass", function()
    assert.has_error(function()
      validate.read(function() error("a mistake", 0) end)
    end, "a mistake")
  end)
end)

describe("prometheus", function()
  it("says HELP and TYPE once for each metric and escapes labels", function()
    local page = prometheus.new()
    page:add("gauge", "a_bytes", "Bytes.", 1, { kind = 'x"\\\n', also = "b" })
    page:add("gauge", "a_bytes", "Bytes.", 2.5)
    page:add("counter", "b_total", "Of b.", true)
    page:add("gauge", "c", "Left out.", nil)
    assert.are.equal(table.concat({
      "# HELP a_bytes Bytes.", "# TYPE a_bytes gauge", 'a_bytes{also="b",kind="x\\"\\\\\\n"} 1', "a_bytes 2.5",
      "# HELP b_total Of b.", "# TYPE b_total counter", "b_total 1", "",
    }, "\n"), page:text())
  end)
end)
