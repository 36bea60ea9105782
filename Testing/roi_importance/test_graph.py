"""The importance graph: which edges it has, and where its nodes are placed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from Agg2ExpLib.models.labels import BACKGROUND, GROUP_COLORS, PAPER_LABELS, PATHOLOGY_GROUP
from Agg2ExpLib.roi_importance.graph import anatomical_layout, circular_layout, importance_graph, region_positions
from support.geometry import make_grid
from support.paper_matrix import NAMES, make_matrix


def test_three_strongest_edges_run_from_region_to_explained_label():
    matrix = make_matrix()
    graph = importance_graph(matrix, PAPER_LABELS)
    assert BACKGROUND not in graph
    for row, name in enumerate(NAMES[1:], start=1):
        others = [(-matrix.mass[row, column], source) for column, source in enumerate(NAMES) if source not in (name, BACKGROUND)]
        best = sorted(others)[:3]
        assert sorted((-data["weight"], source) for source, _, data in graph.in_edges(name, data=True)) == best
        assert [graph.edges[source, name]["rank"] for _, source in best] == [1, 2, 3]
        assert graph.nodes[name]["context"] == matrix.mass[row, row]
        assert not graph.has_edge(name, name)


def test_a_single_known_arrow_has_the_right_direction():
    matrix = make_matrix()
    matrix.mass[NAMES.index("heart"), NAMES.index("sternum")] = 0.9
    edge = importance_graph(matrix, PAPER_LABELS, top=1).edges["sternum", "heart"]
    assert edge["weight"] == edge["mass"] == 0.9
    assert edge["standard_error"] == 0.001


@pytest.mark.parametrize("variant", ["absolute", "positive", "negative", "mean", "enrichment"])
def test_variants_weigh_edges_by_their_own_numbers(variant):
    matrix = make_matrix(1)
    values = matrix.variant(variant)
    graph = importance_graph(matrix, PAPER_LABELS, variant, top=None)
    assert graph.number_of_edges() == 16 * 15
    for source, target, data in graph.edges(data=True):
        assert data["weight"] == values[NAMES.index(target), NAMES.index(source)]
    assert graph.graph["variant"] == variant
    with pytest.raises(ValueError, match="no variant"):
        importance_graph(matrix, PAPER_LABELS, "loudest")


def test_background_minimum_and_undefined_weights():
    matrix = make_matrix(2)
    with_background = importance_graph(matrix, PAPER_LABELS, background=True)
    assert all(with_background.edges[BACKGROUND, name]["rank"] == 1 for name in NAMES[1:])
    graph = importance_graph(matrix, PAPER_LABELS, top=None, minimum=0.02)
    weights = [data["weight"] for *_, data in graph.edges(data=True)]
    inner = matrix.mass[1:, 1:][~np.eye(16, dtype=bool)]
    assert len(weights) == (inner > 0.02).sum() > 0
    matrix.mass[5, 3] = np.nan
    assert not importance_graph(matrix, PAPER_LABELS, top=None).has_edge(NAMES[3], NAMES[5])


def test_extra_regions_are_pathologies_and_empty_regions_are_left_out():
    matrix = make_matrix(3, extra=("lesion_1",))
    graph = importance_graph(matrix, PAPER_LABELS, top=None)
    node = graph.nodes["lesion_1"]
    assert (node["group"], node["title"], node["extra"], node["explained"]) == (PATHOLOGY_GROUP, "Lesion 1", True, False)
    assert node["color"] == GROUP_COLORS[PATHOLOGY_GROUP]
    assert graph.out_degree("lesion_1") == 16
    matrix.roi_voxels[-1] = 0
    assert "lesion_1" not in importance_graph(matrix, PAPER_LABELS)


@pytest.mark.parametrize(("order", "signs", "angles"), [((0, 1, 2), (1, 1, 1), (0, 0, 0)), ((2, 0, 1), (-1, 1, -1), (12, -20, 30))])
def test_regions_lie_as_radiologists_see_them(order, signs, angles):
    grid = make_grid((20, 24, 28), (2.0, 1.5, 3.0), order, signs, angles)
    segmentation = np.zeros(grid.shape, np.uint8)
    segmentation[2:5, 3:9, 4:8] = 1
    segmentation[12:15, 10:20, 20:26] = 8
    lesion = np.zeros(grid.shape, bool)
    lesion[7, 7, 7] = True
    positions = region_positions(segmentation, grid.affine, PAPER_LABELS, {"lesion": lesion, "nothing": lesion & False})
    assert set(positions) == {"aorta", "heart", "lesion"}
    for name, mask in (("aorta", segmentation == 1), ("heart", segmentation == 8), ("lesion", lesion)):
        centre = grid.affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + grid.affine[:3, 3]
        np.testing.assert_allclose(positions[name], (-centre[0], centre[2]), atol=1e-9)


def boxes_overlap(places: dict[str, tuple[float, float]], size: tuple[float, float]) -> list[tuple[str, str]]:
    return [
        (a, b)
        for a, b in itertools.combinations(places, 2)
        if abs(places[a][0] - places[b][0]) < size[0] * 0.98 and abs(places[a][1] - places[b][1]) < size[1] * 0.98
    ]


@pytest.mark.parametrize("seed", range(8))
def test_anatomical_layout_keeps_boxes_apart_and_sides_right(seed):
    graph = importance_graph(make_matrix(4, extra=("lesion",)), PAPER_LABELS)
    rng = np.random.default_rng(seed)
    positions = {name: tuple(rng.normal(0, (30, 60))) for name in graph}
    positions["lung_upper_lobe_right"], positions["lung_upper_lobe_left"] = (-90.0, 100.0), (90.0, 100.0)
    positions["heart"] = positions["aorta"] = positions["pulmonary_vein"] = (5.0, 5.0)  # one above the other in the picture
    size = (0.14, 0.12)
    places = anatomical_layout(graph, positions, size)
    assert set(places) == set(graph)
    assert boxes_overlap(places, size) == []
    values = np.array(list(places.values()))
    assert (values >= np.array(size) / 2 - 1e-9).all()
    assert (values <= 1 - np.array(size) / 2 + 1e-9).all()
    assert places["lung_upper_lobe_right"][0] < 0.5 < places["lung_upper_lobe_left"][0]
    assert places == anatomical_layout(graph, positions, size), "the same every time"


def test_regions_without_a_place_stand_below():
    graph = importance_graph(make_matrix(5), PAPER_LABELS)
    positions = {
        name: (float(index), float(index**2 % 7)) for index, name in enumerate(graph) if name not in ("trachea", "sternum")
    }
    places = anatomical_layout(graph, positions)
    lowest = max(places["trachea"][1], places["sternum"][1])
    assert all(place[1] > lowest for name, place in places.items() if name not in ("trachea", "sternum"))
    assert boxes_overlap(places, (0.15, 0.11)) == []
    assert set(anatomical_layout(graph, {})) == set(graph)


def test_circle_has_one_arc_for_each_system():
    graph = importance_graph(make_matrix(6), PAPER_LABELS)
    places = circular_layout(graph)
    around = sorted(graph, key=lambda name: -np.arctan2(places[name][1] - 0.5, places[name][0] - 0.5))
    groups = [graph.nodes[name]["group"] for name in around]
    changes = sum(a != b for a, b in zip(groups, groups[1:] + groups[:1], strict=True))
    assert changes == len(set(groups))
    assert max(places.values(), key=lambda place: place[1]) == places["aorta"], "the first system starts on top"
    assert boxes_overlap(places, (0.08, 0.08)) == []
