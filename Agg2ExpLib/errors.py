"""The failures that callers tell apart, and how their sentences name parameters. Their text is shown to people as it is.

A sentence names a parameter as ``⟨samples⟩``. Each front end puts its own words there: Python ``samples``, the command line
``--samples``, the panel “Samples”.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_PARAMETER = re.compile(r"⟨(\w+)⟩")


def worded(text: str, words: Callable[[str], str] = lambda name: name) -> str:
    """A sentence with its parameters in the words of a front end; without ``words`` they go by their plain names.

    >>> worded("set ⟨extra_rois⟩", on_command_line)
    'set --extra-rois'
    """
    return _PARAMETER.sub(lambda match: words(match[1]), text)


def on_command_line(name: str) -> str:
    """A parameter's option: ``extra_rois`` is ``--extra-rois``."""
    return f"--{name.replace('_', '-')}"


def parameters_in(text: str) -> tuple[str, ...]:
    """The parameters that a sentence names."""
    return tuple(_PARAMETER.findall(text))


class InputError(ValueError):
    """Something the user gave cannot be used; the text says what is wrong and what to do (exit status 2).

    Attributes:
        template: the sentence with its parameters as ``⟨name⟩``; ``str()`` gives it with plain names.

    Examples:
        >>> try:
        ...     agg2exp.explain("chest.nii.gz", "swin_unetr.pt", labels=["hart"])
        ... except agg2exp.InputError as error:
        ...     print(error)  # The model has no label 'hart': did you mean 'heart'?
    """

    def __init__(self, template: str):
        super().__init__(template)
        self.template = template

    def __str__(self) -> str:
        return worded(self.template)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the sentence names."""
        return parameters_in(self.template)


class OutOfMemoryError(RuntimeError):
    """The smallest batch did not fit into the device's memory.

    Attributes:
        template: what happened, with parameters as ``⟨name⟩``; ``str()`` gives it with plain names.
        hint: what the user can do about it, in the same form.

    Examples:
        >>> try:
        ...     result = agg2exp.segment("chest.nii.gz", "swin_unetr.pt", device="cpu")
        ... except agg2exp.OutOfMemoryError as error:
        ...     print(error, error.hint)
    """

    def __init__(self, template: str, hint: str):
        super().__init__(template, hint)
        self.template, self.hint = template, hint

    def __str__(self) -> str:
        return worded(self.template)


class ToldError(RuntimeError):
    """Something failed in another process, which has told what.

    Attributes:
        code: as in an ``error`` event.
        message: what happened.
        hint: what the user can do about it.
    """

    def __init__(self, code: str, message: str, hint: str):
        super().__init__(f"{message} {hint}".strip())
        self.code, self.message, self.hint = code, message, hint


class Cancelled(Exception):
    """The user asked to stop; nothing of the run is kept.

    Examples:
        >>> monitor = agg2exp.LogMonitor()
        >>> monitor.stop()  # from a button, a signal handler, another thread
        >>> try:
        ...     result = agg2exp.segment("chest.nii.gz", "swin_unetr.pt", monitor=monitor)
        ... except agg2exp.Cancelled:
        ...     print("nothing was kept")
    """
