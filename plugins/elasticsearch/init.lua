-- plugin.elasticsearch: clients for Elasticsearch 7 and later and for OpenSearch.

local client = require "plugins.elasticsearch.client"

return {
  client = client.new,
}
