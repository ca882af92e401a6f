"""Whisper as two networks that can be exported: an encoder, and a decoder with an explicit cache.

Module names follow OpenAI's checkpoints, so their state dict loads as it is (Radford et al. 2022, "Robust Speech
Recognition via Large-Scale Weak Supervision"; reference: openai/whisper, whisper/model.py). Inputs and outputs follow
the layout that sherpa-onnx reads (k2-fsa/sherpa-onnx, scripts/whisper/export-onnx-with-attention.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Dimensions:
    """Sizes of the network, by the names that the checkpoint uses."""

    n_mels: int
    n_vocab: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int


class Attention(nn.Module):
    """Multi-head attention written out, because the weights are an output of the decoder."""

    def __init__(self, state: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(state, state)
        self.key = nn.Linear(state, state, bias=False)
        self.value = nn.Linear(state, state)
        self.out = nn.Linear(state, state)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend from `x` [N, n, state] to projected `keys` and `values` [N, T, state].

        Returns the output [N, n, state] and the weights [N, heads, n, T]; `mask` [n, T] is added to the scores.
        """
        q, k, v = (self._split(part) for part in (self.query(x), keys, values))
        scores = (q @ k.transpose(-1, -2)) * (q.shape[-1] ** -0.5)
        weights = functional.softmax(scores if mask is None else scores + mask, dim=-1)
        attended = (weights @ v).permute(0, 2, 1, 3).flatten(start_dim=2)
        return self.out(attended), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).permute(0, 2, 1, 3)


class Block(nn.Module):
    """Self-attention and a perceptron, each added to what came in."""

    def __init__(self, state: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(state, heads)
        self.attn_ln = nn.LayerNorm(state)
        self.mlp = nn.Sequential(nn.Linear(state, state * 4), nn.GELU(), nn.Linear(state * 4, state))
        self.mlp_ln = nn.LayerNorm(state)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, state] → the same shape, every frame seeing every other."""
        y = self.attn_ln(x)
        return self.perceive(x + self.attn(y, self.attn.key(y), self.attn.value(y))[0])

    def perceive(self, x: Tensor) -> Tensor:
        return x + cast("Tensor", self.mlp(self.mlp_ln(x)))


class DecoderBlock(Block):
    """A block that also attends to the audio, with caches in and out."""

    def __init__(self, state: int, heads: int) -> None:
        super().__init__(state, heads)
        self.cross_attn = Attention(state, heads)
        self.cross_attn_ln = nn.LayerNorm(state)

    def step(
        self, x: Tensor, past: tuple[Tensor, Tensor], cross: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns `x`, the keys and values of all tokens so far, and the cross-attention weights.

        `x` [N, n, state] holds the new tokens; `past` the keys and values of those before; `cross` those of the audio.
        """
        y = self.attn_ln(x)
        keys = torch.cat([past[0], self.attn.key(y)], dim=1)
        values = torch.cat([past[1], self.attn.value(y)], dim=1)
        x = x + self.attn(y, keys, values, mask)[0]
        attended, weights = self.cross_attn(self.cross_attn_ln(x), *cross)
        return self.perceive(x + attended), keys, values, weights


class AudioEncoder(nn.Module):
    """Log-mel frames to audio features."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        state = dims.n_audio_state
        self.conv1 = nn.Conv1d(dims.n_mels, state, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(state, state, kernel_size=3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.zeros(dims.n_audio_ctx, state))
        self.blocks = nn.ModuleList(Block(state, dims.n_audio_head) for _ in range(dims.n_audio_layer))
        self.ln_post = nn.LayerNorm(state)

    def forward(self, mel: Tensor) -> Tensor:
        """`mel` [N, n_mels, T] → [N, T/2, state]; T need not be the full 30 s."""
        x = functional.gelu(self.conv1(mel))
        x = functional.gelu(self.conv2(x)).permute(0, 2, 1)
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return cast("Tensor", self.ln_post(x))


class TextDecoder(nn.Module):
    """Only the parameters; `Decoder` runs them."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        state = dims.n_text_state
        self.token_embedding = nn.Embedding(dims.n_vocab, state)
        self.positional_embedding = nn.Parameter(torch.zeros(dims.n_text_ctx, state))
        blocks = nn.ModuleList(DecoderBlock(state, dims.n_text_head) for _ in range(dims.n_text_layer))
        self.blocks = cast("Sequence[DecoderBlock]", blocks)
        self.ln = nn.LayerNorm(state)


class Whisper(nn.Module):
    """The tree of parameters that a checkpoint fills."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.encoder = AudioEncoder(dims)
        self.decoder = TextDecoder(dims)


class Encoder(nn.Module):
    """Encoder with the decoder's cross-attention keys and values, which depend on nothing but the audio."""

    def __init__(self, model: Whisper) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.decoder = model.decoder

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """`mel` [N, n_mels, T] → cross keys and cross values, each [layers, N, T/2, state]."""
        features = self.encoder(mel)
        keys = [block.cross_attn.key(features) for block in self.decoder.blocks]
        values = [block.cross_attn.value(features) for block in self.decoder.blocks]
        return torch.stack(keys), torch.stack(values)


class Decoder(nn.Module):
    """One decoding step over any number of new tokens; caches come in and go out in full length."""

    def __init__(self, model: Whisper, alignment_heads: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.decoder = model.decoder
        layers = range(len(model.decoder.blocks))
        self.heads_of_layer = [[head for at, head in alignment_heads if at == layer] for layer in layers]

    def forward(
        self, tokens: Tensor, self_k: Tensor, self_v: Tensor, cross_k: Tensor, cross_v: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits [N, n, n_vocab], both caches, and the alignment heads' weights [N, heads, n, T/2].

        `tokens` [N, n]; `self_k`, `self_v` [layers, N, n_text_ctx, state], filled up to `offset` [1]; `cross_k`,
        `cross_v` [layers, N, T/2, state].
        """
        start, end = offset[0], offset[0] + tokens.shape[1]
        x = self.decoder.token_embedding(tokens) + self.decoder.positional_embedding[start:end]
        mask = _causal_mask(self_k.shape[2])[start:end, :end]
        all_keys, all_values, all_weights = [], [], []
        for layer, block in enumerate(self.decoder.blocks):
            past = self_k[layer, :, :start], self_v[layer, :, :start]
            x, keys, values, weights = block.step(x, past, (cross_k[layer], cross_v[layer]), mask)
            all_keys.append(torch.cat([keys, self_k[layer, :, end:]], dim=1))
            all_values.append(torch.cat([values, self_v[layer, :, end:]], dim=1))
            all_weights.append(weights[:, self.heads_of_layer[layer]])
        logits = self.decoder.ln(x) @ self.decoder.token_embedding.weight.T
        return logits, torch.stack(all_keys), torch.stack(all_values), torch.cat(all_weights, dim=1)


def _causal_mask(size: int) -> Tensor:
    """[size, size]: 0 where a token may look, minus infinity at what comes after it."""
    return torch.full((size, size), float("-inf")).triu(1)
