"""Sends each uploaded recording to recognition and diarization at once, and merges what comes back."""
