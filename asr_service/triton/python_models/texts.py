"""Run by Triton's Python backend: from tokens to text. Nothing but NumPy is needed beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """By the names that Triton looks for."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Reads what each token adds to a running text; bytes are written as the first 256 characters."""
        path = Path(args["model_repository"], args["model_version"], "texts.json")
        self._texts = [text.encode("latin-1") for text in json.loads(path.read_text("utf-8"))]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response for each request, in their order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        rows = pb_utils.get_input_tensor_by_name(request, "token_ids").as_numpy()
        texts = np.array([[self._text(row)] for row in rows.tolist()], np.object_)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("decoded_texts", texts)])

    def _text(self, row: Sequence[int]) -> bytes:
        """Without the places where there is no token, and with single spaces; broken characters are dropped."""
        written = b"".join(self._texts[token] for token in row if token >= 0)
        return " ".join(written.decode("utf-8", "ignore").split()).encode()
