"""``segment`` and ``explain``: one CT and one model, in memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.keep import KEEP, check_keep
from ..attribution.method import Method
from ..attribution.methods import DEFAULT_METHOD, make_method
from ..attribution.spec import MethodSpec
from ..errors import InputError
from ..inference.compute import choose_compute
from ..inference.network import at_work
from ..io.source_files import sha256_of
from ..io.volume import Volume
from ..models.model import Model, load_model
from ..monitor import Monitor, Stage
from ..runs.case import make_case
from ..runs.explanation import READ_END, Explanation, Question, explain_case
from ..runs.job import TARGETS
from ..runs.mask_settings import MaskSettings
from ..runs.new_results import volumes_must_fit
from ..runs.partition import check_segmenter, draw_partition
from ..runs.record import RunRecord
from ..runs.suits import check_suits
from ..runs.targets import requested_labels
from .log_monitor import LogMonitor
from .result import Result
from .sources import mask_on_grid, read_ct, regions_on_grid


def segment(
    ct: Any,
    model: Model | str | Path,
    *,
    overlap: float | None = None,
    blend: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    window_batch: int | str = "auto",
    patient_id: str | None = None,
    monitor: Monitor | None = None,
) -> Result:
    """Segment a CT.

    Args:
        ct: see :func:`~Agg2ExpLib.api.sources.read_ct`.
        model: a model, or the file of its weights.
        overlap, blend: of the sliding windows; by default those the model was made for, else 0.25 and ``constant``.
        device: ``auto``, ``cpu``, ``cuda:0``, ``mps``.
        precision: ``auto``, ``float64``, ``float32``, ``bfloat16``, ``float16``.
        window_batch: windows per pass, or ``auto``.
        patient_id: id in the result; by default the CT's name.
        monitor: is told progress and notices; by default notices go to the logger ``agg2exp``.

    Returns:
        A result whose ``segmentation`` is the label of every voxel of the model grid, uint8 ``[x, y, z]``.

    Raises:
        InputError: CT, model or a setting cannot be used.
        OutOfMemoryError: one window does not fit into the device's memory.

    Examples:
        >>> model = agg2exp.Model.load("swin_unetr.pt")
        >>> result = agg2exp.segment("chest.nii.gz", model)
        >>> result.segmentation.shape, result.affine
        >>> heart = result.segmentation == model.labels.index("heart")
        >>> print(result)  # the volume of every label
    """
    windows = {"overlap": overlap, "blend": blend, "device": device, "precision": precision}
    return _run(ct, model, None, windows, window_batch, patient_id, monitor)


def explain(
    ct: Any,
    model: Model | str | Path,
    labels: Sequence[str] | str = (),
    method: str | Method = DEFAULT_METHOD,
    *,
    regions: Mapping[str, Any] | Sequence[str] | None = None,
    target: str = "sum",
    target_mask: Any = None,
    mask: MaskSettings | None = None,
    segmenter: Model | str | Path | None = None,
    overlap: float | None = None,
    blend: str | None = None,
    keep: float = KEEP,
    device: str = "auto",
    precision: str = "auto",
    window_batch: int | str = "auto",
    patient_id: str | None = None,
    monitor: Monitor | None = None,
    **parameters: Any,
) -> Result:
    """Explain what a model draws on a CT: signed maps of each label, and how much each region matters for it.

    Args:
        ct: see :func:`~Agg2ExpLib.api.sources.read_ct`.
        model: a model, or the file of its weights.
        labels: names to explain; by default all that the model finds. Of a classifier the classes, by default all.
        method: name of an attribution method, see :func:`Agg2ExpLib.methods`, or one with its parameters.
        regions: further regions of interest: masks by name (arrays on the CT's grid, images, files), or files as on the command
            line, such as ``"lesions.nrrd:tumour,node"``.
        target: ``sum`` or ``mean`` of the label's logits over its voxels.
        target_mask: explained in place of the labels' own voxels: an array on the CT's grid, an image or a file.
        mask: which global mask to make, if any.
        segmenter: for a classifier, the model that draws the regions of the matrix, or the file of its weights.
        keep: share of each label's weight whose windows are passed: with 0.99 those windows are left out that hold the last
            hundredth of it together; 1 is exact.
        overlap, blend, device, precision, window_batch, patient_id, monitor: see :func:`segment`.
        parameters: of the method, such as ``samples=20`` of SmoothGrad.

    Returns:
        The result; the same numbers as the command line gives.

    Raises:
        InputError: CT, model, a region, the method or a setting cannot be used, or there is nothing to explain.
        OutOfMemoryError: one window does not fit into the device's memory.

    Examples:
        >>> model = agg2exp.Model.load("swin_unetr.pt")
        >>> result = agg2exp.explain("chest.nii.gz", model, labels=["heart"], samples=8, antithetic=True)
        >>> result.matrix.to_frame().loc["heart"].nlargest(5)
        >>> lesion = agg2exp.explain("chest.nii.gz", model, labels=["lung"], method="gradient", regions={"lesion": "lesion.nrrd"})
        >>> shap = agg2exp.methods()["kernel_shap"](supervoxels="cubes", regions=6, coalitions=40)
        >>> values = agg2exp.explain("chest.nii.gz", model, labels=["heart"], method=shap)
        >>> lesion.matrix.to_frame("enrichment").loc["lung", "lesion"]  # 1 is chance
        >>> sorted_in = agg2exp.explain("chest.nii.gz", "classifier.safetensors", method="gradient", segmenter=model)
        >>> sorted_in.run["classes"][0]["probability"], sorted_in.slices.strongest("opacity", "axial")[:3]
    """
    names = (labels,) if isinstance(labels, str) else tuple(labels)
    if target not in TARGETS:
        raise InputError(f"Unknown ⟨target⟩ '{target}': use sum or mean.")
    check_keep(keep)
    if isinstance(method, Method) and parameters:
        raise InputError(f"The method {method.name} was given with its parameters: set '{next(iter(parameters))}' there.")
    spec = MethodSpec.of(method) if isinstance(method, Method) else MethodSpec(method, parameters)
    asked = _Asked(names, spec, regions, target, target_mask, mask, keep, segmenter)
    windows = {"overlap": overlap, "blend": blend, "device": device, "precision": precision}
    return _run(ct, model, asked, windows, window_batch, patient_id, monitor)


class _Asked:
    """What :func:`explain` was given to explain."""

    def __init__(
        self,
        labels: tuple[str, ...],
        method: MethodSpec,
        regions: Mapping[str, Any] | Sequence[str] | None,
        target: str,
        target_mask: Any,
        mask: MaskSettings | None,
        keep: float,
        segmenter: Model | str | Path | None,
    ):
        self.labels, self.method, self.regions = labels, method, regions
        self.target, self.target_mask, self.mask, self.keep = target, target_mask, mask, keep
        self.segmenter = segmenter if segmenter is None or isinstance(segmenter, Model) else load_model(segmenter)


def _run(
    ct: Any,
    model: Model | str | Path,
    asked: _Asked | None,
    settings: dict[str, Any],
    window_batch: int | str,
    patient_id: str | None,
    monitor: Monitor | None,
) -> Result:
    began = time.monotonic()
    monitor = monitor or LogMonitor()
    if not isinstance(model, Model):
        model = load_model(model)
    compute = choose_compute(settings["device"], settings["precision"])
    method = make_method(asked.method.name, **asked.method.values) if asked is not None else None
    segmenter = asked.segmenter if asked is not None else None
    given = asked is not None and asked.target_mask is not None
    check_suits(model, method, given, asked is not None and asked.mask is not None, segmenter is not None)
    if segmenter is not None:
        check_segmenter(segmenter, model.labels)
    if asked is not None:
        requested_labels(asked.labels, model.card)
    volume = read_ct(ct)
    checksum = sha256_of(ct) if isinstance(ct, str | Path) else sha256_of_array(volume)
    parameters = {"target": asked.target, **settings} if asked else dict(settings)
    record = RunRecord(model, volume.name, checksum, began, patient_id, parameters)
    for warning in (*model.warnings, *volume.warnings):
        monitor.notice(warning)
    with volumes_must_fit(compute):
        case = make_case(volume, model, compute, monitor, settings["overlap"], settings["blend"], window_batch)
        record.parameters |= case.windows
        question = None
        if asked is not None and method is not None:
            partition = None
            if segmenter is not None:
                drawing = Stage(monitor, "segment", 0.0, READ_END)
                partition = draw_partition(volume, segmenter, case.grid, compute, monitor, drawing)
            own = tuple(label.name for label in partition.labels) if partition is not None else ()
            extra, told = regions_on_grid(asked.regions, volume, case.grid, (*model.labels, *own))
            drawn: np.ndarray | None = None
            if asked.target_mask is not None:
                drawn, more = mask_on_grid(asked.target_mask, volume, case.grid, "target mask")
                told = [*told, *more]
            for warning in told:
                monitor.notice(warning)
            method.prepare(model, case.grid, monitor)
            question = Question(method, asked.labels, asked.target, drawn, tuple(extra), asked.mask, asked.keep, partition)
            record.ask(method, drawn is not None)
            record.parameters |= {**(asked.mask.to_json() if asked.mask else {}), "keep": asked.keep}
        with at_work(model.network, compute):
            record.finish_stage("read")
            found: Explanation = explain_case(case, question, record)
    return Result.of(found)


def sha256_of_array(volume: Volume) -> str:
    """Of values and affine; an image in memory has no file."""
    digest = hashlib.sha256(volume.affine.tobytes())
    digest.update(f"{volume.array.dtype} {volume.array.shape}".encode())
    digest.update(np.ascontiguousarray(volume.array).tobytes())
    return digest.hexdigest()
