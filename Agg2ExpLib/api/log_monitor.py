"""What runs tell in Python: notices go to the logger ``agg2exp``, progress nowhere unless somebody asks."""

from __future__ import annotations

import logging

from ..errors import worded
from ..monitor import Monitor


class LogMonitor(Monitor):
    """Passes notices on to ``logging.getLogger("agg2exp")`` as warnings and progress as debug messages.

    Examples:
        >>> logging.getLogger("agg2exp").setLevel(logging.ERROR)  # no notices on the screen; results keep them
        >>> result = agg2exp.segment("chest.nii.gz", "swin_unetr.pt", monitor=agg2exp.LogMonitor())
        >>> result.notices
    """

    _log = logging.getLogger("agg2exp")

    def notice(self, message: str) -> None:
        """A warning."""
        super().notice(message)
        self._log.warning("%s", worded(message))

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        """A debug message."""
        self._log.debug("%s %.0f %% %s", stage, 100 * fraction, message)
