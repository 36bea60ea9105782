"""Works out expressions of a bundle's configuration that only choose or join plain values, such as ``[3, 3] if @fast else [1, 1]``.

Nothing is run: the expression is read as a tree, of which numbers, texts, lists, references, choices, comparisons, arithmetic and a
few functions of lists and numbers are known. Anything else counts as not said.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

_REFERENCE = re.compile(r"@([\w.#]+(?:::[\w.#]+)*)")
_MOST_CHARACTERS, _MOST_PARTS = 1000, 10_000
_TYPES = ("float16", "bfloat16", "float32", "float64", "float", "int8", "int16", "int32", "int64", "uint8", "bool")
_PACKAGES = ("torch", "np", "numpy")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "int": int, "float": float, "bool": bool, "list": list, "tuple": list, "min": min, "max": max, "abs": abs,
}  # fmt: skip


class NotPlain(Exception):
    """Only running the expression would tell its value."""


def work_out(text: str, lookup: Callable[[str], Any]) -> Any:
    """The value of an expression.

    Args:
        text: without its ``$``.
        lookup: the value of a reference, without its ``@``; raises :class:`NotPlain` where it has none.

    Returns:
        Numbers, texts, lists, dictionaries or None; tuples as lists, types of numbers (``torch.float32``) as their names.

    Raises:
        NotPlain: it does more than choose, join and reckon.
    """
    if len(text) > _MOST_CHARACTERS:
        raise NotPlain
    names: list[str] = []

    def named(match: re.Match[str]) -> str:
        names.append(match.group(1))
        return f"__reference_{len(names) - 1}__"

    try:
        tree = ast.parse(_REFERENCE.sub(named, text.strip()), mode="eval")
        return _value(tree.body, lambda name: lookup(names[int(name.strip("_").removeprefix("reference_"))]))
    except (SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError, RecursionError) as error:
        raise NotPlain from error


def _value(node: ast.expr, lookup: Callable[[str], Any]) -> Any:
    def of(part: ast.expr) -> Any:
        return _value(part, lookup)

    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str)):
            return value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [of(part) for part in parts]
        case ast.Name(id=name) if name.startswith("__reference_"):
            return lookup(name)
        case ast.Attribute(value=ast.Name(id=package), attr=name) if package in _PACKAGES and name in _TYPES:
            return name
        case ast.IfExp(test=test, body=body, orelse=other):
            return of(body) if _flag(of(test)) else of(other)
        case ast.BoolOp(op=kind, values=parts):
            flags = (_flag(of(part)) for part in parts)
            return all(flags) if isinstance(kind, ast.And) else any(flags)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _flag(of(part))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -_number(of(part))
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _ARITHMETIC:
            return _joined(kind, of(left), of(right))
        case ast.Compare(left=left, ops=kinds, comparators=parts) if all(type(kind) in _COMPARISONS for kind in kinds):
            values = [of(left), *(of(part) for part in parts)]
            _check_plain(*values)
            return all(_COMPARISONS[type(kind)](values[at], values[at + 1]) for at, kind in enumerate(kinds))
        case ast.Subscript(value=part, slice=place):
            whole, key = of(part), of(place)
            _check_plain(whole)
            if not isinstance(whole, (list, dict)) or not isinstance(key, (int, str)):
                raise NotPlain
            return whole[key]  # type: ignore[index]  # a wrong kind of key is a TypeError, which counts as not said
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in _FUNCTIONS:
            arguments = [of(part) for part in parts]
            _check_plain(*arguments)
            made = _FUNCTIONS[name](*arguments)
            return list(made) if isinstance(made, tuple) else made
    raise NotPlain


def _flag(value: Any) -> bool:
    """Whether a value counts as true; for values that an object would take the place of, nobody can tell."""
    _check_plain(value)
    return bool(value)


def _check_plain(*values: Any) -> None:
    """Refuse descriptions of objects, which the objects themselves would take the place of."""
    if any(isinstance(value, dict) and "_target_" in value for value in values):
        raise NotPlain


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotPlain
    return value


def _joined(kind: ast.operator, left: Any, right: Any) -> Any:
    """Arithmetic of two numbers, or two texts or lists put together, or one repeated, within bounds."""
    if isinstance(left, (list, str)) or isinstance(right, (list, str)):
        sizes = [len(part) if isinstance(part, (list, str)) else 0 for part in (left, right)]
        whole = sum(sizes) if isinstance(kind, ast.Add) else sum(sizes) * max(abs(_times(left)), abs(_times(right)))
        if not isinstance(kind, (ast.Add, ast.Mult)) or whole > _MOST_PARTS:
            raise NotPlain
    elif max(abs(_number(left)), abs(_number(right))) > 1e18:
        raise NotPlain
    return _ARITHMETIC[type(kind)](left, right)


def _times(value: Any) -> int:
    return value if isinstance(value, int) else 0
