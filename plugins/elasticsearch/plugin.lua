-- Elasticsearch and OpenSearch, asked through an upstream. See README.md.
return {
    name = "elasticsearch",
    version = "1.0.0",
    provides = { "search", "records" },
    config = {
        index = { type = "text", default = "records", doc = "the index that search{} looks in" },
        upstream = { type = "text", default = "elasticsearch",
            doc = "the upstream that is asked when client{} names none" },
        response_max = { type = "size", default = "4MB", doc = "longest answer that is taken and decoded" },
        bulk_max = { type = "size", default = "4MB", doc = "most bytes of one bulk request" },
        bulk_items = { type = "number", default = 1000, min = 1, max = 10000, doc = "most items of one bulk request" },
    },
}
