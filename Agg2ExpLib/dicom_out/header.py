"""What all derived objects of one result share: who made them and how, research only, and whose they are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..attribution.methods import METHODS
from ..models.labels import Code
from ..version import __version__
from .codes import ARTIFICIAL_INTELLIGENCE, coding_schemes, concept, own, short
from .references import point_to_source
from .source import Source

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
    from pydicom import Dataset

RESEARCH_ONLY = "RESEARCH ONLY"
MAKER = "Agg2Exp"
MOST_VERSION, MOST_TEXT = 64, 1024
# Dates that must be there but may tell nothing: who exports a scan on its own day would tell the day.
NO_DATE, NO_TIME = "19000101", "000000"
_SETTINGS = ("samples", "steps", "coalitions", "target", "overlap", "blend", "seed")


@dataclass(frozen=True, eq=False)
class Header:
    """The common part.

    Attributes:
        source: the series that is referred to.
        run: content of the result's ``run.json``.
        with_identity: whether the objects tell who the patient is.
        pseudonym: stands as name and id of the patient, without identity.
    """

    source: Source
    run: Mapping[str, Any]
    with_identity: bool
    pseudonym: str = ""

    @property
    def model(self) -> str:
        """The model's name: of its weights' file."""
        return str((self.run.get("weights") or {}).get("name") or "model")

    @property
    def architecture(self) -> str:
        """Its network."""
        return str((self.run.get("weights") or {}).get("architecture") or "unknown architecture")

    @property
    def model_version(self) -> str:
        """The checksum of its weights, which no other weights have."""
        return f"sha256 {(self.run.get('weights') or {}).get('sha256') or 'unknown'}"[:MOST_VERSION]

    @property
    def method(self) -> Code | None:
        """The attribution method, where something was explained."""
        name = (self.run.get("parameters") or {}).get("method")
        if not name:
            return None
        return own(name, METHODS[name].title if name in METHODS else name)

    def settings(self) -> dict[str, str]:
        """Settings of the run that decide its numbers."""
        parameters = self.run.get("parameters") or {}
        return {name: str(parameters[name]) for name in _SETTINGS if parameters.get(name) is not None}

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """The model as the algorithm of a segmentation."""
        from highdicom import AlgorithmIdentificationSequence

        windows = {name: value for name, value in self.settings().items() if name in ("overlap", "blend")}
        return AlgorithmIdentificationSequence(
            name=short(self.model),
            family=concept(ARTIFICIAL_INTELLIGENCE),
            version=self.model_version,
            source=short(self.architecture),
            parameters=windows or None,
        )

    def words(self) -> str:
        """How the objects came about, for their description."""
        told = [f"Model {self.model}, {self.architecture}, {self.model_version}"]
        if self.method is not None:
            settings = ", ".join(f"{name} {value}" for name, value in self.settings().items())
            told.append(f"method {self.method.meaning} ({settings})")
        return f"{'; '.join(told)}; by {MAKER} {__version__}. {RESEARCH_ONLY}: not for diagnosis or treatment."

    def stand_ins(self) -> list[Dataset]:
        """The source's images for highdicom, with the pseudonym."""
        images = self.source.stand_ins()
        for data in images if self.pseudonym else ():
            data.PatientName, data.PatientID = f"{self.pseudonym}^", self.pseudonym
        return images

    def arguments(self, series: int, title: str) -> dict[str, Any]:
        """What every object of highdicom is told: a new series of that number, the equipment, the dates.

        Args:
            series: number of the series.
            title: what it is, for its description.
        """
        from highdicom import UID

        return {
            "series_instance_uid": UID(),
            "series_number": series,
            "sop_instance_uid": UID(),
            "instance_number": 1,
            "manufacturer": MAKER,
            "manufacturer_model_name": MAKER,
            "software_versions": __version__,
            "device_serial_number": "none",
            "series_description": short(f"{RESEARCH_ONLY} {MAKER} {title}"),
            "specific_character_set": "ISO_IR 192",
            "coding_schemes": coding_schemes(),
            **self._dates(),
        }

    def equipment(self) -> list[ContributingEquipment]:
        """The model that had a part in it, and the program that asked it."""
        from highdicom import ContributingEquipment
        from pydicom.sr.codedict import codes

        processing = codes.DCM.ProcessingEquipment
        found = [
            ContributingEquipment(
                "not recorded",
                processing,
                manufacturer_model_name=short(self.model),
                software_versions=self.model_version,
                contribution_description=short(f"Segmentation model: {self.architecture}", MOST_TEXT),
            )
        ]
        if self.method is not None:
            found.append(
                ContributingEquipment(
                    MAKER,
                    processing,
                    manufacturer_model_name=short(f"{MAKER}: {self.method.meaning}"),
                    software_versions=__version__,
                    contribution_description="Attribution method",
                )
            )
        return found

    def finish(self, data: Dataset) -> None:
        """Complete an object that highdicom has made: references, description, marks of what was taken out."""
        point_to_source(data, self.source)
        data.DerivationDescription = short(self.words(), MOST_TEXT)
        data.ImageComments = f"{RESEARCH_ONLY}. Made by {MAKER}; not for diagnosis or treatment."
        self.mark(data)

    def mark(self, data: Dataset) -> None:
        """Say whether the patient can be told; take out what would tell the day."""
        if self.with_identity:
            return
        data.PatientIdentityRemoved = "YES"
        data.DeidentificationMethod = f"{MAKER}: no tags of patient, study and institution, no dates"
        data.LongitudinalTemporalInformationModified = "REMOVED"
        for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
            if keyword in data:
                delattr(data, keyword)
        for item in data.get("ContributingEquipmentSequence") or []:
            if "ContributionDateTime" in item:
                del item.ContributionDateTime

    def _dates(self) -> dict[str, Any]:
        if not self.with_identity:
            return {"content_date": NO_DATE, "content_time": NO_TIME}
        now = datetime.datetime.now()
        return {"content_date": now.date(), "content_time": now.time()}
