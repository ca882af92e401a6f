"""Audio decoding: any container that FFmpeg reads, or raw samples, to mono 16 kHz while the upload runs.

What callers send is taken apart by `serving.decoding`, in processes that may die without harm.
"""

from serving.audio.decoder import Decoder
from serving.audio.recording import Recording, open_recording
from serving.decoding.bounds import Bounds
from serving.decoding.samples import MAX_BLOCK_SAMPLES, Samples, to_float

__all__ = ["MAX_BLOCK_SAMPLES", "Bounds", "Decoder", "Recording", "Samples", "open_recording", "to_float"]
