"""``write_dicom``: a result as DICOM objects beside the series that was explained."""

from __future__ import annotations

from pathlib import Path

from ..dicom_out.export import Settings, export
from ..interventions.outcome import FOLDER
from ..monitor import Monitor
from .log_monitor import LogMonitor
from .result import Result


def write_dicom(
    result: Result | str | Path,
    source: str | Path,
    output: str | Path,
    *,
    labels: tuple[str, ...] | list[str] | str = (),
    maps: bool = True,
    planes: str = "auto",
    report: str | Path | None = None,
    with_identity: bool = False,
    patient_id: str = "",
    overwrite: bool = False,
    monitor: Monitor | None = None,
) -> Path:
    """Write a result as DICOM: Segmentation, Parametric Maps and Encapsulated PDF, which refer to the CT's series.

    Args:
        result: an explanation or segmentation, or its folder.
        source: folder with the DICOM series that was explained; another series is refused.
        output: folder to write; it appears when it is whole.
        labels: of which maps are written; by default of all that are explained.
        maps: whether maps are written at all.
        planes: ``source``: frames on the CT's own slices, which viewers overlay; ``model``: planes of the model grid, with the
            values as they were computed; ``auto``: the slices, or the model grid where these are tilted.
        report: PDF to include; by default that of ``agg2exp report``.
        with_identity: take patient and study as in the source; else they stand empty and no date is told.
        patient_id: stands as the patient's name and id in place of the identity.
        overwrite: whether an earlier export may be replaced.
        monitor: is told progress and notices.

    Returns:
        The folder with ``segmentation.dcm``, ``map_LABEL.dcm``, ``region_NAME.dcm``, ``report.dcm`` and a record.

    Raises:
        InputError: highdicom is missing, the series is another or no DICOM, or a setting is wrong.

    Examples:
        >>> result = agg2exp.explain("series", "swin_unetr.pt", labels=["heart"], samples=2)
        >>> folder = agg2exp.write_dicom(result, "series", "dicom")
        >>> sorted(file.name for file in folder.glob("*.dcm"))
        >>> again = agg2exp.write_dicom(result, "series", "dicom", maps=False, patient_id="case 7", overwrite=True)
    """
    found = result if isinstance(result, Result) else Result.open(result)
    names = (labels,) if isinstance(labels, str) else tuple(labels)
    settings = Settings(names, maps, planes, Path(report) if report is not None else None, with_identity, patient_id)
    answers = Path(result) / FOLDER if isinstance(result, str | Path) else None
    return export(found, answers, Path(source), Path(output), settings, overwrite, monitor or LogMonitor())
