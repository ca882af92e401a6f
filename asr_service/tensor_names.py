"""What Triton's clients call the tensors of a recognition model, here and in model repositories that are exported."""

AUDIO = "audio_signal"
"""Mono at 16 kHz in [-1, 1): (batch, samples), or (samples,)."""
LENGTHS = "audio_lengths"
"""How many samples of each row are its own: (batch, 1). Optional; without it, all are."""
TEXTS = "decoded_texts"
"""What was said: (batch, 1), UTF-8."""
