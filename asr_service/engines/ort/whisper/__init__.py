"""Whisper: encoder and cached decoder, greedy, with times from cross-attention."""
