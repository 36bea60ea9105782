"""The way to another computer: the ``ssh`` that people have, with their keys and settings, and its refusals in words."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from ..errors import InputError

COMMAND = "agg2exp serve --stdio"
PROGRAM = "AGG2EXP_SSH"
THERE = "host:"  # begins the path of what lies on the other computer
CONNECT_S = 10
_HOST = re.compile(r"(ssh://)?([\w.+-]+@)?[\w][\w.-]*(:\d{1,5})?|(ssh://)?([\w.+-]+@)?\[[0-9a-fA-F:.%\w]+\](:\d{1,5})?")
# No password can be asked for; nothing but this one channel goes through; a line that is dead is noticed within a minute.
_OPTIONS = (
    "-T",
    "-x",
    "-o", "BatchMode=yes",
    "-o", f"ConnectTimeout={CONNECT_S}",
    "-o", "ServerAliveInterval=15",
    "-o", "ServerAliveCountMax=3",
    "-o", "ClearAllForwardings=yes",
    "-o", "ForwardAgent=no",
)  # fmt: skip
_REFUSALS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "{host} shows another host key than before: ask who runs it whether that is right."),
    ("Host key verification failed", "The host key of {host} is not known here: log in once with `ssh {host}` in a terminal."),
    ("Permission denied", "{host} does not let you in without a password: set up a key for it (ssh-copy-id), or an ssh agent."),
    ("Too many authentication failures", "{host} does not let you in: name the right key for it in ~/.ssh/config."),
    ("Could not resolve hostname", "There is no computer named {host}: check the name and the network."),
    ("Name or service not known", "There is no computer named {host}: check the name and the network."),
)
_UNREACHABLE = re.compile(
    r"(Connection (timed out|refused|reset|closed)|No route to host|Network is unreachable|Operation timed out|"
    r"Connection to .* timed out|kex_exchange_identification)",
    re.IGNORECASE,
)


def check_host(host: str) -> str:
    """The host as it was given, without blanks around it.

    Raises:
        InputError: it is no name of a computer; what begins with ``-`` would be an option of ssh.
    """
    host = host.strip()
    if len(host) > 300 or not _HOST.fullmatch(host):
        raise InputError(f"{host[:80]!r} names no computer: write it as for ssh, such as user@workstation, or as in ~/.ssh/config.")
    return host


def ssh_command(host: str, command: str = "") -> list[str]:
    """What starts a server there.

    Args:
        host: as for ssh: ``user@host``, ``user@host:port``, or a name in the user's ssh configuration.
        command: that the shell there runs; by default :data:`COMMAND`.

    Raises:
        InputError: see :func:`check_host`; or the command has more than one line.
    """
    host, command = check_host(host), command.strip() or COMMAND
    if any(ord(char) < 32 for char in command):
        raise InputError("The command for the other computer must be one line.")
    if ":" in host and not host.startswith("ssh://"):
        host = f"ssh://{host}"
    program = shlex.split(os.environ.get(PROGRAM, "") or "ssh", posix=os.name != "nt")
    return [*program, *_OPTIONS, "--", host, command]


def refusal(host: str, status: int | None, said: Sequence[str]) -> str:
    """Why no server answers, in one sentence.

    Args:
        host: as it was given.
        status: exit status of ssh; None while it lives.
        said: what it and the other side have written, the last lines.
    """
    text = "\n".join(said)
    for words, sentence in _REFUSALS:
        if words in text:
            return sentence.format(host=host)
    own = [line.strip() for line in said if not line.startswith("Warning:")]
    last = own[-1][:200] if own else ""
    if status == 255:
        found = _UNREACHABLE.search(text)
        reason = f" ({found[0].lower()})" if found else f" ({last})" if last else ""
        return f"{host} does not answer{reason}: check its name, the network, and that ssh reaches it."
    if status in (126, 127) or "not found" in text or "No such file" in text:
        return f"There is no agg2exp on {host}: install it there, or give the command that starts it there."
    if "No module named" in text:
        return f"A Python package is missing on {host} ({last}): install agg2exp there with what it needs."
    if "unrecognized arguments" in text or "invalid choice" in text:
        return f"The agg2exp on {host} is too old for this: install the version that is here."
    if status is None:
        return f"{host} has been reached, but agg2exp does not start there: try the command there in a terminal."
    return f"agg2exp does not start on {host} ({last or f'exit status {status}'}): try the command there in a terminal."
