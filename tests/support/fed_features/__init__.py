"""What features sherpa-onnx feeds a model: read from what it says that models of ours recognised.

It shows no features, but results can carry them. A transducer's tokens come with probabilities, which are floats: here
every feature is an encoder frame, and its value the logit of a token that is always emitted. A CTC model's and Whisper's
tokens come without, so there a token's number is the value, rounded to one of many steps between two bounds.
"""

from support.fed_features.numbers import STEPS, nemo_ctc, whisper, zipformer_ctc
from support.fed_features.probabilities import nemo_transducer, transducer

__all__ = ["STEPS", "nemo_ctc", "nemo_transducer", "transducer", "whisper", "zipformer_ctc"]
