"""A comparison in a process of its own, for Slicer's panel: ``python -m Agg2ExpLib.cohorts.compare_job``.

scikit-learn takes seconds to load and a forest fractions of a second to grow, which the panel must not wait for. The job is one
line of JSON on stdin: ``reference`` (path), ``table`` (the patient's importance as tidy CSV), ``labels`` (names of the model's own)
and ``run`` (content of run.json). The answers are lines of JSON on stdout: ``comparison`` with what is known so far and ``done``,
``progress`` (labels done, of all), or ``error`` (one sentence).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError


def answers(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What to tell about a job, in order; the last has ``done`` or ``error``."""
    from ..roi_importance.tables import matrix_from_text
    from .compare import comparing
    from .compare_reference import open_reference

    try:
        _patient, matrix = matrix_from_text(job["table"], tuple(job["labels"]))
        comparison = None
        for count, comparison in enumerate(comparing(open_reference(job["reference"]), matrix, job["run"])):
            if count == 0:  # all but the scores
                yield {"comparison": comparison.to_json(), "done": False}
            yield {"progress": [count, len(comparison.labels)]}
        assert comparison is not None
        yield {"comparison": comparison.to_json(), "done": True}
    except InputError as error:
        yield {"error": str(error)}
    except OSError as error:
        yield {"error": f"The reference cannot be read ({error.strerror or error}): choose another."}


def main() -> int:
    """Do the job that stands on stdin."""
    for answer in answers(json.loads(sys.stdin.readline())):
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
