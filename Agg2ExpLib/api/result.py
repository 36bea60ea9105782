"""What an explanation gives in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..runs.explanation import Explanation
from ..runs.read import read_explanation
from ..runs.summary import summarise_explanation
from ..runs.write import write_explanation, write_segmentation
from ..system.files import OutputFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MATRIX, GRAPH = "matrix", "graph"


class Result(Explanation):
    """An explanation: maps, matrix and segmentation on the model grid (RAS axes, ``[x, y, z]``).

    Attributes:
        maps: signed attribution of each explained label, float32; positive supports the label, negative opposes it.
        matrix: local RoI importance (equation 7), with its variants and errors; ``matrix.to_frame()`` is a pandas frame.
        segmentation: predicted labels, uint8; values are the labels' ``index``.
        labels: of the model, in channel order.
        hu: the CT, int16.
        extra_rois: further regions, boolean masks by name.
        target_mask, global_mask: masks, where there are any.
        noise: what is kept of each explained label's noise samples, for regions that are added later.
        grid: shape and affine of the model grid.
        run: parameters, versions, checksums and times, as in ``run.json``.

    Examples:
        >>> result = agg2exp.explain("chest.nii.gz", "swin_unetr.pt", labels=["heart"], samples=4)
        >>> strongest = np.unravel_index(np.abs(result.maps["heart"]).argmax(), result.maps["heart"].shape)
        >>> result.matrix.to_frame("standard_error")
        >>> result.plot("heart", "heart.png")
        >>> again = agg2exp.Result.open(result.save("result"))
    """

    @classmethod
    def of(cls, found: Explanation) -> Result:
        """An explanation with what Python users want of it."""
        return cls(**vars(found))

    @classmethod
    def open(cls, folder: str | Path) -> Result:
        """A result that was saved, by Python, the command line or Slicer; maps stay on the disk until they are used.

        Raises:
            InputError: it is no results folder, or a file in it is missing or damaged.
        """
        return cls.of(read_explanation(folder))

    @property
    def affine(self) -> np.ndarray:
        """4×4, voxel index → patient RAS mm."""
        return self.grid.affine

    @property
    def notices(self) -> tuple[str, ...]:
        """What the run had to say."""
        return tuple(self.run.get("notices", ()))

    @property
    def absent(self) -> tuple[str, ...]:
        """Labels that were asked for but that the model did not find."""
        return tuple(self.run.get("absent", ()))

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the results folder, as the command line does; it appears when it is whole.

        Raises:
            InputError: it exists and may not be replaced, or cannot be written.
        """
        output = OutputFolder(Path(folder), overwrite)
        try:
            write_segmentation(output.temporary, self)
            write_explanation(output.temporary, self)
            return output.publish()
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"Cannot write the results to {folder} ({reason}): make room or choose another folder.") from error
        finally:
            output.discard()

    def plot(self, what: str = MATRIX, path: str | Path | None = None, **options: Any) -> Figure:
        """A picture: ``matrix``, ``graph``, or the map of a label over the CT in three planes.

        Args:
            what: ``matrix``, ``graph`` or the name of an explained label.
            path: ``.png``, ``.svg`` or ``.pdf`` to write it to.
            options: of :func:`~Agg2ExpLib.views.plots.matrix_figure`, :func:`~Agg2ExpLib.views.plots.graph_figure` or
                :func:`~Agg2ExpLib.views.planes.planes_figure`.

        Raises:
            InputError: there is no such picture, or the file cannot be written.
        """
        from ..roi_importance.graph import importance_graph
        from ..views.planes import planes_figure
        from ..views.plots import graph_figure, matrix_figure, save_figure

        if what in self.maps:
            index = next((label.index for label in self.labels if label.name == what), None)
            outline = self.target_mask if self.target_mask is not None else self.segmentation == index
            figure = planes_figure(self.hu, self.maps[what], outline, self.grid.spacing, title=f"{self.patient}: {what}", **options)
        elif what in (MATRIX, GRAPH) and self.matrix is not None:
            if what == MATRIX:
                figure = matrix_figure(self.matrix, self.labels, **options)
            else:
                figure = graph_figure(importance_graph(self.matrix, self.labels), **options)
        else:
            known = [MATRIX, GRAPH, *self.maps] if self.matrix is not None else []
            raise InputError(f"There is no picture '{what}' of this result: choose one of {', '.join(known) or 'none'}.")
        if path is not None:
            save_figure(figure, Path(path))
        return figure

    def __str__(self) -> str:
        return summarise_explanation(self)
