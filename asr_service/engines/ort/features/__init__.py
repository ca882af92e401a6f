"""What encoders are fed: each family's features, computed in NumPy as the reference that its users compare with does.

On GPUs a graph makes the same of the same constants (graph.py).

Not with the package kaldi-native-fbank, whose C++ sherpa-onnx uses: from Python it takes 1.2 ms for a second of audio on
one core (Whisper's features 7 ms), of which 0.5 ms to turn the array into a vector, item by item, under the interpreter's
lock. So a process gets less than 2,000 seconds of audio a second out of it, however many cores it has. Here it is 0.13 to
0.24 ms, of which the interpreter has 0.02. Measured on an AMD EPYC of 2.6 GHz with kaldi-native-fbank 1.23 and NumPy 2.4;
`python -m benchmarks.features` measures it again.
"""

from asr_service.engines.ort.features.batch import NumpyFeatures, Stacked, stacked
from asr_service.engines.ort.features.device import GraphFeatures
from asr_service.engines.ort.features.kaldi import KaldiFeatures
from asr_service.engines.ort.features.nemo import NemoFeatures, SherpaNemoFeatures
from asr_service.engines.ort.features.whisper import OpenAiWhisperFeatures, SherpaWhisperFeatures

__all__ = [
    "GraphFeatures",
    "KaldiFeatures",
    "NemoFeatures",
    "NumpyFeatures",
    "OpenAiWhisperFeatures",
    "SherpaNemoFeatures",
    "SherpaWhisperFeatures",
    "Stacked",
    "stacked",
]
