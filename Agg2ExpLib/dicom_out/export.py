"""A result as DICOM files in a folder: what is written, in which order, and what must hold before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..io.source_files import guarded, require_existing
from ..io.volume import Volume
from ..models.labels import Label, select_labels, title_of
from ..monitor import Monitor, Stage
from ..runs.explanation import Explanation
from ..runs.new_results import check_apart
from ..runs.results import extra_roi_path
from ..system.files import new_folder, write_json
from ..system.memory import require_memory
from ..system.names import safe_file_name
from ..version import __version__
from .header import Header
from .planes import AUTO, MODEL, PLANES, SOURCE, Planes
from .same_series import check_same_series
from .source import read_source

if TYPE_CHECKING:
    from pydicom import Dataset

RECORD = "dicom.json"
# Numbers of the new series: above those that scanners give.
SEGMENTATION_SERIES, REGION_SERIES, MAP_SERIES, REPORT_SERIES = 9001, 9101, 9301, 9901
# Bytes a voxel at work: the frames, and their copies in the object and on the way to the file.
_WORKING_BYTES = 16


@dataclass(frozen=True)
class Settings:
    """What is exported and how.

    Attributes:
        labels: of which maps are written; none for all that are explained.
        maps: whether maps are written at all.
        planes: ``source`` (the CT's slices), ``model`` (the model grid), or ``auto``: the slices unless they are tilted.
        report: PDF to include; None for the one that ``agg2exp report`` makes.
        with_identity: whether the objects name the patient and the study's dates as the source does.
        pseudonym: name and id of the patient where they do not.

    Raises:
        InputError: a wrong value, or a pseudonym beside the identity.
    """

    labels: tuple[str, ...] = ()
    maps: bool = True
    planes: str = AUTO
    report: Path | None = None
    with_identity: bool = False
    pseudonym: str = ""

    def __post_init__(self) -> None:
        if self.planes not in PLANES:
            raise InputError(f"Unknown ⟨planes⟩ '{self.planes}': use {', '.join(PLANES)}.")
        if self.with_identity and self.pseudonym:
            raise InputError("With ⟨with_identity⟩ the source's name and id are taken: leave out ⟨patient_id⟩.")
        if any(part in self.pseudonym for part in "\\^=\n\r") or len(self.pseudonym) > 64:
            raise InputError("The ⟨patient_id⟩ for DICOM must have at most 64 characters and none of \\ ^ =: choose another.")


def export(
    found: Explanation,
    answers: Path | None,
    source: Path,
    output: Path,
    settings: Settings,
    overwrite: bool,
    monitor: Monitor,
) -> Path:
    """Write a result as DICOM.

    Args:
        found: the result.
        answers: folder with its answered what-if questions, if any, for the report.
        source: folder with the DICOM series that was explained.
        output: folder to write; it appears when it is whole.
        settings: what and how.
        overwrite: whether an earlier export may be replaced.
        monitor: is told progress and notices.

    Returns:
        The folder.

    Raises:
        InputError: highdicom is missing, another series, nothing to write, or a file that cannot be read or written.
        Cancelled: the monitor asked to stop.
    """
    require_highdicom()
    check_apart(source, output)
    chosen = select_labels(settings.labels, found.explainable) if settings.labels else found.explainable
    if without := [label.name for label in chosen if settings.labels and label.name not in found.maps]:
        raise InputError(f"This result has no map of '{without[0]}': it explains {', '.join(found.maps) or 'nothing'}.")
    pdf = _report(settings.report) if settings.report is not None else None
    stage = Stage(monitor, "DICOM", 0.0, 1.0)
    stage.update(0.0, "source series")
    series = read_source(source, settings.with_identity)
    for note in series.series.notes:
        monitor.notice(note)
    check_same_series(found, series)
    planes = Planes.choose(settings.planes, series, found.grid, monitor.notice)
    voxels = int(np.prod(planes.grid.shape))
    require_memory(voxels * _WORKING_BYTES, f"Writing {planes.grid.shape[2]} DICOM frames")
    header = Header(series, found.run, settings.with_identity, settings.pseudonym)
    maps = tuple(label for label in chosen if label.name in found.maps) if settings.maps else ()
    if pdf is not None and not settings.with_identity:
        monitor.notice("The report goes in as it is: check that its pages do not name the patient.")
    work = _Export(found, answers, header, planes, maps, pdf)
    written: list[dict[str, str]] = []
    with new_folder(output, overwrite, monitor.check) as folder, warnings.catch_warnings():
        # Values that old exports put into headers, which are passed on as they are.
        warnings.simplefilter("ignore")
        for name, kind, data in work.objects():
            stage.update(len(written) / work.count, name)
            _save(data, folder / f"{name}.dcm")
            written.append({"file": f"{name}.dcm", "kind": kind})
            monitor.check()
        write_json(
            folder / RECORD,
            {
                "agg2exp": __version__,
                "planes": SOURCE if planes.on_source else MODEL,
                "with_identity": settings.with_identity,
                "files": written,
            },
        )
    return output


@dataclass(frozen=True, eq=False)
class _Export:
    """The objects of one export, made one at a time."""

    found: Explanation
    answers: Path | None
    header: Header
    planes: Planes
    maps: tuple[Label, ...]
    pdf: bytes | None

    @property
    def count(self) -> int:
        """How many objects there are at most."""
        return 2 + len(self._regions()) + len(self.maps)

    def objects(self) -> Iterator[tuple[str, str, Dataset]]:
        """Name of the file, kind and object."""
        from .encapsulated_pdf import encapsulated_pdf
        from .parametric_map import parametric_map
        from .report import made_report
        from .segmentation import label_segmentation, region_segmentation

        found, header, planes = self.found, self.header, self.planes
        if len(found.labels) > 1:  # a classifier may have been explained without any drawn regions
            drawn = self._volume(found.segmentation)
            yield "segmentation", "SEG", label_segmentation(header, planes, found.labels, drawn, SEGMENTATION_SERIES)
        for number, (name, mask) in enumerate(self._regions().items()):
            region = region_segmentation(header, planes, name, title_of(name), self._volume(mask), REGION_SERIES + number)
            if region is not None:
                # The name that the results folder gives it: no two regions share it.
                yield f"region_{extra_roi_path(Path(), name).name.removesuffix('.nii.gz')}", "SEG", region
        for number, label in enumerate(self.maps):
            attribution = self._volume(np.asarray(found.maps[label.name], dtype=np.float32))
            data = parametric_map(header, planes, label, attribution, MAP_SERIES + number)
            yield f"map_{safe_file_name(label.name)}", "PM", data
        pdf = self.pdf if self.pdf is not None else made_report(found, self.answers, header)
        if pdf is not None:
            names_patient = self.pdf is not None or header.with_identity
            yield "report", "PDF", encapsulated_pdf(header, pdf, names_patient, REPORT_SERIES)

    def _regions(self) -> dict[str, np.ndarray]:
        found = dict(self.found.extra_rois)
        for name in ("target_mask", "global_mask"):
            if (mask := getattr(self.found, name)) is not None:
                found.setdefault(name, mask)
        return found

    def _volume(self, array: np.ndarray) -> Volume:
        return Volume(array, self.found.grid.affine)


def require_highdicom() -> None:
    """Refuse where highdicom is not installed.

    Raises:
        InputError: it is missing.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise InputError("Writing DICOM needs highdicom: install it with pip install 'agg2exp[dicom]'.") from None


def _report(path: Path) -> bytes:
    require_existing(path)
    content = guarded(path, path.read_bytes)
    if not content.startswith(b"%PDF-"):
        raise InputError(f"{path.name} is no PDF: give a report in PDF with ⟨report⟩.")
    return content


def _save(data: Dataset, path: Path) -> None:
    data.save_as(path, enforce_file_format=True)
