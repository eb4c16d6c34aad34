-- Speech for tests and measurements: the same tone for every text, at once. Not installed.
return {
    name = "tone",
    version = "1.0.0",
    provides = "tts",
    native = true,
    config = {
        bytes = { type = "size", default = "60KB", min = 46, max = 64 * 1024 * 1024,
            doc = "size of the WAV that answers a text, header included" },
    },
}
