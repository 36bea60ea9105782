"""From the numbers of a comparison to what the panel shows: sentences, badges, boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from Agg2ExpLib.cohorts.compare import FEWEST, ORDINARY, TOO_FEW, UNKNOWN, UNUSUAL

from ..drawing.BoxPlotData import BoxPlotData, BoxRow
from .ImportanceModel import valueText

if TYPE_CHECKING:
    from Agg2ExpLib.cohorts.compare import Comparison, LabelComparison

    from .ImportanceModel import ImportanceModel

_MOST_REGIONS = 6  # named in a tip


@dataclass(frozen=True)
class Badge:
    """What stands beside a label: a word, whether it shall be seen at once, and what hovering tells."""

    text: str
    standsOut: bool
    tip: str


class ComparisonModel:
    """A comparison in words and boxes.

    Args:
        comparison: of a patient with a cohort.
        model: of the patient, for titles and colours.
    """

    def __init__(self, comparison: Comparison, model: ImportanceModel) -> None:
        self.comparison, self.model = comparison, model

    def summary(self) -> str:
        """One or two sentences about all labels."""
        comparison = self.comparison
        told = _("Compared with {count} patients").format(count=comparison.patients)
        verdicts = {one.verdict for one in comparison.labels}
        if verdicts <= {TOO_FEW}:
            return _("{told}: too few to tell what is unusual, {fewest} are needed.").format(told=told, fewest=FEWEST)
        if verdicts <= {TOO_FEW, UNKNOWN}:
            return f"{told}."
        names = [_inSentence(self.model.title(name)) for name in comparison.unusual]
        if not names:
            return _("{told}: no label is unusual.").format(told=told)
        listed = _("{first} and {last}").format(first=", ".join(names[:-1]), last=names[-1]) if names[1:] else names[0]
        pattern = _("{told}: {labels} are unusual{of}.") if names[1:] else _("{told}: {labels} is unusual{of}.")
        of = _(" ({unusual} of {count} labels; by chance up to 1 in 20)").format(unusual=len(names), count=len(comparison.labels))
        return pattern.format(told=told, labels=listed, of=of)

    def badge(self, label: str) -> Badge | None:
        """What stands beside a label in the list; None where it was not compared."""
        one = self.comparison.of(label)
        if one is None:
            return None
        text = {UNUSUAL: _("unusual"), ORDINARY: _("ordinary"), TOO_FEW: _("too few"), UNKNOWN: "?"}[one.verdict]
        return Badge(text, one.verdict == UNUSUAL, "\n".join([self._verdict(one), *self._outside(one)]))

    def boxes(self, label: str | None, background: bool = False) -> BoxPlotData | None:
        """The row of a label: the label itself first, then the regions with most; None where it was not compared."""
        from Agg2ExpLib.models.labels import BACKGROUND

        one = self.comparison.of(label)
        if one is None:
            return None
        order = sorted(
            (index for index, name in enumerate(self.comparison.columns) if background or name != BACKGROUND),
            key=lambda index: (
                self.comparison.columns[index] != one.label,
                self.comparison.columns[index] == BACKGROUND,
                -max(float(one.values[index]), float(one.median[index])),
            ),
        )
        return BoxPlotData(
            label=one.label,
            rows=tuple(self._row(one, index) for index in order),
            caption=_("Share of attribution, square-root scale"),
            key=(
                _("middle half and 95 % of {count} patients").format(count=one.patients),
                _("this patient"),
                _("above the 95 %"),
                _("below"),
            ),
        )

    def _row(self, one: LabelComparison, index: int) -> BoxRow:
        name = self.comparison.columns[index]
        numbers = {key: float(getattr(one, key)[index]) for key in ("low", "lower", "median", "upper", "high")}
        value, side = float(one.values[index]), int(one.outside[index])
        texts = {key: valueText(number, "mass") for key, number in numbers.items()}
        region = _("{label} in itself") if name == one.label else "{label}"
        lines = [
            _("{region}: {value} in this patient").format(
                region=region.format(label=self.model.title(name)), value=valueText(value, "mass")
            ),
            _("{count} patients: median {median}, middle half {lower} to {upper}, range {low} to {high}").format(
                count=one.patients, **texts
            ),
        ]
        if side:
            lines.append(_("Above the range.") if side > 0 else _("Below the range."))
        column = self.model.matrix.columns.index(name)
        if self.model.matrix.roi_voxels[column] == 0:
            lines.append(_("The model found no voxel of this region."))
        header = self.model.header(name)
        return BoxRow(
            region=header,
            value=value,
            side=side,
            own=name == one.label,
            text=valueText(value, "mass"),
            tip="\n".join(lines),
            **numbers,
        )

    def _verdict(self, one: LabelComparison) -> str:
        title = self.model.title(one.label)
        if one.verdict == TOO_FEW:
            return _("{label}: only {count} patients to compare with; {fewest} are needed to call a label unusual.").format(
                label=title, count=one.patients, fewest=FEWEST
            )
        if one.share is None or one.score is None:
            return _("{label}: whether it is unusual is not known.").format(label=title)
        others = round(one.share * (one.patients + 1)) - 1
        if others:
            strange = _("{others} of {count} patients are at least as strange as this one").format(
                others=others, count=one.patients
            )
        else:
            strange = _("stranger than in all {count} patients").format(count=one.patients)
        first = _("{label} is unusual: {strange}") if one.verdict == UNUSUAL else _("{label} is ordinary: {strange}")
        score = _("anomaly score {score:.2f}, about 0.5 is ordinary").format(score=one.score)
        return f"{first.format(label=title, strange=strange)} ({score})."

    def _outside(self, one: LabelComparison) -> list[str]:
        """The regions beyond the range, the farthest first."""
        outside = [index for index in range(len(self.comparison.columns)) if one.outside[index]]
        outside.sort(key=lambda index: -abs(float(one.difference[index])))
        lines = []
        for index in outside[:_MOST_REGIONS]:
            name, low, high = self.comparison.columns[index], float(one.low[index]), float(one.high[index])
            pattern = _("{region}: {value}, others {low} to {high}")
            texts = {"low": valueText(low, "mass"), "high": valueText(high, "mass")}
            lines.append(
                "• " + pattern.format(region=self.model.title(name), value=valueText(float(one.values[index]), "mass"), **texts)
            )
        if len(outside) > _MOST_REGIONS:
            lines.append(_("• and {count} more regions").format(count=len(outside) - _MOST_REGIONS))
        return [_("Outside the range of the others:"), *lines] if lines else [_("No region lies outside the range of the others.")]


def _inSentence(title: str) -> str:
    """A title within a sentence: ``aorta``, but ``T12 vertebra``."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
