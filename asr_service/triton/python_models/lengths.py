"""Run by Triton's Python backend: how many samples of each row are its own, or why the request is refused.

The ensemble's first step, so that nothing is computed of a request that is wrong. Nothing but NumPy is needed beside it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# What scaled samples never reach, not even after filters, and others nearly always do.
_LOUDEST = 2.0


class TritonPythonModel:
    """By the names that Triton looks for."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """`args` is what Triton knows about the model; its configuration says the most samples that are taken."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._most = int(parameters["max_samples"]["string_value"])
        self._rate = int(parameters["sample_rate"]["string_value"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response for each request, in their order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        audio = pb_utils.get_input_tensor_by_name(request, "audio_signal").as_numpy()
        rows, width = audio.shape
        given = pb_utils.get_input_tensor_by_name(request, "audio_lengths")
        lengths = np.full((rows, 1), width, np.int64) if given is None else given.as_numpy()
        if problem := self._problem(audio, lengths):
            error = pb_utils.TritonError(problem, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("lengths", lengths)])

    def _problem(self, audio: Any, lengths: Any) -> str:
        """In words, for whoever sent the request; empty where there is none."""
        rows, width = audio.shape
        if width > self._most:
            return (
                f"audio_signal has {width / self._rate:.1f} s and this model takes at most {self._most / self._rate:g} s: cut "
                "the recording where nobody speaks"
            )
        if lengths.shape != (rows, 1) or lengths.min() < 1 or lengths.max() > width:
            return f"audio_lengths must give each row of audio_signal a number of samples from 1 to {width}"
        if not (np.abs(audio) <= _LOUDEST).all():
            return "audio_signal's samples lie in [-1, 1): divide those of 16 bits by 32768"
        return ""
