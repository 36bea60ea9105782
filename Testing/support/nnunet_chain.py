"""nnU-Net's inference, written plainly with nibabel, scikit-image and autograd over the whole volume: what ours is compared with.

Nothing of Agg2Exp is used. Arrays are as nnU-Net has them: ``[z, y, x]`` of the file, transposed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates
from skimage.transform import resize


@dataclass
class Reference:
    """What nnU-Net computes.

    Attributes:
        image: float32, after preprocessing.
        places: patient RAS mm of every voxel of it, ``[..., 3]``.
        logits: ``[channel, ...]``, float64.
        leaf: the image that ``logits`` can be differentiated by.
    """

    image: np.ndarray
    places: np.ndarray
    logits: torch.Tensor
    leaf: torch.Tensor

    def gradient(self, channel: int, mask: np.ndarray) -> np.ndarray:
        """Of the logits of a channel summed over a mask."""
        (found,) = torch.autograd.grad((self.logits[channel] * torch.from_numpy(mask)).sum(), self.leaf, retain_graph=True)
        return found.numpy()


def predict(file: Path, plans: dict[str, Any], networks: list[Any], mirror: tuple[int, ...] = ()) -> Reference:
    """The stitched logits of a NIfTI file, the mean over the networks, each also mirrored along all sets of these axes."""
    image, places = preprocess(file, plans)
    leaf = torch.from_numpy(image).double().requires_grad_(True)
    patch = plans["configurations"]["3d_fullres"]["patch_size"]
    total: Any = 0
    for network in networks:
        network = network.double().eval().requires_grad_(False)
        network.decoder.deep_supervision = False
        total = total + _stitched(network, leaf, patch, mirror)
    return Reference(image, places, total / len(networks), leaf)


def preprocess(file: Path, plans: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The image as the network sees it, and where its voxels lie in the patient."""
    configuration = plans["configurations"]["3d_fullres"]
    stored: Any = nibabel.load(file)
    if plans["image_reader_writer"].endswith("WithReorient"):
        stored = nibabel.as_closest_canonical(stored)
    order = plans["transpose_forward"]
    data = stored.get_fdata().transpose(2, 1, 0).astype(np.float32).transpose(order)
    spacing = [[float(size) for size in stored.header.get_zooms()[::-1]][axis] for axis in order]
    body = binary_fill_holes(data != 0)
    box = tuple(slice(int(np.where(body)[axis].min()), int(np.where(body)[axis].max()) + 1) for axis in range(3))
    data, body = data[box], body[box]
    old = data.shape
    new = tuple(round(i / j * k) for i, j, k in zip(spacing, configuration["spacing"], old, strict=True))
    data = _normalised(data, body, plans, configuration)
    if new != old:
        data = _resampled(data, new, spacing, configuration)
    # A new voxel's centre in old voxels: the outer borders of the two arrays coincide.
    axes = [(np.arange(n) + 0.5) * (o / n) - 0.5 + part.start for n, o, part in zip(new, old, box, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    in_file = np.empty_like(index)
    for axis, source in enumerate(order):
        in_file[..., 2 - source] = index[..., axis]
    return data, nibabel.affines.apply_affine(stored.affine, in_file)


def _normalised(data: np.ndarray, body: np.ndarray, plans: dict[str, Any], configuration: dict[str, Any]) -> np.ndarray:
    if configuration["normalization_schemes"] == ["CTNormalization"]:
        told = plans["foreground_intensity_properties_per_channel"]["0"]
        return (np.clip(data, told["percentile_00_5"], told["percentile_99_5"]) - np.float32(told["mean"])) / np.float32(
            told["std"]
        )
    if not configuration["use_mask_for_norm"][0]:
        return (data - data.mean()) / data.std()
    inside = data[body]
    return np.where(body, (data - inside.mean()) / inside.std(), data).astype(np.float32)


def _resampled(data: np.ndarray, new: tuple[int, ...], spacing: list[float], configuration: dict[str, Any]) -> np.ndarray:
    if configuration["resampling_fn_data"] == "resample_torch_fornnunet":
        return _resampled_by_torch(data, new, spacing, configuration)
    order = configuration["resampling_fn_data_kwargs"]["order"]
    thick = _thick_axis(spacing, configuration["spacing"])
    kept = {"mode": "edge", "anti_aliasing": False}
    if thick is None:
        return resize(data.astype(float), new, order, **kept).astype(np.float32)
    between = list(new)
    between[thick] = data.shape[thick]
    flat = np.zeros(between)
    for number in range(data.shape[thick]):
        place = tuple(number if axis == thick else slice(None) for axis in range(3))
        plane = tuple(size for axis, size in enumerate(new) if axis != thick)
        flat[place] = resize(data[place].astype(float), plane, order, **kept)
    grid = np.mgrid[tuple(slice(size) for size in new)].astype(float)
    for axis in range(3):
        grid[axis] = between[axis] / new[axis] * (grid[axis] + 0.5) - 0.5
    order_z = configuration["resampling_fn_data_kwargs"]["order_z"]
    return map_coordinates(flat, grid, order=order_z, mode="nearest").astype(np.float32)


def _resampled_by_torch(data: np.ndarray, new: tuple[int, ...], spacing: list[float], configuration: dict[str, Any]) -> np.ndarray:
    thick = _thick_axis(spacing, configuration["spacing"])
    batch = torch.from_numpy(data.astype(np.float64))[None, None]  # nnU-Net rounds more in single precision: by 2e-6
    if thick is None:
        return torch.nn.functional.interpolate(batch, new, mode="trilinear")[0, 0].float().numpy()
    between = list(new)
    between[thick] = data.shape[thick]
    flat = torch.nn.functional.interpolate(batch, between, mode="trilinear")
    return torch.nn.functional.interpolate(flat, new, mode="nearest-exact")[0, 0].float().numpy()


def _thick_axis(old: list[float], new: list[float]) -> int | None:
    for spacing in (old, new):
        if max(spacing) / min(spacing) > 3:
            largest = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return largest[0] if len(largest) == 1 else None
    return None


def _stitched(network: Any, image: torch.Tensor, patch: list[int], mirror: tuple[int, ...]) -> torch.Tensor:
    spare = [max(size - n, 0) for size, n in zip(patch, image.shape, strict=True)]
    around = [(extra // 2, extra - extra // 2) for extra in spare]
    padded = torch.nn.functional.pad(image, [part for pair in around[::-1] for part in pair])
    spot = np.zeros(patch)
    spot[tuple(size // 2 for size in patch)] = 1
    weight = gaussian_filter(spot, [size / 8 for size in patch], 0, mode="constant", cval=0)
    weight = torch.from_numpy(weight / weight.max() * 10).half()
    weight[weight == 0] = weight[weight != 0].min()
    starts = []
    for size, n in zip(patch, padded.shape, strict=True):
        count = int(np.ceil((n - size) / (size * 0.5))) + 1
        starts.append([int(np.round((n - size) / max(count - 1, 1) * number)) for number in range(count)])
    total: Any = 0
    weights = torch.zeros(padded.shape, dtype=torch.float64)
    for corner in itertools.product(*starts):
        place = tuple(slice(start, start + size) for start, size in zip(corner, patch, strict=True))
        logits = _mirrored(network, padded[place][None, None], mirror)[0] * weight.double()
        beside = [(part.start, n - part.stop) for part, n in zip(place, padded.shape, strict=True)]
        total = total + torch.nn.functional.pad(logits, [side for pair in beside[::-1] for side in pair])
        weights[place] += weight.double()
    inside = tuple(slice(before, n - after) for (before, after), n in zip(around, padded.shape, strict=True))
    return (total / weights)[(slice(None), *inside)]


def _mirrored(network: torch.nn.Module, window: torch.Tensor, mirror: tuple[int, ...]) -> torch.Tensor:
    sets = [flip for number in range(len(mirror) + 1) for flip in itertools.combinations([axis + 2 for axis in mirror], number)]
    return sum(network(window.flip(flip)).flip(flip) for flip in sets) / len(sets)
