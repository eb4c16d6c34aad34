-- Speech by a service behind POST /audio/speech, as OpenAI and many others have it. See README.md.
return {
    name = "tts-openai",
    version = "1.0.0",
    provides = "tts",
    config = {
        model = { type = "text", default = "gpt-4o-mini-tts", doc = "name of the model" },
        voice = { type = "text", default = "alloy",
            doc = "voice used when a call names none, or one that is not in voices" },
        voices = { type = "list",
            default = "alloy,ash,ballad,cedar,coral,echo,fable,marin,nova,onyx,sage,shimmer,verse",
            doc = "the voices that a client may ask for; any: whatever it asks for" },
        instructions = { type = "text", doc = "how to speak, for models that can be told" },
        response_format = { type = "text", default = "mp3", choices = "mp3|opus|aac|flac|wav|pcm",
            doc = "what the clients get" },
        pcm_rate = { type = "number", default = 24000, min = 8000, max = 96000,
            doc = "samples a second of pcm: 16 bit, mono" },
        key_env = { type = "text", doc = "name of the environment variable that holds the key" },
        key_file = { type = "text", doc = "file that holds the key" },
        max_audio = { type = "size", default = "1MB",
            doc = "longest piece of speech, in bytes; a longer one counts as failed" },
        extra = { type = "text", doc = "further members of the request, as a JSON object" },
    },
}
