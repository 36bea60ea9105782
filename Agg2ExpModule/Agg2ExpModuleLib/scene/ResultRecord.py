"""What the scene keeps of one set of results, so that a saved scene opened anywhere shows everything without the results folder.

A record is a hidden vtkMRMLScriptedModuleNode: run.json and the importance table as text, references to the CT, the segmentation,
the attribution maps, the table, the extra regions and the global mask.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.models.labels import Label, make_labels

from ..words.MethodWords import choiceTitle

if TYPE_CHECKING:
    from Agg2ExpLib.roi_importance.kept_noise import KeptNoise
    from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix
    from Agg2ExpLib.roi_importance.sentences import Effect
    from Agg2ExpLib.roi_importance.slices import SliceImportance

_MARK = "Agg2Exp.Record"
CT, SEGMENTATION, MAP, TABLE, EXTRA, MASK = "ct", "segmentation", "map", "table", "extra", "globalMask"
PICTURE = "picture"
TARGET_MASK = "target_mask"  # segment id of a drawn target among the extra regions


class ResultRecord:
    """One set of results; a thin view of its node, cheap to make again."""

    def __init__(self, node: Any):
        self.node = node

    @classmethod
    def create(cls, ct: Any, run: Mapping[str, Any]) -> ResultRecord:
        """A new record of a CT in the scene."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetName(f"Agg2Exp {ct.GetName()}")
        node.SetAttribute(_MARK, "1")
        node.SetHideFromEditors(True)
        record = cls(slicer.mrmlScene.AddNode(node))
        record.node.SetNodeReferenceID(CT, ct.GetID())
        record.run = dict(run)
        return record

    @property
    def identifier(self) -> str:
        """The node's id, by which the panel remembers the record."""
        return self.node.GetID() or ""

    @property
    def ct(self) -> Any:
        """The CT's volume node, None when it was deleted."""
        return self.node.GetNodeReference(CT)

    @property
    def segmentation(self) -> Any:
        """The predicted labels, or None."""
        return self.node.GetNodeReference(SEGMENTATION)

    @property
    def extra(self) -> Any:
        """Segmentation of the extra regions and the drawn target, or None."""
        return self.node.GetNodeReference(EXTRA)

    @property
    def globalMask(self) -> Any:
        """Segmentation of the global mask, or None."""
        return self.node.GetNodeReference(MASK)

    @property
    def table(self) -> Any:
        """The importance table node, or None."""
        return self.node.GetNodeReference(TABLE)

    @property
    def overlays(self) -> dict[str, Any]:
        """The attribution volume of each explained label, in the model's order."""
        found = {}
        for index in range(self.node.GetNumberOfNodeReferences(MAP)):
            volume = self.node.GetNthNodeReference(MAP, index)
            if volume is not None and volume.GetAttribute("Agg2Exp.Label"):
                found[volume.GetAttribute("Agg2Exp.Label")] = volume
        order = {label.name: label.index for label in self.explainable}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    def setReference(self, role: str, node: Any) -> None:
        """Set the one node of a role, None for none."""
        self.node.SetNodeReferenceID(role, node.GetID() if node is not None else None)

    def addMap(self, volume: Any) -> None:
        """Add an attribution volume."""
        self.node.AddNodeReferenceID(MAP, volume.GetID())

    @property
    def picture(self) -> Any:
        """The volume that shows a map smoothed, or its regions, or None."""
        return self.node.GetNodeReference(PICTURE)

    def shownNodes(self) -> list[Any]:
        """Every volume that may lie over the CT: the maps, and the picture made of one."""
        return [*self.mapNodes(), *([self.picture] if self.picture is not None else [])]

    def mapNodes(self) -> list[Any]:
        """Every attribution volume."""
        nodes = [self.node.GetNthNodeReference(MAP, index) for index in range(self.node.GetNumberOfNodeReferences(MAP))]
        return [node for node in nodes if node is not None]

    @property
    def run(self) -> dict[str, Any]:
        """Content of run.json."""
        text = self.node.GetParameter("run")
        return json.loads(text) if text else {}

    @run.setter
    def run(self, content: Mapping[str, Any]) -> None:
        self.node.SetParameter("run", json.dumps(content))

    @property
    def labels(self) -> tuple[Label, ...]:
        """All labels that the volume is divided into, background first; of a classifier's results those of another model."""
        return _labelsOf(self.run.get("labels", ()))

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes of a classifier; none of a segmentation model."""
        return _labelsOf(self.run.get("classes", ()))

    @property
    def explainable(self) -> tuple[Label, ...]:
        """What maps and rows can be of: the classes of a classifier, else the labels without the background."""
        run = self.run
        return _labelsOf(run["classes"]) if run.get("classes") else _labelsOf(run.get("labels", ()))[1:]

    @property
    def titles(self) -> dict[str, str]:
        """What people read for every label and class."""
        return {label.name: label.title for label in (*self.labels, *self.classes)}

    @property
    def probabilities(self) -> dict[str, float]:
        """What a classifier says: class to probability in 0..1; nothing of a segmentation model."""
        return {entry["name"]: float(entry["probability"]) for entry in self.run.get("classes", ())}

    @property
    def slices(self) -> SliceImportance | None:
        """How much each slice matters for each explained class of a classifier."""
        from Agg2ExpLib.roi_importance.slices import slices_from_text

        text = self.node.GetParameter("slices")
        return slices_from_text(json.loads(text)) if text else None

    @slices.setter
    def slices(self, slices: SliceImportance | None) -> None:
        from Agg2ExpLib.roi_importance.slices import slices_text

        self.node.SetParameter("slices", json.dumps(slices_text(slices, self.patient)) if slices is not None else "")

    def volumes(self) -> dict[str, float]:
        """Label to its volume in mL; results of older versions tell none."""
        return {entry["name"]: entry["volume_ml"] for entry in self.run.get("labels", ()) if "volume_ml" in entry}

    @property
    def matrix(self) -> ImportanceMatrix | None:
        """The RoI importance, None before an explanation."""
        text = self.node.GetParameter("matrix")
        if not text:
            return None
        from Agg2ExpLib.roi_importance.tables import matrix_from_text

        return matrix_from_text(json.loads(text), tuple(label.name for label in self.labels))[1]

    @matrix.setter
    def matrix(self, matrix: ImportanceMatrix | None) -> None:
        from Agg2ExpLib.roi_importance.tables import tidy_text

        # As JSON, since line ends do not survive in an attribute of the scene's XML.
        self.node.SetParameter("matrix", json.dumps(tidy_text(matrix, self.patient)) if matrix is not None else "")

    @property
    def positions(self) -> dict[str, list[float]]:
        """Where each region lies in the coronal plane, mm."""
        text = self.node.GetParameter("positions")
        return json.loads(text) if text else {}

    @positions.setter
    def positions(self, places: Mapping[str, Sequence[float]]) -> None:
        self.node.SetParameter(
            "positions", json.dumps({name: [round(float(part), 2) for part in xy] for name, xy in places.items()})
        )

    @property
    def folder(self) -> Path | None:
        """The results folder it was read from, None when that is gone."""
        text = self.node.GetParameter("folder")
        return Path(text) if text and (Path(text) / "run.json").is_file() else None

    @folder.setter
    def folder(self, path: Path | None) -> None:
        self.node.SetParameter("folder", str(path) if path else "")

    @property
    def noise(self) -> Mapping[str, KeptNoise]:
        """What the folder of the newest run keeps of its labels' noise samples; nothing when that is gone."""
        from Agg2ExpLib.errors import InputError
        from Agg2ExpLib.runs.results import Results

        try:
            return Results.open(self.node.GetParameter("noise") or "").noise()
        except InputError:
            return {}

    def keepNoiseOf(self, folder: Path) -> None:
        """Remember where :attr:`noise` is; unlike :attr:`folder` this stays true when regions are added."""
        self.node.SetParameter("noise", str(folder))

    @property
    def effects(self) -> dict[str, dict[str, Effect]]:
        """What removing each region did to each label, by label and removed region; nothing where that was not asked."""
        from Agg2ExpLib.roi_importance.sentences import Effect

        found = json.loads(self.node.GetParameter("effects") or "{}")
        return {label: {name: Effect(*pair) for name, pair in row.items()} for label, row in found.items()}

    @effects.setter
    def effects(self, effects: Mapping[str, Mapping[str, Effect]]) -> None:
        rows = {label: {name: [one.percent, one.dice] for name, one in row.items()} for label, row in effects.items()}
        self.node.SetParameter("effects", json.dumps(rows))

    @property
    def patient(self) -> str:
        """Case name in the tables."""
        return str(self.run.get("patient", ""))

    @property
    def title(self) -> str:
        """What tells this record from others of the same CT."""
        run = self.run
        parameters = run.get("parameters", {})
        parts = []
        if run.get("target_mask"):
            parts.append(_("drawn target"))
        if not run.get("explained"):
            parts.append(_("segmentation"))
        elif parameters:
            parts.append(methodText(parameters))
        if (name := (run.get("weights") or {}).get("name")) is not None:
            parts.append(str(name))
        return " · ".join(parts) or self.patient


def _labelsOf(entries: Sequence[Mapping[str, Any]]) -> tuple[Label, ...]:
    return make_labels(
        [entry["name"] for entry in entries],
        {entry["name"]: entry["color"] for entry in entries},
        {entry["name"]: entry["group"] for entry in entries},
    )


def methodText(parameters: Mapping[str, Any]) -> str:
    """The attribution method of a run with its number of samples or steps, where it has one, or its kind of supervoxels."""
    from Agg2ExpLib.attribution.methods import METHODS

    name = str(parameters.get("method", ""))
    title = METHODS[name].title if name in METHODS else name
    # Runs of older versions tell samples for every method.
    own = {entry.name for entry in METHODS[name].parameters()} if name in METHODS else set()
    if "samples" in own and "samples" in parameters:
        return _("{method}, {count} samples").format(method=title, count=parameters["samples"])
    if "steps" in own and "steps" in parameters:
        return _("{method}, {count} steps").format(method=title, count=parameters["steps"])
    if "supervoxels" in own and "supervoxels" in parameters:
        return f"{title}, {choiceTitle(parameters['supervoxels'])}"
    return title


def allRecords() -> list[ResultRecord]:
    """Every record of the scene, oldest first."""
    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScriptedModuleNode") for index in range(count)]
    return [ResultRecord(node) for node in nodes if node.GetAttribute(_MARK)]


def recordsOf(ct: Any) -> list[ResultRecord]:
    """The records of a CT, newest last; those whose segmentation and maps were deleted are left out."""
    if ct is None:
        return []
    mine = [record for record in allRecords() if record.ct is ct]
    return [record for record in mine if record.segmentation is not None or record.mapNodes()]
