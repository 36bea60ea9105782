"""How fast the importance converges, and whether its error bars hold: against a reference of many paired passes of one window.

    python benchmarks/convergence.py --pairs 64                       # a phantom, the demo network, a laptop: an hour
    python benchmarks/convergence.py --ct chest.nii.gz --pairs 512    # a real scan
    bash benchmarks/gpu.sh

Every pair of passes (one with ε added, one with ε taken away) is computed once and kept in ``--cache`` as float16, so that a run
that was stopped goes on, and all schemes and seeds are told from the same passes: a seed is a block of pairs of its own; with more
seeds than blocks, pairs are drawn anew for each. The reference is the limit from all pairs. Errors are percentage points of shares,
over all explained labels and the model's own regions. Prints Markdown; ``--section NAME`` also puts it into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from compare import write_section  # noqa: E402

from Agg2ExpLib.roi_importance.groups import GroupMaps  # noqa: E402
from Agg2ExpLib.roi_importance.limit import group_sums, limit_row  # noqa: E402
from Agg2ExpLib.roi_importance.matrix import Regions  # noqa: E402

SIGMA = 0.1
TARGETS = (2.0, 1.0, 0.5, 0.25)  # percentage points
REFERENCE_GROUPS = 8


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", help="CT; default: a synthetic phantom")
    parser.add_argument("--window", help="first voxel x,y,z on the model grid; default: around the heart")
    parser.add_argument("--pairs", type=int, default=512, help="paired passes of the reference")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", default="8,16,32", help="passes whose intervals are tested")
    parser.add_argument("--most", type=int, default=96, help="passes of the longest run in the table")
    parser.add_argument("--cache", default="convergence_cache", help="folder of the passes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only-cached", action="store_true", help="tell what is in the cache, compute nothing")
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    return parser.parse_args(argv)


class Passes:
    """The cached passes of one window: mean and half difference of each pair, ``[2, labels, x, y, z]`` in units of each label."""

    def __init__(self, folder: Path):
        self.folder = folder
        scene = np.load(folder / "scene.npz")
        self.image, self.segmentation = scene["image"], scene["seg"].astype(np.int64)
        self.labels = [int(label) for label in scene["labels"]]
        self.files = sorted(folder.glob("pair_*.npy"))

    def __len__(self) -> int:
        return len(self.files)

    def of_label(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean of each pair, and each pair's first pass alone, float32 ``[pairs, x, y, z]``."""
        parts = [np.load(file, mmap_mode="r")[:, number].astype(np.float32) for file in self.files]
        means = np.stack([part[0] for part in parts])
        return means, means + np.stack([part[1] for part in parts])


def collect(args: argparse.Namespace, folder: Path) -> None:
    """Compute the passes that the cache lacks."""
    import torch

    from Agg2ExpLib.attribution.smoothgrad import SmoothGrad
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.models.model import demo_weights, load_model
    from Agg2ExpLib.synthetic.phantom import make_phantom

    compute = choose_compute(args.device, "float32")
    model = load_model(demo_weights())
    card, network = model.card, model.network.to(compute.device)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "scene.npz").exists():
        if args.ct:
            ct = read_ct(Path(args.ct))
        else:
            phantom = make_phantom(0)
            ct = Volume(phantom.ct, phantom.affine, "phantom")
        whole = card.preprocessing.prepare(ct).image
        size = card.roi_size
        most = [max(n - s, 0) for n, s in zip(whole.shape, size, strict=True)]
        start = [int(n) for n in args.window.split(",")] if args.window else [n // 2 for n in most]
        window = whole[tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))]
        with torch.no_grad():
            seg = network(torch.from_numpy(window.copy())[None, None].to(compute.device))[0].argmax(0).cpu().numpy()
        present = np.flatnonzero(np.bincount(seg.ravel(), minlength=len(card.labels)))
        np.savez(folder / "scene.npz", image=window, seg=seg.astype(np.uint8), labels=present)
    scene = Passes(folder)
    image = torch.from_numpy(scene.image).to(compute.device)
    seg = torch.from_numpy(scene.segmentation).to(compute.device)
    method = SmoothGrad(samples=2 * args.pairs, sigma=SIGMA)
    norm = np.load(folder / "norm.npy") if (folder / "norm.npy").exists() else None
    seconds, began = [], time.perf_counter()
    for pair in range(args.pairs):
        file = folder / f"pair_{pair:05d}.npy"
        if file.exists():
            continue
        start_of_pair = time.perf_counter()
        copies = torch.stack([method.copy(image, 2 * pair), method.copy(image, 2 * pair + 1)])[:, None]
        copies = copies.contiguous(memory_format=torch.channels_last_3d).requires_grad_(True)
        outputs = network(copies).unbind(1)
        found = np.zeros((2, len(scene.labels), *image.shape), np.float32)
        for number, label in enumerate(scene.labels):
            cotangent = (seg == label).float().expand(2, *image.shape)
            (gradient,) = torch.autograd.grad(outputs[label], copies, cotangent, retain_graph=number < len(scene.labels) - 1)
            plus, minus = gradient[:, 0].cpu().numpy()
            found[0, number], found[1, number] = (plus + minus) / 2, (plus - minus) / 2
        if norm is None:
            norm = found[0].reshape(len(scene.labels), -1).std(axis=1)
            np.save(folder / "norm.npy", norm)
        np.save(folder / "unfinished.npy", (found / norm[None, :, None, None, None]).astype(np.float16))
        (folder / "unfinished.npy").rename(file)
        seconds.append(time.perf_counter() - start_of_pair)
        if len(seconds) % 10 == 0:
            print(f"pair {pair + 1} of {args.pairs}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    if seconds:
        facts = {"pair_s": float(np.median(seconds)), "device": compute.device_name, "torch": torch.__version__}
        (folder / "facts.json").write_text(json.dumps(facts))


def limit_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> tuple[np.ndarray, np.ndarray]:
    maps = GroupMaps()
    for part in parts:
        maps.add(part, 1)
    row = limit_row(group_sums(regions, [maps.map(i) for i in range(len(maps.samples))], maps.samples), own)
    return row.limit, row.error


def plain_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> tuple[np.ndarray, np.ndarray]:
    """Equation 7 with the method of batch means on five groups or fewer: what was told before."""
    mass = regions.sums(np.mean(parts, axis=0)).mass
    groups = [regions.sums(np.mean(part, axis=0)).mass for part in np.array_split(np.asarray(parts), min(5, len(parts)))]
    if len(groups) < 2:
        return mass, np.full(own, np.nan)
    return mass, np.std(groups, axis=0, ddof=1) / len(groups) ** 0.5


def richardson_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> tuple[np.ndarray, np.ndarray]:
    """``2 E(n) - E(n/2)``."""
    whole = plain_of(regions, parts, own)[0]
    half = len(parts) // 2
    halves = [regions.sums(np.mean(part, axis=0)).mass for part in (parts[:half], parts[half:])]
    return 2 * whole - np.mean(halves, axis=0), np.full(own, np.nan)


Scheme = Callable[[Regions, Sequence[np.ndarray], int], tuple[np.ndarray, np.ndarray]]
# name, paired or independent passes, estimator
SCHEMES: tuple[tuple[str, bool, Scheme], ...] = (
    ("paper: independent, eq. 7", False, plain_of),
    ("independent, limit", False, limit_of),
    ("pairs, eq. 7", True, plain_of),
    ("pairs, 2 E(n) - E(n/2)", True, richardson_of),
    ("ours: pairs, limit", True, limit_of),
)


def blocks(total: int, size: int, seeds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Numbers of the passes of each seed: blocks of their own while there are enough, else drawn anew."""
    return [
        np.arange(seed * size, (seed + 1) * size) if (seed + 1) * size <= total else rng.choice(total, size, replace=False)
        for seed in range(seeds)
    ]


def measure(args: argparse.Namespace, passes: Passes) -> dict:
    """Errors ``[labels, seeds, regions]`` of every scheme and number of passes, in points, with what they told of themselves."""
    present = np.flatnonzero(np.bincount(passes.segmentation.ravel()))
    regions = Regions(np.searchsorted(present, passes.segmentation), [str(label) for label in present])
    own, total = len(present), len(passes)
    tested = [int(n) for n in args.samples.split(",")]
    numbers = sorted({*tested, *(2**k for k in range(1, 12) if 2**k <= args.most), args.most})
    found: dict = {"errors": {}, "covered": {}, "values": {}, "reference": []}
    for number, label in enumerate(passes.labels):
        means, firsts = passes.of_label(number)
        reference, told = limit_of(regions, [p.mean(axis=0) for p in np.array_split(means, REFERENCE_GROUPS)], own)
        found["reference"].append((reference, told))
        for name, paired, scheme in SCHEMES:
            for n in numbers:
                seeds = args.seeds if n in tested else max(args.seeds // 4, 3)  # the curve needs fewer than the intervals
                size = n // 2 if paired else n
                if size < (1 if scheme is plain_of else 2) or size > total:
                    continue
                rng = np.random.default_rng(n)
                values, errors = zip(
                    *(scheme(regions, (means if paired else firsts)[chosen], own) for chosen in blocks(total, size, seeds, rng)),
                    strict=True,
                )
                off = 100 * (np.array(values) - reference)
                found["errors"].setdefault((name, n), []).append(off)
                inside = np.abs(off) <= 196 * np.array(errors) + 1e-9
                found["covered"].setdefault((name, n), []).append(np.where(np.isnan(errors), np.nan, inside))
                if label == 8:  # the heart in itself, as in the table of docs/method.md
                    found["values"][name, n] = float(np.mean(np.array(values)[:, int(np.flatnonzero(present == 8)[0])]))
        print(f"label {label} done", file=sys.stderr, flush=True)
    return found


def tables(args: argparse.Namespace, passes: Passes, found: dict) -> str:
    facts = json.loads((passes.folder / "facts.json").read_text()) if (passes.folder / "facts.json").exists() else {}
    names = [name for name, _, _ in SCHEMES]
    numbers = sorted({n for _, n in found["errors"]})
    reference_error = 100 * np.array([told for _, told in found["reference"]])
    head = (
        f"{date.today()}, {facts.get('device', 'CPU')}. Demo network, one window of {' × '.join(map(str, passes.image.shape))} of "
        f"{'a phantom' if not args.ct else 'a chest CT never trained on'}, σ = {SIGMA}, {len(passes.labels)} labels × "
        f"{len(passes.labels)} regions, {args.seeds} seeds. Reference: the limit from {len(passes)} pairs, whose own error is "
        f"{np.median(reference_error):.3f} points in the median and {reference_error.max():.2f} at most."
    )
    lines = [head, "", "Share of the heart's attribution in the heart, mean over seeds:", ""]

    def row(words: str, cells: Sequence[str]) -> str:
        return f"| {words} | {' | '.join(cells)} |"

    def block(cell: Callable[[str, int], str], which: Sequence[int] = numbers) -> list[str]:
        return [
            row("passes n", [str(n) for n in which]),
            "|---" * (len(which) + 1) + "|",
            *(row(name, [cell(name, n) if (name, n) in found["errors"] else "" for n in which]) for name in names),
        ]

    if found["values"]:
        lines += block(lambda name, n: f"{found['values'][name, n]:.3f}")
    largest = {key: float(np.median(np.abs(np.array(v)).max(axis=(0, 2)))) for key, v in found["errors"].items()}
    middle = {key: float(np.median(np.abs(np.array(v)))) for key, v in found["errors"].items()}
    lines += ["", "Error in percentage points, largest of the matrix / median of its entries (median over seeds):", ""]
    lines += block(lambda name, n: f"{largest[name, n]:.2f} / {middle[name, n]:.3f}")
    lines += ["", "Share of all entries whose 95 % interval (± 1.96 of the error told) holds the reference:", ""]
    tested = [int(n) for n in args.samples.split(",")]
    lines += block(
        lambda name, n: "" if np.isnan(found["covered"][name, n]).all() else f"{100 * np.nanmean(found['covered'][name, n]):.1f} %",
        tested,
    )
    seconds = facts.get("pair_s", float("nan")) / 2
    lines += [
        "",
        f"Passes (and seconds, at {seconds:.2f} s a pass with all labels) to an error of so many points, largest of the matrix; "
        '"about" continues the last two columns of the table:',
        "",
        row("scheme", [f"{target:g}" for target in TARGETS]),
        "|---" * (len(TARGETS) + 1) + "|",
    ]
    for name in names:
        cells = []
        for target in TARGETS:
            n, sure = passes_to(target, [(n, largest[name, n]) for n in numbers if (name, n) in largest])
            cells.append(f"{'' if sure else 'about '}{n:.0f} ({n * seconds:.0f} s)")
        lines.append(row(name, cells))
    return "\n".join(lines)


def passes_to(target: float, measured: Sequence[tuple[int, float]]) -> tuple[float, bool]:
    """Passes to an error, between two measured numbers on logarithmic scales or beyond the last; and whether it was reached."""
    below = [index for index, (_, error) in enumerate(measured) if error <= target]
    if below and below[0] == 0:
        return measured[0][0], True
    last = below[0] if below else len(measured) - 1
    (n0, e0), (n1, e1) = measured[last - 1], measured[last]
    slope = min(np.log(e1 / e0) / np.log(n1 / n0), -0.1)
    return float(n0 * np.exp(np.log(target / e0) / slope)), bool(below)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    folder = Path(args.cache)
    if not args.only_cached:
        collect(args, folder)
    passes = Passes(folder)
    text = tables(args, passes, measure(args, passes))
    print(text)
    if args.section:
        write_section(args.section, text)


if __name__ == "__main__":
    main()
