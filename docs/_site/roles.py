"""How docstrings and signatures read on the site.

Names as ``:func:`~.noise.NoisyCopies``` become links; ``parameter(20, "noisy copies")``, a method's field,
shows its default.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc|obj):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Makes links of the roles in all docstrings; a name without a page of its own stays plain."""

    def on_object(self, *, obj: griffe.Object, **_unused: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda match: _link(match, obj), obj.docstring.value)
            obj.docstring.value = re.sub(r"^::\n|(?<=\w:):$", "", text, flags=re.MULTILINE)

    def on_attribute(self, *, attr: griffe.Attribute, **_unused: Any) -> None:
        """Show the default of a method's parameter, the first argument of ``parameter``."""
        if isinstance(attr.value, griffe.ExprCall) and str(attr.value.function) == "parameter":
            attr.value = attr.value.arguments[0]


def _link(match: re.Match[str], obj: griffe.Object) -> str:
    short, name = bool(match[1]), match[2]
    words = name.rsplit(".", 1)[-1] if short else name.lstrip(".")
    return f'<autoref identifier="{_full(name, obj)}" optional><code>{words}</code></autoref>'


def _full(name: str, obj: griffe.Object) -> str:
    """The whole dotted path of a name as a docstring writes it."""
    module = obj.module.path
    if name.startswith("."):
        dots = len(name) - len(name.lstrip("."))
        package = module.rsplit(".", dots)[0]
        return f"{package}.{name.lstrip('.')}"
    if name.startswith("Agg2ExpLib."):
        return name
    # a member of the same class, or of the module; griffe knows the names that a module imports
    owner = obj if obj.is_class else obj.parent
    while owner is not None:
        if name.split(".")[0] in owner.all_members:
            member = owner.all_members[name.split(".")[0]]
            path = member.target_path if isinstance(member, griffe.Alias) else member.path
            return ".".join([path, *name.split(".")[1:]])
        owner = owner.parent
    return f"{module}.{name}"
