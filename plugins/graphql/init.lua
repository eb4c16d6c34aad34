-- plugin.graphql: clients for GraphQL services.

local client = require "plugins.graphql.client"

return {
  client = client.new,
}
