"""The most important slices, and runs on other classes of the same CT put together."""

from __future__ import annotations

import numpy as np

from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.roi_importance.slices import merge_slices, slice_importance, slices_from_text, slices_text

GRID = Grid((5, 6, 40), np.diag([4.0, 4.0, 3.0, 1.0]))


def maps_of(*names: str) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(len(name)).normal(size=GRID.shape).astype(np.float32) for name in names}


def test_peaks_are_apart_and_in_order() -> None:
    values = np.random.default_rng(2).normal(size=40)
    slices = slice_importance(GRID, maps_of("nodule"), {2: (np.full(40, 1 / 40), {"nodule": values})})
    expected: list[int] = []  # by hand: the largest that is 10 mm (4 slices of 3 mm) from all before
    for number in np.argsort(-np.abs(values)):
        if all(abs(number - other) >= 4 for other in expected):
            expected.append(int(number))
    assert slices.peaks("nodule", "contribution", 7) == [("axial", number) for number in expected[:7]]
    over_all = slices.peaks("nodule", "mass", 9, apart_mm=0)
    shares = [slices.along(plane).mass[0, number] for plane, number in over_all]
    every = np.sort(np.concatenate([axis.mass[0] for axis in slices.axes]))[::-1]
    np.testing.assert_allclose(shares, every[:9])


def test_classes_explained_later_join() -> None:
    maps = maps_of("a", "bb", "ccc")
    parts = {2: (np.full(40, 1 / 40), {name: np.full(40, len(name)) for name in maps})}
    whole = slice_importance(GRID, maps, parts)
    first = slice_importance(GRID, {name: maps[name] for name in ("ccc", "a")}, parts)
    later = slice_importance(GRID, {"bb": maps["bb"]}, parts)
    merged = merge_slices(first, later, ("a", "bb", "ccc"))
    assert slices_text(merged, "p") == slices_text(whole, "p")
    assert slices_text(slices_from_text(slices_text(whole, "p")), "p") == slices_text(whole, "p")
