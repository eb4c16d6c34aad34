-- GraphQL over HTTP, asked through an upstream. See README.md.
return {
    name = "graphql",
    version = "1.0.0",
    provides = "graphql",
    config = {
        upstream = { type = "text", default = "graphql", doc = "the upstream that is asked when client{} names none" },
        response_max = { type = "size", default = "2MB", doc = "longest answer that is taken and decoded" },
    },
}
