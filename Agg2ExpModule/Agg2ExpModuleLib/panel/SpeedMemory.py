"""What earlier runs on this computer tell about time; kept in the application's settings, never in the scene."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import qt

from .MethodSettings import madeMethod
from .Parameters import chosenOverlap

if TYPE_CHECKING:
    from Agg2ExpLib.models.model_card import ModelCard
    from Agg2ExpLib.runs.estimate import Estimate, Speed

_KEY = "Agg2Exp/Speeds"
_KEPT = 20


class SpeedMemory:
    """Speeds by kind of model and device, the newest first."""

    def learn(self, run: dict[str, Any]) -> None:
        """Remember how fast a finished run (content of run.json) was."""
        from dataclasses import asdict

        from Agg2ExpLib.runs.estimate import speed_from_run

        known = self._read()
        speed = speed_from_run(run)
        before = next((other for other in known if speed is not None and _sameKind(speed, other)), None)
        speed = speed_from_run(run, before) if before is not None else speed
        if speed is None:
            return
        kept = [speed, *(other for other in known if not _sameKind(speed, other))][:_KEPT]
        qt.QSettings().setValue(_KEY, json.dumps([asdict(entry) for entry in kept]))

    def estimate(self, ct: Any, card: ModelCard | None, parameters: Any, labels: int) -> Estimate | None:
        """What a selection will take; None when nothing can be told yet."""
        from Agg2ExpLib.io.grid import Grid
        from Agg2ExpLib.runs.estimate import estimate_run

        from ..scene.SceneVolumes import volumeAffine

        if card is None or ct is None or ct.GetImageData() is None:
            return None
        x, y, z = ct.GetImageData().GetDimensions()
        try:
            shape = card.preprocessing.grid(Grid((x, y, z), volumeAffine(ct))).shape
        except Exception:  # without nibabel, or an odd geometry that is told when the run starts
            return None
        speed = next((speed for speed in self._read() if speed.fits(card, parameters.device)), None)
        method, segmentations = madeMethod(parameters), 3 if parameters.globalMask else 1
        return estimate_run(shape, card, labels, method, chosenOverlap(parameters), parameters.device, speed, segmentations)

    @staticmethod
    def _read() -> list[Speed]:
        from Agg2ExpLib.runs.estimate import Speed

        try:
            return [Speed(**entry) for entry in json.loads(qt.QSettings().value(_KEY) or "[]")]
        except (TypeError, ValueError):  # of another version
            return []


def _sameKind(one: Speed, other: Speed) -> bool:
    return (one.device, tuple(one.roi_size), one.channels) == (other.device, tuple(other.roi_size), other.channels)
