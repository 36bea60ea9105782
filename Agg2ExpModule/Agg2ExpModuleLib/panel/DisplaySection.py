"""Section Display: which map is shown and how; also the preliminary map while a run goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..scene import MapDisplay
from ..scene.PictureKey import ENRICHMENT, SHARE, SUPPORT, VOXELS, shownBy
from ..scene.Pictures import Request
from ..scene.ResultRecord import TARGET_MASK, ResultRecord, allRecords, recordsOf
from ..scene.SceneVolumes import segmentIds
from .Activity import Phase
from .ChoiceBox import ChoiceBox
from .InputSection import InputSection
from .LivePreview import LivePreview
from .MapIn3D import MapIn3D
from .PanelState import Changes, PanelState, Topic
from .PictureMaker import PictureMaker
from .RunController import RunController

_PICTURES = (VOXELS, SHARE, ENRICHMENT, SUPPORT)
_SIGNS = ("both", "supporting", "opposing")
_SEEN = {
    Topic.RECORD,
    Topic.SCENE,
    "record",
    "inputVolume",
    "mapLabel",
    "strongest",
    "sign",
    "picture",
    "smoothing",
    "absolute",
    "opacity",
    "showMap",
    "outline",
    "legend",
    "linked",
    "in3D",
}
_PICTURED = {"picture", "smoothing", "absolute"}
_CHOSEN = {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "mapLabel"}


class DisplaySection:
    """Controls the section.

    Attributes:
        sections: where segments have their largest cross-sections.
        in3D: the map in the 3D view.
        pictures: makes what is shown in place of the map itself.
    """

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection):
        self.state, self.controller, self.ui, self._inputs = state, controller, state.ui, inputs
        self.sections = MapDisplay.Sections()
        self.in3D = MapIn3D(state.root)
        self._record = ChoiceBox(self.ui.recordCombo, self._onRecord)
        self._map = ChoiceBox(self.ui.mapCombo, self._onMap)
        self.pictures = PictureMaker(state.root, self._onPicture)
        self._picture = ChoiceBox(self.ui.pictureCombo, lambda value: self._set("picture", value))
        self._sign = ChoiceBox(self.ui.signCombo, lambda value: self._set("sign", value))
        self._shown: Any = None  # the map in the views
        self._ct = ""  # id of the CT behind it
        self._before: frozenset[str] = frozenset()
        self._mayJump = False
        self._region = ""  # the one chosen last, which a class is looked at with
        self._live = LivePreview(state, controller, inputs, self._onLiveRead)
        self.ui.jumpButton.clicked.connect(self._onJump)
        self.ui.strongestVoxelButton.clicked.connect(self._onStrongest)

    @property
    def shown(self) -> Any:
        """The volume node over the CT that the views show, a map or a picture of it, or None."""
        return self._shown if self._shown is not None and self._shown.GetScene() is not None else None

    def refresh(self, changed: Changes) -> None:
        if self.state.parameters is None:
            return
        if changed & _SEEN:
            with slicer.util.RenderBlocker():  # one drawing for all that changes
                self._refresh(changed)
        else:
            self._refresh(changed)

    def _refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        assert parameters is not None
        if changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume"}:
            self._fillRecords()
        if changed & {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "inputVolume", "mapLabel"}:
            self._fillMaps()
        if "sign" in changed:
            texts = (_("Supporting and opposing"), _("Only supporting (red)"), _("Only opposing (blue)"))
            self._sign.setChoices(list(zip(_SIGNS, texts, strict=True)), parameters.sign)
        if "picture" in changed:
            titles = (_("Voxels"), _("Organs: share"), _("Organs: enrichment"), _("Organs: net support"))
            self._picture.setChoices(list(zip(_PICTURES, titles, strict=True)), parameters.picture)
        if Topic.PARTIAL in changed:
            self._live.show()
        if Topic.BUSY in changed:
            self._onPhase()
        if changed & ({"inputVolume"} | _CHOSEN | _PICTURED):
            self._show()
        elif changed & {"strongest", "sign"} and self.shown is not None:
            MapDisplay.setThreshold(self.shown, parameters.strongest, parameters.sign)
        if changed & {"opacity", "showMap"} and self.shown is not None:
            MapDisplay.setOpacity(self.shown, self._opacity)
        if changed & ({"outline"} | _CHOSEN):
            self._showOutline()
        if changed & ({"legend", "showMap", "sign", "strongest"} | _CHOSEN | _PICTURED):
            self._showLegend()
        if changed & {"linked", Topic.SCENE}:
            MapDisplay.setLinked(parameters.linked)
        if changed & ({"in3D", "showMap", "strongest", "sign"} | _CHOSEN | _PICTURED):
            self._show3D()
        self._enable()

    # What can be chosen

    def _fillRecords(self) -> None:
        parameters = self.state.parameters
        assert parameters is not None
        records = recordsOf(self.state.ct)
        titles = [record.title for record in records]
        choices = [
            (record.identifier, title if titles.count(title) == 1 else f"{title} ({number})")
            for number, (record, title) in enumerate(zip(records, titles, strict=True), start=1)
        ]
        record = self.state.record
        self._record.setChoices(choices, record.identifier if record is not None else "")
        several = len(records) > 1
        self.ui.recordCombo.visible = several
        self.ui.recordLabel.visible = several

    def _fillMaps(self) -> None:
        parameters, record = self.state.parameters, self.state.record
        assert parameters is not None
        titles = {**{entry.name: entry.title for entry in self._inputs.model.labels}, **_titles(record)}
        live = self.controller.live
        if live.node is not None:  # the maps of the run that goes on; another one is shown when it is next refined
            names = [live.label, *(name for name in self.controller.partials if name != live.label)]
            self._map.setChoices([(name, titles.get(name, name)) for name in sorted(names)], live.label)
            return
        overlays = record.overlays if record is not None else {}
        if parameters.mapLabel not in overlays and overlays:
            parameters.mapLabel = next(iter(overlays))
        self._map.setChoices([(name, titles.get(name, name)) for name in overlays], parameters.mapLabel)

    def _enable(self) -> None:
        ui = self.ui
        shown = self.shown is not None
        for widget in (ui.mapCombo, ui.opacitySlider, ui.strongestVoxelButton):
            widget.enabled = shown
        for widget in (ui.legendCheckBox, ui.in3DCheckBox, ui.showMapCheckBox):
            widget.enabled = shown
        request, live = self._request(), self.controller.live.node is not None
        voxels = shown and (live or (request is not None and not request.organs))
        ui.strongestSlider.enabled = voxels
        ui.signCombo.enabled = voxels and (live or request is None or not request.absolute)
        ui.smoothingSlider.enabled = ui.absoluteCheckBox.enabled = voxels and not live
        ui.pictureCombo.enabled = shown and not live
        segmentation = self._outlined()[0]
        ui.jumpButton.enabled = segmentation is not None
        ui.outlineCheckBox.enabled = segmentation is not None

    # What is shown

    def _show(self) -> None:
        """Put the chosen map (or the preliminary one) into the views, if it is not there already."""
        parameters, live = self.state.parameters, self.controller.live.node
        assert parameters is not None
        overlay = live if live is not None else self._wanted()
        ct = self.state.ct
        identifier = ct.GetID() if ct is not None else ""
        if overlay is self._shown and identifier == self._ct and (overlay is None or overlay.GetScene() is not None):
            return
        before, self._shown, self._ct = self._shown, overlay, identifier
        if overlay is None:
            if before is not None and before.GetScene() is not None:
                MapDisplay.removeLayers([before])
            self._removeForeignLayers()
            if ct is not None:
                MapDisplay.showBackground(ct)
            return
        MapDisplay.setThreshold(overlay, parameters.strongest, parameters.sign)
        MapDisplay.showLayers(ct, overlay, self._opacity)

    def showAgain(self) -> None:
        """Put the chosen map back into the views, where something else was shown in its place."""
        self._ct = ""
        if self.state.parameters is not None:
            self._show()
            self._showOutline()
            self._showLegend()

    def _request(self) -> Request | None:
        """What the user wants to see of the chosen map; None without one."""
        parameters, record = self.state.parameters, self.state.record
        if parameters is None or record is None or parameters.mapLabel not in record.overlays:
            return None
        if parameters.picture != VOXELS and record.matrix is not None:
            return Request(record, parameters.mapLabel, parameters.picture)
        return Request(record, parameters.mapLabel, VOXELS, parameters.smoothing, parameters.absolute)

    def _wanted(self) -> Any:
        """The volume that shows it; while it is being made, the picture that is there of these results, or the map itself."""
        request = self._request()
        if request is None:
            self.pictures.stop()
            return None
        node = self.pictures.node(request)
        if node is None and self._shown is not None and self._shown is request.record.picture:
            return self._shown
        return node if node is not None else request.record.overlays[request.label]

    def _onPicture(self) -> None:
        """What was wanted has been made."""
        parameters = self.state.parameters
        if parameters is None:
            return
        with slicer.util.RenderBlocker():
            self._show()
            if self.shown is not None:
                MapDisplay.setThreshold(self.shown, parameters.strongest, parameters.sign)
            self._showLegend()
            self._show3D()

    @property
    def _opacity(self) -> float:
        parameters = self.state.parameters
        return parameters.opacity if parameters is not None and parameters.showMap else 0.0

    def _removeForeignLayers(self) -> None:
        """Maps of another CT do not stay in front of this one."""
        ct = self.state.ct
        others = [node for record in allRecords() if ct is None or record.ct is not ct for node in record.shownNodes()]
        MapDisplay.removeLayers(others)

    def _outlined(self) -> tuple[Any, str]:
        """Segmentation and segment that belong to the map: of the label, the drawn target, of a class the region chosen last."""
        parameters, record = self.state.parameters, self.state.record
        if parameters is None or record is None:
            return None, ""
        if TARGET_MASK in segmentIds(record.extra):
            return record.extra, TARGET_MASK
        label = self.controller.live.label or parameters.mapLabel
        if record.classes:
            return next(
                ((node, self._region) for node in (record.segmentation, record.extra) if self._region in segmentIds(node)),
                (None, ""),
            )
        return (record.segmentation, label) if label in segmentIds(record.segmentation) else (None, "")

    def _showOutline(self) -> None:
        parameters, record = self.state.parameters, self.state.record
        assert parameters is not None
        nodes = [node for each in allRecords() for node in (each.segmentation, each.extra) if node is not None]
        if record is not None and not record.overlays and self.shown is None:
            MapDisplay.showOutline([node for node in nodes if node is not record.segmentation], None, "", False)
            MapDisplay.showAllSegments(record.segmentation)
            return
        segmentation, segment = self._outlined()
        MapDisplay.showOutline(nodes, segmentation, segment, parameters.outline)
        if record is not None and self._before and parameters.outline:
            colors = {label.name: label.color for label in record.labels if label.name in self._before}
            MapDisplay.showBefore(record.segmentation, colors)

    def showBefore(self, names: Iterable[str]) -> None:
        """Outline these labels thin and pale, as what there was before a change; with none, the label shown as ever."""
        if frozenset(names) != self._before:
            self._before = frozenset(names)
            if self.state.parameters is not None:
                self._showOutline()

    def _showLegend(self) -> None:
        parameters, record = self.state.parameters, self.state.record
        assert parameters is not None
        visible = parameters.legend and parameters.showMap
        others = [node for each in allRecords() for node in each.shownNodes()]
        label = self.shown.GetAttribute("Agg2Exp.Label") if self.shown is not None else ""
        title = _titles(record).get(label, label)
        text = MapDisplay.legendText(title, self.shown, parameters.sign) if self.shown is not None else ""
        MapDisplay.showLegend(self.shown, others, text, visible)

    def _show3D(self) -> None:
        parameters = self.state.parameters
        assert parameters is not None
        request = self._request() if parameters.in3D and parameters.showMap and self.controller.live.node is None else None
        organs = request is not None and request.organs
        self.pictures.show3D(request if organs else None, self.state.ct)
        overlay = self.shown if parameters.in3D and parameters.showMap and not organs else None
        if overlay is not None and request is not None and (shownBy(overlay) or (VOXELS, 0.0, False))[::2] != (VOXELS, False):
            overlay = request.record.overlays[request.label]  # surfaces have signs
        self.in3D.show(overlay, self.state.ct, parameters.strongest, parameters.sign)

    # While a run goes on

    def _onPhase(self) -> None:
        phase, record = self.controller.phase, self.state.record
        if phase is not Phase.EXPLAINING:
            self._live.stop()
        if phase is Phase.PREPARING:
            self._mayJump = True  # who has just clicked Explain wants to see the label
        elif phase is Phase.IDLE:
            if not self.controller.failed and record is not None and record.overlays:
                self._jumpOnce()
            self._mayJump = False

    def _jumpOnce(self) -> None:
        record = self.state.record
        if self._mayJump and self._outlined()[0] is not None:
            self._mayJump = False
            self.jump()
        elif self._mayJump and record is not None and record.classes and self.shown is not None:
            self._mayJump = False
            MapDisplay.jumpToStrongest(self.shown)

    def _onLiveRead(self) -> None:
        if self.controller.phase is not Phase.EXPLAINING:
            return
        with slicer.util.RenderBlocker():
            self._fillMaps()
            self._show()
            self._showOutline()
            self._showLegend()
            self._show3D()
            self._jumpOnce()
            self._enable()

    # What the user does

    def selectRegion(self, region: str) -> bool:
        """Jump to a region's largest cross-section, and show its map where it has one; False for a region without voxels."""
        record = self.state.record
        if record is None:
            return False
        if region in record.overlays:
            self._set("mapLabel", region)
        self._choose(region)
        for node in (record.segmentation, record.extra):
            if region in segmentIds(node):
                return self.sections.jump(node, region)
        return False

    def jumpTo(self, region: str) -> None:
        """To the largest cross-section of a region, without changing the map."""
        record = self.state.record
        self._choose(region)
        for node in (record.segmentation, record.extra) if record is not None else ():
            if self.sections.jump(node, region):
                return

    def _choose(self, region: str) -> None:
        """A class has no outline of its own: the region that is looked at gets one."""
        record = self.state.record
        if record is not None and record.classes and region not in record.overlays and region != self._region:
            self._region = region
            self._showOutline()
            self._enable()

    def jump(self) -> None:
        """To the largest cross-section of the label shown."""
        segmentation, segment = self._outlined()
        if segmentation is not None:
            self.sections.jump(segmentation, segment)

    def _onJump(self, *_unused: Any) -> None:
        self.jump()

    def _onStrongest(self, *_unused: Any) -> None:
        request, shown = self._request(), self.shown
        if shown is not None:
            MapDisplay.jumpToStrongest(request.record.overlays[request.label] if request is not None and request.organs else shown)

    def _onRecord(self, identifier: str) -> None:
        record = next((record for record in recordsOf(self.state.ct) if record.identifier == identifier), None)
        if record is not None:
            self._set("record", record.node)

    def _onMap(self, value: str) -> None:
        self._set("mapLabel", value)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)


def _titles(record: ResultRecord | None) -> dict[str, str]:
    return record.titles if record is not None else {}
