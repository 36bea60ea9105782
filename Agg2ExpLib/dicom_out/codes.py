"""Coded words of the derived objects: structures, methods, quantities.

Where no public code is known they are of the private scheme 99AGG2EXP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..models.labels import PATHOLOGY_GROUP, Code, Label

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

SCHEME = "99AGG2EXP"
# DICOM PS3.16, CID 7150.
ANATOMICAL = Code("123037004", "Anatomical Structure")
ABNORMAL = Code("49755003", "Morphologically Abnormal Structure")
SPATIAL = Code("309825002", "Spatial and Relational Concept")
# PS3.16, CID 7162.
ARTIFICIAL_INTELLIGENCE = Code("123110", "Artificial Intelligence", "DCM")
ATTRIBUTION = Code("attribution", "Signed attribution of a model's output to voxels", SCHEME)
REPORT = Code("report", "Report on what a model leaned on", SCHEME)
NO_UNITS = Code("1", "no units", "UCUM")
MEASUREMENT_METHOD = Code("370129005", "Measurement Method")
FINDING_SITE = Code("363698007", "Finding Site")
FINDING = Code("121071", "Finding", "DCM")
# PS3.16, CID 4: a class of a classifier is about the whole scan.
WHOLE_BODY = Code("38266002", "Whole body")
MOST_BYTES = 64  # of a meaning, and of most other texts of one line


def short(text: str, most: int = MOST_BYTES) -> str:
    """A text of one line that DICOM takes: no backslash, and not too long (in UTF-8, as strict readers count)."""
    text = " ".join(text.replace("\\", "/").split())
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= most:
        return encoded.decode("utf-8")
    return encoded[: most - 3].decode("utf-8", errors="ignore").rstrip() + "..."


def concept(code: Code) -> CodedConcept:
    """A code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, short(code.meaning))


def own(name: str, meaning: str) -> Code:
    """A code of the private scheme."""
    return Code(short(name), meaning, SCHEME)


def structure(label: Label) -> Code:
    """What a label is: SNOMED CT where that is known."""
    return label.code or own(label.name, label.title)


def category(label: Label) -> Code:
    """The kind of thing that a label is."""
    return ABNORMAL if label.group == PATHOLOGY_GROUP else ANATOMICAL


def coding_schemes() -> list[Any]:
    """What the private scheme is."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [CodingSchemeIdentificationItem(SCHEME, name="Agg2Exp", responsible_organization="Agg2Exp")]
