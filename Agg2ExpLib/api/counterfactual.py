"""``counterfactual``: what a CT would have to look like for a model to answer otherwise."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..counterfactuals.answer import Models, Placed, Setting, answer
from ..counterfactuals.choices import DIRECTIONS, FRAMES, OBJECTIVES, SMOOTH_MM
from ..counterfactuals.outcome import Counterfactual
from ..counterfactuals.question import Question
from ..inference.compute import choose_compute
from ..io.grid import Grid
from ..io.source_files import sha256_of
from ..models.model import Model, demo_autoencoder, load_model
from ..monitor import Monitor
from ..runs.job import check_patient_id
from .explain import sha256_of_array
from .log_monitor import LogMonitor
from .sources import mask_on_grid, read_ct, regions_on_grid


def counterfactual(
    ct: Any,
    model: Model | str | Path,
    target: str,
    *,
    direction: str = DIRECTIONS[0],
    objective: str = OBJECTIVES[0],
    frames: int = FRAMES,
    end: float | None = None,
    slices: tuple[int, int] | None = None,
    smooth: float = SMOOTH_MM,
    target_mask: Any = None,
    regions: Mapping[str, Any] | Sequence[str] | None = None,
    segmenter: Model | str | Path | None = None,
    autoencoder: Model | str | Path | None = None,
    overlap: float | None = None,
    blend: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    window_batch: int | str = "auto",
    patient_id: str | None = None,
    monitor: Monitor | None = None,
) -> Counterfactual:
    """Move a CT along the gradient of a model's output in an autoencoder's latents until the model answers otherwise.

    Args:
        ct: see :func:`~Agg2ExpLib.api.sources.read_ct`.
        model: a segmentation network or a classifier, or the file of its weights.
        target: the label or class that is to become less or more.
        direction: ``less``, ``more`` or ``both``.
        objective: of a label: ``volume``, its mean probability within 20 mm of what is drawn now (or over the target mask), or
            ``logit``, its mean logit over its own voxels; ``auto``: ``volume``. Of a class always its logit.
        frames: CTs in each direction.
        end: λ of the last CT; by default it is searched for.
        slices: first and last slice that may change, counted from 0 on the model's grid; by default all.
        smooth: mm, standard deviation of a Gaussian across the slices, without which there are stripes; 0 as in the papers.
        target_mask: where a label is to shrink or appear: an array on the CT's grid, an image or a file.
        regions: further regions, as for :func:`~Agg2ExpLib.api.explain.explain`.
        segmenter: for a classifier, the model that draws regions and volumes.
        autoencoder: of slices, or the file of its weights; by default the one that comes with Agg2Exp.
        overlap, blend, device, precision, window_batch, patient_id, monitor: see :func:`~Agg2ExpLib.api.explain.segment`.

    Returns:
        CTs along λ with what the model says and draws on each, where they differ, and how far the autoencoder is from the CT.

    Raises:
        InputError: CT, model, autoencoder or a setting cannot be used, or nothing would change; one sentence says why.
        OutOfMemoryError: one window does not fit into the device's memory.

    Examples:
        >>> own = {"autoencoder": "slices.safetensors", "frames": 3}
        >>> answer = agg2exp.counterfactual("chest.nii.gz", "swin_unetr.pt", "heart", direction="less", **own)
        >>> print(answer)
        >>> answer.differences["less"].min()  # HU
    """
    began = time.monotonic()
    monitor = monitor or LogMonitor()
    question = Question(target, direction, objective, frames, end, slices, smooth)
    check_patient_id(patient_id)
    compute = choose_compute(device, precision)
    models = Models(
        _model(model),
        _model(autoencoder if autoencoder is not None else demo_autoencoder()),
        _model(segmenter) if segmenter is not None else None,
    )
    models.check(target)
    volume = read_ct(ct)
    checksum = sha256_of(ct) if isinstance(ct, str | Path) else sha256_of_array(volume)
    parameters = {"device": device, "precision": precision}
    setting = Setting(volume, checksum, compute, began, overlap, blend, window_batch, patient_id, parameters)

    def place(grid: Grid, taken: Sequence[str]) -> Placed:
        extra, told = regions_on_grid(regions, volume, grid, taken)
        if target_mask is None:
            return Placed(extra, None, told)
        mask, more = mask_on_grid(target_mask, volume, grid, "target mask")
        return Placed(extra, mask, [*told, *more])

    return answer(question, models, setting, place, monitor)


def _model(model: Model | str | Path) -> Model:
    return model if isinstance(model, Model) else load_model(model)
