"""A PDF report as a DICOM object (Encapsulated PDF, PS3.3, A.45.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError
from .codes import REPORT, concept
from .header import RESEARCH_ONLY, Header
from .references import instances

if TYPE_CHECKING:
    from pydicom import Dataset

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def encapsulated_pdf(header: Header, pdf: bytes, names_patient: bool, series: int) -> Dataset:
    """The report.

    Args:
        header: what all objects share.
        pdf: the file's bytes.
        names_patient: whether its pages tell, or may tell, who the patient is.
        series: number of the series.

    Raises:
        InputError: it is no PDF.
    """
    from highdicom.base import SOPClass
    from pydicom.uid import ExplicitVRLittleEndian

    if not pdf.startswith(b"%PDF-"):
        raise InputError("The report is no PDF: give a file that ends in .pdf and was made as one with ⟨report⟩.")
    images = header.stand_ins()
    theirs = images[0]
    data = SOPClass(
        study_instance_uid=theirs.StudyInstanceUID,
        sop_class_uid=ENCAPSULATED_PDF,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=theirs.PatientID,
        patient_name=theirs.PatientName,
        patient_birth_date=theirs.PatientBirthDate,
        patient_sex=theirs.PatientSex,
        accession_number=theirs.AccessionNumber,
        study_id=theirs.StudyID,
        study_date=theirs.StudyDate,
        study_time=theirs.StudyTime,
        referring_physician_name=theirs.ReferringPhysicianName,
        **header.arguments(series, "report"),
    )
    data.copy_patient_and_study_information(theirs)
    data.ContributingEquipmentSequence = header.equipment()
    data.ConversionType = "SYN"
    data.AcquisitionDateTime = None
    data.BurnedInAnnotation = "YES" if names_patient else "NO"
    data.SourceInstanceSequence = instances(header.source)
    data.DocumentTitle = f"{RESEARCH_ONLY}: what the model leaned on"
    data.ConceptNameCodeSequence = [concept(REPORT)]
    data.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data.EncapsulatedDocumentLength = len(pdf)
    data.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    header.mark(data)
    return data
