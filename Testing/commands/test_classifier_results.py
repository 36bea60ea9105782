"""What a classifier's result meets after the run: graph, words, slices, cohort, evaluation, report and what-if."""

import numpy as np
import pydicom
import pytest

import Agg2ExpLib as agg2exp
from Agg2ExpLib.cohorts.combine import combine
from Agg2ExpLib.cohorts.figures import context_order, distribution_figure
from Agg2ExpLib.cohorts.read import read_patients
from Agg2ExpLib.cohorts.systems import by_system
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.reports.contents import gather
from Agg2ExpLib.reports.html import write_html
from Agg2ExpLib.roi_importance.graph import importance_graph
from Agg2ExpLib.roi_importance.sentences import sentence_of
from Agg2ExpLib.views.slice_figure import slice_figure
from support.classifiers import CLASSES, write_small_classifier
from support.dicom_export import write_series
from support.networks import CT_AFFINE

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return write_small_classifier(tmp_path_factory.mktemp("classifier"), "mean")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, small_ct, small_weights, small_lesion, classifier):
    place, model = tmp_path_factory.mktemp("classified"), agg2exp.Model.load(classifier)
    found = []
    for seed, name in enumerate(("a", "b")):
        regions = [f"{small_lesion}:lesion,node"]
        result = agg2exp.explain(
            small_ct, model, segmenter=small_weights, samples=2, seed=seed, regions=regions, patient_id=name, device="cpu"
        )
        found.append(result.save(place / name))
    return found


@pytest.fixture(scope="module")
def result(folders):
    return agg2exp.Result.open(folders[0])


def test_arrows_lead_from_regions_to_classes(result):
    graph = importance_graph(result.matrix, result.labels, top=2)
    assert {name for name, data in graph.nodes(data=True) if data["group"] == "classes"} == set(CLASSES)
    assert all(graph.out_degree(name) == 0 and graph.in_degree(name) == 2 for name in CLASSES)
    assert all(graph.nodes[name]["context"] is None for name in CLASSES)
    assert graph.in_degree("lung") == 0


def test_words_name_regions_and_the_class(result):
    told = sentence_of(result.matrix, "effusion")
    assert told.startswith("Effusion: ")
    assert "of what the model leaned on lies in the" in told
    assert "supports the class" in told
    assert "itself" not in told


def test_slices_are_drawn(result, tmp_path):
    figure = slice_figure(result.slices, "contrast", "a")
    above, below = figure.axes[0], figure.axes[3]
    heights = [bar.get_height() for bar in above.patches]
    np.testing.assert_allclose(heights, result.slices.along("axial").contribution[2], rtol=1e-6)
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], 100 * result.slices.along("axial").mass[2], rtol=1e-6)
    assert "no slices along this axis" in figure.axes[1].texts[0].get_text()


def test_a_cohort_of_classifications(folders):
    cohort = combine(read_patients(folders))
    assert cohort.rows == CLASSES
    assert set(cohort.columns) == {"background", "lung", "heart", "bone", "vessel", "lesion", "node"}
    assert np.isnan(cohort.inside()).all()
    assert cohort.present.all()
    assert context_order(cohort) == []
    systems = by_system(cohort)
    assert systems.rows == ("classes",)
    np.testing.assert_allclose(np.nansum(systems.mass[:, 0, systems.own_columns], axis=1), 1, atol=1e-6)
    assert len([axes for axes in distribution_figure(cohort, "two").axes if axes.get_title(loc="left")]) == len(CLASSES)


def test_a_cohort_tells_of_regions_that_another_model_drew(folders, small_ct, classifier, tmp_path):
    alone = agg2exp.explain(small_ct, classifier, method="gradient", patient_id="c", regions={"lesion": small_ct}, device="cpu")
    settings = [one.settings["model that drew the regions"] for one in read_patients([*folders, alone.save(tmp_path / "c")])]
    assert settings[0] == settings[1] == agg2exp.Result.open(folders[0]).run["segmenter"]["sha256"][:8]
    assert settings[2] == "none"


def test_regions_are_added_later(folders, small_lesion, tmp_path, capsys):
    assert main(["importance", str(folders[0]), "--extra-rois", f"{small_lesion}:one,two", "--output", str(tmp_path / "more")]) == 0
    matrix = agg2exp.Result.open(tmp_path / "more").matrix
    assert matrix.rows == CLASSES
    assert matrix.extra == ("lesion", "node", "one", "two")
    np.testing.assert_array_equal(matrix.mass[:, matrix.columns.index("one")], matrix.mass[:, matrix.columns.index("lesion")])
    assert (tmp_path / "more" / "slice_importance.csv").is_file()
    capsys.readouterr()


def test_the_report_speaks_of_classes(folders, tmp_path):
    contents = gather(folders[0])
    assert (contents.kind, contents.title) == ("class", "Why did the model say this?")
    write_html(tmp_path / "report.html", contents)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in ("What the classifier says", "Which slices", "Slices for Opacity", "supports the class"):
        assert words in page


def test_what_if_is_refused(folders, small_weights, capsys):
    assert main(["whatif", str(folders[0]), "--weights", str(small_weights), "--remove", "heart"]) == 2
    assert "explains a classifier, which draws nothing" in capsys.readouterr().err


def test_methods_are_evaluated_on_classes(small_ct, classifier, tmp_path, capsys):
    words = [
        "evaluate",
        "--ct",
        str(small_ct),
        "--weights",
        str(classifier),
        "--methods",
        "gradient",
        "--metrics",
        "faithfulness,complexity",
    ]
    words += ["--labels", "opacity", "--runs", "8", "--subset-voxels", "224", "--output", str(tmp_path / "evaluated")]
    assert main(words) == 0
    lines = (tmp_path / "evaluated" / "evaluation.csv").read_text().splitlines()
    found = next(line for line in lines if ",opacity,gradient,faithfulness," in line)
    assert 0.3 < float(found.split(",")[4]) <= 1  # the gradient of a network with mean pooling tells its drops
    capsys.readouterr()


def test_maps_of_classes_go_to_dicom(classifier, tmp_path):
    series = tmp_path / "series"
    write_series(series, Grid((34, 28, 40), CT_AFFINE))
    result = agg2exp.explain(series, classifier, ["opacity", "contrast"], "gradient", device="cpu")
    written = agg2exp.write_dicom(result, series, tmp_path / "dicom", labels=["contrast"])
    maps = [pydicom.dcmread(path) for path in sorted(written.glob("map_*.dcm"))]
    assert [data.SeriesDescription for data in maps] == ["RESEARCH ONLY Agg2Exp attribution: Contrast"]
    shared = maps[0].SharedFunctionalGroupsSequence[0]
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeMeaning == "Whole body"
    quantity = shared.RealWorldValueMappingSequence[0].QuantityDefinitionSequence
    assert [(item.ConceptNameCodeSequence[0].CodeMeaning, item.ConceptCodeSequence[0].CodeMeaning) for item in quantity][-1] == (
        "Finding",
        "Contrast",
    )
