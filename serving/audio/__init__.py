"""Audio decoding: any container that FFmpeg reads, or raw samples, to mono 16 kHz while the upload runs."""

from serving.audio.recording import Recording, open_recording
from serving.audio.samples import MAX_BLOCK_SAMPLES, Samples, to_float

__all__ = ["MAX_BLOCK_SAMPLES", "Recording", "Samples", "open_recording", "to_float"]
