"""``agg2exp serve``: a process that stays alive between jobs, for programs such as the Slicer module, also on another computer."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_host_options

_MORE = """requests, one JSON object a line on stdin; paths are absolute:
  {"id": 1, "do": "load", "weights": "/models/swin_unetr.pt"}
  {"id": 2, "do": "run", "job": {"ct": "/data/chest.nii.gz", "weights": "/models/swin_unetr.pt", "output": "/data/result"}}
  {"id": 3, "do": "what_if", "result": "/data/result", "weights": "/models/swin_unetr.pt", "action": "remove", "regions": ["heart"]}
  {"id": 4, "do": "causal", "result": "/data/result", "weights": "/models/swin_unetr.pt"}
  {"id": 5, "do": "counterfactual", "job": {"ct": "/data/chest.nii.gz", "weights": "/models/swin_unetr.pt", "target": "heart",
            "direction": "less", "output": "/data/less_heart"}}
  {"do": "stop"}    stops the request that is being done
  {"do": "end"}     as does the end of stdin
events, one JSON object a line on stdout, with the request's id: those of `agg2exp run`, and
  {"event": "ready", ...} at the start, {"event": "ended", "reason": "idle"} or "asked" at the end,
  {"event": "released"} when memory is short and what was kept was given back
Models, CT and the windows of the last result are kept, so that a second question is answered from the windows that change.
Where a stopped request does not end by itself the process does ({"event": "cancelled", "ended": true}): start it anew.


on another computer: the same requests with the paths of this one, done there (see docs/how-to/other-computer.md):
  agg2exp serve --host user@workstation
What is read is sent through ssh, results come back, and nothing of it stays there. Weights are sent too, unless they are named as
they lie there (host:/models/swin_unetr.pt). The server there, which ssh starts, is `agg2exp serve --stdio`.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("serve", help="do requests until told to end", epilog=_MORE, description=__doc__)
    parser.add_argument("--stdio", action="store_true", help="serve on stdin and stdout (the only way there is)")
    parser.add_argument(
        "--idle", type=float, default=900.0, metavar="S", help="end after so many seconds without one (default 900)"
    )
    add_host_options(parser)
    parser.add_argument("--name", metavar="TEXT", help="any text, by which the process can be told from others of its kind")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Serve; the events tell everything."""
    from ..errors import InputError
    from ..serving.here import Here
    from ..serving.server import Worker, serve_on_stdio

    if not args.idle > 0:
        raise InputError(f"⟨idle⟩ must be a positive number of seconds, not {args.idle:g}.")
    worker: Worker = Here()
    if args.host:
        from ..serving.remote import remote_by_ssh

        worker = remote_by_ssh(args.host, args.host_command)
    serve_on_stdio(worker, args.idle, args.debug)
