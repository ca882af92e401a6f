"""What the gateway says to each backend, and what their answers mean.

A dialect belongs to one recording and lives through all calls made for it: what an earlier call delivered stays
delivered, and a later one, which starts from the beginning of the recording, is matched against it.

dialect       what every dialect can do
recognition   speech.asr.v1
diarization   speech.diarization.v1
account       what a call was sent, and what its answer must be
continuation  turns of a later call, put behind those of the earlier ones
"""

from gateway.dialects.account import Garbled
from gateway.dialects.dialect import Dialect
from gateway.dialects.diarization import DiarizationDialect
from gateway.dialects.recognition import RecognitionDialect

__all__ = ["Dialect", "DiarizationDialect", "Garbled", "RecognitionDialect"]
