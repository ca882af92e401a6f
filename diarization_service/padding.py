"""A network that always sees as many rows.

Which of a GPU's kernels computes a batch depends on its shape, and how a sum is rounded on the kernel. In half precision that
is enough to move a turn, so what comes of a recording would depend on how it arrived and on who else was there.
"""

import torch.nn.functional as F  # noqa: N812  torch's name for it
from torch import Tensor


def padded(inputs: Tensor, rows: int | None) -> Tensor:
    """`inputs` with zeros behind them, `rows` in all; None leaves them as they are."""
    if rows is None:
        return inputs
    return F.pad(inputs, (0, 0) * (inputs.ndim - 1) + (0, rows - len(inputs)))
