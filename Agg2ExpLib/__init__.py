"""Agg2Exp: aggregated attributions that explain 3D segmentation models on CT (arXiv 2407.16653).

::

    import Agg2ExpLib as agg2exp

    model = agg2exp.Model.load("swin_unetr.pt")  # or agg2exp.Model(network, labels, spacing=…, hu_window=…, roi_size=…)
    result = agg2exp.explain("chest.nii.gz", model, labels=["heart"], samples=8)
    print(result.matrix.to_frame())
    result.plot("heart")
    result.save("result")

Names are imported when they are first used, so that ``import Agg2ExpLib`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .api.cohort import cohort as cohort
    from .api.counterfactual import counterfactual as counterfactual
    from .api.dicom import write_dicom as write_dicom
    from .api.evaluate import evaluate as evaluate
    from .api.explain import explain as explain
    from .api.explain import segment as segment
    from .api.importance import importance as importance
    from .api.log_monitor import LogMonitor as LogMonitor
    from .api.result import Result as Result
    from .api.sources import read_ct as read_ct
    from .api.what_if import causal_matrix as causal_matrix
    from .api.what_if import what_if as what_if
    from .attribution.method import Method as Method
    from .attribution.method import parameter as parameter
    from .attribution.methods import methods as methods
    from .attribution.methods import register as register
    from .counterfactuals.outcome import Counterfactual as Counterfactual
    from .errors import Cancelled as Cancelled
    from .errors import InputError as InputError
    from .errors import OutOfMemoryError as OutOfMemoryError
    from .interventions.effects import Effects as Effects
    from .interventions.outcome import WhatIf as WhatIf
    from .io.volume import Volume as Volume
    from .models.installed import InstalledModel as InstalledModel
    from .models.installed import installed_models as installed_models
    from .models.model import Model as Model
    from .monitor import Monitor as Monitor
    from .roi_importance.matrix import ImportanceMatrix as ImportanceMatrix
    from .roi_importance.slices import SliceImportance as SliceImportance
    from .runs.job import Job as Job
    from .runs.mask_settings import MaskSettings as MaskSettings
    from .runs.pipeline import run_job as run_job

# Where each public name comes from.
_PLACES = {
    "Cancelled": "errors",
    "Counterfactual": "counterfactuals.outcome",
    "Effects": "interventions.effects",
    "ImportanceMatrix": "roi_importance.matrix",
    "InputError": "errors",
    "InstalledModel": "models.installed",
    "Job": "runs.job",
    "LogMonitor": "api.log_monitor",
    "MaskSettings": "runs.mask_settings",
    "Method": "attribution.method",
    "Model": "models.model",
    "Monitor": "monitor",
    "OutOfMemoryError": "errors",
    "Result": "api.result",
    "SliceImportance": "roi_importance.slices",
    "Volume": "io.volume",
    "WhatIf": "interventions.outcome",
    "causal_matrix": "api.what_if",
    "cohort": "api.cohort",
    "counterfactual": "api.counterfactual",
    "evaluate": "api.evaluate",
    "explain": "api.explain",
    "importance": "api.importance",
    "installed_models": "models.installed",
    "methods": "attribution.methods",
    "parameter": "attribution.method",
    "read_ct": "api.sources",
    "register": "attribution.methods",
    "run_job": "runs.pipeline",
    "segment": "api.explain",
    "what_if": "api.what_if",
    "write_dicom": "api.dicom",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
