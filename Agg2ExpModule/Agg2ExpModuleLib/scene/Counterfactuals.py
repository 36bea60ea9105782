"""Counterfactuals in the scene: the CTs along λ, what is drawn on each, the HU difference, and the numbers; saved with it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.labels import Label, make_labels, title_of
from Agg2ExpLib.views.mrml import add_overlay, gather
from Agg2ExpLib.views.mrml_nodes import Layer, Segment, add_segmentation, add_volume, affine_of, image_in_steps, prepared_layer

from . import MapDisplay
from .FrameSequence import FrameSequence, sequenceOf
from .InBackground import telling
from .ResultsInScene import isSame, removeNode, removeOverlay, volumeOf
from .SceneVolumes import CHANGED_CT, segmentIds, showOutlines

if TYPE_CHECKING:
    from Agg2ExpLib.counterfactuals.outcome import Counterfactual

_MARK = "Agg2Exp.Counterfactual"
_VOLUME = "agg2expVolume"
_CT, _DRAWN, _DIFFERENCE, _BEFORE, _AFTER = "agg2expCt", "agg2expDrawn", "agg2expDifference", "agg2expBefore", "agg2expAfter"
DIFFERENCE = "HU difference"  # what the overlay's node tells to be, in place of a label
_LEAST_ML, _LEAST_SHARE = 1.0, 0.02  # labels that change less are not told of
_PERCENTILE = 95.0
_KEPT = 2  # counterfactuals whose label maps are kept ready for the views
_ready: dict[int, dict[int, Any]] = {}  # by time of the sequence of label maps, and by frame


@dataclass(frozen=True)
class Frame:
    """One CT along λ.

    Attributes:
        amount: λ.
        output, probability: what the model says; NaN is None.
        change: of the CT, in per cent of its intensities.
        meanHu: mean absolute difference to λ = 0.
        volumes: of every label in ml.
    """

    amount: float
    output: float | None
    probability: float | None
    change: float
    meanHu: float
    volumes: dict[str, float]


class Way:
    """One counterfactual; a thin view of its hidden node (what plays a sequence replaces the attributes of the volume it shows)."""

    def __init__(self, node: Any):
        self.node = node
        self.volume = node.GetNodeReference(_VOLUME)
        self.frames = FrameSequence(self.volume)
        content = json.loads(node.GetParameter("content") or "{}")
        self.title = str(content.get("title", ""))
        self.target = str(content.get("target", ""))
        self.classifies = bool(content.get("classifies"))
        self.notes = [str(note) for note in content.get("notes", ())]
        self.steps = [Frame(**step) for step in content.get("steps", ())]
        self.labels: tuple[Label, ...] = make_labels(
            [entry["name"] for entry in content.get("labels", ())],
            {entry["name"]: entry["color"] for entry in content.get("labels", ())},
            {entry["name"]: entry["group"] for entry in content.get("labels", ())},
        )
        self._shown = -1

    @property
    def identifier(self) -> str:
        """The node's id."""
        return self.node.GetID() or ""

    @property
    def ct(self) -> Any:
        """The CT that was changed, None when it was deleted."""
        return self.node.GetNodeReference(_CT)

    @property
    def difference(self) -> Any:
        """The overlay, or None."""
        return self.node.GetNodeReference(_DIFFERENCE)

    @property
    def start(self) -> int:
        """Number of the frame of λ = 0, what the autoencoder makes of the CT."""
        return next((index for index, step in enumerate(self.steps) if step.amount == 0), 0)

    @property
    def changing(self) -> list[str]:
        """Labels worth a look: the one asked about, and those whose volume changes on the way."""
        before = self.steps[self.start].volumes
        names = []
        for label in self.labels[1:]:
            values = [step.volumes.get(label.name, 0.0) for step in self.steps]
            span = max(values, default=0.0) - min(values, default=0.0)
            least = max(_LEAST_ML, _LEAST_SHARE * before.get(label.name, 0.0))
            if max(values, default=0.0) > 0 and (label.name == self.target or span >= least):
                names.append(label.name)
        return names

    @property
    def drawn(self) -> list[str]:
        """Labels that are drawn on any frame."""
        return [one.name for one in self.labels[1:] if any(step.volumes.get(one.name, 0.0) > 0 for step in self.steps)]

    def show(self, index: int) -> None:
        """Make every node show a frame: the CT, its difference to λ = 0, and the outlines of now."""
        if index == self._shown:
            return
        self._shown = index
        self.frames.show(index)
        self.volume.SetAttribute(CHANGED_CT, "1")
        overlay = self.difference
        if overlay is not None:
            # Both are int16: their difference is too, and takes milliseconds.
            values = _array(self.frames.image(index)) - _array(self.frames.image(self.start))
            overlay.SetAndObserveImageData(_imageOf(values))
        after, drawn = self.node.GetNodeReference(_AFTER), self.node.GetNodeReference(_DRAWN)
        if after is not None and drawn is not None:
            _setImage(after, self.layer(index))

    def outline(self, names: Collection[str]) -> None:
        """Outline labels as they are drawn at λ = 0 (thin) and now (thick); with none nothing."""
        visible = bool(names)
        for role, pixels, opacity in ((_BEFORE, 1, 0.7), (_AFTER, 3, 1.0)):
            node = self.node.GetNodeReference(role)
            if node is not None:
                showOutlines(node, visible, pixels, opacity, names)

    def jumpTo(self, label: str, sections: MapDisplay.Sections) -> None:
        """Move all views to the largest cross-section of a label, now or, where there is none now, at λ = 0."""
        for role in (_AFTER, _BEFORE):
            if sections.jump(self.node.GetNodeReference(role), label):
                return

    def remove(self) -> None:
        """Take all of it out of the scene."""
        others = [self.node.GetNodeReference(role) for role in (_BEFORE, _AFTER)]
        drawn = self.node.GetNodeReference(_DRAWN)
        if self.difference is not None:
            removeOverlay(self.difference)
        slicer.mrmlScene.RemoveNode(self.node)
        for node in (*others, *self.frames.nodes(), drawn, self.volume):
            removeNode(node)

    def layer(self, index: int) -> Any:
        """The label map of a frame as segmentations have it; made when it is first asked for, unless :meth:`ready` has."""
        drawn = self.node.GetNodeReference(_DRAWN)
        kept = _ready.setdefault(drawn.GetMTime(), {})
        if index not in kept:
            array = _array(drawn.GetNthDataNode(index).GetImageData()).transpose(2, 1, 0)
            segments = [Segment(label.name, label.title, label.color, label.index) for label in self.labels[1:]]
            kept[index] = prepared_layer(array, affine_of(self.volume), segments).image
            while len(_ready) > _KEPT:
                del _ready[next(iter(_ready))]
        return kept[index]

    def ready(self) -> Iterator[int]:
        """Make all label maps, so that the slider need not wait for any; one in each step."""
        if self.node.GetNodeReference(_DRAWN) is not None:
            for index in range(len(self.steps)):
                self.layer(index)
                yield index


def waysOf(ct: Any) -> list[Way]:
    """The counterfactuals of a CT, oldest first."""
    if ct is None:
        return []
    nodes = [node for node in MapDisplay.nodesOfClass("vtkMRMLScriptedModuleNode") if node.GetAttribute(_MARK)]
    mine = [Way(node) for node in nodes if node.GetNodeReference(_CT) is ct and node.GetNodeReference(_VOLUME) is not None]
    for way in mine:
        way.volume.SetAttribute(CHANGED_CT, "1")  # a scene that was saved lacks it
    return mine


def loadWay(folder: Path, ct: Any, check: bool = False) -> Generator[str, None, Way]:
    """Bring a counterfactual's folder into the scene.

    Args:
        folder: that ``agg2exp counterfactual`` wrote.
        ct: the volume node that was asked about.
        check: whether it may be another one.

    Raises:
        InputError: a file of it cannot be read, or it is of another CT.
    """
    from Agg2ExpLib.counterfactuals.read import read_counterfactual

    what = _("Loading the counterfactual …")
    yield what
    found = yield from telling(what, lambda: read_counterfactual(folder))
    if check and not (yield from telling(what, partial(isSame, volumeOf(ct), Volume(found.hu, found.grid.affine)))):
        raise InputError(_("This counterfactual is of another CT: choose that one first (Input)."))
    frames, drawn = [], []
    for step in found.steps:
        frames.append((yield from _image(step.hu, what)))
        if step.drawn is not None:
            drawn.append((yield from _image(step.drawn, what)))
    extremes = list(found.differences.values())
    strongest = max(extremes, key=lambda values: float(np.abs(values).sum()), default=None)
    image = (yield from _image(np.asarray(strongest), what)) if strongest is not None else None
    with slicer.util.RenderBlocker():
        way = _add(found, ct, frames, drawn, strongest, image)
        way.show(way.start)
        _gather(way, ct)
    for _index in way.ready():
        yield what
    return way


def _add(found: Counterfactual, ct: Any, frames: list[Any], drawn: list[Any], strongest: Any, image: Any) -> Way:
    scene, affine, title = slicer.mrmlScene, found.grid.affine, _titleOf(found)
    amounts = [step.amount for step in found.steps]
    names = [label.name for label in found.labels]
    content = {
        "title": title,
        "target": found.target,
        "classifies": found.run.get("target", {}).get("kind") == "class",
        "notes": _notesOf(found),
        "labels": [{"name": one.name, "color": list(one.color), "group": one.group} for one in found.labels],
        "steps": [
            {
                "amount": step.amount,
                "output": _known(step.output),
                "probability": _known(step.probability),
                "change": 100 * step.change,
                "meanHu": step.mean_abs_hu,
                "volumes": {name: volume for name, volume in step.volumes.items() if name in names},
            }
            for step in found.steps
        ],
    }
    start = amounts.index(0)
    tags = {CHANGED_CT: "1"}
    volume = add_volume(scene, found.steps[start].hu, affine, f"{found.patient}: {title}", image=frames[start], attributes=tags)
    source = ct.GetDisplayNode()
    if source is not None:
        volume.GetDisplayNode().AutoWindowLevelOff()
        volume.GetDisplayNode().SetWindowLevel(source.GetWindow(), source.GetLevel())
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetName(f"Agg2Exp {title}")
    node.SetAttribute(_MARK, "1")
    node.SetHideFromEditors(True)
    node.SetParameter("content", json.dumps(content))
    scene.AddNode(node)
    node.SetNodeReferenceID(_CT, ct.GetID())
    node.SetNodeReferenceID(_VOLUME, volume.GetID())
    sequence = FrameSequence(volume)
    sequence.keep(frames, amounts, f"{title} λ")
    sequence.addBrowser(title)
    if strongest is not None:
        values = Volume(np.asarray(strongest), affine, title)
        overlay = add_overlay(scene, values, f"{title}: HU", DIFFERENCE, _PERCENTILE, image)
        node.SetNodeReferenceID(_DIFFERENCE, overlay.GetID())
    if drawn:
        node.SetNodeReferenceID(_DRAWN, sequenceOf(volume, drawn, amounts, f"{title} labels λ").GetID())
        way = Way(node)
        segments = [Segment(one.name, one.title, one.color, one.index) for one in found.labels[1:] if one.name in way.drawn]
        for role, suffix in ((_BEFORE, _("before")), (_AFTER, _("now"))):
            # Also labels that are not drawn at the start: they may appear on the way.
            layer = Layer(way.layer(start), tuple(segments))
            outlines = add_segmentation(scene, [layer], f"{title}: {suffix}", ct)
            node.SetNodeReferenceID(role, outlines.GetID())
    return Way(node)


def _titleOf(found: Counterfactual) -> str:
    direction = str(found.run.get("parameters", {}).get("direction", "both"))
    words = {"less": _("less {name}"), "more": _("more {name}")}.get(direction, _("less and more {name}"))
    return words.format(name=_lowered(title_of(found.target)))


def _notesOf(found: Counterfactual) -> list[str]:
    """Why the search ended, how far the reconstruction is from the CT, and what the run told."""
    notes = []
    for direction, words in (("less", _("Less ended because {why}.")), ("more", _("More ended because {why}."))):
        why = (found.run.get("search", {}).get(direction) or {}).get("stopped_because")
        if why:
            notes.append(words.format(why=why))
    error, dice = found.errors.get("all voxels"), found.dice.get(found.target)
    if error is not None and math.isfinite(error):
        text = _("λ = 0 is what the autoencoder gives back: {error:.0f} HU from the CT on average").format(error=error)
        if dice is not None and math.isfinite(dice):
            text += _(", and what the model draws on it overlaps by Dice {dice:.2f}").format(dice=dice)
        notes.append(f"{text}.")
    return [*notes, *(str(note) for note in found.run.get("notices", ()))]


def _gather(way: Way, ct: Any) -> None:
    """One folder beside the CT in the data tree."""
    nodes = [way.volume, way.difference, *(way.node.GetNodeReference(role) for role in (_BEFORE, _AFTER))]
    gather(slicer.mrmlScene, f"{ct.GetName()}: {way.title}", [ct, *(node for node in nodes if node is not None)], False)


def _setImage(segmentation: Any, image: Any) -> None:
    """Give all segments of a node, which share one label map, another one."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    modified = segmentation.StartModify()
    for identifier in segmentIds(segmentation):
        segmentation.GetSegmentation().GetSegment(identifier).AddRepresentation(name, image)
    segmentation.Modified()
    segmentation.EndModify(modified)


def _array(image: Any) -> np.ndarray:
    """Voxels ``[z, y, x]`` of a vtkImageData, a view of its memory."""
    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars())).reshape(image.GetDimensions()[::-1])


def _imageOf(values: np.ndarray) -> Any:
    """A vtkImageData of ``[z, y, x]``, whose memory it takes over."""
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    scalars = numpy_to_vtk(np.ascontiguousarray(values).reshape(-1), deep=False)
    image.GetPointData().SetScalars(scalars)
    return image


def _image(array: np.ndarray, what: str) -> Generator[str, None, Any]:
    image = None
    for image in image_in_steps(array):  # noqa: B007
        yield what
    return image


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
