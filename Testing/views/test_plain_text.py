"""Dollar signs in names are drawn as they are."""

import numpy as np
import pytest

from Agg2ExpLib.models.labels import make_labels
from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
from Agg2ExpLib.views.plots import graph_figure, matrix_figure, save_figure

NAMES = ("background", "node $\\alpha{$ left", "cost 5$ and_10$")


@pytest.mark.parametrize("kind", ["matrix", "graph"])
def test_names_are_no_formulas(tmp_path, kind):
    segmentation = np.zeros((6, 6, 6), np.uint8)
    segmentation[:3], segmentation[4:] = 1, 2
    regions = Regions(segmentation, list(NAMES), [("$\\frac{$", segmentation == 0)])
    rng = np.random.default_rng(0)
    sums = {name: regions.sums(rng.random(segmentation.shape).astype(np.float32)) for name in NAMES[1:]}
    matrix = importance_matrix(regions, sums)
    labels = make_labels(NAMES)
    if kind == "matrix":
        figure = matrix_figure(matrix, labels, title="$x_{$")
    else:
        from Agg2ExpLib.roi_importance.graph import importance_graph

        figure = graph_figure(importance_graph(matrix, labels), title="$x_{$")
    save_figure(figure, tmp_path / "a.svg")
    assert "$x_{$" in (tmp_path / "a.svg").read_text(encoding="utf-8")
