"""The failures that callers tell apart. Their text is shown to people as it is."""


class InputError(ValueError):
    """Something the user gave cannot be used; the text says what is wrong and what to do (exit status 2)."""


class OutOfMemoryError(RuntimeError):
    """The smallest batch did not fit into the device's memory.

    Attributes:
        hint: what the user can do about it.
    """

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.hint = hint


class Cancelled(Exception):
    """The user asked to stop; nothing of the run is kept."""
