"""``run.json``: what was done, with what, and how long it took; enough to repeat the run, and nothing that names the patient."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from ..attribution.method import Method
from ..inference.compute import Compute
from ..io.grid import Grid
from ..models.labels import Label
from ..models.model import Model
from ..system.names import clean_name
from ..version import __version__
from .partition import Partition
from .privacy import without_names

_PACKAGES = ("torch", "monai", "numpy", "SimpleITK", "nibabel")


class RunRecord:
    """Gathers the facts of a run while it goes on. Neither places on this machine nor what the user called things there go in.

    Args:
        model: the loaded model.
        ct_name: name of the CT file; not written when the user gave another patient id.
        ct_checksum: sha256 of the CT.
        began: time of ``time.monotonic()`` at the start of the run.
        patient_id: id in the results in place of the CT's name.
        parameters: settings of the run beside those of the method.

    Attributes:
        patient: id in the results.
        parameters: all that were set.
        private: names that the notices must not tell, with the words in their place.
        explained, absent: labels with a map, and labels asked for that the segmentation lacks.
        extra_rois: names of the further regions.
        global_mask: what :func:`~Agg2ExpLib.roi_importance.global_mask.mask_record` tells, where a global mask was made.
        batch: windows per pass at the end of the run.
        explained_windows, passes: windows that an explained label meets, and passes through the network that one copy of the image
            took in them (forward and backward); what a run's speed is reckoned from.
        left_out: for each label how many windows that it meets were left out, and the share of its weight in them; empty where
            every window was passed.
        window_memory: what a window was foretold to need, and what was done to need less, where that is known.
        passes_done: all passes together, where labels took different numbers of samples.
        samples, errors: with a tolerance, what each label took and the largest error of its shares, in percentage points.
    """

    def __init__(
        self,
        model: Model,
        ct_name: str,
        ct_checksum: str,
        began: float,
        patient_id: str | None,
        parameters: Mapping[str, Any],
    ):
        self.patient = patient_id or clean_name(ct_name)
        self.parameters: dict[str, Any] = dict(parameters)
        self._model = model
        self._ct = {"name": None if patient_id is not None else ct_name, "sha256": ct_checksum}
        self.private: Mapping[str, str] = {ct_name: "the CT"} if patient_id is not None and ct_name.casefold() != "ct" else {}
        self._began = self._stage_began = began
        self._seconds: dict[str, float] = {}
        self._method: Method | None = None
        self._drawn = False
        self._classes: list[dict[str, Any]] | None = None
        self._partition: Partition | None = None
        self.explained: tuple[str, ...] = ()
        self.absent: tuple[str, ...] = ()
        self.extra_rois: tuple[str, ...] = ()
        self.global_mask: dict[str, Any] | None = None
        self.batch: int | None = None
        self.explained_windows, self.passes = 0, 0
        self.left_out: Mapping[str, tuple[int, float]] = {}
        self.window_memory: Mapping[str, Any] | None = None
        self.passes_done: int | None = None
        self.samples: dict[str, int] = {}
        self.errors: dict[str, float] = {}

    def ask(self, method: Method, drawn: bool) -> None:
        """Note that something is explained, by which method, and whether over a drawn mask."""
        self._method, self._drawn = method, drawn

    def classify(self, classes: list[dict[str, Any]], partition: Partition) -> None:
        """Note what a classifier says, and whose regions its matrix has."""
        self._classes, self._partition = classes, partition

    def finish_stage(self, name: str) -> None:
        """Note the seconds since the last stage ended."""
        now = time.monotonic()
        self._seconds[name] = self._seconds.get(name, 0.0) + round(now - self._stage_began, 3)
        self._stage_began = now

    def content(
        self, compute: Compute, grid: Grid, labels: Sequence[Label], voxels: np.ndarray, notices: list[str]
    ) -> dict[str, Any]:
        """What ``run.json`` holds, once everything is done; ``voxels`` counts those of every label."""
        model, card = self._model, self._model.card
        millilitres = float(np.prod(grid.spacing)) / 1000
        content: dict[str, Any] = {
            "agg2exp": __version__,
            "task": "segment" if self._method is None else "explain",
            "patient": self.patient,
            "ct": self._ct,
            "weights": {"name": model.name, "sha256": model.sha256, "architecture": model.architecture, **model.variant.to_json()},
            "model_grid": {
                "shape": list(grid.shape),
                "spacing_mm": [round(size, 6) for size in grid.spacing],
                "preprocessing": card.preprocessing.to_json(),
                "roi_size": list(card.roi_size),
            },
            "labels": [
                {
                    "name": label.name,
                    "index": label.index,
                    "color": list(label.color),
                    "group": label.group,
                    "volume_ml": round(int(voxels[label.index]) * millilitres, 3),
                }
                for label in labels
            ],
        }
        if self._classes is not None:
            content["classes"] = self._classes
        if self._partition is not None and self._partition.source is not None:
            content["segmenter"] = {"name": self._partition.source, "sha256": self._partition.sha256}
        if self._method is not None:
            content |= {
                "explained": list(self.explained),
                "absent": list(self.absent),
                "extra_rois": list(self.extra_rois),
                "target_mask": self._drawn,
                "windows": {"explained": self.explained_windows, "passes": self.passes},
            }
        if self.samples:
            content["samples"] = self.samples
            content["largest_error"] = {name: round(error, 4) for name, error in self.errors.items() if np.isfinite(error)}
        if self.passes_done is not None:
            content["windows"]["done"] = self.passes_done
        if self.window_memory is not None:
            content["window_memory"] = dict(self.window_memory)
        if self.left_out:
            content["left_out"] = {
                name: {"windows": count, "weight": round(share, 6)}
                for name, (count, share) in self.left_out.items()
                if name in self.explained
            }
        if self.global_mask is not None:
            content["global_mask"] = self.global_mask
        method = {"method": self._method.name, **self._method.record()} if self._method is not None else {}
        return content | {
            "parameters": {**self.parameters, **method},
            "device": compute.device_name,
            "precision": compute.precision,
            "window_batch": self.batch,
            "seconds": {**self._seconds, "total": round(time.monotonic() - self._began, 3)},
            "peak_memory_bytes": _peak_memory(compute),
            "notices": [without_names(notice, self.private) for notice in notices],
            "versions": versions(),
        }


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that numbers depend on, and the operating system."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": platform.system(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _peak_memory(compute: Compute) -> dict[str, int]:
    import psutil

    memory = psutil.Process().memory_info()
    if sys.platform == "win32":
        peak = int(memory.peak_wset)
    else:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = used if sys.platform == "darwin" else used * 1024
    found = {"process": peak}
    if compute.device.type == "cuda":
        import torch

        found["gpu"] = torch.cuda.max_memory_allocated(compute.device)
    return found
