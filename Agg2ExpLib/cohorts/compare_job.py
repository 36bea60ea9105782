"""A comparison in a process of its own, for Slicer's panel: ``python -m Agg2ExpLib.cohorts.compare_job``.

scikit-learn takes seconds to load and a forest fractions of a second to grow, which the panel must not wait for. The job is one
line of JSON on stdin: ``reference`` (path), ``table`` (the patient's importance as tidy CSV), ``labels`` (names of the model's own)
and ``run`` (content of run.json). The events are lines of JSON on stdout, as those of a run: ``comparison`` (with what is known so
far), ``progress`` (``done`` labels ``of`` all), and at the end ``done`` with the whole ``comparison``, or ``error`` with a
``message`` (one sentence).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError


def answers(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a job, in order; the last is ``done`` or ``error``."""
    from ..roi_importance.tables import matrix_from_text
    from .compare import comparing
    from .compare_reference import open_reference

    try:
        _patient, matrix = matrix_from_text(job["table"], tuple(job["labels"]))
        comparison = None
        for count, comparison in enumerate(comparing(open_reference(job["reference"]), matrix, job["run"])):
            if count == 0:  # all but the scores
                yield {"event": "comparison", "comparison": comparison.to_json()}
            yield {"event": "progress", "done": count, "of": len(comparison.labels)}
        assert comparison is not None
        yield {"event": "done", "comparison": comparison.to_json()}
    except InputError as error:
        yield {"event": "error", "code": "bad_input", "message": str(error), "template": error.template}
    except OSError as error:
        message = f"The reference cannot be read ({error.strerror or error}): choose another."
        yield {"event": "error", "code": "bad_input", "message": message}


def main() -> int:
    """Do the job that stands on stdin."""
    for answer in answers(json.loads(sys.stdin.readline())):
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
