"""Model repositories for NVIDIA Triton: a recognition model as an ensemble that Triton runs without this project.

    audio_signal, audio_lengths ──▶ lengths ──▶ preprocessing ──▶ encoder ──▶ decoding ──▶ texts ──▶ decoded_texts

Features, encoder and search are ONNX graphs, the same that the engine ort runs; the two ends are a few lines for Triton's
Python backend, which need NumPy alone. An utterance is padded to its length bucket as on a GPU of the service, so that its
words are the same whoever shares its batch, and batches are of equal shapes, which Triton's dynamic batcher wants.
"""
