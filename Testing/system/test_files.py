"""Results folders in the making: what others put in their place, what ends at once, what a killed process leaves, and links."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.system.files import OutputFolder, discard_unfinished, replacing


def finished(path, text, overwrite=False):
    """A published folder that looks like results."""
    folder = OutputFolder(path, overwrite)
    (folder.temporary / "run.json").write_text(json.dumps({"agg2exp": "0", "text": text}))
    folder.publish()


def text_of(path):
    return json.loads((path / "run.json").read_text())["text"]


def test_the_first_of_two_runs_with_the_same_output_wins(tmp_path):
    late = OutputFolder(tmp_path / "r")
    finished(tmp_path / "r", "first")
    with pytest.raises(InputError, match="exists already"):
        late.publish()
    late.discard()
    assert text_of(tmp_path / "r") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_overwriting_leaves_the_new_results_alone(tmp_path):
    finished(tmp_path / "r", "old")
    finished(tmp_path / "r", "new", overwrite=True)
    assert text_of(tmp_path / "r") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_old_results_come_back_when_the_new_ones_cannot_take_their_place(tmp_path, monkeypatch):
    finished(tmp_path / "r", "old")
    folder = OutputFolder(tmp_path / "r", overwrite=True)
    rename = Path.rename

    def refuse(self, target):
        if self == folder.temporary:
            raise PermissionError(13, "a file in it is open")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        folder.publish()
    folder.discard()
    assert text_of(tmp_path / "r") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_nothing_is_published_after_a_hard_end(tmp_path):
    folder = OutputFolder(tmp_path / "deep" / "r")
    discard_unfinished()
    assert not list(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        folder.publish()
    finished(tmp_path / "r", "done")
    discard_unfinished()
    assert text_of(tmp_path / "r") == "done"


def other_process(*command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)


HOLD = """
import sys, time
from pathlib import Path
from Agg2ExpLib.system.files import OutputFolder
folder = OutputFolder(Path(sys.argv[1]))
(folder.temporary / "map.nrrd").write_bytes(bytes(1000))
print(folder.temporary, flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    holders = [other_process("-c", HOLD, str(tmp_path / "r")) for _ in range(2)]
    held = [Path(holder.stdout.readline().strip()) for holder in holders]
    other = OutputFolder(tmp_path / "r2")  # of this process
    (tmp_path / ".r.partial-notours").mkdir()
    try:
        finished(tmp_path / "r", "first")
        assert all((path / "map.nrrd").is_file() for path in held), "both processes live"
        holders[0].kill()
        holders[0].wait()
        finished(tmp_path / "r", "second", overwrite=True)
        assert not held[0].exists()
        assert (held[1] / "map.nrrd").is_file()
        assert other.temporary.is_dir()
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    other.discard()
    finished(tmp_path / "r", "third", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"r", ".r.partial-notours"}, "a folder without a lock is not ours to judge"


END_BETWEEN = """
import os, sys
from pathlib import Path
from Agg2ExpLib.system.files import OutputFolder
folder = OutputFolder(Path(sys.argv[1]), overwrite=True)
rename = Path.rename
def end(self, target):
    if self == folder.temporary:
        os._exit(9)
    return rename(self, target)
Path.rename = end
folder.publish()
"""


def test_results_come_back_when_the_process_that_replaced_them_was_killed(tmp_path):
    finished(tmp_path / "r", "old")
    assert other_process("-c", END_BETWEEN, str(tmp_path / "r")).wait() == 9
    assert not (tmp_path / "r").exists()
    with pytest.raises(InputError, match="exists already"):
        OutputFolder(tmp_path / "r")
    assert text_of(tmp_path / "r") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_killed_command_line_leaves_nothing_to_the_next(tmp_path, small_ct, small_weights, capsys):
    rest = ["--ct", str(small_ct), "--weights", str(small_weights), "--output", str(tmp_path / "r"), "--device", "cpu"]
    killed = other_process("-m", "Agg2ExpLib", "explain", *rest, "--samples", "100000")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".r.partial-*/segmentation.nii.gz")):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2, "the folder and its lock are left"
    assert main(["segment", *rest]) == 0
    capsys.readouterr()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("content", ['{"loss": 0.3}', "[]", "no json"])
def test_a_run_json_of_another_program_is_never_overwritten(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="not a results folder"):
        OutputFolder(tmp_path, overwrite=True)
    assert (tmp_path / "run.json").read_text() == content


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "disk" / "results")
    finished(tmp_path / "r", "first")
    finished(tmp_path / "r", "second", overwrite=True)
    assert (tmp_path / "r").is_symlink()
    assert text_of(tmp_path / "disk" / "results") == "second"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["results"]


def test_too_little_room_is_told_in_fitting_units(tmp_path):
    free = 10**18
    with pytest.raises(InputError, match=r"need 1000000000\.0 GB but only [\d.]+ [GM]B"):
        OutputFolder(tmp_path / "r", needed_bytes=free)
    assert not list(tmp_path.iterdir())


def test_a_failed_file_leaves_the_old_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail():
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("ha")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
