"""A region added later has the limit that it would have had from the beginning."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.roi_importance.kept_noise import KeptNoise, NoiseFiles
from Agg2ExpLib.roi_importance.limit import group_sums, limit_row
from Agg2ExpLib.roi_importance.matrix import Regions

NAMES = ("background", "a", "b")
SHAPE = (45, 42, 39)
OWN = len(NAMES)


def ball(centre, radius):
    place = np.moveaxis(np.indices(SHAPE), 0, -1)
    return ((place - np.array(centre)) ** 2).sum(axis=-1) <= radius**2


def field(seed=0, groups=8):
    """Labels, and maps whose signal and noise change over the volume and are correlated between neighbours, as gradients are."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    labels[ball((20, 20, 18), 12)], labels[ball((35, 30, 25), 8)] = 1, 2
    strength = np.exp(gaussian_filter(rng.standard_normal(SHAPE), 4) * 20)

    def draw():
        return strength * gaussian_filter(rng.standard_normal(SHAPE), 0.7)

    truth = draw()
    return labels, [(truth + 0.8 * draw()).astype(np.float32) for _ in range(groups)]


@pytest.fixture(scope="module")
def case():
    labels, maps = field()
    samples = [4] * 7 + [2]
    attribution = np.average(maps, axis=0, weights=samples).astype(np.float32)
    return labels, maps, samples, attribution, KeptNoise.of(maps, samples, attribution, Regions(labels, NAMES))


def both(case, extra):
    """Rows from the beginning and of later regions."""
    labels, maps, samples, attribution, kept = case
    regions = Regions(labels, NAMES, extra)
    sums = regions.sums(attribution)
    return limit_row(group_sums(regions, maps, samples), OWN, sums.mass), kept.row(regions, sums), sums.mass


def test_regions_of_whole_blocks_lose_only_the_rounding(case):
    whole = np.zeros(SHAPE, bool)
    whole[8:24, 12:32, 4:28] = True
    edge = np.zeros(SHAPE, bool)
    edge[40:, 36:, 20:] = True  # to the volume's ends, where blocks are smaller
    first, later, mass = both(case, [("whole", whole), ("edge", edge)])
    for name in ("limit", "error", "positive", "negative", "sums", "standard_error"):
        expected, ours = getattr(first, name), getattr(later, name)
        np.testing.assert_array_equal(ours[:OWN], expected[:OWN], err_msg=name)
        rtol = {"error": 0.15, "standard_error": 0.5}.get(name, 0.01)
        np.testing.assert_allclose(ours[OWN:], expected[OWN:], rtol=rtol, err_msg=name)
    assert (np.abs(mass - first.limit)[OWN:] > 5 * np.abs(later.limit - first.limit)[OWN:]).all()


def test_any_region_is_told_within_its_error(case):
    rng = np.random.default_rng(1)
    extra = [(f"{radius} {n}", ball(rng.uniform(5, 34, 3), radius)) for radius in (2, 4, 8) for n in range(15)]
    first, later, mass = both(case, extra)
    off = np.abs(later.limit - first.limit)[OWN:] / later.error[OWN:]
    assert np.median(off) < 0.2
    assert off.max() < 1
    assert np.median(np.abs(mass - first.limit)[OWN:] / later.error[OWN:]) > 2 * np.median(off)
    for name in ("error", "standard_error"):
        ratio = (getattr(later, name) / getattr(first, name))[OWN:].reshape(3, 15)
        assert (np.abs(np.log(np.median(ratio, axis=1))) < np.log(1.25)).all(), name


def test_the_file_is_small_and_complete(case, tmp_path):
    kept, file = case[-1], tmp_path / "a.npz"
    kept.save(file)
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_size < 0.075 * case[3].nbytes
    (read,) = NoiseFiles({"a": file}).values()
    extra = [("ball", ball((15, 15, 15), 6))]
    np.testing.assert_array_equal(both((*case[:-1], read), extra)[1].limit, both(case, extra)[1].limit)


def test_two_groups_and_a_map_without_noise():
    labels, maps = field(groups=2)
    regions = Regions(labels, NAMES, [("ball", ball((15, 15, 15), 6))])
    for parts in (maps, [maps[0], maps[0]]):
        mean = np.mean(parts, axis=0)
        row = KeptNoise.of(parts, [1, 1], mean, regions).row(regions, regions.sums(mean))
        assert np.isfinite([row.limit, row.error, row.standard_error]).all()
    np.testing.assert_allclose(row.limit, regions.sums(mean).mass, rtol=1e-5)
    np.testing.assert_allclose(row.error, 0, atol=1e-6)


def test_damaged_files_are_told(case, tmp_path):
    good = tmp_path / "good.npz"
    case[-1].save(good)
    with np.load(good) as file:
        parts = dict(file)
    bad = tmp_path / "bad.npz"

    def refused(words=""):
        with pytest.raises(InputError, match=f"bad.npz cannot be read.*{words}"):
            KeptNoise.read(bad)

    bad.write_bytes(good.read_bytes()[:-2000])
    refused()
    bad.write_bytes(b"nothing")
    refused()
    for name, value in (
        ("blocks", parts["blocks"][:, 1:]),
        ("blocks", np.full_like(parts["blocks"], np.nan)),
        ("weights", parts["weights"][:1]),
        ("scales", np.array([{"a": 1}], dtype=object)),
    ):
        np.savez_compressed(bad, **{**parts, name: value})
        refused()
    np.savez_compressed(bad, **{name: value for name, value in parts.items() if name != "own"})
    refused("own")


def test_noise_of_another_result_is_refused(case):
    labels, _, _, attribution, kept = case
    for regions in (Regions(labels[:-1], NAMES), Regions(labels, (*NAMES, "c"))):
        with pytest.raises(InputError, match="belongs to another result"):
            kept.row(regions, Regions(labels, NAMES).sums(attribution))
