"""Recognition on ONNX Runtime: batched, on TensorRT, CUDA or CPUs.

    features  →  encoder (the model's own graph)  →  search (a graph of ours around the model's decoder)

Features are NumPy on the host. The encoder's output stays on the device that computed it; the search is one graph
there, so no frame comes back and no interpreter runs between steps.
"""
