"""What must go on holding, measured by hand: geometry in every format, killed runs, disks that fill up, code in weights.

python benchmarks/reliability.py [--orientations 48] [--kills 4] [--disks 2] [--only geometry,kills,disks,code] [--smoke]

- geometry: a marker at a known place of the patient, in each orientation × (isotropic, anisotropic, oblique) × format; how far from
  there it is found once the scan is on the model grid;
- kills: SIGKILL at a random moment of an explanation; afterwards there is a whole result or none, and the next run succeeds and
  clears away what the killed one left;
- disks: files that may not grow beyond some size, as on a full disk; the run ends with status 2 and leaves nothing;
- code: weights that hold code in many ways; none of it runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "Testing")]
FORMATS = (".nii.gz", ".nrrd", ".mha", "dicom")
KINDS = {
    "isotropic": ((1.5, 1.5, 1.5), (0, 0, 0)),
    "anisotropic": ((0.9, 1.3, 2.5), (0, 0, 0)),
    "oblique": ((0.9, 1.3, 2.1), (7, -21, 33)),
}
SPACING = (1.5, 1.5, 1.5)


def geometry(folder: Path, orientations: int) -> list[str]:
    """The furthest that the marker is found from its place, by format."""
    from Agg2ExpLib.io.grid import model_grid
    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.resample import resample
    from support.geometry import found_place, make_grid, marker_place, paint, save_as

    turns = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    chosen = turns if orientations >= len(turns) else random.Random(0).sample(turns, orientations)
    worst, count = dict.fromkeys(FORMATS, 0.0), 0
    for (order, signs), (spacing, angles), suffix in itertools.product(chosen, KINDS.values(), FORMATS):
        grid = make_grid((26, 24, 22), spacing, order, signs, angles)
        if suffix == "dicom" and np.linalg.det(grid.affine) < 0:
            continue  # slices go up along the normal, so a series is right-handed
        place = marker_place(grid)
        (folder / f"{count}").mkdir()
        ct = read_ct(save_as(folder / f"{count}", suffix, paint(grid, place), grid.affine))
        target = model_grid(ct.grid, SPACING)
        off = float(np.linalg.norm(found_place(resample(ct, target), target.affine) - place))
        worst[suffix] = max(worst[suffix], off)
        count += 1
    return [
        f"geometry: {count} cases; furthest from the place, mm: " + ", ".join(f"{name} {off:.3f}" for name, off in worst.items())
    ]


def make_case(folder: Path) -> list[str]:
    """A CT, small weights, and the command that explains them without its output."""
    import torch
    from monai.networks.nets import BasicUNet

    from support.geometry import make_grid, marker_place, paint, save_nifti

    torch.manual_seed(0)
    features = [4] * 6
    network = BasicUNet(3, 1, 3, features=features, norm="batch")
    torch.save(network.state_dict(), folder / "w.pt")
    card = {"labels": ["background", "a", "b"], "spacing": list(SPACING), "hu_window": [-1024, 1024], "roi_size": [32, 32, 32]}
    card["network"] = {"class": "BasicUNet", "out_channels": 3, "features": features, "norm": "batch"}
    (folder / "w.json").write_text(json.dumps(card), encoding="utf-8")
    grid = make_grid((40, 40, 40), SPACING)
    save_nifti(folder / "ct.nii.gz", paint(grid, marker_place(grid)), grid.affine)
    words = ["explain", "--ct", folder / "ct.nii.gz", "--weights", folder / "w.pt", "--method", "smoothgrad", "--samples", "4"]
    return [sys.executable, "-m", "Agg2ExpLib", *map(str, words), "--device", "cpu"]


def run(command: list[str], before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """The command's end."""
    return subprocess.run(command, cwd=HOME, capture_output=True, text=True, preexec_fn=before, check=False)


def kills(folder: Path, count: int) -> list[str]:
    """How often a killed run left something half done, or kept the next one from its work."""
    from Agg2ExpLib.runs.results import Results

    command = make_case(folder)
    began = time.monotonic()
    assert run([*command, "--output", str(folder / "whole")]).returncode == 0
    length = time.monotonic() - began
    wrong, rng = 0, random.Random(1)
    for number in range(count):
        out = folder / f"k{number}"
        process = subprocess.Popen([*command, "--output", str(out)], cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, 1.0) * length)
        process.kill()
        process.wait()
        if out.exists():
            Results.open(out).importance()
        again = run([*command, "--output", str(out), "--overwrite"])
        left = [path.name for path in folder.iterdir() if path.name.startswith(f".k{number}")]
        wrong += again.returncode != 0 or bool(left)
    return [f"kills: {count} of runs of {length:.1f} s; {wrong} left something half done"]


def disks(folder: Path, count: int) -> list[str]:
    """How often a run whose files may not grow ended otherwise than with one sentence and nothing left."""
    import resource

    command = make_case(folder)
    wrong = 0
    for number in range(count):
        limit = 1000 * 10**number
        ended = run(
            [*command, "--output", str(folder / f"d{number}")],
            lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # type: ignore[misc]
        )
        left = [path for path in folder.iterdir() if f"d{number}" in path.name]
        wrong += ended.returncode != 2 or bool(left) or "Traceback" in ended.stderr
    return [f"disks: {count} runs that could not write; {wrong} ended wrongly"]


class Bomb:
    """Leaves a mark when something unpickles it."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o700)


def code(folder: Path) -> list[str]:
    """How many of the ways to hold code in weights ran it or were accepted."""
    import torch

    from Agg2ExpLib.errors import InputError
    from Agg2ExpLib.models.checkpoint import read_weights

    ran = accepted = count = 0
    mark = folder / "ran"
    tensor = torch.zeros(2)
    forms: list[object] = [Bomb(mark), {"a": Bomb(mark)}, {"state_dict": {"a": tensor}, "x": Bomb(mark)}, [Bomb(mark)]]
    for number, form in enumerate(forms):
        for suffix in (".pt", ".pth", ".ckpt"):
            for old in (False, True):
                path = folder / f"c{number}{old}{suffix}"
                torch.save(form, path, _use_new_zipfile_serialization=not old)
                count += 1
                accepted += _accepted(path, read_weights, InputError)
    for suffix in (".pt", ".pth", ".safetensors", ".ts"):
        path = folder / f"plain{suffix}"
        path.write_bytes(pickle.dumps({"a": Bomb(mark)}))
        count += 1
        accepted += _accepted(path, read_weights, InputError)
    ran += mark.exists()
    return [f"code: {count} weights that hold code; {ran} ran, {accepted} were accepted"]


def _accepted(path: Path, read: Callable[[Path], object], refusal: type[Exception]) -> bool:
    try:
        read(path)
    except refusal:
        return False
    return True


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orientations", type=int, default=8, help="of 48")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--disks", type=int, default=2)
    parser.add_argument("--only", default="geometry,kills,disks,code")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: one of each but the kills")
    args = parser.parse_args(argv)
    if args.smoke:
        args.orientations, args.disks, args.only = 1, 1, "geometry,disks,code"
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    parts: dict[str, Callable[[Path], list[str]]] = {
        "geometry": lambda folder: geometry(folder, args.orientations),
        "kills": lambda folder: kills(folder, args.kills),
        "disks": lambda folder: disks(folder, args.disks),
        "code": code,
    }
    for name in args.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            print("\n".join(parts[name](Path(folder))), flush=True)


if __name__ == "__main__":
    main()
