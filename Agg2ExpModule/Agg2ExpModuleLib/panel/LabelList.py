"""The checkable list of labels, grouped by anatomical system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

from ..words.MethodWords import shortTitle
from .ComparisonModel import Badge

_NAME, _VOLUME, _CONTEXT, _BADGE = range(4)
_SWATCH = 12
_MARK = "◆"  # of what is unusual
_ATTENTION = (217, 72, 15)  # reads on light and dark


@dataclass(frozen=True)
class LabelEntry:
    """One row.

    Attributes:
        name: the model's name of the label.
        title: what people read.
        color: red, green, blue in 0..255.
        group: anatomical system.
        volume: in mL, None before a segmentation; 0 means that the model did not find it.
        context: share of its explanation outside itself, 0..1; None before it was explained.
        badge: how it compares with a cohort; None without a comparison.
        probability: what a classifier says of this class, 0..1; None before it was asked, and of labels.
    """

    name: str
    title: str
    color: Sequence[int]
    group: str
    volume: float | None = None
    context: float | None = None
    badge: Badge | None = None
    probability: float | None = None


class LabelList:
    """Controls a QTreeWidget.

    Args:
        tree: the widget.

    Attributes:
        onCheckedChanged: are called when the user has checked or unchecked something.
        onSelected: are given the name of the label that the user has clicked or moved to.
    """

    def __init__(self, tree: Any):
        self.tree = tree
        self.onCheckedChanged: list[Callable[[], None]] = []
        self.onSelected: list[Callable[[str], None]] = []
        self._entries: tuple[LabelEntry, ...] = ()
        self._items: dict[str, Any] = {}
        self._groups: dict[str, Any] = {}
        self._busy = False
        self._search = ""
        tree.columnCount = 4
        self.setClasses(False)
        header = tree.header()
        header.stretchLastSection = False
        header.setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(_VOLUME, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_CONTEXT, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_BADGE, qt.QHeaderView.ResizeToContents)
        tree.setColumnHidden(_BADGE, True)
        tree.itemChanged.connect(self._onItemChanged)
        tree.currentItemChanged.connect(self._onCurrentChanged)

    def setClasses(self, classes: bool) -> None:
        """Whether the rows are classes with a probability, in place of labels with a volume and a context."""
        tips = [
            _("Check a label to explain it; check a system to take all its labels."),
            _("Volume of the label in this CT in millilitres, as the model drew it."),
            _("Share of the label's explanation outside the label: how much the model leans on its surroundings."),
            _("{mark}: the label leans on its surroundings in a way that is unusual among the patients of the cohort.").format(
                mark=_MARK
            ),
        ]
        if classes:
            tips[_NAME] = _("Check a class to explain what spoke for it and against it.")
            tips[_VOLUME] = _("What the classifier says of this CT: probability of the class, in per cent.")
        self.tree.setHeaderLabels([_("Class") if classes else _("Label"), "%" if classes else _("mL"), _("Context"), _MARK])
        for column, tip in enumerate(tips):
            self.tree.headerItem().setToolTip(column, tip)
        self.tree.setColumnHidden(_CONTEXT, classes)

    @property
    def entries(self) -> tuple[LabelEntry, ...]:
        """What is listed."""
        return self._entries

    def setEntries(self, entries: Iterable[LabelEntry], checked: Iterable[str]) -> None:
        """List labels; the rows are made anew only where names or systems differ, so that scrolling stays."""
        entries = tuple(entries)
        same = [(entry.name, entry.group) for entry in entries] == [(entry.name, entry.group) for entry in self._entries]
        self._busy = True
        try:
            if not same:
                self._build(entries)
            self._entries = entries
            for entry in entries:
                self._fill(self._items[entry.name], entry)
            self.tree.setColumnHidden(_BADGE, all(entry.badge is None for entry in entries))
        finally:
            self._busy = False
        self.setChecked(checked)
        self.filter(self._search)

    def checked(self) -> list[str]:
        """Names of the checked labels in the model's order."""
        return [entry.name for entry in self._entries if self._items[entry.name].checkState(_NAME) == qt.Qt.Checked]

    def setChecked(self, names: Iterable[str]) -> None:
        """Check these and no others; nobody is told."""
        wanted = set(names)
        self._busy = True
        try:
            for entry in self._entries:
                state = qt.Qt.Checked if entry.name in wanted and entry.volume != 0 else qt.Qt.Unchecked
                self._items[entry.name].setCheckState(_NAME, state)
        finally:
            self._busy = False

    def checkListed(self, check: bool) -> None:
        """Check or uncheck every label that the search leaves visible, and tell."""
        chosen = set(self.checked())
        listed = {entry.name for entry in self._entries if self._matches(entry)}
        self.setChecked(chosen | listed if check else chosen - listed)
        self._tellChecked()

    def filter(self, text: str) -> None:
        """Show only labels whose title, name or system contains the text."""
        self._search = text.strip().casefold()
        visible: dict[str, bool] = {}
        for entry in self._entries:
            shown = self._matches(entry)
            self._items[entry.name].setHidden(not shown)
            visible[entry.group] = visible.get(entry.group, False) or shown
        for group, item in self._groups.items():
            item.setHidden(not visible.get(group, False))

    def select(self, name: str) -> None:
        """Mark a label as the one that is shown; nobody is told."""
        item = self._items.get(name)
        self._busy = True
        try:
            if item is not None:
                self.tree.setCurrentItem(item)
            else:
                self.tree.clearSelection()
        finally:
            self._busy = False

    def show(self, name: str) -> None:
        """Bring a label's row into sight."""
        item = self._items.get(name)
        if item is not None:
            item.parent().setExpanded(True)
            self.tree.scrollToItem(item)

    def item(self, name: str) -> Any:
        """The row of a label, for tests."""
        return self._items[name]

    def _matches(self, entry: LabelEntry) -> bool:
        return not self._search or any(self._search in text.casefold() for text in (entry.title, entry.name, entry.group))

    def _build(self, entries: Sequence[LabelEntry]) -> None:
        self._items, self._groups = {}, {}
        self.tree.clear()
        for entry in entries:
            parent = self._groups.get(entry.group)
            if parent is None:
                parent = qt.QTreeWidgetItem()
                parent.setText(_NAME, entry.group.capitalize())
                parent.setFlags(parent.flags() | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsAutoTristate)
                parent.setToolTip(_NAME, _("Anatomical system: the box checks all its labels."))
                self.tree.addTopLevelItem(parent)
                parent.setExpanded(True)
                self._groups[entry.group] = parent
            item = qt.QTreeWidgetItem()
            item.setText(_NAME, shortTitle(entry.title))
            item.setData(_NAME, qt.Qt.UserRole, entry.name)
            item.setIcon(_NAME, _swatch(entry.color))
            item.setCheckState(_NAME, qt.Qt.Unchecked)
            for column in (_VOLUME, _CONTEXT):
                item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            item.setTextAlignment(_BADGE, qt.Qt.AlignCenter)
            item.setForeground(_BADGE, qt.QBrush(qt.QColor(*_ATTENTION)))
            parent.addChild(item)
            self._items[entry.name] = item

    @staticmethod
    def _fill(item: Any, entry: LabelEntry) -> None:
        absent = entry.volume == 0
        item.setText(_VOLUME, "" if entry.volume is None else "–" if absent else volumeText(entry.volume))
        if entry.probability is not None:
            item.setText(_VOLUME, f"{100 * entry.probability:.1f}")
        item.setText(_CONTEXT, "" if entry.context is None else f"{100 * entry.context:.0f} %")
        tip = f"{entry.title} ({entry.name})"
        if absent:
            tip = _("{label}: the model does not find it in this CT, so there is nothing to explain.").format(label=tip)
        item.setToolTip(_NAME, tip)
        item.setDisabled(absent)
        badge, marked = entry.badge, entry.badge is not None and entry.badge.standsOut
        item.setText(_BADGE, _MARK if marked else "")
        item.setToolTip(_BADGE, badge.tip if badge is not None else "")
        if badge is not None:
            item.setToolTip(_NAME, f"{tip}\n{badge.tip}")
        font = qt.QFont(item.font(_NAME))
        font.setBold(marked)
        item.setFont(_NAME, font)

    def _onItemChanged(self, *_unused: Any) -> None:
        if not self._busy:
            self._tellChecked()

    def _tellChecked(self) -> None:
        for callback in list(self.onCheckedChanged):
            callback()

    def _onCurrentChanged(self, *_unused: Any) -> None:
        item = self.tree.currentItem()
        if self._busy or item is None:
            return
        name = item.data(_NAME, qt.Qt.UserRole)
        if name:
            for callback in list(self.onSelected):
                callback(str(name))


def volumeText(millilitres: float) -> str:
    """A volume with three digits or so: ``812``, ``4.2``, ``<0.1``."""
    if millilitres >= 9.95:
        return f"{millilitres:.0f}"
    return f"{millilitres:.1f}" if millilitres >= 0.05 else "<0.1"


def _swatch(color: Sequence[int]) -> Any:
    pixmap = qt.QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(qt.QColor(*(int(part) for part in color)))
    return qt.QIcon(pixmap)
