-- Speech by libespeak-ng: small, quick, offline. See README.md.
return {
    name = "espeak",
    version = "1.0.0",
    provides = "tts",
    native = true,
    config = {
        voice = { type = "text", default = "en",
            doc = "voice used when a call names none; plugin.espeak.voices{} lists them" },
        rate = { type = "number", default = 175, min = 80, max = 450,
            doc = "words a minute when a call names no rate" },
        max_audio = { type = "size", default = "8MB",
            doc = "longest WAV of one call; beyond it the call fails with too_long" },
    },
}
