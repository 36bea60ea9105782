"""The chosen label in words: where the model leaned, how others compare, and what removing regions does to it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from Agg2ExpLib.errors import InputError

from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from Agg2ExpLib.roi_importance.sentences import Effect

    from ..scene.ResultRecord import ResultRecord
    from .CohortComparison import CohortComparison
    from .ImportanceSection import ImportanceSection

_SEEN = {Topic.RECORD, Topic.SCENE, Topic.BUSY, Topic.COMPARISON, "record", "inputVolume", "mapLabel"}


class LabelWords:
    """Controls the text in the section RoI importance; refreshed after that section.

    Args:
        state: of the panel.
        importance: holds the matrix shown.
        comparison: with a cohort.
    """

    def __init__(self, state: PanelState, importance: ImportanceSection, comparison: CohortComparison):
        self.state, self.ui = state, state.ui
        self._importance, self._comparison = importance, comparison
        self._read: tuple[tuple[Path, int], dict[str, dict[str, Effect]]] | None = None

    def refresh(self, changed: Changes) -> None:
        if self.state.parameters is None or not changed & _SEEN:
            return
        text = " ".join(self.sentences())
        self.ui.wordsLabel.visible = bool(text)
        if self.ui.wordsLabel.text != text:
            self.ui.wordsLabel.text = text

    def sentences(self) -> list[str]:
        """What there is to say about the chosen label."""
        from Agg2ExpLib.cohorts.compare_words import comparison_sentence
        from Agg2ExpLib.roi_importance.sentences import effect_sentence, sentence_of

        parameters, record, model = self.state.parameters, self.state.record, self._importance.model
        if parameters is None or record is None or model is None or parameters.mapLabel not in model.matrix.rows:
            return []
        label = parameters.mapLabel
        told = [sentence_of(model.matrix, label), comparison_sentence(self._comparison.result, label)]
        told.append(effect_sentence(label, self._effects(record).get(label, {})))
        return [text for text in told if text]

    def _effects(self, record: ResultRecord) -> Mapping[str, Mapping[str, Effect]]:
        """Of removing each region: from the results folder, or what the scene keeps of it."""
        from Agg2ExpLib.interventions.effects_table import PLACE, TABLE, read_effects
        from Agg2ExpLib.interventions.outcome import FOLDER

        folder = record.folder / FOLDER / PLACE if record.folder is not None else None
        try:
            if folder is None or not (folder / TABLE).is_file():
                return record.effects
            key = folder, (folder / TABLE).stat().st_mtime_ns
            if self._read is None or self._read[0] != key:
                self._read = key, read_effects(folder)
            return self._read[1]
        except (InputError, OSError) as error:
            logging.warning("What removing regions does is not told: %s", error)
            return record.effects
