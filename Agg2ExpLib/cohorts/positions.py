"""Where the nodes of a cohort's graph stand."""

from __future__ import annotations

from ..models.labels import BACKGROUND
from ..roi_importance.graph import Point, region_positions
from ..runs.results import SEGMENTATION_FILE, Results
from .matrices import CohortMatrices

# Centres of the paper's labels in the coronal plane, mm to the patient's left and upwards, measured in the phantom of seed 0.
_THORAX: dict[str, Point] = {
    "aorta": (15, -7),
    "lung_upper_lobe_left": (65, 37),
    "lung_lower_lobe_left": (72, -43),
    "lung_upper_lobe_right": (-51, 45),
    "lung_middle_lobe_right": (-70, -32),
    "lung_lower_lobe_right": (-61, -45),
    "trachea": (2, 59),
    "heart": (15, -33),
    "pulmonary_vein": (3, -11),
    "thyroid_gland": (0, 123),
    "ribs": (-1, -29),
    "vertebraes": (3, -22),
    "autochthon_left": (28, -11),
    "autochthon_right": (-23, -9),
    "sternum": (3, 16),
    "costal_cartilages": (1, -38),
}


def cohort_positions(cohort: CohortMatrices) -> dict[str, Point] | None:
    """Anatomical positions for :func:`Agg2ExpLib.views.plots.graph_figure`.

    Labels of the paper have fixed places; other labels stand where the first patient with a readable segmentation has them.
    None (a circle) where there is neither.
    """
    names = [label.name for label in cohort.labels if label.group != BACKGROUND]
    if all(name in _THORAX for name in names):
        return {name: _THORAX[name] for name in names}
    for folder in cohort.folders.values():
        if (folder / SEGMENTATION_FILE).is_file():
            results = Results.open(folder)
            volume = results.segmentation()
            return region_positions(volume.array, volume.affine, results.labels)
    return None
