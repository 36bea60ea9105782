"""Everything that a report on one patient tells, gathered from the results folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cohorts.compare import comparing
from ..cohorts.compare_reference import open_reference
from ..cohorts.compare_words import comparison_sentence
from ..errors import InputError
from ..interventions.effects_table import PLACE as ALL
from ..interventions.effects_table import RECORD as ALL_RECORD
from ..interventions.effects_table import TABLE as ALL_TABLE
from ..interventions.effects_table import number_of, read_effects, read_rows
from ..interventions.outcome import FOLDER, RECORD, TABLE
from ..roi_importance.hot_spots import HotSpot, hot_spots
from ..roi_importance.sentences import effect_sentence, sentence_of
from ..runs.explanation import Explanation
from ..runs.read import read_explanation
from ..system.json_files import read_json

if TYPE_CHECKING:
    from ..cohorts.compare import Comparison
    from ..roi_importance.matrix import ImportanceMatrix


@dataclass(frozen=True)
class Question:
    """One answered what-if question.

    Attributes:
        title: what was changed.
        rows: label, volume before and after in ml, change in per cent, Dice; the most changed first.
        picture: a PNG of it, or None.
    """

    title: str
    rows: tuple[tuple[str, float, float, float, float], ...]
    picture: Path | None


@dataclass
class Contents:
    """What a report tells.

    Attributes:
        found: the explanation.
        sentences: per explained label.
        spots: per explained label the strongest hot spots.
        questions: what-if answers.
        agreement: per label the rank correlation of importance and effects, where every region was removed in turn.
        comparison: with a cohort, where a reference was named.
    """

    found: Explanation
    sentences: dict[str, list[str]]
    spots: dict[str, list[HotSpot]]
    questions: list[Question] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)
    comparison: Comparison | None = None

    @property
    def kind(self) -> str:
        """What is explained: ``label`` or ``class``."""
        return "class" if self.found.run.get("classes") else "label"

    @property
    def title(self) -> str:
        """The question that the report answers."""
        return f"Why did the model {'say' if self.kind == 'class' else 'draw'} this?"

    @property
    def supported(self) -> str:
        """What red voxels support."""
        return "the class" if self.kind == "class" else "the label that was drawn"

    @property
    def matrix(self) -> ImportanceMatrix:
        """The importance matrix."""
        assert self.found.matrix is not None
        return self.found.matrix


def gather(result: Path, reference: Path | None = None) -> Contents:
    """Read a results folder.

    Args:
        result: with maps.
        reference: of a cohort, as ``agg2exp cohort summarise`` writes it, to compare with.

    Raises:
        InputError: no results folder, one without maps, or a reference that does not fit.
    """
    found = read_explanation(result)
    if found.matrix is None:
        raise InputError(f"{result} holds no attribution maps to report on: make them with agg2exp explain first.")
    return contents_of(found, result / FOLDER, reference)


def contents_of(found: Explanation, answers: Path | None = None, reference: Path | None = None) -> Contents:
    """Gather what an explanation with maps tells.

    Args:
        found: with a matrix.
        answers: folder with answered what-if questions, if any.
        reference: see :func:`gather`.

    Raises:
        InputError: answers that cannot be read, or a reference that does not fit.
    """
    assert found.matrix is not None, "only what was explained is reported on"
    names = [label.name for label in found.labels]
    effects = read_effects(answers / ALL) if answers is not None else {}
    agreement = _agreement(answers / ALL) if answers is not None else {}
    comparison = None
    if reference is not None:
        *_, comparison = comparing(open_reference(reference), found.matrix, found.run)
    sentences: dict[str, list[str]] = {}
    for row in found.matrix.rows:
        told = [sentence_of(found.matrix, row), comparison_sentence(comparison, row), effect_sentence(row, effects.get(row, {}))]
        sentences[row] = [text for text in told if text]
    spots = {name: hot_spots(map_, found.segmentation, names, found.grid.affine) for name, map_ in found.maps.items()}
    questions = _questions(answers) if answers is not None else []
    return Contents(found, sentences, spots, questions, agreement, comparison)


def _agreement(folder: Path) -> dict[str, float]:
    if not (folder / ALL_TABLE).is_file():
        return {}
    told = _record(folder / ALL_RECORD).get("rank_correlation")
    ranks = told if isinstance(told, dict) else {}
    return {name: float(value) for name, value in ranks.items() if isinstance(value, int | float)}


def _questions(folder: Path) -> list[Question]:
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        if place.name.startswith(".") or not (place / RECORD).is_file() or not (place / TABLE).is_file():
            continue
        columns = ("label", "volume_before_ml", "volume_after_ml", "volume_change_percent", "dice")
        rows = [(row["label"], *(number_of(row[key]) for key in columns[1:])) for row in read_rows(place / TABLE, columns)]
        title = str(_record(place / RECORD).get("title", place.name))
        picture = place / "what_if.png"
        found.append(Question(title, tuple(rows), picture if picture.is_file() else None))  # type: ignore[arg-type]
    return found


def _record(path: Path) -> dict[str, Any]:
    content = read_json(path, "The record of a what-if question")
    return content if isinstance(content, dict) else {}
