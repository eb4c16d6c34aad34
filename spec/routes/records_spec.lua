-- GET /api/records.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local app

setup(function()
  app = server.start()
end)
teardown(function()
  app:stop()
end)

local function search(query)
  local answer = http.get(app, "/api/records" .. query)
  assert.are.equal(200, answer.status, answer.body)
  assert.are.equal("application/json", answer.headers["content-type"]:match("^[^;]+"))
  return answer.json
end

describe("searching", function()
  it("finds by name, best first", function()
    local reply = search "?search=plank"
    assert.are.equal("Plank", reply.records[1].data.basic.name)
    assert.are.equal("did:local:plank", reply.records[1].oip.did)
    assert.are.equal("exercise", reply.records[1].oip.recordType)
    assert.are.same({ "abdominals" }, reply.records[1].data.exercise.primaryMuscles)
    assert.are.equal("/media/plank.gif", reply.records[1].data.exercise.media)
  end)

  it("understands a question, other spellings and typing errors", function()
    for _, query in ipairs { "How%20do%20I%20do%20a%20push-up%3F", "push+up", "pushups", "pushup", "psuhup" } do
      assert.are.equal("Push-Up", search("?search=" .. query).records[1].data.basic.name, query)
    end
  end)

  it("finds nothing without a fuss", function()
    local answer = http.get(app, "/api/records?search=zzzzzzzz")
    assert.are.equal(200, answer.status)
    assert.is_truthy(answer.body:find('"records":[]', 1, true))
    assert.are.equal(0, answer.json.searchResults)
  end)

  it("takes whatever is typed as words", function()
    for _, query in ipairs { '"', "'", "%22%22", "*", "AND", "plank+AND", "NEAR(", "a:b", "-", "%00", "(((",
      "%F0%9F%8F%8B", "name:plank" } do
      assert.are.equal(200, http.get(app, "/api/records?search=" .. query).status, query)
    end
  end)
end)

describe("paging", function()
  it("lists all records by default, 20 a page", function()
    local reply = search ""
    assert.are.equal(30, reply.totalRecords)
    assert.are.equal(20, #reply.records)
    assert.are.same({ 20, 1, 2 }, { reply.pageSize, reply.currentPage, reply.totalPages })
    assert.are.equal(20, #search("?search=&recordType=&limit=&page=").records)
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
    assert.are.same({}, search("?limit=7&page=6").records)
  end)

  it("filters by type", function()
    assert.are.equal(30, search("?recordType=exercise&limit=100").searchResults)
    assert.are.equal(0, search("?recordType=recipe").searchResults)
  end)
end)

describe("a wrong parameter", function()
  for _, case in ipairs {
    { "limit=0", "limit" }, { "limit=101", "limit" }, { "limit=-1", "limit" }, { "limit=abc", "limit" },
    { "limit=1.5", "limit" },
    { "limit=1e1", "limit" }, { "limit=99999999999999999999", "limit" }, { "page=0", "page" }, { "page=x", "page" },
    { "page=0x10", "page" }, { "search=" .. ("a"):rep(501), "search" }, { "search=%FF", "search" },
    { "recordType=" .. ("a"):rep(65), "recordType" },
  } do
    it(("%s is 400 and named"):format(case[1]:sub(1, 30)), function()
      local answer = http.get(app, "/api/records?" .. case[1])
      assert.are.equal(400, answer.status, answer.body)
      assert.are.equal("invalid_parameter", answer.json.error.code)
      assert.is_truthy(answer.json.error.message:find("^" .. case[2]))
    end)
  end
end)
