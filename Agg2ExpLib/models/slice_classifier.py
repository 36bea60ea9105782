"""Classifiers of a volume by its slices: a 2D network sees every slice, the features are pooled, a linear layer gives the logits.

Attention pooling as in arXiv:2307.06614: eight heads, the mean of the features as query, the features as keys and values. Since the
head is linear, each logit is a constant plus one signed number a slice: what the slice contributed, which the attention weights
alone do not say.

This module is PyTorch through and through: it is imported where a network is built.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.checkpoint import checkpoint

from ..errors import InputError
from .card_values import are_whole, is_whole

POOLINGS = ("attention", "mean", "max")
# Pixels of slices that pass through the backbone together: 8 slices of 256 x 256, for which a ResNet-18 keeps 0.9 GB.
CHUNK_PIXELS = 2**19


class SliceClassifier(torch.nn.Module):
    """Slices → backbone → pooling → linear head: volumes ``[b, 1, x, y, z]`` to logits ``[b, classes]``.

    In evaluation mode the slices pass the backbone in chunks that are computed a second time in the backward pass (gradient
    checkpointing), so that memory is that of one chunk, and the gradient the exact one.

    Args:
        backbone: maps slices ``[n, 1, h, w]`` of any size to features ``[n, features]``.
        features: how many it gives.
        classes: logits.
        pooling: ``attention``, ``mean`` or ``max`` over the slices.
        axes: of the volume ``[x, y, z]`` along which slices are taken: 0 sagittal, 1 coronal, 2 axial.
        heads: of the attention.

    Attributes:
        chunk_pixels: pixels of the slices in one chunk.

    Raises:
        InputError: a setting makes no sense.
    """

    def __init__(
        self,
        backbone: torch.nn.Module,
        features: int,
        classes: int,
        pooling: str = "attention",
        axes: Sequence[int] = (2,),
        heads: int = 8,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InputError(f"There is no pooling '{pooling}': choose one of {', '.join(POOLINGS)}.")
        if not are_whole(axes) or not axes or len(set(axes)) != len(axes) or not set(axes) <= {0, 1, 2}:
            raise InputError(f"The axes of slices are a list of some of 0, 1 and 2, each once, not {axes!r}.")
        if pooling == "attention" and (not is_whole(heads) or heads < 1 or features % heads):
            raise InputError(f"{features} features cannot be shared among {heads!r} heads: choose heads that divide them.")
        self.backbone, self.pooling, self.axes, self.heads = backbone, pooling, tuple(axes), heads
        self.attention = torch.nn.MultiheadAttention(features, heads, batch_first=True) if pooling == "attention" else None
        self.head = torch.nn.Linear(features, classes)
        self.chunk_pixels = CHUNK_PIXELS

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits ``[b, classes]`` of volumes ``[b, 1, x, y, z]``."""
        logits: torch.Tensor = self.head(self._pooled(self.slice_features(volumes)))
        return logits

    def slice_features(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features of every slice, ``[b, slices, features]``: those along the first of ``axes``, then the next."""
        found = []
        for axis in self.axes:
            slices = volumes.movedim(axis + 2, 1).flatten(0, 1)  # [b * slices, 1, h, w]
            size = max(self.chunk_pixels // (slices.shape[-1] * slices.shape[-2]), 1)
            chunks = slices.split(size)
            repeat = len(chunks) > 1 and not self.training and torch.is_grad_enabled() and volumes.requires_grad
            parts = [
                checkpoint(self.backbone, chunk, use_reentrant=False, preserve_rng_state=False) if repeat else self.backbone(chunk)
                for chunk in chunks
            ]
            found.append(torch.cat(parts).unflatten(0, (volumes.shape[0], -1)))
        return torch.cat(found, dim=1)

    def _pooled(self, features: torch.Tensor) -> torch.Tensor:
        if self.attention is not None:
            query = features.mean(dim=1, keepdim=True)
            pooled: torch.Tensor = self.attention(query, features, features, need_weights=False)[0][:, 0]
            return pooled
        return features.mean(dim=1) if self.pooling == "mean" else features.amax(dim=1)

    def slice_parts(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """How the logits come about, from the features of one volume's slices.

        With attention ``logit_c = b_c + Σ_s Σ_h a_hs · w_c W_o,h W_v,h f_s``; with the mean ``w_c f_s / S``; with the maximum
        each feature counts for the slice that has it.

        Args:
            features: ``[slices, features]``.

        Returns:
            Weights ``[slices]`` that sum to 1 (of the attention, the mean over its heads; with the maximum the share of the
            features that a slice gives), contributions ``[classes, slices]``, and constants ``[classes]``; the contributions
            and the constant of a class sum to its logit.
        """
        count, width = features.shape
        weight, bias = self.head.weight, self.head.bias
        if self.attention is not None:
            shares = self.attention(
                features.mean(dim=0, keepdim=True)[None], features[None], features[None], average_attn_weights=False
            )[1][0, :, 0]  # [heads, slices]
            value_weight, value_bias = self.attention.in_proj_weight[2 * width :], self.attention.in_proj_bias[2 * width :]
            out = self.attention.out_proj
            seen = (features @ value_weight.T).unflatten(1, (self.heads, -1))  # [slices, heads, width / heads]
            through = (weight @ out.weight).unflatten(1, (self.heads, -1))  # [classes, heads, width / heads]
            parts = torch.einsum("hs,shd,chd->cs", shares, seen, through)
            return shares.mean(dim=0), parts, bias + weight @ (out.weight @ value_bias + out.bias)
        if self.pooling == "mean":
            return features.new_full((count,), 1 / count), weight @ features.T / count, bias
        best, given = features.max(dim=0)
        owners = torch.nn.functional.one_hot(given, count).to(features.dtype)  # [features, slices]
        return owners.mean(dim=0), (weight * best) @ owners, bias
