"""``agg2exp dicom``: a result as DICOM objects beside the series that was explained, for PACS and DICOM viewers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import split

if TYPE_CHECKING:
    from ..monitor import Monitor

_EXAMPLES = """examples:
  agg2exp dicom result --source chest_series --output dicom
  agg2exp dicom result --source chest_series --output dicom --labels heart --report report.pdf
  agg2exp dicom result --source chest_series --output dicom --with-identity
Writes segmentation.dcm (DICOM Segmentation), map_LABEL.dcm (Parametric Map, float32), region_NAME.dcm for further regions and
report.dcm (Encapsulated PDF). All refer to the series and its study; nothing else in them tells who the patient is, unless
--with-identity is given. For research only.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("dicom", help="write a result as DICOM", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT", help="results folder")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder with the DICOM series that was explained")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    what = parser.add_argument_group("what")
    what.add_argument("--labels", type=split, default=(), metavar="A,B", help="maps of these labels (default: all explained ones)")
    what.add_argument("--no-maps", dest="maps", action="store_false", help="write no maps")
    what.add_argument("--report", type=Path, metavar="FILE", help="PDF to include (default: that of agg2exp report)")
    what.add_argument(
        "--planes",
        choices=("auto", "source", "model"),
        default="auto",
        help="frames on the CT's own slices, or planes of the model grid with the values as computed (default auto: the slices, "
        "unless they are tilted)",
    )
    who = parser.add_argument_group("patient").add_mutually_exclusive_group()
    who.add_argument("--with-identity", action="store_true", help="take patient, study and dates as in the source")
    who.add_argument("--patient-id", default="", metavar="ID", help="name and id in place of the patient's (default: empty)")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Write and list what was written."""
    from .terminal import work_in_terminal

    folder = work_in_terminal(lambda monitor: _write(args, monitor), "Cancelled: nothing was written.")
    for path in sorted(folder.glob("*.dcm")):
        print(path)
    return 0


def _write(args: argparse.Namespace, monitor: Monitor) -> Path:
    from ..api.dicom import write_dicom

    return write_dicom(
        args.result,
        args.source,
        args.output,
        labels=args.labels,
        maps=args.maps,
        planes=args.planes,
        report=args.report,
        with_identity=args.with_identity,
        patient_id=args.patient_id,
        overwrite=args.overwrite,
        monitor=monitor,
    )
