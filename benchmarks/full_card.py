"""What a run does on a GPU that others fill: smaller batches, parts computed again, or one sentence; and whether the next works.

    python benchmarks/full_card.py --device cuda:0 --left 8,4,2,0.7

The runs are asked of one process that stays alive (``agg2exp serve``), as Slicer does; a last one is a process of its own that
starts on a full card. The first run's seconds by stage are told too. On the CPU nothing is filled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

PYTHON = [sys.executable, "-m", "Agg2ExpLib"]


class Asked:
    """A process that stays alive and is asked for runs."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen([*PYTHON, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._until("ready")

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The last event of a run, its notices and its seconds; a process that has ended is started anew, as Slicer does."""
        if self._process.poll() is not None:
            self._start()
        assert self._process.stdin is not None
        began = time.perf_counter()
        self._process.stdin.write(json.dumps({"id": 1, "do": "run", "job": job}) + "\n")
        self._process.stdin.flush()
        last, notices = self._until("done", "error")
        return {**last, "notices": notices, "seconds": time.perf_counter() - began}

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _until(self, *kinds: str) -> tuple[dict[str, Any], list[str]]:
        assert self._process.stdout is not None
        notices = []
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "notice":
                notices.append(event["message"])
            if event["event"] in kinds:
                return event, notices
        self._process.wait()
        return {"event": "ended", "message": "the process has ended"}, notices


class Card:
    """A GPU that can be filled; the CPU counts as one that cannot."""

    def __init__(self, device: str):
        import torch

        self._device = torch.device(device)
        self._held: list[torch.Tensor] = []
        self.name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "CPU"

    def free(self) -> float:
        """GB that nobody uses."""
        import torch

        return torch.cuda.mem_get_info(self._device)[0] / 1e9 if self._device.type == "cuda" else float("nan")

    def leave(self, gigabytes: float) -> None:
        """Fill all but so much, in plain allocations."""
        import torch

        self.clear()
        spare = int(1e9 * (self.free() - gigabytes)) if self._device.type == "cuda" else 0
        if spare > 0:
            self._held.append(torch.empty(spare, dtype=torch.uint8, device=self._device))

    def clear(self) -> None:
        import torch

        self._held.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=int, default=48, help="feature size of a Swin UNETR with random weights")
    parser.add_argument("--spacing", type=float, default=3.0, help="mm of the synthetic thorax and of the model")
    parser.add_argument("--roi", type=int, default=96)
    parser.add_argument("--left", default="8,4,2,0.7", help="GB that are left free, one run each")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid, on the CPU")
    args = parser.parse_args(argv)
    if args.smoke:
        args.device, args.left = "cpu", ""
    return args


def make_files(folder: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """A CT, and weights with their card."""
    from smoke import coarse_phantom, tiny_weights

    if args.smoke:
        return coarse_phantom(folder / "thorax.nii.gz"), tiny_weights(folder)
    from compare import load_network
    from safetensors.torch import save_file

    from Agg2ExpLib.io.write import write_volume
    from Agg2ExpLib.models.labels import PAPER_LABELS
    from Agg2ExpLib.synthetic.phantom import make_phantom

    patient = make_phantom(0, (args.spacing,) * 3)
    ct, weights = folder / "thorax.nii.gz", folder / "random.safetensors"
    write_volume(ct, patient.ct, patient.affine)
    tensors = load_network(str(args.network)).state_dict()
    save_file({key: value.contiguous() for key, value in tensors.items() if not key.endswith("relative_position_index")}, weights)
    card = {"spacing": [args.spacing] * 3, "hu_window": [-1024, 1024], "roi_size": [args.roi] * 3}
    labels = [label.name for label in PAPER_LABELS]
    weights.with_suffix(".json").write_text(json.dumps({"labels": labels, **card}), encoding="utf-8")
    return ct, weights


def outcome(found: dict[str, Any]) -> str:
    """In words."""
    if found["event"] != "done":
        return f"{found['event']} {found.get('code', '')}: {found['message']} {found.get('hint', '')}".strip()
    run = json.loads((Path(found["result"]) / "run.json").read_text(encoding="utf-8"))
    peak = run["peak_memory_bytes"].get("gpu")
    gpu = f", peak {peak / 1e9:.1f} GB" if peak else ""
    return f"done: {len(run['explained'])} label(s), batch {run['window_batch']}{gpu}"


def alone(job: dict[str, Any], output: Path) -> str:
    """The row of a process of its own that starts on a full card."""
    words = [word for key in ("ct", "weights", "device", "method") for word in (f"--{key}", job[key])]
    began = time.perf_counter()
    done = subprocess.run([*PYTHON, "explain", *words, "--output", str(output)], capture_output=True, text=True)
    said = done.stderr.strip().splitlines()
    ended = f"exit status {done.returncode}, {len(said)} line(s), the last: {said[-1] if said else '–'}"
    return f"| 0.3 GB, a process of its own | {ended} | – | {time.perf_counter() - began:.1f} | – |"


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    rows: list[str] = []

    def tell(left: str, found: dict[str, Any], free: float) -> None:
        told = " ".join(notice for notice in found["notices"] if "memory" in notice or "would need" in notice or "GB" in notice)
        rows.append(f"| {left} | {outcome(found)} | {told or '–'} | {found['seconds']:.1f} | {free:.1f} |")
        print(rows[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ct, weights = make_files(folder, args)
        base: dict[str, Any] = {"ct": str(ct), "weights": str(weights), "device": args.device, "method": "gradient"} | (
            {"labels": ["heart"]} if args.smoke else {}
        )
        card, asked = Card(args.device), Asked()
        first = asked.run({**base, "output": str(folder / "first")})
        if first["event"] != "done":
            asked.end()
            raise SystemExit(outcome(first))
        seconds = json.loads((folder / "first" / "run.json").read_text(encoding="utf-8"))["seconds"]
        stages = ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
        tell("all", first, card.free())
        for left in filter(None, args.left.split(",")):
            card.leave(float(left))
            found = asked.run({**base, "output": str(folder / f"left_{left}")})
            tell(f"{left} GB", found, card.free())
        card.clear()
        tell("all again", asked.run({**base, "output": str(folder / "again")}), card.free())
        asked.end()
        if not args.smoke:
            card.leave(0.3)
            rows.append(alone(base, folder / "own"))
            card.clear()
    lines = [
        f"{date.today()}, {card.name}. Swin UNETR, feature size {args.network}, random weights, windows of {args.roi}³, a "
        f"synthetic thorax at {args.spacing:g} mm, method gradient, all labels that it draws; one process that stays alive.",
        "",
        "| left free | outcome | told | seconds | free afterwards (GB) |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"The first run: {stages}.",
    ]
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
