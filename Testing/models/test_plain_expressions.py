"""Expressions of bundles that only choose, join and reckon are worked out; nothing else is, and nothing runs."""

from __future__ import annotations

import pytest

from Agg2ExpLib.models.bundle_config import UNKNOWN, is_plain, resolve
from Agg2ExpLib.models.plain_expressions import NotPlain, work_out

VALUES = {
    "fast": True, "names": ["a", "b", "c"], "size": [96, 96, 96], "extra": 1, "root": "/x", "made": {"_target_": "print"},
    "table": {"k": 3}, "nested": {"deep": [{"_target_": "Spacingd"}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$-1000", -1000),
        ("$(1.5, 1.5, 2)", [1.5, 1.5, 2]),
        ("$[1, 1] if @fast else [3, 3]", [1, 1]),
        ("$[1, 1] if not @fast else [3, 3]", [3, 3]),
        ("$len(@names) + @extra", 4),
        ("$@root + '/models/' + @names#1", "/x/models/b"),
        ("$@size[0] // 2", 48),
        ("$[@extra] * 3", [1, 1, 1]),
        ("$@size + [5]", [96, 96, 96, 5]),
        ("$@extra == 1 and 'a' in @names", True),
        ("$@made is None or @fast", UNKNOWN),
        ("$torch.float32", "float32"),
        ("$np.int16", "int16"),
        ("$@table['k']", 3),
        ("$@nested#deep + [@made]", [{"_target_": "Spacingd"}, {"_target_": "print"}]),
        ("$@nowhere or True", UNKNOWN),
        ("$max(@size) / min(@size)", 1.0),
        ("$None", None),
    ],
)
def test_values(text, value):
    assert resolve(text, VALUES) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('echo run')",
        "print('run')",
        "(lambda: 1)()",
        "[n for n in @names]",
        "@names.pop()",
        "@names.__class__",
        "torch.load('x')",
        "torch.nn.ReLU",
        "@made['_target_']",
        "len(@made)",
        "@made == 1",
        "1 if @made else 2",
        "f'{@extra}'",
        "2 ** 99999999",
        "'a' * 99999999",
        "1e300 * 1e300 // 1",
        "1 / 0",
        "@size[7]",
        "@size['a']",
        "{1: 2}",
        "*@size",
        "x := 1",
        "1 +",
        "(" * 500,
        "1 + " * 400 + "1",
        "open('x')",
    ],
)
def test_what_more_than_plain_values_would_need(text):
    def lookup(name: str) -> object:
        return VALUES[name]

    with pytest.raises(NotPlain):
        work_out(text, lookup)
    assert not is_plain(resolve(f"${text}", VALUES))


def test_references_that_multiply_end():
    values = {f"k{at}": f"$@k{at + 1} + @k{at + 1}" for at in range(40)} | {"k40": [1, 2, 3]}
    assert not is_plain(resolve("$@k0", values))
