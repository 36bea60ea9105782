"""Figures of matrix and graph: what is written on them, colours, formats, no text on text."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.graph import importance_graph
from Agg2ExpLib.views.plots import graph_figure, matrix_figure, save_graph_plot, save_matrix_plot
from support.paper_matrix import NAMES, make_matrix

POSITIONS = {name: (float(index * 37 % 160), float(index * 61 % 240)) for index, name in enumerate(NAMES)}


def texts_of(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_both_figures_in_each_format_and_the_same_every_time(tmp_path, suffix):
    matrix = make_matrix(extra=("lesion",))
    graph = importance_graph(matrix, PAPER_LABELS)
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for name in ("one", "two"):
        save_matrix_plot(matrix, PAPER_LABELS, tmp_path / f"matrix_{name}{suffix}", title="patient <7>")
        save_graph_plot(graph, tmp_path / f"graph_{name}{suffix}", POSITIONS, title="patient <7>")
    for kind in ("matrix", "graph"):
        content = (tmp_path / f"{kind}_one{suffix}").read_bytes()
        assert content.startswith(starts[suffix])
        assert content == (tmp_path / f"{kind}_two{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4, "no temporary file is left"


def test_svg_holds_names_and_numbers_as_text(tmp_path):
    matrix = make_matrix(extra=("lesion",))
    save_matrix_plot(matrix, PAPER_LABELS, tmp_path / "matrix.svg", title="patient 7")
    text = (tmp_path / "matrix.svg").read_text(encoding="utf-8")
    for label in PAPER_LABELS:
        assert text.count(f">{label.title}<") == 2, "once as a row, once as a column"
    assert text.count(">Lesion<") == 1
    assert "patient 7" in text
    heart, aorta = NAMES.index("heart"), NAMES.index("aorta")
    assert f">{100 * matrix.mass[heart, 0]:.1f}<" in text
    save_graph_plot(importance_graph(matrix, PAPER_LABELS), tmp_path / "graph.svg", POSITIONS)
    text = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert ">Aorta<" in text
    assert ">pathologies<" in text
    context = 100 * matrix.mass[aorta, aorta]
    assert f">{context:.1f} %<" in text or f">{context:.0f} %<" in text


def test_background_stands_apart_and_does_not_swamp_the_colours():
    matrix = make_matrix(extra=("lesion",))
    figure = matrix_figure(matrix, PAPER_LABELS)
    labels, extra, background = [axes for axes in figure.axes if axes.images and len(axes.get_xticks()) in (16, 1)][:3]
    assert [text.get_text() for text in background.get_xticklabels()] == ["Background"]
    assert [text.get_text() for text in extra.get_xticklabels()] == ["Lesion"]
    assert labels.get_position().x1 < extra.get_position().x0 < extra.get_position().x1 < background.get_position().x0
    inner = 100 * np.delete(matrix.mass, 0, axis=1)
    assert labels.images[0].norm.vmax == pytest.approx(inner.max())
    np.testing.assert_allclose(labels.images[0].get_array()[-1], 100 * matrix.mass[0, 1:17], err_msg="the background's row is last")
    np.testing.assert_allclose(background.images[0].get_array()[:-1, 0], 100 * matrix.mass[1:, 0])


def test_errors_undefined_values_and_empty_regions():
    matrix = make_matrix()
    assert not any("±" in text for text in texts_of(matrix_figure(matrix, PAPER_LABELS)))
    assert sum("±0.10" in text for text in texts_of(matrix_figure(matrix, PAPER_LABELS, errors=True))) == 17 * 17
    matrix.mass[3, 4] = np.nan
    matrix.roi_voxels[7] = 0
    assert texts_of(matrix_figure(matrix, PAPER_LABELS)).count("–") == 1 + 17


@pytest.mark.parametrize("variant", ["absolute", "positive", "negative", "mean", "enrichment"])
def test_every_variant_is_drawn_and_said(variant):
    matrix = make_matrix()
    words = " ".join(texts_of(matrix_figure(matrix, PAPER_LABELS, variant)))
    assert {"positive": "supporting", "negative": "opposing", "mean": "per voxel", "enrichment": "chance"}.get(
        variant, "share"
    ) in words
    assert texts_of(graph_figure(importance_graph(matrix, PAPER_LABELS, variant), POSITIONS))


@pytest.mark.parametrize("layout", ["anatomical", "circular"])
def test_texts_of_the_graph_do_not_cover_each_other(layout):
    graph = importance_graph(make_matrix(2), PAPER_LABELS)
    figure = graph_figure(graph, POSITIONS, layout)
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    titles = {label.title for label in PAPER_LABELS}
    assert sum(re.sub(r"\n", " ", text) in titles for text in boxes) == 16
    shown = [(text, box) for text, box in boxes.items() if text]
    for (first, one), (second, two) in itertools.combinations(shown, 2):
        across = min(one.x1, two.x1) - max(one.x0, two.x0)
        along = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert min(across, along) < 4, f"{first!r} covers {second!r}"


def test_edges_are_as_wide_as_their_weight():
    graph = importance_graph(make_matrix(3), PAPER_LABELS)
    from matplotlib.patches import FancyArrowPatch

    arrows = [patch for patch in graph_figure(graph, POSITIONS).axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == graph.number_of_edges() == 48
    weights = sorted(data["weight"] for *_, data in graph.edges(data=True))
    np.testing.assert_allclose(np.corrcoef(sorted(arrow.get_linewidth() for arrow in arrows), weights)[0, 1], 1.0, atol=1e-9)


def test_small_and_empty_matrices():
    from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix

    regions = Regions(np.zeros((3, 3, 3), np.uint8), NAMES)
    sums = {"heart": regions.sums(np.ones((3, 3, 3), np.float32))}
    one = importance_matrix(regions, sums)
    assert "Heart" in [text.get_text() for axes in matrix_figure(one, PAPER_LABELS).axes for text in axes.get_yticklabels()]
    graph = importance_graph(one, PAPER_LABELS)
    assert set(graph) == {"heart"}
    assert graph_figure(graph, {"heart": (0.0, 0.0)}).axes
    none = importance_matrix(regions, {})
    assert "No label was explained." in texts_of(matrix_figure(none, PAPER_LABELS))
    assert graph_figure(importance_graph(none, PAPER_LABELS)).axes


def test_unknown_suffix_and_no_permission(tmp_path):
    matrix = make_matrix()
    with pytest.raises(InputError, match=r"\.png, \.svg or \.pdf"):
        save_matrix_plot(matrix, PAPER_LABELS, tmp_path / "matrix.docx")
    with pytest.raises(InputError, match="Cannot write"):
        save_matrix_plot(matrix, PAPER_LABELS, tmp_path / "missing" / "matrix.png")
