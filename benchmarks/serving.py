"""How soon a run begins: in a process of its own, in one that stays alive, and on another computer; and what sending costs.

Prints Markdown. With ``--host`` the last part goes through ssh to that computer, else through a process here that is asked as one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from smoke import coarse_phantom, tiny_weights

from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.model import demo_weights, load_model
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.serving.channel import Channel
from Agg2ExpLib.serving.remote import Remote, remote_by_ssh
from Agg2ExpLib.synthetic.phantom import make_phantom

PYTHON = [sys.executable, "-m", "Agg2ExpLib"]


class Talk:
    """A process that tells events on stdout."""

    def __init__(self, *words: str):
        self.began = time.perf_counter()
        self.process = subprocess.Popen([*PYTHON, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.began = time.perf_counter()
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def until(self, *kinds: str) -> float:
        """Seconds until an event of these kinds."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "error":
                raise SystemExit(event["message"])
            if event["event"] in kinds:
                return time.perf_counter() - self.began
        raise SystemExit("the process has ended")

    def course(self) -> tuple[float, float, float]:
        """Seconds to the first word, until the model draws (a run too quick to tell of it: to the end), and to the end."""
        assert self.process.stdout is not None
        first = drawing = None
        for line in self.process.stdout:
            event, now = json.loads(line), time.perf_counter() - self.began
            if event["event"] == "error":
                raise SystemExit(event["message"])
            if event["event"] == "progress":
                first = now if first is None else first
                drawing = now if drawing is None and event["stage"] == "segment" else drawing
            if event["event"] == "done":
                return (now if first is None else first), (now if drawing is None else drawing), now
        raise SystemExit("the process has ended")


def job(ct: Path, weights: Path, output: Path) -> dict[str, Any]:
    return {"ct": str(ct), "weights": str(weights), "output": str(output), "task": "segment", "device": "cpu"}


def timed(talk: Talk, request: dict[str, Any] | None) -> tuple[float, float, float]:
    """Seconds to the first word, to the model's first window, and to the end."""
    if request is not None:
        talk.send(request)
    return talk.course()


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="")
    parser.add_argument("--command", default="")
    parser.add_argument("--megabytes", type=int, default=200, help="of the CT that is sent")
    parser.add_argument("--smoke", action="store_true", help="only whether it runs")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.smoke:
            ct, weights, args.megabytes = coarse_phantom(folder / "thorax.nii.gz"), tiny_weights(folder), 1
        else:
            patient = make_phantom(0, (3.0, 3.0, 3.0))
            ct, weights = folder / "thorax.nii.gz", demo_weights()
            write_volume(ct, patient.ct, patient.affine, compress=True)
            shape = " × ".join(map(str, patient.ct.shape))
            print(f"Synthetic CT of {shape} at 3 mm, demo model, CPU, load {os.getloadavg()[0]:.1f}.\n")
        print("| segmentation | first word | first window | end |\n|---|---:|---:|---:|")
        (folder / "job.json").write_text(json.dumps(job(ct, weights, folder / "own")))
        tell("a process of its own", timed(Talk("run", str(folder / "job.json")), None))
        server = Talk("serve")
        server.until("ready")
        for number, words in enumerate(("a process that stays alive, first run", "second run", "third run")):
            time.sleep(0 if args.smoke else 1)  # nobody clicks in the moment that a run ends
            tell(words, timed(server, {"id": number, "do": "run", "job": job(ct, weights, folder / f"r{number}")}))
        server.process.kill()
        server.process.communicate()
        small = around_the_heart(folder / "heart.nii.gz", 24 if args.smoke else 64)
        counterfactual(folder, small, weights, load_model(weights).labels[1] if args.smoke else "heart", args.smoke)
        send(folder, args.host, args.command, args.megabytes)


def counterfactual(folder: Path, ct: Path, weights: Path, label: str, smoke: bool) -> None:
    """How soon a counterfactual begins: in a process that is started for it, and in one that stays alive."""
    print("\n| counterfactual | first word | first window | end |\n|---|---:|---:|---:|")
    entries = {
        "ct": str(ct),
        "weights": str(weights),
        "target": label,
        "device": "cpu",
        "direction": "less",
        "frames": 1,
        "end": 5.0,
    }
    alone, alive = ("a process for it alone",), ("a process that stays alive, first", "second", "third")
    for words in (alive[:2],) if smoke else (alone, alive):
        began = time.perf_counter()
        server = Talk("serve")
        for number, each in enumerate(words):
            if len(words) > 1:
                server.until("ready") if number == 0 else time.sleep(0 if smoke else 1)
                began = time.perf_counter()
            server.send({"do": "counterfactual", "job": {**entries, "output": str(folder / f"{len(words)}-{number}")}})
            server.began = began
            tell(each, server.course())
        server.process.kill()
        server.process.communicate()


def around_the_heart(path: Path, size: int) -> Path:
    """A CT of so many voxels a side; 64 are one window of the demo model, so that a counterfactual takes seconds."""
    patient = make_phantom(0, (4.0, 4.0, 4.0))
    middle = tuple(slice((whole - size) // 2, (whole + size) // 2) for whole in patient.ct.shape)
    write_volume(path, patient.ct[middle], patient.affine, compress=True)
    return path


def tell(words: str, seconds: tuple[float, ...]) -> None:
    print(f"| {words} | " + " | ".join(f"{value:.2f} s" for value in seconds) + " |", flush=True)


def send(folder: Path, host: str, command: str, megabytes: int) -> None:
    """What the way there costs."""
    size = megabytes * 2**20
    (folder / "big.raw").write_bytes(np.random.default_rng(0).integers(-1000, 1000, size // 2, dtype=np.int16).tobytes())
    if host:
        remote = remote_by_ssh(host, command)
    else:
        remote = Remote("there", lambda: Channel([*PYTHON, "serve", "--stdio"], lambda status, said: str(said), "there"))
    monitor = Monitor()
    began = time.perf_counter()
    remote.answer({"do": "forget"}, monitor)
    channel = remote.ready(monitor).channel
    ready = time.perf_counter() - began
    began = time.perf_counter()
    place = channel.put("ct", [("big.raw", folder / "big.raw")], monitor, lambda share: None)
    there = time.perf_counter() - began
    began = time.perf_counter()
    channel.ask({"do": "fetch", "folder": "ct"}, monitor, lambda event: None, lambda name: folder / f"back-{name}")
    back = time.perf_counter() - began
    assert (folder / "back-big.raw").read_bytes() == (folder / "big.raw").read_bytes(), place
    remote.close()
    way = f"ssh to {host}" if host else "a pipe"
    print(f"\n{way}: ready after {ready:.2f} s; {megabytes} MB there in {there:.2f} s ({megabytes / there:.0f} MB/s), ", end="")
    print(f"back in {back:.2f} s ({megabytes / back:.0f} MB/s).")


if __name__ == "__main__":
    main()
