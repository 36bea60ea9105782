"""``python -m Agg2ExpLib.serving.models_there HOST COMMAND``: the models on another computer, for the panel."""

from __future__ import annotations

import json
import sys

from ..monitor import Monitor
from ..runs.runner import describe
from .remote import remote_by_ssh
from .ssh import THERE


def models_there(host: str, command: str = "") -> list[dict[str, object]]:
    """What ``agg2exp models --json`` tells there, with paths as they are named here.

    Raises:
        InputError: nobody answers.
    """
    remote = remote_by_ssh(host, command)
    try:
        models = remote.answer({"do": "models"}, Monitor())["models"]
    finally:
        remote.close()
    assert isinstance(models, list)
    return [{**model, "path": f"{THERE}{model['path']}", "weights": f"{THERE}{model['weights']}"} for model in models]


if __name__ == "__main__":
    try:
        print(json.dumps({"event": "done", "models": models_there(sys.argv[1], sys.argv[2])}), flush=True)
    except Exception as error:
        print(json.dumps({"event": "error", **describe(error)}), flush=True)
