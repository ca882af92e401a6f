"""Equal ways of writing what encoders do. Each rule takes a node and says whether it changed the network.

Exact in real numbers; in floating point sums may come in another order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto

from asr_service.engines.ort.refining.network import Network, attribute

Rule = Callable[[Network, NodeProto], bool]

_CHANNELS_LAST = [0, 2, 1]


def pad_factor(network: Network, pad: NodeProto) -> bool:
    """Zeros beside the columns of a matrix product are zeros beside those of its right factor.

    Attention by relative positions pads its scores, the largest tensor of the network, to shift them (Dai et al. 2019,
    appendix B); the positions' projection is smaller by the batch and the number of queries over the head's size.
    """
    product = _producer(network, pad, "MatMul")
    if product is None or (amounts := _zeros_beside_columns(network, pad)) is None:
        return False
    others = [node for node in network.consumers(pad.input[0]) if node is not pad]
    factor = network.shape(product.input[1])
    if factor is None or any(node.op_type != "Shape" for node in others) or network.is_output(pad.input[0]):
        return False
    widths = np.zeros(2 * len(factor), np.int64)
    widths[len(factor) - 1], widths[-1] = amounts
    padded = network.insert(product, "Pad", product.input[1], network.weigh(widths))
    network.know(padded, (*factor[:-1], None))
    product.input[1] = padded
    for shape in others:
        # Whoever asks for the size means the product's without the zeros.
        _let_shape_exclude(network, shape, pad.input[0], sum(amounts), len(attribute_pads(network, pad)) // 2)
    network.redirect(pad.output[0], pad.input[0], network.consumers(pad.output[0]))
    return True


def pad_convolution(network: Network, convolution: NodeProto) -> bool:
    """Zeros around the input of a convolution are its own padding."""
    pad = _producer(network, convolution, "Pad")
    if pad is None or (amounts := _zeros(network, pad)) is None or amounts[:, :2].any():
        return False
    ends = [int(amount) for amount in amounts[:, 2:].flatten()]
    own = attribute(convolution, "pads", [0] * len(ends))
    attributes = _attributes(convolution) | {"pads": [a + b for a, b in zip(own, ends, strict=True)]}
    network.replace(convolution, "Conv", pad.input[0], *convolution.input[1:], **attributes)
    return True


def multiply_pointwise(network: Network, convolution: NodeProto) -> bool:
    """A convolution over one frame is a matrix product between transpositions, of which at least one cancels (`cancel`).

    Among convolutions, as in Jasper's residuals, it stays: there both would be copies.
    """
    weights = network.constant(convolution.input[1])
    if weights is None or weights.ndim != 3 or weights.shape[2] != 1 or not _is_plain(convolution):
        return False
    if not _is_beside_transposition(network, convolution):
        return False
    frames_first = network.insert(convolution, "Transpose", convolution.input[0], perm=_CHANNELS_LAST)
    matrix = network.weigh(np.ascontiguousarray(weights[:, :, 0].T))
    product = network.insert(convolution, "MatMul", frames_first, matrix)
    if len(convolution.input) > 2 and convolution.input[2]:
        product = network.insert(convolution, "Add", product, convolution.input[2])
    network.replace(convolution, "Transpose", product, perm=_CHANNELS_LAST)
    return True


def cancel(network: Network, transpose: NodeProto) -> bool:
    """A transposition that undoes the one before it."""
    before = _producer(network, transpose, "Transpose")
    if before is None or network.is_output(transpose.output[0]):
        return False
    first, second = (np.array(attribute(node, "perm")) for node in (before, transpose))
    if first.ndim == 0 or second.ndim == 0 or list(first[second]) != list(range(len(first))):
        return False
    network.redirect(transpose.output[0], before.input[0], network.consumers(transpose.output[0]))
    return True


def flatten_batch(network: Network, product: NodeProto) -> bool:
    """[B, H, M, K] times the same [H, K, N] in each row is, head by head, one product of B M rows, not B products of M.

    So positions meet queries. TensorRT 8.6 launches a kernel for each of the B.
    """
    left, right = network.shape(product.input[0]), network.shape(product.input[1])
    if left is None or right is None or len(left) != 4 or len(right) != 4:
        return False
    if left[1] is None or left[1] != right[1] or left[3] is None or network.hears(product.input[1]):
        return False
    sizes = network.insert(product, "Shape", product.input[0])
    heads_first = network.insert(product, "Transpose", product.input[0], perm=[1, 0, 2, 3])
    rows = network.insert(
        product, "Reshape", heads_first, network.weigh(np.array([left[1], -1, left[3]], np.int64))
    )
    factor = network.insert(product, "Gather", product.input[1], network.weigh(np.array(0, np.int64)), axis=0)
    products = network.insert(product, "MatMul", rows, factor)
    order = network.insert(product, "Gather", sizes, network.weigh(np.array([1, 0, 2], np.int64)), axis=0)
    columns = network.weigh(np.array([-1], np.int64))
    shape = network.insert(product, "Concat", order, columns, axis=0)
    apart = network.insert(product, "Reshape", products, shape)
    network.replace(product, "Transpose", apart, perm=[1, 0, 2, 3])
    return True


RULES: tuple[tuple[str, Rule], ...] = (
    ("Pad", pad_factor),
    ("Conv", pad_convolution),
    ("Conv", multiply_pointwise),
    ("Transpose", cancel),
    ("MatMul", flatten_batch),
)
"""By the kind of node that they start from, in the order in which they are tried."""


def attribute_pads(network: Network, pad: NodeProto) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The amounts of a Pad node, which must be constant."""
    amounts = network.constant(pad.input[1])
    return np.zeros(0, np.int64) if amounts is None else amounts.astype(np.int64)


def _zeros_beside_columns(network: Network, pad: NodeProto) -> tuple[int, int] | None:
    """How many zeros a Pad adds before and behind the last axis; None where it does anything else."""
    amounts = _zeros(network, pad)
    if amounts is None or amounts[:, :-1].any():
        return None
    return int(amounts[0, -1]), int(amounts[1, -1])


def _zeros(network: Network, pad: NodeProto) -> np.ndarray[tuple[int, int], np.dtype[np.int64]] | None:
    """Amounts of shape (2, rank), before and behind each axis; None where they vary, or are not of zeros."""
    amounts = attribute_pads(network, pad)
    value = network.constant(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(1)
    has_axes = len(pad.input) > 3 and pad.input[3]
    if not len(amounts) or value is None or value.any() or has_axes or (amounts < 0).any():
        return None
    if attribute(pad, "mode", b"constant") != b"constant":
        return None
    return amounts.reshape(2, -1)


def _let_shape_exclude(network: Network, shape: NodeProto, value: str, amount: int, rank: int) -> None:
    surplus = np.zeros(rank, np.int64)
    surplus[-1] = amount
    sizes = network.insert(shape, "Shape", value)
    network.replace(shape, "Sub", sizes, network.weigh(surplus))


def _producer(network: Network, node: NodeProto, kind: str) -> NodeProto | None:
    found = network.producer(node.input[0])
    return found if found is not None and found.op_type == kind else None


def _is_beside_transposition(network: Network, convolution: NodeProto) -> bool:
    beside = [network.producer(convolution.input[0]), *network.consumers(convolution.output[0])]
    return any(
        node is not None
        and node.op_type == "Transpose"
        and list(attribute(node, "perm", [])) == _CHANNELS_LAST
        for node in beside
    )


def _is_plain(convolution: NodeProto) -> bool:
    """One group, no stride, no padding."""
    pads, strides = attribute(convolution, "pads", [0, 0]), attribute(convolution, "strides", [1])
    return attribute(convolution, "group", 1) == 1 and list(pads) == [0, 0] and list(strides) == [1]


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {item.name: attribute(node, item.name) for item in node.attribute}
