-- plugin.elasticsearch: clients for Elasticsearch 7 and later and for OpenSearch.

local client = require "plugins.elasticsearch.client"
local records = require "plugins.elasticsearch.records"

return {
  client = client.new,
  search = records.search,
}
