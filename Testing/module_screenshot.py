"""Writes docs/slicer_panel.png: the module's panel, and the views with the graph beside the slices, without a screen.

Usage::

    QT_QPA_PLATFORM=offscreen python Testing/module_screenshot.py [--result FOLDER] [--output PNG]

Without ``--result`` the demo model explains the demo CT first (some minutes on a processor). ``--sections`` names what is unfolded,
``--beside`` what lies in the fourth view.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]
WIDTH, SIZE, BAR = 420, 440, 22  # of the panel, of a slice view, and of the bar above it, in pixels
LABELS = ["heart", "aorta", "trachea"]
CAPTION = "Rendered offscreen from the module's own panel and MRML slice views, without a running Slicer. {what}"


def main() -> int:
    """Compose the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=Path, help="results folder to show")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "slicer_panel.png")
    parser.add_argument("--label", default=LABELS[0])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--caption", default="Synthetic CT (no patient), demo model.")
    parser.add_argument("--sections", default="input,labels,explain,display", help="of the panel, unfolded")
    parser.add_argument("--beside", choices=("graph", "matrix"), default="graph")
    parser.add_argument("--counterfactual", type=Path, help="folder of a counterfactual to show in place of a result")
    parser.add_argument("--weights", help="model that is chosen in the panel")
    args = parser.parse_args()
    import slicer_standin

    app = slicer_standin.install()
    app.app.testing = True
    try:
        app.load_module(ROOT / "Agg2ExpModule" / "Agg2ExpModule.py")
        frame = app.show_panel("Agg2ExpModule", WIDTH, 2 * (SIZE + BAR) + 8)
        with tempfile.TemporaryDirectory() as folder:
            explained(app, frame.self(), args, Path(folder))
            picture(app, frame, args)
    finally:
        slicer_standin.uninstall()
    print(args.output)
    return 0


def explained(app: Any, widget: Any, args: argparse.Namespace, folder: Path) -> None:
    """Bring results into the panel, as a user would."""
    state, ui = widget.state, widget.ui
    if args.weights:
        state.parameters.weights = args.weights
    if args.counterfactual:
        answered(app, widget, args.counterfactual)
        return
    if args.result:
        widget.exporting.load(args.result)
    else:
        ui.demoCaseButton.click()
        ui.demoModelButton.click()
        state.parameters.resultsFolder = str(folder)
        state.parameters.samples = args.samples
        state.parameters.checkedLabels = LABELS
        ui.applyButton.click()
    app.wait(lambda: not widget.controller.busy, 3600)
    if widget.controller.failed or state.record is None:
        raise SystemExit(widget.controller.message)
    state.parameters.mapLabel = args.label
    state.parameters.checkedLabels = list(state.record.overlays)
    ui.jumpButton.click()
    widget.slices.next()


def answered(app: Any, widget: Any, folder: Path) -> None:
    """The CT of a counterfactual with its slider at one end."""
    import slicer

    from Agg2ExpLib.counterfactuals.read import read_counterfactual
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.views.mrml import add_ct

    found = read_counterfactual(folder)
    add_ct(slicer.mrmlScene, Volume(found.hu, found.grid.affine, found.patient), found.patient)
    app.wait(lambda: widget.state.ct is not None, 10)
    widget.state.parameters.counterTarget = found.target
    widget.countering.load(folder)
    app.wait(lambda: not widget.controller.busy, 600)


def picture(app: Any, frame: Any, args: argparse.Namespace) -> None:
    """The main window's panel and views, and a line below that says where they come from."""
    import qt
    import slicer

    widget, window, manager = frame.self(), slicer.util.mainWindow(), slicer.app.layoutManager()
    for name in ("input", "labels", "explain", "display", "slices", "importance", "compare", "whatIf", "counter", "export"):
        getattr(widget.ui, f"{name}Section").collapsed = name not in args.sections.split(",")
    if not args.counterfactual:
        widget.state.parameters.besideWhat, widget.state.parameters.beside = args.beside, True
    window.resize(WIDTH + 2 * SIZE + 20, 2 * (SIZE + BAR) + 60)
    manager.viewport().setFixedSize(2 * SIZE + 8, 2 * (SIZE + BAR) + 8)
    app.wait(lambda: False, 0.3)  # until everything has its size
    manager.drawsSlices = True
    panel, views = window._panel.grab(), manager.viewport().grab()
    manager.drawsSlices = False
    below = qt.QImage(panel.width() + 8 + views.width(), views.height() + 26, qt.QImage.Format_RGB32)
    below.fill(qt.QColor(255, 255, 255))
    painter = qt.QPainter(below)
    painter.drawPixmap(0, 0, panel)
    painter.drawPixmap(panel.width() + 8, 0, views)
    painter.setPen(qt.QColor(90, 96, 104))
    painter.drawText(8, views.height() + 18, CAPTION.format(what=args.caption))
    painter.end()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if not below.save(str(args.output)):
        raise SystemExit(f"{args.output} could not be written")


if __name__ == "__main__":
    raise SystemExit(main())
