"""A report on one patient as one self-contained HTML page."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from ..models.labels import BACKGROUND, group_color, title_of
from ..roi_importance.graph import importance_graph
from ..roi_importance.hot_spots import HotSpot
from ..views.html_page import Action, Cell, Name, Page, fixed, percent, plain
from ..views.plots import graph_figure, matrix_figure, save_figure
from ..views.slice_figure import slice_figure
from .contents import Contents
from .facts import RESEARCH_ONLY, facts
from .viewer import viewer


def write_html(path: Path, contents: Contents) -> None:
    """Write the page.

    Args:
        path: of the page.
        contents: see :func:`~.contents.gather`.

    Raises:
        OSError: it cannot be written.
    """
    found, matrix = contents.found, contents.matrix
    page = Page(f"{contents.title} {found.patient}", "Agg2Exp report on one patient")
    page.warning("Research only", [RESEARCH_ONLY])
    if found.run.get("notices"):
        page.warning("What the run had to say", [str(text) for text in found.run["notices"]])

    _classes(page, contents)
    page.section("In words", "Shares are of the absolute attribution; ± is the standard error of the sampling.")
    for row in matrix.rows:
        page.findings([" ".join(contents.sentences[row])])
    page.section("Slices", f"The strongest voxels of a map over the CT: red supports {contents.supported}, blue opposes it.")
    page.part(*viewer(found))
    page.section(
        "Hot spots", "The strongest connected spots of each map, by their share of its attribution. Click one to go there."
    )
    header = ["", "map of", "lies in", "share of attribution", "volume, ml", "net", "R–L, P–A, I–S mm"]
    page.table(
        header, [_spot(row, number, spot) for row in matrix.rows for number, spot in enumerate(contents.spots[row], start=1)]
    )

    with tempfile.TemporaryDirectory() as folder:
        _slices(page, contents, Path(folder))
        page.section("Importance graph", "An arrow b → a says how much of what the model leaned on for a lies in b.")
        graph = Path(folder) / "graph.svg"
        save_figure(graph_figure(importance_graph(matrix, found.labels)), graph)
        page.figure(graph, f"Importance graph: the three strongest arrows into each {contents.kind}", narrow=True)
        page.section("Importance matrix")
        heat = Path(folder) / "matrix.svg"
        save_figure(matrix_figure(matrix, found.labels), heat)
        page.figure(heat, "Rows: what was explained. Columns: the regions that the attribution falls into.")
        _matrix_table(page, contents)
        _questions(page, contents)
        _comparison(page, contents)
        page.section("Model and settings")
        page.table(["", ""], [[name, value] for name, value in facts(found)])
        page.write(path)


def _classes(page: Page, contents: Contents) -> None:
    """What a classifier says."""
    if not (classes := contents.found.run.get("classes")):
        return
    page.section("What the classifier says", "Each class with its probability as the model gives it; not a diagnosis.")
    ordered = sorted(classes, key=lambda entry: -float(entry["probability"]))
    rows: list[list[Cell]] = [
        [title_of(entry["name"]), percent(float(entry["probability"]), 1.0), fixed(float(entry["logit"]), 2)] for entry in ordered
    ]
    page.table(["class", "probability", "logit"], rows)


def _slices(page: Page, contents: Contents, folder: Path) -> None:
    """How much each slice matters for each class."""
    slices = contents.found.slices
    if slices is None:
        return
    page.section(
        "Which slices",
        "Contributions are signed, and with a constant they sum to the logit; attention only says where the network looked. The "
        "attribution in a slice is the sum over its voxels.",
    )
    for name in slices.classes:
        picture = folder / f"slices_{slices.classes.index(name)}.svg"
        save_figure(slice_figure(slices, name), picture)
        page.figure(picture, f"Slices for {title_of(name)}")


def _spot(row: str, number: int, spot: HotSpot) -> list[Cell]:
    voxel = ",".join(map(str, spot.voxel))
    place = " ".join(f"{value:.0f}" for value in spot.place)
    cells: list[Cell] = [Action(f"spot {number}", "jump", (("map", row), ("voxel", voxel)))]
    cells += [title_of(row), _place_of(spot), percent(spot.share), fixed(spot.volume_ml, 1)]
    return [*cells, percent(spot.net), place]


def _place_of(spot: HotSpot) -> str:
    return "No labelled region" if spot.region == BACKGROUND else title_of(spot.region)


def _matrix_table(page: Page, contents: Contents) -> None:
    matrix, groups = contents.matrix, {label.name: label.group for label in contents.found.labels}
    shares, errors, enrichment = matrix.best(), matrix.best("standard_error"), matrix.best("enrichment")
    rows: list[list[Cell]] = []
    for i, row in enumerate(matrix.rows):
        for j, column in enumerate(matrix.columns):
            if matrix.roi_voxels[j] == 0:
                continue
            red, green, blue = group_color(groups.get(column, "pathologies"))
            name = Name(title_of(column), f"rgb({red},{green},{blue})")
            error = percent(float(errors[i, j])) if math.isfinite(errors[i, j]) else percent(math.nan)
            rows.append([title_of(row), name, percent(float(shares[i, j]), 0.5), error, plain(float(enrichment[i, j]))])
    page.table([contents.kind, "region", "share", "standard error", "times its volume share"], rows, filtered=True)


def _questions(page: Page, contents: Contents) -> None:
    if not contents.questions and not contents.agreement:
        return
    page.section("What if", "The model asked about changed CTs: what it drew then.")
    if contents.agreement:
        told = [f"{title_of(name)} {value:+.2f}" for name, value in contents.agreement.items()]
        text = (
            "Every region was removed in turn. Rank correlation of the importance of regions and the size of their effect on the "
            f"label: {', '.join(told)} (1: the same order; near 0: do not lean on the map)."
        )
        page.findings([text])
    for question in contents.questions:
        page.part(f"<h3>{_escaped(question.title[:1].upper() + question.title[1:])}</h3>")
        rows: list[list[Cell]] = [
            [title_of(label), fixed(before, 1), fixed(after, 1), fixed(change, 1), fixed(dice)]
            for label, before, after, change, dice in question.rows
        ]
        page.table(["label", "before, ml", "after, ml", "change, %", "Dice"], rows)
        if question.picture is not None:
            page.figure(question.picture, question.title)


def _comparison(page: Page, contents: Contents) -> None:
    comparison = contents.comparison
    if comparison is None:
        return
    page.section("Compared with a cohort", f"{comparison.patients} patients; between low and high lie 95 % of them.")
    page.warning("About the comparison", comparison.notices)
    rows: list[list[Cell]] = []
    for one in comparison.labels:
        for j, column in enumerate(comparison.columns):
            if not one.outside[j]:
                continue
            side = "more than usual" if one.outside[j] > 0 else "less than usual"
            numbers = [percent(float(value)) for value in (one.values[j], one.low[j], one.high[j])]
            rows.append([title_of(one.label), one.verdict, title_of(column), side, *numbers])
    if rows:
        page.table(["label", "row is", "region", "", "patient", "low", "high"], rows)
    else:
        page.findings(["No region lies beyond the range of the others."])


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
