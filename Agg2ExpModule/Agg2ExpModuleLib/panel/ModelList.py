"""The searchable list of models on this computer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from .ModelInfo import readModelInfo, spacingText

_NAME, _LABELS, _SPACING = range(3)
_MOST_NAMES = 30


class ModelList:
    """Controls a QTreeWidget with the models under the program that they are of.

    Args:
        tree: the widget.
        search: the line that shortens the list.
        onChosen: is given what a click chose: the weights file or the model's folder.
    """

    def __init__(self, tree: Any, search: Any, onChosen: Callable[[str], None]):
        self.tree, self._search, self._onChosen = tree, search, onChosen
        self._items: list[tuple[Any, str]] = []
        tree.columnCount = 3
        tree.setHeaderLabels([_("Model"), _("Labels"), _("mm")])
        header = tree.header()
        header.stretchLastSection = False
        header.setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(_LABELS, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_SPACING, qt.QHeaderView.ResizeToContents)
        tree.itemClicked.connect(self._onClicked)
        tree.itemActivated.connect(self._onClicked)
        search.textChanged.connect(self._onSearch)

    def setModels(self, models: Sequence[dict[str, Any]], recent: Sequence[str] = ()) -> None:
        """List models as ``agg2exp models --json`` tells them, and the files chosen last."""
        self.tree.clear()
        self._items = []
        groups: dict[str, Any] = {}
        known = {str(model["path"]) for model in models}
        for model in models:
            group = _("Demo") if model["kind"] == "demo" else str(model["kind"])
            self._add(groups, group, model)
        for path in recent:
            if path and path not in known:
                info = readModelInfo(path)
                self._add(groups, _("Recent"), _asModel(path, info))
        self._onSearch()

    def say(self, text: str) -> None:
        """One grey line in place of the list."""
        self.tree.clear()
        self._items = []
        item = qt.QTreeWidgetItem()
        item.setText(_NAME, text)
        item.setDisabled(True)
        self.tree.addTopLevelItem(item)

    def names(self) -> list[str]:
        """The models that are listed now, for tests."""
        return [str(item.text(_NAME)) for item, _text in self._items if not item.isHidden()]

    def item(self, name: str) -> Any:
        """The row of a model, for tests."""
        return next(item for item, _text in self._items if item.text(_NAME) == name)

    def _add(self, groups: dict[str, Any], group: str, model: dict[str, Any]) -> None:
        parent = groups.get(group)
        if parent is None:
            parent = groups[group] = qt.QTreeWidgetItem()
            parent.setText(_NAME, group)
            self.tree.addTopLevelItem(parent)
            parent.setExpanded(True)
        item = qt.QTreeWidgetItem()
        item.setText(_NAME, str(model["name"]))
        item.setData(_NAME, qt.Qt.UserRole, str(model["path"]))
        labels = [str(name) for name in model["labels"]]
        item.setText(_LABELS, str(len(labels)) if labels else "")
        item.setText(_SPACING, spacingText(model["spacing"]) if model["spacing"] else "")
        for column in (_LABELS, _SPACING):
            item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        tip = _tip(model, labels)
        for column in (_NAME, _LABELS, _SPACING):
            item.setToolTip(column, tip)
        item.setDisabled(bool(model["problem"]))
        parent.addChild(item)
        self._items.append((item, " ".join([str(model["name"]), group, *labels]).casefold()))

    def _onSearch(self, *_unused: Any) -> None:
        words = str(self._search.text).casefold().replace(" ", "\n").split("\n")
        shown: dict[int, bool] = {}
        for item, text in self._items:
            fits = all(word in text for word in words)
            item.setHidden(not fits)
            parent = item.parent()
            index = self.tree.indexOfTopLevelItem(parent)
            shown[index] = shown.get(index, False) or fits
        for index, fits in shown.items():
            self.tree.topLevelItem(index).setHidden(not fits)

    def _onClicked(self, item: Any, _column: int = 0) -> None:
        path = item.data(_NAME, qt.Qt.UserRole)
        if path and not item.isDisabled():
            self._onChosen(str(path))


def _asModel(path: str, info: Any) -> dict[str, Any]:
    card = info.card
    return {
        "name": path.replace("\\", "/").rstrip("/").rpartition("/")[2],
        "path": path,
        "task": card.task if card is not None else None,
        "labels": [label.name for label in info.labels],
        "spacing": list(card.spacing) if card is not None else None,
        "roi_size": list(card.roi_size) if card is not None else None,
        "preprocessing": list(card.preprocessing.words()) if card is not None else [],
        "licence": card.licence if card is not None else None,
        "problem": info.problem,
        "notes": [],
    }


def _tip(model: dict[str, Any], labels: Sequence[str]) -> str:
    lines = [str(model["path"])]
    if model["problem"]:
        return "\n".join([*lines, _("Cannot be explained: {reason}").format(reason=model["problem"])])
    if labels:
        more = _(" and {count} more").format(count=len(labels) - _MOST_NAMES) if len(labels) > _MOST_NAMES else ""
        words = _("Classes: {names}") if model.get("task") == "classification" else _("Labels: {names}")
        lines.append(words.format(names=", ".join(labels[:_MOST_NAMES]) + more))
    if model["preprocessing"]:
        lines.append(_("Preparation: {steps}.").format(steps="; ".join(model["preprocessing"])))
    if any(model["roi_size"] or ()):
        lines.append(_("Windows of {window} voxels.").format(window=" × ".join(map(str, model["roi_size"]))))
    if model["licence"]:
        lines.append(_("Licence: {licence}").format(licence=model["licence"]))
    return "\n".join([*lines, *(note for note in model["notes"] if note != model["licence"])])
