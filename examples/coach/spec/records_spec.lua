-- GET /api/records.

local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

local function search(query)
  local answer = app:get("/api/records" .. query)
  assert.are.equal(200, answer.status, answer.body)
  assert.are.equal("application/json", answer.headers["content-type"]:match "^[^;]+")
  return answer:json()
end

describe("searching", function()
  it("finds by name, best first, and copies nothing but its answer", function()
    local reply = search "?search=plank"
    assert.are.equal("Plank", reply.records[1].data.basic.name)
    assert.are.equal("did:local:plank", reply.records[1].oip.did)
    assert.copies(1)
  end)

  it("understands a question, other spellings and typing errors", function()
    for _, query in ipairs { "How%20do%20I%20do%20a%20push-up%3F", "push+up", "pushups", "pushup", "psuhup" } do
      assert.are.equal("Push-Up", search("?search=" .. query).records[1].data.basic.name, query)
    end
  end)

  it("finds nothing without a fuss, whatever is typed", function()
    assert.are.equal(0, search("?search=zzzzzzzz").searchResults)
    for _, query in ipairs { '"', "'", "*", "AND", "plank+AND", "NEAR(", "a:b", "-", "%00", "(((", "name:plank" } do
      assert.are.equal(200, app:get("/api/records?search=" .. query).status, query)
    end
  end)
end)

describe("paging", function()
  it("lists all records by default, 20 a page", function()
    local reply = search ""
    assert.are.equal(30, reply.totalRecords)
    assert.are.same({ 20, 1, 2 }, { reply.pageSize, reply.currentPage, reply.totalPages })
  end)

  it("shows each record once over all pages", function()
    local seen, count = {}, 0
    for page = 1, 5 do
      for _, record in ipairs(search("?limit=7&page=" .. page).records) do
        assert.is_nil(seen[record.oip.did])
        seen[record.oip.did] = true
        count = count + 1
      end
    end
    assert.are.equal(30, count)
  end)
end)

describe("a wrong parameter", function()
  for _, case in ipairs {
    { "limit=0", "limit" }, { "limit=101", "limit" }, { "limit=abc", "limit" }, { "limit=1.5", "limit" },
    { "page=0", "page" }, { "page=0x10", "page" }, { "search=" .. ("a"):rep(501), "search" },
    { "search=%FF", "search" }, { "recordType=" .. ("a"):rep(65), "recordType" },
  } do
    it(("%s is 400 and named"):format(case[1]:sub(1, 30)), function()
      local answer = app:get("/api/records?" .. case[1])
      assert.are.equal(400, answer.status, answer.body)
      assert.is_truthy(answer:json().error.message:find("^" .. case[2]))
    end)
  end
end)

describe("without the plugin", function()
  it("the coach says what it lacks", function()
    local good, message = pcall(spec.app, { app = "examples/coach", plugins = { "espeak" } })
    assert.is_false(good)
    assert.is_truthy(message:find('records = "records", but no plugin of that name is loaded', 1, true), message)
  end)
end)
