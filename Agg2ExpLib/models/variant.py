"""Which of a model's networks are used, and how: a trained model may come in several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError


@dataclass(frozen=True)
class Variant:
    """A choice among the networks that a model's files offer.

    Attributes:
        folds: of a cross-validation, such as ``0`` or ``0,1,2``, or ``all`` of them; their logits are averaged. None for the
            format's own choice.
        mirror: whether logits are also averaged over mirrored windows, along the axes that the training allows.
    """

    folds: str | None = None
    mirror: bool = False

    @classmethod
    def noted(cls, run: Mapping[str, Any]) -> Variant:
        """The one that made a result, from its ``run.json``."""
        weights = run.get("weights")
        values = weights if isinstance(weights, dict) else {}
        folds = values.get("folds")
        return cls(folds if isinstance(folds, str) else None, values.get("mirror") is True)

    def to_json(self) -> dict[str, Any]:
        """What was chosen, as ``weights`` of ``run.json`` notes it; nothing where nothing was."""
        return {name: value for name, value in (("folds", self.folds), ("mirror", self.mirror)) if value}

    def refuse(self, name: str) -> None:
        """For forms of models that have neither folds nor mirroring.

        Raises:
            InputError: one of them was asked for.
        """
        if self.folds is not None:
            raise InputError(f"{name} has no folds, as only models of nnU-Net have: leave ⟨folds⟩ out.")
        if self.mirror:
            raise InputError(
                f"{name} does not say along which axes it may be mirrored, as models of nnU-Net do: leave ⟨mirror⟩ out."
            )
