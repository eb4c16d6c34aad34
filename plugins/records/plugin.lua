-- The records: SQLite with full-text search, on a thread of its own. See README.md.
return {
    name = "records",
    version = "1.0.0",
    provides = "records",
    native = true,
    required = true, -- an application that asks for records has no answer without them
    config = {
        database = { type = "text", default = "",
            doc = "path of the database; empty: one per data folder in the state folder" },
        max_import = { type = "size", default = "64MB",
            doc = "largest file that import{} and the data folder may hold" },
    },
}
