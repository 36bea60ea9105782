"""How long a run will take and how much memory it needs, told before it starts; needs neither torch nor the CT's voxels.

The time comes from an earlier run on the same device with the same model: nothing else says how fast a machine is. The explanation
of one copy of the CT costs one forward pass for each window that a label meets and one backward pass for each label in it, both
taken as equally long (measured: within 10 % for 1 to 17 labels). Methods that work in other ways are not foretold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..attribution.method import Method, summing_bytes
from ..attribution.smoothgrad import FIRST_SAMPLES
from ..attribution.spec import MethodSpec
from ..errors import InputError
from ..inference.sliding_window import OVERLAP
from ..inference.window_memory import LIBRARIES_BYTES
from ..models.model_card import CLASSIFICATION, WHOLE, ModelCard
from ..roi_importance.groups import MOST_GROUPS

# Activations of a forward and backward pass in float32, per voxel of a window and feature of the first layer (Swin UNETR).
_BYTES_PER_FEATURE = 350.0
_USUAL_FEATURES = 48
# Activations of a chunk of slices: measured for a ResNet-18, 1724 bytes a pixel.
_CLASSIFIER_BYTES = 1724.0 * 2**19
_FORWARD_SHARE = 0.5  # of these, what a forward pass alone holds
# Until an explanation was measured: a pass in it against one in the segmentation, and the share of windows that a label meets.
_PASS_RATIO, _USUAL_MET = 1.2, 0.6
_START_S = 5.0  # until the libraries are loaded; not part of a run's own clock


@dataclass(frozen=True)
class Speed:
    """What one finished run tells about the next ones; every value can be stored as JSON.

    Attributes:
        device: name of the device it ran on.
        roi_size: window in voxels.
        channels: outputs of the network.
        segment_s: seconds per window of the segmentation.
        pass_s: seconds per pass, forward or backward, of a window in the explanation; None before one was measured.
        met: share of the windows that a label meets, on average.
        fixed_s: seconds for reading and writing.
        fixed_bytes: peak memory of an explanation without the volumes; None before one was measured.
        need: samples × error² (percentage points) that labels took on average, from which follow the samples that another tolerance
            takes; None before a run with one was measured.
    """

    device: str
    roi_size: Sequence[int]
    channels: int
    segment_s: float
    pass_s: float | None
    met: float
    fixed_s: float
    fixed_bytes: float | None
    need: float | None = None

    def fits(self, card: ModelCard, device: str) -> bool:
        """Whether it was measured with a model like this on a device of this kind (``auto``: on any)."""
        same = tuple(self.roi_size) == card.roi_size and self.channels == len(card.labels)
        return same and (device == "auto" or _kind(self.device) == device.partition(":")[0])


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        seconds: None where no fitting run was measured.
        memory_bytes: peak, of the GPU where one computes, else of the process.
        windows: of the scan.
        measured: whether the memory comes from a measured run; else it is a rough guess.
    """

    seconds: float | None
    memory_bytes: float
    windows: int
    measured: bool


def is_reckoned(method: Method) -> bool:
    """Whether the time of a method can be told: where its cost is a number of copies of the CT that the network sees."""
    return method.cost() is not None


def count_windows(shape: Sequence[int], roi_size: Sequence[int], overlap: float) -> int:
    """Number of windows that ``WindowPlan`` makes of a volume."""
    count = 1
    for voxels, size in zip(shape, roi_size, strict=True):
        step = max(int(size * (1 - overlap)), 1)
        count *= 1 + math.ceil(max(voxels - size, 0) / step)
    return count


def estimate_run(
    shape: Sequence[int],
    card: ModelCard,
    labels: int,
    method: Method | None,
    overlap: float | None = None,
    device: str = "cpu",
    speed: Speed | None = None,
    segmentations: int = 1,
    window_bytes: float | None = None,
) -> Estimate:
    """What a run will take.

    Args:
        shape: of the CT on the model grid, in voxels.
        card: of the model.
        labels: how many are explained; 0 to segment only.
        method: how; with None or a method that is not reckoned with, the time is not told and the memory is that of one copy.
        overlap: of the windows; None for what the model was made for.
        device: as in the job (``auto``, ``cpu``, ``cuda:0``, ``mps``).
        speed: of an earlier run; one that does not fit is left out.
        window_bytes: what one window of the network was found to need, see ``inference/window_memory.py``.
        segmentations: how often the CT is segmented: 3 times with a global mask, which is tested.
    """
    overlap = next(value for value in (overlap, card.overlap, OVERLAP) if value is not None)
    roi_size = card.roi_size if card.roi_size != WHOLE else shape
    windows = count_windows(shape, roi_size, overlap)
    if speed is not None and not speed.fits(card, device):
        speed = None
    on_gpu = _kind(speed.device) != "cpu" if speed is not None else device.partition(":")[0] in ("cuda", "mps")
    measured = speed.fixed_bytes if speed is not None else None
    fixed = measured if measured is not None else _guess_fixed_bytes(card, on_gpu)
    if window_bytes is not None:
        fixed = window_bytes + (0.0 if on_gpu else LIBRARIES_BYTES)
    elif not labels:
        libraries = 0.0 if on_gpu else min(LIBRARIES_BYTES, fixed)
        fixed = libraries + _FORWARD_SHARE * (fixed - libraries)
    memory = fixed if on_gpu else fixed + _volume_bytes(shape, roi_size, len(card.labels), labels, method)
    seconds = None
    if speed is not None and (not labels or (method is not None and is_reckoned(method))):
        seconds = _START_S + speed.fixed_s + segmentations * windows * speed.segment_s
        if labels and method is not None and (copies := _copies(method, speed)) is not None:
            pass_s = speed.pass_s if speed.pass_s is not None else _PASS_RATIO * speed.segment_s
            seconds += copies * pass_s * windows * (1 - (1 - speed.met) ** labels + labels * speed.met)
    return Estimate(seconds, memory, windows, bool(labels) and measured is not None)


def _copies(method: Method, speed: Speed) -> float | None:
    """Copies of the CT that a method takes; with a tolerance as many as earlier runs make one expect."""
    if method.wanted_error is None or speed.need is None:
        return method.cost()
    return min(max(speed.need / method.wanted_error**2, FIRST_SAMPLES), float(method.samples))


def speed_from_run(run: Mapping[str, Any], before: Speed | None = None) -> Speed | None:
    """What a finished run tells.

    Args:
        run: content of its ``run.json``.
        before: known so far; a run that only segments does not make us forget how long explanations take.

    Returns:
        None where the file lacks what is needed, as in other versions, and for methods that are not reckoned with.
    """
    try:
        return _speed_from_run(run, before)
    except (InputError, KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


def _speed_from_run(run: Mapping[str, Any], before: Speed | None) -> Speed:
    grid, parameters, seconds = run["model_grid"], run["parameters"], run["seconds"]
    shape, roi_size = tuple(map(int, grid["shape"])), tuple(map(int, grid["roi_size"]))
    device, channels = str(run["device"]), len(run["labels"])
    windows = count_windows(shape, roi_size, float(parameters["overlap"]))
    segment_s = float(seconds["segment"]) / windows
    explained = 0
    method: Method | None = None
    pass_s: float | None = None
    fixed: float | None = None
    met = _USUAL_MET
    if run.get("classes"):
        raise ValueError("a classifier's time is not foretold")
    if run["task"] == "explain":
        explained = len(run["explained"]) or 1
        method = MethodSpec.picked(parameters["method"], parameters).make()
        copies = method.cost()
        if copies is None:
            raise ValueError(f"{method.name} passes the windows in ways of its own")
        visited, passes = int(run["windows"]["explained"]), int(run["windows"]["passes"])
        pass_s = float(seconds["explain"]) / float(run["windows"].get("done") or copies * passes)
        met = min((passes - visited) / (windows * explained), 1.0)
    elif before is not None and (before.device, tuple(before.roi_size), before.channels) == (device, roi_size, channels):
        pass_s, met, fixed = before.pass_s, before.met, before.fixed_bytes
    fixed_s = float(seconds["total"]) - sum(float(seconds.get(stage, 0.0)) for stage in ("segment", "explain", "mask"))
    peak = run["peak_memory_bytes"]
    # A segmentation keeps no activations for a backward pass, so it does not tell what an explanation needs.
    if explained and _kind(device) == "cpu":
        fixed = max(peak["process"] - _volume_bytes(shape, roi_size, channels, explained, method), 0.0)
    elif explained and "gpu" in peak:
        # A GPU is filled with as many windows as fit; a run needs no more than one.
        fixed = peak["gpu"] / max(int(run["window_batch"] or 1), 1)
    taken, errors = run.get("samples") or {}, run.get("largest_error") or {}
    needs = [float(taken[name]) * float(error) ** 2 for name, error in errors.items() if name in taken]
    same = before is not None and (before.device, tuple(before.roi_size), before.channels) == (device, roi_size, channels)
    need = sum(needs) / len(needs) if needs else before.need if same and before is not None else None
    return Speed(device, list(roi_size), channels, segment_s, pass_s, met, max(fixed_s, 0.0), fixed, need)


def _volume_bytes(shape: Sequence[int], roi_size: Sequence[int], channels: int, labels: int, method: Method | None) -> float:
    """The volumes that a run holds on the CPU in float32."""
    padded = [max(voxels, size) for voxels, size in zip(shape, roi_size, strict=True)]
    voxels = math.prod(padded)
    slab = voxels / max(padded) * roi_size[padded.index(max(padded))]
    if not labels:
        # HU, image, padded image, segmentation; the logits of a slab and the part of it that moves on.
        return voxels * (2 + 4 + 4 + 1) + slab * channels * 4 * 2
    # Besides HU, image and segmentation: weights, mask and map of every label, and what the method holds.
    own = method.memory(labels) if method is not None else summing_bytes(1, 1, labels)
    if method is not None and method.spread_is_error:
        own += 2 * min(method.samples, MOST_GROUPS) * labels  # maps of groups of samples, in half precision
    return voxels * (2 + 4 + 1 + 4 + labels * (1 + 4) + own)


def _guess_fixed_bytes(card: ModelCard, on_gpu: bool) -> float:
    network = card.network or {}
    if card.task == CLASSIFICATION:
        return (0 if on_gpu else LIBRARIES_BYTES) + _CLASSIFIER_BYTES
    channels = network.get("channels") or network.get("features_per_stage")
    features = network.get("feature_size") or network.get("init_filters") or (channels[0] if isinstance(channels, list) else None)
    if not isinstance(features, int):
        features = _USUAL_FEATURES
    return (0 if on_gpu else LIBRARIES_BYTES) + math.prod(card.roi_size) * features * _BYTES_PER_FEATURE


def _kind(device_name: str) -> str:
    """``cpu``, ``mps`` or ``cuda`` of a device's name in run.json."""
    return "cpu" if device_name.startswith("CPU") else "mps" if device_name.startswith("Apple") else "cuda"
