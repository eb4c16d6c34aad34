-- An application that does what a test says: with the clients of plugins/elasticsearch and plugins/graphql.

local elasticsearch = plugin.elasticsearch
local graphql = plugin.graphql

local search = upstream.search and elasticsearch.client { upstream = "search" }
local chain = upstream.chain and graphql.client { upstream = "chain" }
local persisted = upstream.chain and graphql.client { upstream = "chain", persisted = true }

local function told(problem)
  if type(problem) ~= "table" then
    return nil
  end
  local copy = {}
  for name, value in pairs(problem) do
    copy[name] = value
  end
  return copy
end

local function answer(req, result, problem, more)
  if type(problem) ~= "table" then
    problem, more = nil, problem
  end
  req:reply { json = { result = result, problem = told(problem), more = more } }
end

-- The method of the client, with the list of arguments that is the body.
app:post("/search/:method", function(req)
  answer(req, search[req.params.method](search, unpack(req:json())))
end)

-- {index, count, poison (its year is no number), options, action}
app:post("/bulk", function(req)
  local wanted = req:json()
  local bulk = search:bulk(wanted.options)
  for i = 1, wanted.count do
    local doc = { name = "Exercise " .. i, year = i == wanted.poison and "not a number" or 1000 + i,
      tag = i % 2 == 0 and "even" or "odd", text = ("x"):rep(wanted.text or 10) }
    local ok, err
    if wanted.action == "delete" then
      ok, err = bulk:delete("id-" .. i)
    elseif wanted.action == "update" then
      ok, err = bulk:update("id-" .. i, { doc = { year = i } })
    else
      ok, err = bulk[wanted.action or "index"](bulk, not wanted.no_ids and "id-" .. i or nil, doc)
    end
    if not ok then
      local waiting, bytes = bulk:waiting()
      return answer(req, { waiting = waiting, bytes = bytes }, err)
    end
  end
  local report, err, so_far = bulk:send()
  if wanted.again and not report then
    report, err, so_far = bulk:send()
  end
  answer(req, report or so_far, err)
end)

-- A scan: how many, the first and last ids, how many pages the service was asked for is the test's to count.
app:post("/scan", function(req)
  local wanted = req:json()
  local hits = search:scan(wanted.options)
  local result = { count = 0, fields = {} }
  for hit in hits:each() do
    result.count = result.count + 1
    result.first = result.first or hit.id
    result.last = hit.id
    for name in pairs(hit.source or {}) do
      result.fields[name] = true
    end
    if result.count == wanted.stop then
      hits:close()
      break
    end
  end
  result.after = hits:after()
  answer(req, result, hits:problem())
end)

app:post("/query", function(req)
  local wanted = req:json()
  local client = wanted.persisted and persisted or chain
  answer(req, client:query(wanted.options))
end)

app:post("/pages", function(req)
  local wanted = req:json()
  local pages = chain:pages(wanted.options)
  local result, ids = { count = 0, seen = {} }, {}
  for round = 1, wanted.rounds or 1 do
    result.rounds = round
    for edge in pages:each() do
      result.count = result.count + 1
      if not ids[edge.node.id] then
        ids[edge.node.id] = true
        result.distinct = (result.distinct or 0) + 1
      end
      result.first = result.first or edge.node.id
      result.last = edge.node.id
    end
  end
  result.cursor, result.pages = pages.cursor, pages.page_count
  answer(req, result, pages:problem())
end)

app:get("/memory", function(req)
  req:reply { json = fitnessally.memory("report", "table") }
end)
