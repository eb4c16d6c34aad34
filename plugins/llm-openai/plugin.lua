-- Answers by a language model behind POST /chat/completions, as OpenAI and many others have it. See README.md.
return {
    name = "llm-openai",
    version = "1.0.0",
    provides = "llm",
    config = {
        model = { type = "text", default = "gpt-4o-mini", doc = "name of the model" },
        key_env = { type = "text", doc = "name of the environment variable that holds the key" },
        key_file = { type = "text", doc = "file that holds the key" },
        max_tokens = { type = "number", default = 400, min = 1, max = 100000,
            doc = "longest answer, in tokens, as the service counts" },
        max_tokens_field = { type = "text", default = "max_tokens",
            doc = "how the service calls that; newer models of OpenAI: max_completion_tokens" },
        temperature = { type = "number", min = 0, max = 2, doc = "not set: as the service thinks fit" },
        max_text = { type = "size", default = "8KB",
            doc = "longest answer, in bytes of text; there it ends, and the transfer with it" },
        extra = { type = "text", doc = "further members of the request, as a JSON object" },
    },
}
