"""From a PyTorch network or an ONNX file to an engine that can be trusted: exported, built, compared and timed."""
