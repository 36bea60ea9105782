"""Names are drawn as they are: a dollar sign in one does not begin a formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# For ``matplotlib.rc_context``; a text keeps what held when it was made.
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}


def plain_text(draw: Callable[P, T]) -> Callable[P, T]:
    """A function that makes a figure, none of whose texts are read as formulas."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        from matplotlib import rc_context

        with rc_context(PLAIN_TEXT):
            return draw(*args, **kwargs)

    return drawn
