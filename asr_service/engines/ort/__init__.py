"""Recognition on ONNX Runtime: batched, on TensorRT, CUDA or CPUs.

    features  →  encoder (the model's own graph)  →  search (a graph of ours around the model's decoder)

Features are NumPy on the host. The encoder's output stays on the device that computed it; the search is one graph
there, so no frame comes back and no interpreter runs between steps.
"""

import os

# Both are read when libraries load, so they are set before any module here imports one.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# CUDA numbers devices by speed otherwise, and NVML, which tells what they are, by place.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
