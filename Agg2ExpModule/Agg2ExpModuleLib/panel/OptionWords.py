"""Sentences of the library, which name options of the command line, in the words of the panel."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

from .MethodWords import parameterTitles

_METHOD = re.compile(r"--method (\w+)")
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


def inPanelWords(text: str) -> str:
    """``set --samples to 20`` becomes ``set “Samples” to 20``; options that the panel does not have stay as they are."""

    def method(match: re.Match[str]) -> str:
        from Agg2ExpLib.attribution.methods import METHODS

        name = match[1]
        return _("the method {name}").format(name=METHODS[name].title) if name in METHODS else match[0]

    def option(match: re.Match[str]) -> str:
        title = _titles().get(match[1].replace("-", "_"))
        return match[0] if title is None else f"“{title}”"

    return _OPTION.sub(option, _METHOD.sub(method, text))


def _titles() -> dict[str, str]:
    return {
        **parameterTitles(),
        "labels": _("Labels"),
        "method": _("Method"),
        "device": _("Device"),
        "precision": _("Precision"),
        "overlap": _("Window overlap"),
        "output": _("Results in"),
        "target": _("Target"),
        "mask_coverage": _("Global mask"),
        "weights": _("Model"),
        "ct": _("CT"),
    }
