"""ONNX graphs that this engine writes itself, around what a model's own files hold."""
