"""POST /v1/audio/transcriptions, as OpenAI's clients call it: a thin application over the gateway's own stub."""
