"""Sentences of the library, which name parameters as ``⟨name⟩``, in the words of the panel."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

from .MethodWords import parameterTitles

_METHOD = re.compile(r"⟨method⟩ (\w+)")


def inPanelWords(text: str) -> str:
    """``set ⟨samples⟩ to 20`` becomes ``set “Samples” to 20``; parameters that the panel does not have keep their plain names."""
    from Agg2ExpLib.attribution.methods import METHODS
    from Agg2ExpLib.errors import worded

    def method(match: re.Match[str]) -> str:
        name = match[1]
        return _("the method {name}").format(name=METHODS[name].title) if name in METHODS else match[0]

    def title(name: str) -> str:
        known = _titles().get(name)
        return name if known is None else f"“{known}”"

    return worded(_METHOD.sub(method, text), title)


def _titles() -> dict[str, str]:
    return {
        **parameterTitles(),
        "labels": _("Labels"),
        "method": _("Method"),
        "device": _("Device"),
        "precision": _("Precision"),
        "overlap": _("Window overlap"),
        "keep": _("Weight kept"),
        "output": _("Results in"),
        "target": _("Target"),
        "mask_coverage": _("Global mask"),
        "weights": _("Model"),
        "segmenter": _("Regions"),
        "ct": _("CT"),
    }
