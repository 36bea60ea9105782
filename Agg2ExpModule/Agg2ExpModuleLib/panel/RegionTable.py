"""Every region of one label as a sortable table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from .ImportanceModel import ImportanceModel

_NAME, _SHARE, _ERROR, _FACTOR, _SUPPORT = range(5)


@dataclass(frozen=True)
class _Row:
    name: str
    title: str
    tip: str
    values: tuple[float, float, float, float]  # share, error, enrichment, support


class RegionTable:
    """Controls a QTreeWidget.

    Attributes:
        onRegionClicked: are given the region's name.
    """

    def __init__(self, tree: Any):
        self.tree = tree
        self.onRegionClicked: list[Callable[[str], None]] = []
        tree.columnCount = 5
        tree.setHeaderLabels([_("Region"), "%", "±", "×", "+ %"])
        tips = (
            _("Region of interest."),
            _("Share of the label's attribution that lies in the region, in per cent."),
            _("Standard error of the share, from the noise of the samples."),
            _("Enrichment: the share divided by the region's share of the volume. 1 is what chance would give."),
            _("How much of the region's attribution supports the label, in per cent; the rest opposes it."),
        )
        header = tree.header()
        header.stretchLastSection = False
        for column, tip in enumerate(tips):
            tree.headerItem().setToolTip(column, tip)
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _NAME else qt.QHeaderView.ResizeToContents)
            if column != _NAME:
                tree.headerItem().setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self._onHeader)
        tree.itemClicked.connect(self._onClicked)
        self._rows: list[_Row] = []
        self._order, self._descending = _SHARE, True

    def show(self, model: ImportanceModel | None, label: str | None, variant: str = "absolute") -> None:
        """List the regions of a label; nothing without a label."""
        self._rows = _rowsOf(model, label, variant) if model is not None and label is not None else []
        self._fill()

    def _fill(self) -> None:
        self.tree.clear()
        for row in sorted(self._rows, key=self._key):
            item = qt.QTreeWidgetItem()
            item.setData(_NAME, qt.Qt.UserRole, row.name)
            item.setText(_NAME, row.title)
            item.setToolTip(_NAME, row.tip)
            for column, digits in ((_SHARE, 2), (_ERROR, 2), (_FACTOR, 2), (_SUPPORT, 0)):
                value = row.values[column - 1]
                item.setText(column, f"{value:.{digits}f}" if math.isfinite(value) else "")
                item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self.tree.addTopLevelItem(item)

    def _key(self, row: _Row) -> tuple[bool, Any]:
        """Rows without a value stand last, whichever way the others run."""
        if self._order == _NAME:
            return False, row.title.casefold()
        value = row.values[self._order - 1]
        return not math.isfinite(value), -value if self._descending else value

    def _onHeader(self, column: int) -> None:
        self._descending = not self._descending if column == self._order else True
        self._order = column
        self._fill()

    def _onClicked(self, item: Any, *_unused: Any) -> None:
        name = item.data(_NAME, qt.Qt.UserRole)
        if name:
            for callback in list(self.onRegionClicked):
                callback(str(name))


def _rowsOf(model: ImportanceModel, label: str, variant: str) -> list[_Row]:
    matrix = model.matrix
    row = matrix.rows.index(label)
    shares = matrix.variant(variant)[row]
    best = {name: matrix.best(name) for name in ("mass", "standard_error", "positive_mass", "enrichment")}
    rows = []
    for column, name in enumerate(matrix.columns):
        if matrix.roi_voxels[column] == 0:
            continue
        mass = float(best["mass"][row, column])
        error = float(best["standard_error"][row, column]) if variant == "absolute" else math.nan
        support = float(best["positive_mass"][row, column]) / mass if mass > 0 else math.nan
        values = (100 * float(shares[column]), 100 * error, float(best["enrichment"][row, column]), 100 * support)
        title = _("itself") if name == label else model.shortTitle(name)
        rows.append(_Row(name, title, model.tip(label, name, variant), values))
    return rows
