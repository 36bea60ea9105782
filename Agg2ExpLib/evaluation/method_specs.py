"""Attribution methods as people write them for an evaluation: ``smoothgrad:samples=10,antithetic=on``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..attribution.method import Method, Parameter
from ..attribution.methods import METHODS, make_method
from ..errors import InputError
from ..io.source_files import sha256_of

_SWITCHES = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class MethodSpec:
    """A method with its parameters.

    Attributes:
        text: as written; the method's name in tables.
        name: of the method.
        parameters: all of them, defaults included.
    """

    text: str
    name: str
    parameters: dict[str, Any]

    def make(self) -> Method:
        """The method."""
        return make_method(self.name, **self.parameters)

    def identity(self) -> dict[str, Any]:
        """What makes two specs the same, as JSON; scans that the method reads count by their content.

        Raises:
            InputError: such a scan is missing.
        """
        values = {
            key: [sha256_of(path) for path in value] if isinstance(value, tuple) else value
            for key, value in self.parameters.items()
        }
        return {"method": self.name, **values}


def parse_methods(texts: Sequence[str], seed: int) -> tuple[MethodSpec, ...]:
    """Read the methods of an evaluation.

    Args:
        texts: each ``name`` or ``name:parameter=value,…``; several paths of one parameter are separated by ``+``.
        seed: of methods that have one and are given none.

    Raises:
        InputError: none, an unknown method or parameter, a value that does not fit, or two that are the same.
    """
    if not texts:
        raise InputError("No method was asked for: name at least one, e.g. ⟨methods⟩ gradient smoothgrad:samples=10.")
    specs = tuple(_parse(text.strip(), seed) for text in texts)
    for index, spec in enumerate(specs):
        for other in specs[:index]:
            if (spec.name, spec.parameters) == (other.name, other.parameters):
                same = (
                    f"'{spec.text}' is named twice" if spec.text == other.text else f"'{other.text}' and '{spec.text}' are the same"
                )
                raise InputError(f"The method {same}: leave one out.")
    return specs


def _parse(text: str, seed: int) -> MethodSpec:
    name, colon, rest = text.partition(":")
    given = dict(_pair(text, part) for part in rest.split(",") if part.strip()) if colon else {}
    if name not in METHODS:
        make_method(name)  # tells which there are
    known = {entry.name: entry for entry in METHODS[name].parameters()}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}."
            raise InputError(f"The method {name} has no parameter '{key}' (in '{text}'): {hint}")
    values = {key: entry.default for key, entry in known.items()}
    if "seed" in values:
        values["seed"] = seed
    values |= {key: _value(text, known[key], value) for key, value in given.items()}
    make_method(name, **values)  # a bad value is told now
    return MethodSpec(text, name, values)


def _pair(text: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"Cannot read '{part.strip()}' in '{text}': write parameter=value, e.g. smoothgrad:samples=10.")
    return key.strip(), value.strip()


def _value(text: str, entry: Parameter, value: str) -> Any:
    """A value by the parameter's kind."""
    try:
        if entry.kind == "bool":
            return _SWITCHES[value.lower()]
        if entry.kind == "int":
            return int(value)
        if entry.kind == "float":
            return float(value)
        if entry.kind == "int | str":
            return "auto" if value == "auto" else int(value)
    except (ValueError, KeyError):
        words = {"bool": "on or off", "int": "a whole number", "float": "a number", "int | str": "a whole number or auto"}
        raise InputError(f"The {entry.name} in '{text}' must be {words[entry.kind]}, not '{value}'.") from None
    if entry.kind == "tuple[str, ...]":
        paths = tuple(path for path in value.split("+") if path)
        missing = next((path for path in paths if not Path(path).exists()), None)
        if missing:
            raise InputError(f"{missing} does not exist (in '{text}'): check the path.")
        return paths
    return value
