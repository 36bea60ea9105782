"""The noisy passes of one window that ``convergence.py`` needs, kept on disk so that a run that was stopped goes on.

Two sets with noise of their own, so that what is tested is not in what it is tested against:

- the reference: antithetic pairs, of which only the mean map of every ``CHUNK`` is kept;
- the tested pairs, each of which is kept as float16: its mean and half its difference (from which its first pass follows).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from Agg2ExpLib.attribution.smoothgrad import SmoothGrad

SIGMA = 0.1
CHUNK = 8  # pairs of the reference in a file: what a run that is stopped loses at most
TESTED_SEED, REFERENCE_SEED = 0, 1


class Passes:
    """What the cache holds; maps are ``[labels, x, y, z]`` in units of each label's spread.

    Args:
        folder: of the cache.

    Attributes:
        image, segmentation: of the window, ``[x, y, z]``.
        labels: channels that were explained.
        names: of all channels.
        place: of the window, in words.
        facts: seconds of a pair and the machine.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        scene = np.load(folder / "scene.npz")
        self.image, self.segmentation = scene["image"], scene["seg"].astype(np.int64)
        self.labels = [int(label) for label in scene["labels"]]
        self.names, self.place = [str(name) for name in scene["names"]], str(scene["place"])
        self.tested = sorted(folder.glob("tested_*.npy"))
        self.chunks = sorted(folder.glob("reference_*.npy"))
        facts = folder / "facts.json"
        self.facts = json.loads(facts.read_text()) if facts.exists() else {}

    @property
    def reference_pairs(self) -> int:
        """How many pairs the reference has."""
        return CHUNK * len(self.chunks)

    def reference(self, number: int, groups: int) -> list[np.ndarray]:
        """Means of so many equal groups of the reference's pairs, float64 ``[x, y, z]``, for the label of this number."""
        maps = [np.load(file, mmap_mode="r")[number].astype(np.float64) for file in self.chunks]
        return [np.mean(maps[group::groups], axis=0) for group in range(min(groups, len(maps)))]

    def of_label(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean of each tested pair, and each pair's first pass alone, float32 ``[pairs, x, y, z]``."""
        parts = [np.load(file, mmap_mode="r")[:, number].astype(np.float32) for file in self.tested]
        means = np.stack([part[0] for part in parts])
        return means, means + np.stack([part[1] for part in parts])


def make_scene(args: argparse.Namespace, folder: Path, model: object, device: torch.device) -> None:
    """Cut the window out of the scan and draw it, once."""
    import torch

    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.synthetic.phantom import make_phantom

    card, network = model.card, model.network  # type: ignore[attr-defined]
    if args.ct:
        ct = read_ct(Path(args.ct))
    else:
        phantom = make_phantom(0, tuple(card.spacing))
        ct = Volume(phantom.ct, phantom.affine, "phantom")
    whole = card.preprocessing.prepare(ct).image
    size = [int(n) for n in args.size.split(",")] if args.size else list(card.roi_size)
    most = [max(n - s, 0) for n, s in zip(whole.shape, size, strict=True)]
    start = [int(n) for n in args.window.split(",")] if args.window else [n // 2 for n in most]
    window = whole[tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))]
    with torch.no_grad():
        seg = network(torch.from_numpy(window.copy())[None, None].to(device))[0].argmax(0).cpu().numpy()
    labels = np.flatnonzero(np.bincount(seg.ravel(), minlength=len(card.labels)))
    if args.labels:
        labels = np.intersect1d(labels, [int(label) for label in args.labels.split(",")])
    scan = Path(args.ct).name.partition(".")[0] if args.ct else "a phantom"
    place = f"{' × '.join(map(str, size))} voxels of {'×'.join(f'{s:g}' for s in card.spacing)} mm, from voxel {start}, of {scan}"
    np.savez(
        folder / "scene.npz",
        image=window,
        seg=seg.astype(np.uint8),
        labels=labels,
        names=[str(label.name) for label in card.labels],
        place=place,
    )


def collect(args: argparse.Namespace, folder: Path) -> None:
    """Compute the passes that the cache lacks, reference and tested pairs in turn."""
    import torch

    from Agg2ExpLib.attribution.smoothgrad import SmoothGrad
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.models.model import demo_weights, load_model

    compute = choose_compute(args.device, "float32")
    model = load_model(Path(args.weights) if args.weights else demo_weights())
    network = model.network.to(compute.device)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "scene.npz").exists():
        make_scene(args, folder, model, compute.device)
    scene = Passes(folder)
    image = torch.from_numpy(scene.image).to(compute.device)
    masks = [torch.from_numpy(scene.segmentation == label).to(compute.device).float() for label in scene.labels]
    methods = {seed: SmoothGrad(samples=2, sigma=SIGMA, seed=seed) for seed in (TESTED_SEED, REFERENCE_SEED)}
    norm: np.ndarray | None = np.load(folder / "norm.npy") if (folder / "norm.npy").exists() else None
    now = clock_of(compute.device)
    seconds: list[float] = []

    def pair(seed: int, number: int) -> np.ndarray:
        nonlocal norm
        began = now()
        found = pair_of_passes(network, image, masks, scene.labels, methods[seed], number)
        if norm is None:
            norm = found[0].reshape(len(scene.labels), -1).std(axis=1)
            norm[norm == 0] = 1
            np.save(folder / "norm.npy", norm)
        seconds.append(now() - began)
        return found / norm[None, :, None, None, None]

    chunks = -(-args.pairs // CHUNK)
    for chunk in range(chunks):
        file = folder / f"reference_{chunk:04d}.npy"
        if not file.exists():
            total = sum(pair(REFERENCE_SEED, chunk * CHUNK + number)[0] for number in range(CHUNK))
            keep(file, np.asarray(total / CHUNK, np.float32))
        for number in range(chunk * args.tested // chunks, (chunk + 1) * args.tested // chunks):
            file = folder / f"tested_{number:04d}.npy"
            if not file.exists():
                keep(file, pair(TESTED_SEED, number).astype(np.float16))
        if seconds:
            facts = {"pair_s": float(np.median(seconds)), "device": compute.device_name, "torch": torch.__version__}
            facts |= {"threads": torch.get_num_threads()}
            (folder / "facts.json").write_text(json.dumps(facts))
            print(f"{chunk + 1} of {chunks} parts, {sum(seconds):.0f} s", file=sys.stderr, flush=True)


def clock_of(device: torch.device) -> Callable[[], float]:
    """On the CPU the time that all threads have computed, so that other work on the machine counts less; else the time of day."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def pair_of_passes(
    network: torch.nn.Module,
    image: torch.Tensor,
    masks: list[torch.Tensor],
    labels: list[int],
    method: SmoothGrad,
    number: int,
) -> np.ndarray:
    """Mean and half difference of the gradients at ``x ± ε`` of every label, float32 ``[2, labels, x, y, z]``."""
    import torch

    copies = torch.stack([method.copy(image, 2 * number), method.copy(image, 2 * number + 1)])[:, None]
    copies = copies.contiguous(memory_format=torch.channels_last_3d).requires_grad_(True)
    outputs = network(copies).unbind(1)
    found = np.empty((2, len(labels), *image.shape), np.float32)
    for row, (label, mask) in enumerate(zip(labels, masks, strict=True)):
        cotangent = mask.expand(2, *image.shape)
        (gradient,) = torch.autograd.grad(outputs[label], copies, cotangent, retain_graph=row < len(labels) - 1)
        plus, minus = gradient[:, 0].cpu().numpy()
        found[0, row], found[1, row] = (plus + minus) / 2, (plus - minus) / 2
    return found


def keep(file: Path, values: np.ndarray) -> None:
    """Write beside, then rename: a file that is there is whole."""
    beside = file.with_name("unfinished.npy")
    np.save(beside, values)
    beside.rename(file)
