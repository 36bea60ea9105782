"""``slicer.i18n`` without a dictionary: text stays as it is."""

from __future__ import annotations


def translate(context: str, text: str) -> str:
    """Text in the application's language."""
    if not isinstance(context, str) or not isinstance(text, str):
        raise TypeError("translate takes a context and a text")
    return text


def tr(text: str) -> str:
    """Text in the application's language, the calling file being the context."""
    if not isinstance(text, str):
        raise TypeError("tr takes one text; fill in values afterwards with .format()")
    return text
