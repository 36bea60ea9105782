"""A method by its name and the values that were given for its parameters: what jobs, evaluations and files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .method import Method
from .methods import DEFAULT_METHOD, find_method, make_method


@dataclass(frozen=True)
class MethodSpec:
    """A method with its parameters; it is checked when it is made.

    Attributes:
        name: of the method.
        values: given parameters; those left out have the method's own defaults.

    Raises:
        InputError: an unknown method or parameter, or a bad value.
    """

    name: str = DEFAULT_METHOD
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {entry.name: entry for entry in self.make().parameters()}
        object.__setattr__(self, "values", {name: known[name].check(value) for name, value in self.values.items()})

    @classmethod
    def of(cls, method: Method) -> MethodSpec:
        """A registered method with the parameters that it has."""
        return cls(method.name, {entry.name: getattr(method, entry.name) for entry in method.parameters()})

    @classmethod
    def picked(cls, name: str, entries: Mapping[str, Any]) -> MethodSpec:
        """A method with those of the entries that are parameters of it."""
        own = {entry.name for entry in find_method(name).parameters()}
        return cls(name, {key: value for key, value in entries.items() if key in own})

    def make(self) -> Method:
        """The method."""
        return make_method(self.name, **self.values)

    def all_values(self) -> dict[str, Any]:
        """Every parameter with its value, given or not."""
        method = self.make()
        return {entry.name: getattr(method, entry.name) for entry in method.parameters()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MethodSpec):
            return NotImplemented
        return (self.name, self.all_values()) == (other.name, other.all_values())

    def __hash__(self) -> int:
        return hash((self.name, *sorted(self.all_values().items())))
