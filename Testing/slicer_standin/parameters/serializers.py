"""How each type of parameter is kept in a vtkMRMLScriptedModuleNode."""

from __future__ import annotations

import collections.abc
import enum
import pathlib
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import slicer

from .annotations import FloatRange, IsInstance, NotNone, Validator, split

_PATHS = (pathlib.Path, pathlib.PurePath, type(pathlib.Path()), type(pathlib.PurePath()))


class Serializer:
    """Keeps a value as one parameter of the node; subclasses say how it is written."""

    caches = True

    def __init__(self, text: Callable[[Any], str], value: Callable[[str], Any], default: Any, *validators: Validator):
        self._text, self._value, self._default, self.validators = text, value, default, list(validators)

    def default(self) -> Any:
        return self._default

    def validate(self, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        node.SetParameter(name, self._text(value))

    def read(self, node: Any, name: str) -> Any:
        return self._value(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class NodeSerializer(Serializer):
    """A node reference; the empty parameter beside it says that it was set."""

    def __init__(self, kind: type):
        super().__init__(str, str, None, IsInstance(kind))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class RangeSerializer(Serializer):
    """A FloatRange as two numbers."""

    caches = False

    def __init__(self) -> None:
        super().__init__(str, str, None, NotNone(), IsInstance(FloatRange))

    def default(self) -> Any:
        return FloatRange()

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.minimum"))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        with slicer.util.NodeModify(node):
            node.SetParameter(f"{name}.minimum", str(value.minimum))
            node.SetParameter(f"{name}.maximum", str(value.maximum))

    def read(self, node: Any, name: str) -> Any:
        low, high = (float(node.GetParameter(f"{name}.{end}")) for end in ("minimum", "maximum"))
        return _ObservedRange(low, high, lambda value: self.write(node, name, value))

    def remove(self, node: Any, name: str) -> None:
        for end in ("minimum", "maximum"):
            node.UnsetParameter(f"{name}.{end}")


class _ObservedRange(FloatRange):
    def __init__(self, minimum: float, maximum: float, save: Callable[[FloatRange], None]):
        super().__init__(minimum, maximum)
        self._save = save

    def setRange(self, minimum: float, maximum: float) -> None:
        super().setRange(minimum, maximum)
        self._save(self)


class SequenceSerializer(Serializer):
    """Elements with numbers, and their count. Raises what the element's own serializer raises, leaving the old values."""

    def __init__(self, element: Serializer):
        super().__init__(str, str, None)
        self._element = element
        self.caches = element.caches

    def default(self) -> Any:
        return []

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len")) if self.isIn(node, name) else 0

    def write(self, node: Any, name: str, value: Any) -> None:
        values = list(value)
        for entry in values:
            self._element.validate(entry)
        with slicer.util.NodeModify(node):
            before = self._length(node, name)
            for index, entry in enumerate(values):
                self._element.write(node, f"{name}.{index}", entry)
            for index in range(len(values), before):
                self._element.remove(node, f"{name}.{index}")
            node.SetParameter(f"{name}.len", str(len(values)))

    def read(self, node: Any, name: str) -> Any:
        values = [self._element.read(node, f"{name}.{index}") for index in range(self._length(node, name))]
        return ObservedList(values, lambda changed: self.write(node, name, changed))

    def remove(self, node: Any, name: str) -> None:
        with slicer.util.NodeModify(node):
            for index in range(self._length(node, name)):
                self._element.remove(node, f"{name}.{index}")
            node.UnsetParameter(f"{name}.len")


class ObservedList(collections.abc.MutableSequence):
    """A list that writes each change to its node; it cannot be added or multiplied, as Slicer's cannot."""

    def __init__(self, values: list[Any], save: Callable[[list[Any]], None]):
        self._list, self._save = values, save

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, index: Any) -> Any:
        return self._list[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._list[index] = value
        self._save(self._list)

    def __delitem__(self, index: Any) -> None:
        del self._list[index]
        self._save(self._list)

    def insert(self, index: int, value: Any) -> None:
        self._list.insert(index, value)
        self._save(self._list)

    def clear(self) -> None:
        self._list.clear()
        self._save(self._list)

    def extend(self, values: Any) -> None:
        self._list.extend(values)
        self._save(self._list)

    def sort(self, *arguments: Any, **options: Any) -> None:
        self._list.sort(*arguments, **options)
        self._save(self._list)

    def __eq__(self, other: object) -> bool:
        return self._list == (other._list if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError("Adding an ObservedList is not supported. However, += is supported.")

    __radd__ = __add__
    __mul__ = __add__
    __rmul__ = __add__

    def __repr__(self) -> str:
        return f"ObservedList({self._list})"


class TupleSerializer(Serializer):
    """A fixed number of values."""

    def __init__(self, parts: list[Serializer]):
        super().__init__(str, str, None)
        self._parts = parts
        self.caches = all(part.caches for part in parts)

    def default(self) -> Any:
        return tuple(part.default() for part in self._parts)

    def validate(self, value: Any) -> None:
        if len(tuple(value)) != len(self._parts):
            raise ValueError("Unexpected number of tuple values")
        for part, entry in zip(self._parts, value, strict=True):
            part.validate(entry)

    def _named(self, name: str) -> Iterator[tuple[Serializer, str]]:
        return ((part, f"{name}.{index}") for index, part in enumerate(self._parts))

    def isIn(self, node: Any, name: str) -> bool:
        return self._parts[0].isIn(node, f"{name}.0")

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        with slicer.util.NodeModify(node):
            for (part, key), entry in zip(self._named(name), value, strict=True):
                part.write(node, key, entry)

    def read(self, node: Any, name: str) -> Any:
        return tuple(part.read(node, key) for part, key in self._named(name))

    def remove(self, node: Any, name: str) -> None:
        for part, key in self._named(name):
            part.remove(node, key)


class DictSerializer(Serializer):
    """Pairs in order; the dictionary that is read writes its changes back."""

    def __init__(self, key: Serializer, value: Serializer):
        super().__init__(str, str, None)
        self._pairs = SequenceSerializer(TupleSerializer([key, value]))
        self.caches = self._pairs.caches

    def default(self) -> Any:
        return {}

    def isIn(self, node: Any, name: str) -> bool:
        return self._pairs.isIn(node, name)

    def write(self, node: Any, name: str, value: Any) -> None:
        self._pairs.write(node, name, list(value.items()))

    def read(self, node: Any, name: str) -> Any:
        return ObservedDict(dict(self._pairs.read(node, name)), lambda changed: self.write(node, name, changed))

    def remove(self, node: Any, name: str) -> None:
        self._pairs.remove(node, name)


class ObservedDict(collections.abc.MutableMapping):
    """A dictionary that writes each change to its node."""

    def __init__(self, values: dict[Any, Any], save: Callable[[dict[Any, Any]], None]):
        self._dict, self._save = values, save

    def __len__(self) -> int:
        return len(self._dict)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dict)

    def __getitem__(self, key: Any) -> Any:
        return self._dict[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._dict[key] = value
        self._save(self._dict)

    def __delitem__(self, key: Any) -> None:
        del self._dict[key]
        self._save(self._dict)

    def get(self, key: Any) -> Any:  # Slicer's takes no default
        return self._dict.get(key)

    def __eq__(self, other: object) -> bool:
        return self._dict == (other._dict if isinstance(other, ObservedDict) else other)

    __hash__ = None  # type: ignore[assignment]


class UnionSerializer(Serializer):
    """The first member type that takes the value."""

    def __init__(self, members: list[tuple[Any, Serializer]]):
        super().__init__(str, str, None)
        self._members = members
        self.caches = all(member.caches for _, member in members)

    def default(self) -> Any:
        if len(self._members) == 2 and self._members[1][0] is type(None):
            return None
        return self._members[0][1].default()

    def _choose(self, value: Any) -> tuple[int, Serializer]:
        for index, (kind, member) in enumerate(self._members):
            plain = typing.get_origin(kind) or kind
            if isinstance(value, plain) or (plain is float and isinstance(value, int)):
                member.validate(value)
                return index, member
        raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")

    def validate(self, value: Any) -> None:
        self._choose(value)

    def isIn(self, node: Any, name: str) -> bool:
        return any(member.isIn(node, f"{name}.{index}") for index, (_, member) in enumerate(self._members))

    def write(self, node: Any, name: str, value: Any) -> None:
        chosen, member = self._choose(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            member.write(node, f"{name}.{chosen}", value)

    def read(self, node: Any, name: str) -> Any:
        for index, (_, member) in enumerate(self._members):
            if member.isIn(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node: Any, name: str) -> None:
        for index, (_, member) in enumerate(self._members):
            member.remove(node, f"{name}.{index}")


def serializer_for(annotated: Any) -> tuple[Serializer, list[Any]]:
    """The serializer of a parameter's type, and the annotations that are no validators.

    Raises:
        Exception: the type cannot be a parameter, with Slicer's words.
    """
    kind, annotations = split(annotated)
    serializer = _plain(kind)
    serializer.validators += [entry() if isinstance(entry, type) else entry for entry in annotations if _is_validator(entry)]
    return serializer, [entry for entry in annotations if not _is_validator(entry)]


def _is_validator(entry: Any) -> bool:
    return isinstance(entry, Validator) or (isinstance(entry, type) and issubclass(entry, Validator))


def _plain(kind: Any) -> Serializer:
    if kind is bool:
        return Serializer(
            lambda value: "True" if value else "False", lambda text: text == "True", False, NotNone(), IsInstance(bool)
        )
    if kind in (int, float):
        return Serializer(str, kind, 0, NotNone(), IsInstance((int, float) if kind is float else int))
    if kind is str:
        return Serializer(str, str, "", NotNone(), IsInstance(str))
    if kind in _PATHS:
        return Serializer(str, kind, kind(), NotNone(), IsInstance(kind))
    if kind is type(None):
        return Serializer(lambda value: "True", lambda text: None, None)
    if kind is FloatRange:
        return RangeSerializer()
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enumeration(kind)
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeSerializer(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return SequenceSerializer(serializer_for(arguments[0])[0])
    if origin is tuple:
        return TupleSerializer([serializer_for(argument)[0] for argument in arguments])
    if origin is dict:
        return DictSerializer(*(serializer_for(argument)[0] for argument in arguments))
    if origin is typing.Union:  # Slicer does not know `A | B`
        return UnionSerializer([(split(argument)[0], serializer_for(argument)[0]) for argument in arguments])
    raise Exception(f"Unable to create serializer for type: {kind}{' (use typing.Union)' if origin is types.UnionType else ''}")


def _enumeration(kind: type[enum.Enum]) -> Serializer:
    def value(text: str) -> enum.Enum:
        try:
            return kind[text]
        except KeyError as error:
            raise ValueError(f"Found {text!r} in parameter node but it is not a name in {kind!r}") from error

    return Serializer(lambda member: member.name, value, next(iter(kind)), NotNone(), IsInstance(kind))
