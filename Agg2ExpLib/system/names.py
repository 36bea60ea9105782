"""Names that people and file systems give: compared in whatever Unicode form, and made fit to name files on every system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from .json_files import text_problem
from .regular_files import sha256_of_text

# File systems hold 255 bytes a name; this leaves room for a suffix and for the prefix of a file in the making.
MOST_NAME_BYTES = 200
MOST_TITLE = 100
# What makes a cell of a table a formula for spreadsheet programs.
FORMULA = ("=", "+", "-", "@")
# What some system or other does not take in the name of a file.
FORBIDDEN = frozenset('<>:"/\\|?*')
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)


def same_form(name: str) -> str:
    """A name in the one Unicode form that is compared and written (NFC): Mac disks give ``ä`` as two characters."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """What two names share that people would call the same: capitals, spaces or underscores, and Unicode forms do not count."""
    return same_form(same_form(name).casefold()).strip().replace(" ", "_")


def clean_name(name: str) -> str:
    """A name of one line in the usual Unicode form, without control characters or half characters, and not too long."""
    text = name.encode("utf-8", errors="replace").decode("utf-8")
    text = " ".join(_CONTROLS.sub(" ", same_form(text)).split())
    text = f"_{text}" if text.startswith(FORMULA) else text
    return text if len(text) <= MOST_TITLE else text[: MOST_TITLE - 1].rstrip() + "…"


def safe_file_name(name: str) -> str:
    """A name of a file (without suffix) for a name of a thing.

    The same wherever it can be; names that Windows keeps for devices, that would be hidden, end in a dot or a space, or are too
    long get an underscore or their checksum.
    """
    safe = name
    if not safe.strip(" .") or safe.startswith("."):
        safe = f"_{safe}"
    if safe.endswith((" ", ".")):
        safe = f"{safe.rstrip(' .')}_"
    if _RESERVED.fullmatch(safe):
        safe = f"_{safe}"
    encoded = safe.encode("utf-8", errors="replace")
    if len(encoded) > MOST_NAME_BYTES:
        safe = f"{encoded[: MOST_NAME_BYTES - 9].decode('utf-8', errors='ignore')}-{sha256_of_text(name)[:8]}"
    return safe


def is_file_name(name: str) -> bool:
    """Whether every system takes a name for a file or folder as it is, and it leads nowhere else."""
    return safe_file_name(name) == name and not any(char in FORBIDDEN or ord(char) < 32 for char in name)


def is_reserved(name: str) -> bool:
    """Whether Windows keeps a name for a device."""
    return _RESERVED.fullmatch(name.strip()) is not None


def id_problem(name: str) -> str:
    """Why a patient's id cannot stand in tables and pictures, in words after it, or nothing."""
    if len(name) > MOST_TITLE:
        return f"has more than {MOST_TITLE} characters"
    if _CONTROLS.search(name) or text_problem(name):
        return "has characters that cannot be shown"
    if name.startswith(FORMULA):
        return "begins as a formula does in spreadsheets (= + - @)"
    return ""


def existing(path: Path) -> Path:
    """The path as the disk spells it, where it is there in another Unicode form; else as given."""
    try:
        if path.exists():
            return path
        for form in ("NFC", "NFD"):
            other = Path(unicodedata.normalize(form, str(path)))
            if other.exists():
                return other
    except (OSError, ValueError):
        pass
    return path
