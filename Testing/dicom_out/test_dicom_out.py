"""Results as DICOM: places by independent readers, an independent validator, references, codes, identity, and what is refused."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from Agg2ExpLib.api.dicom import write_dicom
from Agg2ExpLib.api.explain import explain
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct, read_volume
from Agg2ExpLib.monitor import Monitor
from support.dicom_export import (
    RADIUS,
    SECRETS,
    by_dcmqi,
    centre_of,
    complaints,
    distances,
    frames_of,
    is_there,
    marked_result,
    write_series,
)
from support.geometry import enhanced, found_place, make_grid
from support.paths import DATA

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("dicom_out")]
OBLIQUE = make_grid((30, 26, 20), (5.1, 6.3, 9.0), signs=(-1, -1, 1), angles=(5, 10, -20))
TILTED = make_grid((30, 26, 20), (5.1, 6.3, 9.0), signs=(-1, -1, 1), shear=0.3)
SEG, MAP, REGION = "segmentation.dcm", "map_lung_upper_lobe_left.dcm", "region_lesion.dcm"
REAL = DATA / "lung-pet-ct-dx" / "Lung_Dx-A0002_dicom_8mm_B40f"
validated = pytest.mark.skipif(not is_there("dciodvfy"), reason="dciodvfy is not installed (apt-get install dicom3tools)")
with_dcmqi = pytest.mark.skipif(not is_there("segimage2itkimage"), reason="dcmqi is not installed (pip install dcmqi)")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("dicom") / "Secret_Jane", OBLIQUE)


@pytest.fixture(scope="module")
def marked(series, small_weights):
    return marked_result(series, small_weights)


@pytest.fixture(scope="module")
def exports(series, marked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    write_dicom(marked[0], series, folder / "source")
    write_dicom(marked[0], series, folder / "model", planes="model", patient_id="case 7")
    write_dicom(marked[0], series, folder / "named", with_identity=True)
    return folder


# Half the diagonal of a voxel of the model grid: nobody can place the surface of a segment better.
HALF_VOXEL = 0.5 * 6 * 3**0.5


def check_places(folder, place):
    """The map's bump is where it was put, and every pixel of the segments is inside of the ball, the others outside."""
    np.testing.assert_allclose(centre_of(folder / MAP), place, atol=0.3)
    for name in (SEG, REGION):
        inside, outside = distances(folder / name, place)
        assert len(inside) > 100
        assert inside.max() < RADIUS + HALF_VOXEL
        assert outside.min() > RADIUS - HALF_VOXEL


@pytest.mark.parametrize("planes", ["source", "model"])
def test_markers_are_at_their_place(exports, marked, planes):
    check_places(exports / planes, marked[1])


def test_frames_lie_on_the_slices_of_the_source(exports, series):
    ct = read_ct(series)
    for name in (SEG, MAP):
        values, affines = frames_of(exports / "source" / name)
        assert values.shape[1:] == (26, 30)
        for affine in affines:
            index = ct.grid.to_index(affine @ [0, 0, 1] * (-1, -1, 1))
            np.testing.assert_allclose(index, [0, 0, round(index[2])], atol=1e-4)
            far = ct.grid.to_index(affine @ [29, 25, 1] * (-1, -1, 1))
            np.testing.assert_allclose(far, [29, 25, round(index[2])], atol=1e-4)


def test_each_frame_names_its_slice(exports, series):
    there = {str(data.SOPInstanceUID): data for data in map(pydicom.dcmread, series.iterdir())}
    for name in (SEG, MAP):
        data = pydicom.dcmread(exports / "source" / name)
        for group in data.PerFrameFunctionalGroupsSequence:
            (image,) = group.DerivationImageSequence[0].SourceImageSequence
            theirs = there[image.ReferencedSOPInstanceUID]
            place = group.PlanePositionSequence[0].ImagePositionPatient
            np.testing.assert_allclose(np.array(place, float), np.array(theirs.ImagePositionPatient, float), atol=1e-6)
        theirs = next(iter(there.values()))
        for tag in ("StudyInstanceUID", "FrameOfReferenceUID"):
            assert data[tag].value == theirs[tag].value
        (referred,) = data.ReferencedSeriesSequence
        assert referred.SeriesInstanceUID == theirs.SeriesInstanceUID != data.SeriesInstanceUID
        assert {str(item.ReferencedSOPInstanceUID) for item in referred.ReferencedInstanceSequence} == set(there)


def test_maps_of_the_model_grid_are_as_computed(exports, marked):
    values, _ = frames_of(exports / "model" / MAP)
    (mine,) = marked[0].maps.values()
    np.testing.assert_array_equal(values, mine[::-1, ::-1].transpose(2, 1, 0))


def test_slicers_reader_of_series_agrees(exports, series, marked):
    """The CT as Slicer's core places it has the marker of the map where the map says: frames are its slices."""
    slicer = pytest.importorskip("slicer")
    node, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
    files = sorted(series.iterdir())
    storage.SetFileName(str(files[0]))
    for file in files[1:]:
        storage.AddFileName(str(file))
    assert storage.ReadData(node)
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    values, affines = frames_of(exports / "source" / MAP)
    frame, row, column = np.unravel_index(values.argmax(), values.shape)
    ras = affines[frame] @ [column, row, 1] * (-1, -1, 1)
    index = np.linalg.inv(affine) @ [*ras, 1]
    np.testing.assert_allclose(index[:3], np.rint(index[:3]), atol=1e-3)
    assert np.linalg.norm(ras - marked[1]) < 6


def test_simpleitk_reads_the_segmentation(exports):
    import SimpleITK

    image = SimpleITK.ReadImage(str(exports / "source" / REGION))
    values, affines = frames_of(exports / "source" / REGION)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image) > 0, values > 0)
    np.testing.assert_allclose(image.GetOrigin(), affines[0][:, 2], atol=1e-4)


@with_dcmqi
@pytest.mark.parametrize("planes", ["source", "model"])
def test_dcmqi_finds_the_markers(exports, marked, planes, tmp_path):
    for name in (SEG, MAP, REGION):
        volume = read_volume(by_dcmqi(exports / planes / name, tmp_path / name))
        place = found_place(volume.array.astype(float) - 1000, volume.affine)
        np.testing.assert_allclose(place, marked[1], atol=0.3 if name == MAP else 1.5)


@validated
@pytest.mark.parametrize("kind", ["source", "model", "named"])
def test_an_independent_validator_finds_no_error(exports, kind):
    files = sorted((exports / kind).glob("*.dcm"))
    assert len(files) == 4
    assert [found for file in files for found in complaints(file)] == []


def test_nobody_is_named(exports):
    for file in (exports / "source").iterdir():
        content = file.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in content] == []
    for file in (exports / "source").glob("*.dcm"):
        data = pydicom.dcmread(file)
        assert (str(data.PatientName), data.PatientID, data.StudyDate, data.PatientIdentityRemoved) == ("", "", "", "YES")
        assert data.ContentDate == "19000101"
        dates = [element for element in data.iterall() if element.VR in ("DA", "DT") and element.value]
        assert {element.value for element in dates} == {"19000101"}
        assert data.ContributingEquipmentSequence[0].ManufacturerModelName
    data = pydicom.dcmread(exports / "model" / SEG)
    assert (str(data.PatientName), data.PatientID) == ("case 7^", "case 7")


def test_with_identity_the_objects_are_of_the_patient_and_the_study(exports, series):
    theirs = pydicom.dcmread(next(series.iterdir()))
    for file in (exports / "named").glob("*.dcm"):
        data = pydicom.dcmread(file)
        assert "PatientIdentityRemoved" not in data
        for tag in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyDate",
            "AccessionNumber",
            "StudyInstanceUID",
        ):
            assert data[tag].value == theirs[tag].value


def test_headers_against_the_standard_are_passed_on(marked, small_weights, tmp_path):
    odd = {
        "AccessionNumber": "longer than sixteen characters",
        "PatientAge": "45",
        "PatientSex": "unknown",
        "StudyDate": "4.3.2020",
    }
    series = write_series(tmp_path / "odd", OBLIQUE, SliceThickness="", StudyInstanceUID="1.02.3", **odd)
    folder = write_dicom(marked[0], series, tmp_path / "out", with_identity=True, maps=False)
    data = pydicom.dcmread(folder / SEG)
    assert (data.StudyInstanceUID, data.AccessionNumber, data.StudyDate, data.PatientSex) == (
        "1.02.3",
        odd["AccessionNumber"],
        "",
        "",
    )
    assert float(data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == pytest.approx(9)


def test_every_object_says_research_only_and_how_it_was_made(exports, marked):
    sha = marked[0].run["weights"]["sha256"]
    for file in (exports / "source").glob("*.dcm"):
        data = pydicom.dcmread(file)
        assert data.SeriesDescription.startswith("RESEARCH ONLY")
        models = [item.ManufacturerModelName for item in data.ContributingEquipmentSequence]
        assert "small" in models
        assert "Agg2Exp: SmoothGrad" in models
        assert any(sha[:57] in str(item.get("SoftwareVersions")) for item in data.ContributingEquipmentSequence)


def test_segments_are_coded(exports):
    (segment,) = pydicom.dcmread(exports / "source" / SEG).SegmentSequence
    code = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("45653009", "SCT")
    assert code.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert segment.SegmentLabel == "Lung upper lobe left"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (segment.SegmentAlgorithmType, algorithm.AlgorithmName) == ("AUTOMATIC", "small")
    assert algorithm.AlgorithmVersion.startswith("sha256 ")
    (region,) = pydicom.dcmread(exports / "source" / REGION).SegmentSequence
    assert region.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert region.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99AGG2EXP"


def test_maps_say_what_their_values_are(exports, marked):
    data = pydicom.dcmread(exports / "source" / MAP)
    assert (data.ContentQualification, data.BitsAllocated) == ("RESEARCH", 32)
    shared = data.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    told = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeValue
        for item in mapping.QuantityDefinitionSequence
    }
    assert told == {"Quantity": "attribution", "Measurement Method": "smoothgrad", "Finding Site": "45653009"}
    values, _ = frames_of(exports / "source" / MAP)
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == values.max()
    assert values.max() <= next(iter(marked[0].maps.values())).max()


def test_the_report_is_a_pdf(exports, series, marked, tmp_path):
    data = pydicom.dcmread(exports / "source" / "report.dcm")
    assert data.EncapsulatedDocument[: data.EncapsulatedDocumentLength].startswith(b"%PDF-")
    assert data.BurnedInAnnotation == "NO"
    assert len(data.SourceInstanceSequence) == 20
    mine = tmp_path / "mine.pdf"
    mine.write_bytes(b"%PDF-1.4\n% odd\n")
    folder = write_dicom(marked[0], series, tmp_path / "out", report=mine, maps=False)
    data = pydicom.dcmread(folder / "report.dcm")
    assert data.EncapsulatedDocument[: data.EncapsulatedDocumentLength] == mine.read_bytes()
    assert data.BurnedInAnnotation == "YES"
    assert not list(folder.glob("map_*"))
    bare = dataclasses.replace(marked[0], maps={}, matrix=None)
    written = write_dicom(bare, series, tmp_path / "bare").glob("*.dcm")
    assert sorted(file.name for file in written) == [REGION, SEG]


@pytest.mark.skipif(not is_there("pdftotext"), reason="pdftotext is not installed (apt-get install poppler-utils)")
@pytest.mark.parametrize(("kind", "patient"), [("source", "Patient"), ("model", "case 7"), ("named", "Secret^Name")])
def test_the_report_names_whom_it_may(exports, marked, kind, patient, tmp_path):
    assert marked[0].patient == "Secret_Jane"
    (tmp_path / "report.pdf").write_bytes(pydicom.dcmread(exports / kind / "report.dcm").EncapsulatedDocument)
    text = subprocess.run(["pdftotext", tmp_path / "report.pdf", "-"], check=True, capture_output=True, text=True).stdout
    assert f"Why did the model draw this? {patient}\n" in text
    assert "Jane" not in text
    assert ("Secret" in text) == (kind == "named")


def test_tilted_series_are_at_their_place_for_every_reader(small_weights, tmp_path):
    series = write_series(tmp_path / "tilted", TILTED)
    result, place = marked_result(series, small_weights)
    monitor = Monitor()
    folder = write_dicom(result, series, tmp_path / "out", monitor=monitor)
    assert "tilted gantry" in monitor.notices[-1]
    check_places(folder, place)
    slices = write_dicom(result, series, tmp_path / "slices", planes="source", monitor=monitor)
    assert "planes model is right everywhere" in monitor.notices[-1]
    check_places(slices, place)
    assert frames_of(slices / MAP)[0].shape == (20, 26, 30)
    if is_there("segimage2itkimage"):
        volume = read_volume(by_dcmqi(folder / MAP, tmp_path / "map"))
        np.testing.assert_allclose(found_place(volume.array.astype(float) - 1000, volume.affine), place, atol=0.3)
    if is_there("dciodvfy"):
        assert [found for part in (folder, slices) for name in (SEG, MAP) for found in complaints(part / name)] == []


def test_enhanced_images_are_referred_to_by_frame(small_weights, tmp_path):
    series = write_series(tmp_path / "enhanced", OBLIQUE)
    files = sorted(series.iterdir())
    places = [list(pydicom.dcmread(path).ImagePositionPatient) for path in files]
    order = [*range(10, 20), *range(10)]
    data, hu = pydicom.dcmread(files[0]), read_ct(series).array
    enhanced(data, [places[k] for k in order], hu[:, :, order])
    for path in files[1:]:
        path.unlink()
    data.save_as(files[0])
    result, place = marked_result(series, small_weights)
    folder = write_dicom(result, series, tmp_path / "out")
    check_places(folder, place)
    for name in (SEG, MAP):
        made = pydicom.dcmread(folder / name)
        assert [item.ReferencedSOPInstanceUID for item in made.SourceImageSequence] == [data.SOPInstanceUID]
        for group in made.PerFrameFunctionalGroupsSequence:
            (image,) = group.DerivationImageSequence[0].SourceImageSequence
            assert image.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2.1"
            theirs = places[order[int(image.ReferencedFrameNumber) - 1]]
            np.testing.assert_allclose(np.array(group.PlanePositionSequence[0].ImagePositionPatient, float), theirs, atol=1e-6)
        if is_there("dciodvfy"):
            assert complaints(folder / name) == []


def test_the_same_series_is_known_by_its_voxels(series, marked, tmp_path):
    more = tmp_path / "more"
    shutil.copytree(series, more)
    (more / "notes.txt").write_text("a file more, and another checksum")
    assert (write_dicom(marked[0], more, tmp_path / "out", maps=False) / SEG).is_file()


def test_other_series_are_refused(series, marked, small_ct, tmp_path):
    result = marked[0]
    other = tmp_path / "other"
    shutil.copytree(series, other)
    for path in other.iterdir():
        data = pydicom.dcmread(path)
        data.PixelData = np.roll(data.pixel_array, 3, axis=1).tobytes()
        data.save_as(path)
    with pytest.raises(InputError, match=r"other is not the CT of this result \(\d+ % of its voxels differ\)"):
        write_dicom(result, other, tmp_path / "out")
    away = write_series(tmp_path / "away", make_grid((30, 26, 20), (5.1, 6.3, 9.0), signs=(-1, -1, 1)))
    with pytest.raises(InputError, match="lies elsewhere"):
        write_dicom(result, away, tmp_path / "out")
    with pytest.raises(InputError, match=r"chest\.nii\.gz is no folder: give the one with the DICOM series"):
        write_dicom(result, small_ct, tmp_path / "out")
    with pytest.raises(InputError, match="holds no DICOM image slices"):
        write_dicom(result, small_ct.parent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"FrameOfReferenceUID": ""}, "it has no frame of reference"),
        ({"SOPInstanceUID": "1.2.3.4"}, "all its images have one SOP Instance UID"),
    ],
)
def test_a_series_that_nothing_can_refer_to_is_refused(small_weights, tmp_path, tags, words):
    series = write_series(tmp_path / "series", OBLIQUE, **tags)
    result = explain(series, small_weights, ["heart"], "gradient", device="cpu")
    with pytest.raises(InputError, match=words):
        write_dicom(result, series, tmp_path / "out")


def test_wrong_settings_are_refused(series, marked, tmp_path, monkeypatch):
    result = marked[0]
    for settings, words in (
        ({"planes": "oblique"}, "Unknown planes 'oblique'"),
        ({"with_identity": True, "patient_id": "x"}, "leave out patient_id"),
        ({"patient_id": "a^b"}, "choose another"),
        ({"labels": "aorta"}, "has no map of 'aorta'"),
        ({"report": series / "000.dcm"}, "is no PDF"),
    ):
        with pytest.raises(InputError, match=words):
            write_dicom(result, series, tmp_path / "out", **settings)
    with pytest.raises(InputError, match="must not lie in the folder of the CT"):
        write_dicom(result, series, series / "out")
    empty = dataclasses.replace(result, segmentation=np.zeros_like(result.segmentation))
    with pytest.raises(InputError, match="has no segment"):
        write_dicom(empty, series, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r"pip install 'agg2exp\[dicom\]'"):
        write_dicom(result, series, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the real DICOM series is not there")
def test_a_real_series_by_the_command_line(small_weights, tmp_path, capsys):
    given = ["--ct", REAL, "--weights", small_weights, "--device", "cpu", "--labels", "heart", "--samples", 2]
    assert main([str(part) for part in ("explain", *given, "--output", tmp_path / "result")]) == 0
    capsys.readouterr()
    command = ["dicom", tmp_path / "result", "--source", REAL, "--output", tmp_path / "out", "--labels", "heart"]
    assert main([str(part) for part in command]) == 0
    files = sorted((tmp_path / "out").glob("*.dcm"))
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert [file.stem for file in files] == ["map_heart", "report", "segmentation"]
    if is_there("dciodvfy"):
        assert [found for file in files for found in complaints(file)] == []
    assert main([str(part) for part in command]) == 2
    assert "add --overwrite" in capsys.readouterr().err
