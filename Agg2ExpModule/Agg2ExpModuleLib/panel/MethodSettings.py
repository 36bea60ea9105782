"""The chosen attribution method with its parameters, as the scene keeps them and as a job needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..words.OptionWords import inPanelWords
from .Parameters import Parameters, referenceVolumes

if TYPE_CHECKING:
    from Agg2ExpLib.attribution.method import Method, Parameter

AUTO = "auto"  # in place of a number
PRECISION = "tolerance"  # in place of a number of samples
# What the panel takes where nothing is set, in percentage points: a matrix that converges, whatever the scan (the library's own
# default is a number of samples).
USUAL_PRECISION = 0.5
REFERENCES = "references"  # a tuple of files in jobs, volumes of the scene here
# Parameters of methods that are parameters of the scene in their own right.
OWN = {"samples": "samples", "sigma": "noise", "seed": "seed"}
# A parameter that matters only with some choices of another one.
_ONLY_WITH = {
    "blur": ("baseline", ("blurred",)),
    "regions": ("supervoxels", ("cubes", "slic")),
    "compactness": ("supervoxels", ("slic",)),
}


def methods() -> Mapping[str, type[Method]]:
    """Every method of the library by its name, in the order of menus."""
    from Agg2ExpLib.attribution.methods import METHODS

    return METHODS


def methodEntries(name: str) -> tuple[Parameter, ...]:
    """The parameters of a method; none for a method of another version."""
    known = methods()
    return known[name].parameters() if name in known else ()


def defaultOf(entry: Parameter) -> Any:
    """What a parameter is in the panel where nothing is set."""
    return USUAL_PRECISION if entry.name == PRECISION else entry.default


def valueOf(parameters: Parameters, entry: Parameter) -> Any:
    """What is set for a parameter, else its default; CT volumes for ``references``."""
    if entry.name in OWN:
        return getattr(parameters, OWN[entry.name])
    if entry.name == REFERENCES:
        return [volume for volume in referenceVolumes(parameters) if volume is not parameters.inputVolume]
    value = _kept(parameters).get(entry.name, defaultOf(entry))
    return value if _fits(value, entry) else defaultOf(entry)


def setValue(parameters: Parameters, entry: Parameter, value: Any) -> None:
    """Set a parameter that is kept in ``methodParameters``; what equals the default is not kept."""
    kept = {name: other for name, other in _kept(parameters).items() if name != entry.name}
    if value != defaultOf(entry):
        kept[entry.name] = value
    parameters.methodParameters = json.dumps(kept, ensure_ascii=True, sort_keys=True) if kept else ""


def jobEntries(parameters: Parameters) -> dict[str, Any]:
    """The method and all its parameters for a job; ``references`` are volumes still."""
    entries = methodEntries(parameters.method)
    values = {entry.name: valueOf(parameters, entry) for entry in entries if not _followsPrecision(parameters, entry)}
    return {"method": parameters.method, **values}


def madeMethod(parameters: Parameters) -> Method | None:
    """The method as it is set; None with a bad value, which :func:`problemOfMethod` tells of."""
    from Agg2ExpLib.errors import InputError

    try:
        return _make(parameters)
    except InputError:
        return None


def _make(parameters: Parameters) -> Method:
    from Agg2ExpLib.attribution.methods import make_method

    entries = jobEntries(parameters)
    if REFERENCES in entries:  # files in a job; here their number matters
        entries[REFERENCES] = [str(volume.GetID()) for volume in entries[REFERENCES]]
    return make_method(entries.pop("method"), **entries)


def isIdle(parameters: Parameters, entry: Parameter) -> bool:
    """Whether a parameter does nothing with what is chosen for the others."""
    others = {other.name: other for other in methodEntries(parameters.method)}
    if _followsPrecision(parameters, entry):
        return True
    if entry.name == "seed":
        made = madeMethod(parameters)
        return made is not None and not made.random
    other, choices = _ONLY_WITH.get(entry.name, ("", ()))
    return other in others and valueOf(parameters, others[other]) not in choices


def _followsPrecision(parameters: Parameters, entry: Parameter) -> bool:
    """Whether a number of samples is as large as the precision that is chosen needs."""
    others = {other.name: other for other in methodEntries(parameters.method)}
    return entry.name == "samples" and PRECISION in others and valueOf(parameters, others[PRECISION]) is not None


def problemOfMethod(parameters: Parameters) -> str:
    """Why the method cannot run as it is set, in one sentence; empty when it can."""
    if parameters.method not in methods():
        return _("This version of Agg2Exp has no method {name}: choose another one.").format(name=parameters.method)
    if any(entry.name == REFERENCES and not valueOf(parameters, entry) for entry in methodEntries(parameters.method)):
        return _("Choose the scans to compare with (Advanced), or another method.")
    from Agg2ExpLib.errors import InputError

    try:
        _make(parameters)
    except InputError as error:
        return inPanelWords(error.template)
    return ""


def _fits(value: Any, entry: Parameter) -> bool:
    """Whether a value is of the parameter's kind; in a scene of another version it may not be."""
    if entry.choices:
        return value in entry.choices
    if isinstance(value, bool) or entry.kind == "bool":
        return isinstance(value, bool) and entry.kind == "bool"
    if entry.kind == "float | None":
        return value is None or isinstance(value, int | float)
    kinds: dict[str, Any] = {"int": int, "float": (int, float), "int | str": int, "str": str}
    return isinstance(value, kinds.get(entry.kind, object)) or (entry.kind == "int | str" and value == AUTO)


def _kept(parameters: Parameters) -> dict[str, Any]:
    try:
        kept = json.loads(parameters.methodParameters or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}
