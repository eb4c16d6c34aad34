-- fitnessally records: import, export, search, stats.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local cjson = require "cjson"
local server = require "spec.support.server"

local folder, sample

setup(function()
  folder = server.folder()
  sample = server.root .. "/examples/coach/data/exercises.json"
end)
teardown(function()
  server.remove(folder)
end)

local function records(...)
  local words = { ... }
  for _, word in ipairs { "-c", server.root .. "/fitnessally.conf.lua", "--set", "state_dir=" .. folder .. "/state" } do
    words[#words + 1] = word
  end
  return server.command("records", unpack(words))
end

-- The last line that is JSON.
local function json_of(output)
  return cjson.decode(output:match("\n?([%[{][^\n]*)\n"))
end

describe("records import", function()
  it("done twice changes nothing", function()
    server.write(folder .. "/two.json",
      '[{"id":"a1","name":"Alpha"},{"id":"b1","name":"Beta","instructions":["Do it."]}]')
    local output, status = records("import", folder .. "/two.json")
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("2 records: 2 new, 0 changed, 0 unchanged", 1, true), output)
    output, status = records("import", folder .. "/two.json")
    assert.are.equal(0, status)
    assert.is_truthy(output:find("2 records: 0 new, 0 changed, 2 unchanged", 1, true), output)
    server.write(folder .. "/two.json",
      '[{"id":"a1","name":"Alpha Two"},{"id":"b1","name":"Beta","instructions":["Do it."]}]')
    local counts = json_of((records("import", folder .. "/two.json", "--json")))
    assert.are.same({ 0, 1, 1, 2 }, { counts.imported, counts.updated, counts.unchanged, counts.total })
  end)

  it("says what is wrong", function()
    server.write(folder .. "/bad.json", "[{")
    for _, file in ipairs { folder .. "/bad.json", folder .. "/none.json", folder } do
      local output, status = records("import", file)
      assert.are.equal(1, status, output)
      assert.is_truthy(output:find("fitnessally records: ", 1, true), output)
      assert.is_nil(output:find("%.lua:%d"), output)
    end
  end)

  it("draws no bar where nobody looks", function()
    assert.is_nil((records("import", sample)):find("\r", 1, true))
  end)
end)

describe("records search", function()
  it("prints what the coach would find", function()
    local output, status = records("search", "push", "up")
    assert.are.equal(0, status)
    assert.is_truthy(output:find("^Push%-Up +beginner +body only +chest\n"), output)
    assert.is_truthy((records("search", "zzzzzzzz")):find("nothing found", 1, true))
    assert.are.equal("Plank", json_of((records("search", "plank", "--json"))).records[1].data.basic.name)
  end)
end)

describe("records export", function()
  it("prints what import takes", function()
    local output, status = records("export")
    assert.are.equal(0, status)
    local exported = cjson.decode(output:match("^(%[.-%]\n)"))
    assert.is_true(#exported >= 30)
    server.write(folder .. "/all.json", cjson.encode(exported))
    local counts = json_of((records("import", folder .. "/all.json", "--json")))
    assert.are.same({ 0, #exported }, { counts.imported, counts.total })
  end)
end)

describe("records stats", function()
  it("counts", function()
    local stats = json_of((records("stats", "--json")))
    assert.is_true(stats.records >= 30)
    assert.is_truthy((records("stats")):find("records +" .. stats.records))
  end)
end)

describe("a command that there is not", function()
  it("is told with the one that was meant", function()
    local output, status = server.command "serv"
    assert.are.equal(2, status)
    assert.is_truthy(output:find('there is no command "serv"; did you mean "serve"?', 1, true), output)
    output = server.command("help", "memroy")
    assert.is_truthy(output:find('did you mean "memory"?', 1, true), output)
    output = server.command "frobnicate"
    assert.is_truthy(output:find('there is no command "frobnicate"\n', 1, true), output)
  end)
end)

describe("wrong usage", function()
  it("ends with status 2 and a hint", function()
    for _, words in ipairs { {}, { "dance" }, { "import" }, { "import", "a", "b" }, { "stats", "x" }, { "search" } } do
      local output, status = records(unpack(words))
      assert.are.equal(2, status, output)
      assert.is_truthy(output:find("records", 1, true))
    end
  end)
end)
