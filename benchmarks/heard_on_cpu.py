"""What a CPU hears in real recordings, utterance by utterance, for comparison with a GPU that has nothing but this file.

    python -m benchmarks.heard_on_cpu UTTERANCES.npz [--model whisper-tiny.en-fp32]

The clips, the telephone sample and a conversation (benchmarks/corpus.py) are cut as the service cuts them, and recognised by
engine `ort`, padded as on a GPU: the same audio then differs in nothing but the device. Writes the samples, and beside them a JSON file with the words and the regions of speech.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from asr_service.config import AsrConfig
from asr_service.engines.base import Engine, Speech
from asr_service.engines.continuing import ContinuingEngine
from asr_service.engines.ort.assembly import open_engine
from asr_service.engines.ort.devices import look
from asr_service.engines.ort.settings import Settings
from asr_service.engines.ort.source import Source
from asr_service.listening import Listener
from asr_service.loading import cut_options
from asr_service.utterances import Utterance, UtteranceCutter
from asr_service.vad import silero
from benchmarks.corpus import Recording, clips, conversation, sample
from serving.audio import to_float
from serving.cores import cores
from serving.models.integrity import fingerprint
from serving.models.roles import VOICE_ACTIVITY
from serving.models.store import ModelStore

_CONVERSATION_SECONDS = 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("utterances", type=Path)
    parser.add_argument("--model", default="whisper-tiny.en-fp32")
    arguments = parser.parse_args()
    engine = opened(ModelStore().path(arguments.model))
    samples: dict[str, Any] = {}
    heard: dict[str, dict[str, Any]] = {}
    for recording in (*clips(), sample(), conversation(_CONVERSATION_SECONDS)):
        for number, utterance in enumerate(cut(recording, AsrConfig(), engine)):
            name = f"{recording.name}-{number}"
            speech = Speech(to_float(utterance.samples), "en", utterance.voiced)
            (found,) = engine.recognize([speech])
            samples[name] = utterance.samples
            heard[name] = {
                "text": b"".join(token.text for token in found.tokens).decode(),
                "voiced": utterance.voiced,
            }
    np.savez(arguments.utterances, **samples)
    arguments.utterances.with_suffix(".json").write_text(json.dumps(heard, indent=1), "utf-8")
    words = sum(len(each["text"].split()) for each in heard.values())
    print(f"{len(heard)} utterances, {words} words by {engine.info.engine}")


def opened(model: Path) -> Engine:
    settings = Settings(provider="cpu", threads=cores(), shapes_of_gpu=True)
    return ContinuingEngine(
        open_engine(Source(model, model.name, fingerprint(model)), "fp32", settings, look())
    )


def cut(recording: Recording, config: AsrConfig, engine: Engine) -> list[Utterance]:
    detector = silero(ModelStore().path(VOICE_ACTIVITY.default) / "silero_vad.onnx", config.vad)
    listener = Listener(detector(), UtteranceCutter(cut_options(config, engine.info)))
    return [*listener.hear(recording.samples), *listener.finish()]


if __name__ == "__main__":
    main()
