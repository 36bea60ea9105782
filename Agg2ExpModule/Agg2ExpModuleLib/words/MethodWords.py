"""What the parameters of the attribution methods and their choices are called in the panel."""

from __future__ import annotations

from slicer.i18n import tr as _


def parameterTitles() -> dict[str, str]:
    """Title of every parameter that the library is known to have, in the order of the panel's rows."""
    return {
        "references": _("Compare with"),
        "supervoxels": _("Supervoxels"),
        "regions": _("Regions"),
        "compactness": _("Compactness"),
        "coalitions": _("Coalitions"),
        "samples": _("Samples"),
        "sigma": _("Noise"),
        "tolerance": _("Precision"),
        "antithetic": _("Noise in pairs of opposite sign"),
        "limit": _("Shares for endless samples"),
        "steps": _("Steps"),
        "rule": _("Integration"),
        "baseline": _("Baseline"),
        "blur": _("Baseline blur"),
        "layer": _("Layer"),
        "cam": _("Kind of map"),
        "relu": _("Only what supports the label"),
        "seed": _("Seed"),
    }


def choiceTitles() -> dict[str, str]:
    """What people read for a choice."""
    return {
        "gauss-legendre": _("Gauss-Legendre"),
        "midpoint": _("Midpoints"),
        "right": _("Right ends (paper)"),
        "zero": _("Zero"),
        "air": _("Air (lowest HU)"),
        "mean": _("Mean of the CT"),
        "blurred": _("Blurred CT"),
        "uniform": _("Random values"),
        "layercam": _("LayerCAM"),
        "gradcam": _("Seg-Grad-CAM"),
        "semantic": _("Predicted labels"),
        "cubes": _("Cubes"),
        "slic": _("Like intensity (SLIC)"),
    }


def shortTitle(title: str) -> str:
    """A label's title with its side as one letter, to fit into narrow places."""
    for word, letter in ((" left", " L"), (" right", " R")):
        if title.endswith(word):
            return title[: -len(word)] + letter
    return title


def precisions() -> dict[str, float | None]:
    """The choices of a precision with the error in percentage points that each stands for."""
    return {
        _("Number of samples"): None,
        _("Quick (± 1 point)"): 1.0,
        _("Good (± 0.5 points)"): 0.5,
        _("Exact (± 0.25 points)"): 0.25,
    }


def titleOf(name: str) -> str:
    """A parameter's title; made from its name where the table has none."""
    return parameterTitles().get(name) or name.replace("_", " ").capitalize()


def choiceTitle(value: str) -> str:
    """A choice's title; the choice itself where the table has none."""
    return choiceTitles().get(value, value)


def sentence(text: str) -> str:
    """A half sentence of the library as a whole one."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
