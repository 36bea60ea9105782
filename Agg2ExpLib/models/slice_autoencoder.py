"""An autoencoder of CT slices: a small convolutional network that halves a slice three times and builds it up again.

It is what moves a CT in counterfactuals by latent shift (docs/how-to/counterfactuals.md): the latent space is continuous, and the
decoder makes slices of whatever lies near the latents of a real one. There is no normalisation layer, since those of MONAI's
autoencoders take away how bright a slice is, and Hounsfield units are just that; so a latent also reaches no farther than its
receptive field.

This module is PyTorch through and through: it is imported where a network is built.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from ..errors import InputError
from .card_values import are_whole, is_whole


class SliceAutoencoder(torch.nn.Module):
    """Volumes ``[b, 1, x, y, z]`` to volumes of the same shape, slice by slice, by way of latents an eighth as wide and high.

    Slices of any size are padded by their border to a multiple of :attr:`stride` and cut back in the end.

    Args:
        channels: of the features at a half, a quarter, … of the resolution; as many halvings as there are entries.
        latent_channels: numbers a latent pixel has.
        blocks: residual blocks at each resolution, of the encoder and of the decoder.
        axis: of the volume along which slices are taken: 0 sagittal, 1 coronal, 2 axial.

    Raises:
        InputError: a setting makes no sense.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 96),
        latent_channels: int = 32,
        blocks: Sequence[int] = (1, 2),
        axis: int = 2,
    ) -> None:
        super().__init__()
        whole = are_whole(channels) and is_whole(latent_channels) and are_whole(blocks)
        if not whole or not channels or min(channels) < 1 or latent_channels < 1 or len(blocks) != 2 or min(blocks) < 0:
            raise InputError(
                f"A SliceAutoencoder needs a list of channels above 0, latent_channels above 0 and two numbers of blocks, all "
                f"whole, not {channels!r}, {latent_channels!r} and {blocks!r}."
            )
        if not is_whole(axis) or axis not in (0, 1, 2):
            raise InputError(f"The axis of slices is 0, 1 or 2, not {axis!r}.")
        self.axis, self.stride = axis, 2 ** len(channels)
        down: list[torch.nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            # Pixels of a 2 x 2 field side by side as channels: nothing is lost, and no convolution runs at the full resolution.
            down += [torch.nn.PixelUnshuffle(2), torch.nn.Conv2d(4 * before, after, 3, padding=1)]
            down += [_Residual(after) for _ in range(blocks[0])]
        self.encoder = torch.nn.Sequential(*down, torch.nn.Conv2d(channels[-1], latent_channels, 1))
        up: list[torch.nn.Module] = [torch.nn.Conv2d(latent_channels, channels[-1], 1)]
        for before, after in zip(channels[::-1], (*channels[-2::-1], 1), strict=True):
            up += [_Residual(before) for _ in range(blocks[1])]
            up += [torch.nn.Conv2d(before, 4 * after, 3, padding=1), torch.nn.PixelShuffle(2)]
        self.decoder = torch.nn.Sequential(*up)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """The volumes ``[b, 1, x, y, z]`` as they come back."""
        slices = volumes.movedim(self.axis + 2, 1)  # [b, slices, 1, h, w]
        back = self.decode(self.encode(slices.flatten(0, 1)), (slices.shape[-2], slices.shape[-1]))
        return back.unflatten(0, slices.shape[:2]).movedim(1, self.axis + 2)

    def encode(self, slices: torch.Tensor) -> torch.Tensor:
        """Latents ``[n, latent_channels, ⌈h / stride⌉, ⌈w / stride⌉]`` of slices ``[n, 1, h, w]``."""
        height, width = (-side % self.stride for side in slices.shape[-2:])
        padded = functional.pad(slices, (0, width, 0, height), mode="replicate") if height or width else slices
        latents: torch.Tensor = self.encoder(padded)
        return latents

    def decode(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Slices ``[n, 1, h, w]`` of this size from latents."""
        slices: torch.Tensor = self.decoder(latents)
        return slices[..., : size[0], : size[1]]


class _Residual(torch.nn.Module):
    """``x + W₂ σ(W₁ σ(x))``, which is the identity as long as it has learnt nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.second = torch.nn.Conv2d(channels, channels, 3, padding=1)
        torch.nn.init.zeros_(self.second.weight)
        torch.nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.silu(values))
        return values + self.second(functional.silu(inner))
