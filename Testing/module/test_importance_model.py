"""The panel's model of the importance: what the graph and the matrix are told, in the library's own numbers."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from Agg2ExpLib.models.labels import GROUP_COLORS, PAPER_LABELS
from Agg2ExpLib.roi_importance.graph import importance_graph
from support.panel_case import NAMES, PLACES, make_matrix, make_model
from support.paths import ROOT

SPACE = "\N{NO-BREAK SPACE}"
pytestmark = pytest.mark.usefixtures("panelInPath")


@pytest.mark.parametrize("variant", ["absolute", "positive", "negative"])
@pytest.mark.parametrize("top", [1, 3, None])
def test_edges_are_those_of_the_librarys_graph(variant, top):
    matrix = make_matrix(1)
    data = make_model(matrix).graph(variant, "mass", top)
    wanted = importance_graph(matrix, PAPER_LABELS, variant, top)
    assert {(edge.source, edge.target): edge.weight for edge in data.edges} == {
        (source, target): weight for source, target, weight in wanted.edges(data="weight")
    }
    assert [node.name for node in data.nodes] == list(wanted)
    strongest = max(edge.weight for edge in data.edges)
    assert all(edge.relative == edge.weight / strongest for edge in data.edges)
    for node in data.nodes:
        assert node.share == wanted.nodes[node.name]["context"]
        assert (node.explained, node.extra) == (node.name != "lesion", node.name == "lesion")


def test_an_arrow_says_how_much_the_label_leans_on_the_region():
    matrix = make_matrix()
    row, column = matrix.rows.index("aorta"), NAMES.index("trachea")
    matrix.mass[row, column], matrix.positive_mass[row, column], matrix.negative_mass[row, column] = 0.123, 0.1, 0.023
    matrix.enrichment[row, column] = 1.84
    edge = next(edge for edge in make_model(matrix).graph().edges if edge.target == "aorta" and edge.source == "trachea")
    assert (edge.text, edge.error) == (f"12{SPACE}%", 0.0012)
    lines = edge.tip.split("\n")
    assert lines[0] == f"Trachea → Aorta: 12{SPACE}% ± 0.12{SPACE}%"
    assert lines[1] == "Share of the label's attribution that lies in the region."
    assert lines[2] == f"Supporting 10{SPACE}%, opposing 2.3{SPACE}%; 1.8× of what its volume alone would get."


@pytest.mark.parametrize("variant", ["absolute", "positive", "negative"])
def test_mean_and_enrichment_of_a_sign(variant):
    matrix = make_matrix(2)
    part = {"absolute": matrix.mass, "positive": matrix.positive_mass, "negative": matrix.negative_mass}[variant]
    per_voxel = part / matrix.roi_voxels
    model = make_model(matrix)
    np.testing.assert_allclose(model.values(variant, "mean"), per_voxel / per_voxel.max(axis=1, keepdims=True))
    volume = matrix.roi_voxels / matrix.roi_voxels[: len(NAMES)].sum()
    np.testing.assert_allclose(model.values(variant, "enrichment"), matrix.variant(variant) / volume)
    edge = model.graph(variant, "enrichment", 1).edges[0]
    assert edge.text.endswith("×")
    assert edge.error is None
    assert all(node.share is None for node in model.graph(variant, "enrichment").nodes)


def test_unknown_variants_and_measures_are_refused():
    for variant, measure in (("loud", "mass"), ("absolute", "median"), ("mean", "mass")):
        with pytest.raises(ValueError, match="no measure"):
            make_model().values(variant, measure)


def test_minimum_and_background():
    model = make_model()
    data = model.graph(topK=None, minimum=0.03)
    assert all(edge.weight > 0.03 for edge in data.edges)
    assert all(edge.weight <= 0.03 or edge in data.edges for edge in model.graph(topK=None).edges if edge.relative < 1)
    assert not any("background" in (edge.source, edge.target) for edge in data.edges)
    with_background = model.graph(background=True)
    assert all(edge.source == "background" for edge in with_background.edges if edge.rank == 1)
    assert ("Background", GROUP_COLORS["background"]) in with_background.legend
    assert model.graph(minimum=0.99).edges == ()
    assert model.graph(minimum=0.99).strongestText == ""


def test_places_keep_the_bodys_proportions_and_sides():
    nodes = {node.name: node for node in make_model().graph().nodes}
    right, left = nodes["lung_upper_lobe_right"].position, nodes["lung_upper_lobe_left"].position
    assert right[0] < 0.5 < left[0], "the patient's right is at the left of the picture"
    assert nodes["thyroid_gland"].position[1] > nodes["heart"].position[1]
    places = np.array([node.position for node in nodes.values()])
    wanted = np.array([PLACES[name] for name in nodes], dtype=float)
    assert places.min() >= 0
    assert places.max() <= 1
    scale = np.ptp(places, axis=0) / np.ptp(wanted, axis=0)
    assert scale[0] == pytest.approx(scale[1])


def test_without_places_the_layout_is_a_circle():
    model = make_model(places={})
    assert model.graph().layout == "circle"
    assert make_model().graph().layout == "anatomical"
    data = make_model().graph(layout="circle")
    assert data.layout == "circle"
    radii = [math.dist(node.position, (0.5, 0.5)) for node in data.nodes]
    np.testing.assert_allclose(radii, 0.5)


def test_legend_names_the_systems_that_occur():
    assert [title for title, _color in make_model().graph().legend] == [
        "Cardiovascular",
        "Muscles",
        "Bones",
        "Other organs",
        "Pathologies",
    ]
    node = next(node for node in make_model().graph().nodes if node.name == "lung_upper_lobe_left")
    assert (node.title, node.shortTitle) == ("Lung upper lobe left", "Lung upper lobe L")


def test_matrix_has_extra_regions_and_the_background_last():
    data = make_model().matrixData()
    assert [column.name for column in data.columns] == [*NAMES[1:], "lesion", "background"]
    assert [column.name for column in make_model().matrixData(background=False).columns] == [*NAMES[1:], "lesion"]
    inner = [cell.strength for row in data.cells for cell in row[:-1]]
    assert max(inner) == 1.0, "the background does not set the scale"
    for row, header in zip(data.cells, data.rows, strict=True):
        assert [column.name for column, cell in zip(data.columns, row, strict=True) if cell.own] == [header.name]


def test_cells_without_a_value():
    matrix = make_matrix()
    matrix.roi_voxels[NAMES.index("sternum")] = 0
    matrix.mean[:, NAMES.index("sternum")] = np.nan
    data = make_model(matrix).matrixData("absolute", "mean")
    column = [header.name for header in data.columns].index("sternum")
    assert {row[column].text for row in data.cells} == {"–"}
    assert {row[column].strength for row in data.cells} == {None}
    assert "no voxel" in data.cells[0][column].tip


def test_a_model_without_any_explained_label():
    model = make_model(make_matrix(rows=()))
    assert model.graph().edges == ()
    assert model.matrixData().rows == ()
    assert all(not node.explained for node in model.graph().nodes)
    assert "Not explained" in model.graph().nodes[0].tip


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (0.123, "mass", "12 %"),
        (0.0995, "mass", "10 %"),
        (0.0994, "mass", "9.9 %"),
        (0.0004, "mass", "<0.1 %"),
        (0.0, "mass", "0 %"),
        (1.0, "mean", "100 %"),
        (math.nan, "mass", "–"),
        (1.84, "enrichment", "1.8×"),
        (33.5, "enrichment", "34×"),
        (0.01, "enrichment", "<0.1×"),
    ],
)
def test_texts_of_values(value, measure, text):
    from Agg2ExpModuleLib.panel.ImportanceModel import cellText, valueText

    assert valueText(value, measure).replace(SPACE, " ") == text
    assert re.fullmatch(r"[\d.]+|–", cellText(value, measure))


def test_node_tip_names_what_it_leans_on():
    matrix = make_matrix()
    row = matrix.rows.index("heart")
    matrix.mass[row, 1:] = 0.001
    matrix.mass[row, NAMES.index("sternum")] = 0.31
    tip = next(node.tip for node in make_model(matrix).graph().nodes if node.name == "heart")
    assert tip.startswith("Heart (cardiovascular)")
    assert f"Leans most on Sternum 31{SPACE}%" in tip


def test_the_model_needs_no_qt_and_no_installed_package():
    """Importing it loads nothing that a plain Slicer lacks, and no Qt."""
    import subprocess
    import sys

    code = (
        "import sys, types; s = types.ModuleType('slicer'); i = types.ModuleType('slicer.i18n'); i.tr = str;"
        "sys.modules['slicer'] = s; sys.modules['slicer.i18n'] = i;"
        "sys.path[:0] = ['Agg2ExpModule', 'Testing', '.'];"
        "from support import panel_case; m = panel_case.make_model(); m.graph(); m.matrixData();"
        "print([n for n in ('qt', 'PySide6', 'torch', 'networkx', 'nibabel', 'matplotlib') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert run.stdout.strip() == "[]", run.stderr
