"""Slices through a CT with what lies over it, as arrays: pictures of a label without VTK, a screen or a graphics card.

Slices run along the CT's own voxel axes, those nearest to axial, coronal and sagittal, at the CT's nearest stored slice; map and
outline are sampled there. Conventions are those of Slicer's views: the patient's left is at the right, in sagittal slices the
front is at the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .figures import smaller
from .mrml_colors import ENTRIES, Sign, signed_colors
from .slice_views import Picture, letter_of, view_axis

_TALLEST, _WIDEST = 600, 1900  # pixels of one slice and of three slices side by side
_LEAST = 160
_OVERSAMPLING = 2  # pictures are drawn larger and averaged, which smooths outlines
_OUTLINE = 2  # pixels
_YELLOW = (255, 235, 26)
# orientation: directions in RAS to the right and upwards on the screen
_SCREEN = {
    "axial": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])),
    "coronal": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])),
    "sagittal": (np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])),
}


@dataclass(frozen=True)
class Grid2D:
    """Where the pixels of a slice lie.

    Attributes:
        shape: rows and columns.
        corner: RAS of the pixel in the upper left corner.
        right, down: RAS steps from pixel to pixel, mm.
        axis: the CT's voxel axis across the slice.
    """

    shape: tuple[int, int]
    corner: np.ndarray
    right: np.ndarray
    down: np.ndarray
    axis: int

    def sample(self, array: np.ndarray, affine: np.ndarray, order: int, outside: float) -> np.ndarray:
        """Values of a volume ``[x, y, z]`` (affine: voxel index to RAS) at the pixels, float32 ``[rows, columns]``.

        Args:
            array: the volume.
            affine: its 4×4 affine.
            order: 0 nearest, 1 linear.
            outside: value beyond the volume.
        """
        from scipy.ndimage import map_coordinates

        to_index = np.linalg.inv(affine)
        rows, columns = np.arange(self.shape[0])[:, None], np.arange(self.shape[1])[None]
        origin = to_index[:3, :3] @ self.corner + to_index[:3, 3]
        right, down = to_index[:3, :3] @ self.right, to_index[:3, :3] @ self.down
        index = [origin[axis] + right[axis] * columns + down[axis] * rows for axis in range(3)]
        # Only the part of the volume that the slice runs through is touched, which keeps this quick for large ones.
        lows = [max(0, int(np.floor(part.min())) - 1) for part in index]
        highs = [min(size, int(np.ceil(part.max())) + 2) for part, size in zip(index, array.shape, strict=True)]
        if any(low >= high for low, high in zip(lows, highs, strict=True)):
            return np.full(self.shape, outside, np.float32)
        part = array[tuple(slice(low, high) for low, high in zip(lows, highs, strict=True))]
        if part.dtype == np.bool_:
            part = part.view(np.uint8)
        places = [each - low for each, low in zip(index, lows, strict=True)]
        return np.asarray(map_coordinates(part, places, np.float32, order, mode="grid-constant", cval=outside))


def grids_through(shape: tuple[int, ...], affine: np.ndarray, points: dict[str, np.ndarray]) -> dict[str, Grid2D]:
    """The pixels of one slice in each standard direction, all at one scale.

    Args:
        shape: of the CT.
        affine: of the CT, voxel index to RAS.
        points: for each orientation a point (RAS, mm) to go through.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    extent = spacing * np.array(shape)
    across, along, up = (float(extent[view_axis(affine, name)]) for name in ("sagittal", "coronal", "axial"))
    scale = min(_TALLEST / max(along, up), _WIDEST / (2 * across + along))  # pixels a millimetre
    return {name: _grid(shape, affine, name, point, scale, spacing) for name, point in points.items()}


def _grid(
    shape: tuple[int, ...], affine: np.ndarray, orientation: str, point: np.ndarray, scale: float, spacing: np.ndarray
) -> Grid2D:
    axis = view_axis(affine, orientation)
    directions = affine[:3, :3] / spacing
    right, up = _SCREEN[orientation]
    first, second = (other for other in range(3) if other != axis)
    if abs(directions[:, second] @ right) > abs(directions[:, first] @ right):
        first, second = second, first
    across = directions[:, first] * np.sign(directions[:, first] @ right or 1.0)
    down = -directions[:, second] * np.sign(directions[:, second] @ up or 1.0)
    sizes = (shape[second] * spacing[second], shape[first] * spacing[first])  # mm
    rows, columns = (max(_LEAST, round(size * scale)) for size in sizes)
    place = np.linalg.inv(affine) @ np.array([*point, 1.0])
    middle = (np.array(shape) - 1) / 2
    middle[axis] = np.clip(np.rint(place[axis]), 0, shape[axis] - 1)
    centre = affine[:3, :3] @ middle + affine[:3, 3]
    corner = centre - across / scale * (columns - 1) / 2 - down / scale * (rows - 1) / 2
    return Grid2D((rows, columns), corner, across / scale, down / scale, axis)


@dataclass(frozen=True)
class Look:
    """How CT and map are shown.

    Attributes:
        window: HU of black and white.
        full: the map's value with the strongest colour.
        hidden: half-width ``k`` of the transparent middle, see :func:`~Agg2ExpLib.views.mrml_colors.signed_colors`.
        sign: which values are shown.
        opacity: of the map.
    """

    window: tuple[float, float]
    full: float
    hidden: int
    sign: Sign
    opacity: float


def draw(grid: Grid2D, ct: np.ndarray, values: np.ndarray, mask: np.ndarray, look: Look) -> Picture:
    """One slice as a picture.

    Args:
        grid: where the pixels lie.
        ct: HU ``[rows, columns]``.
        values: of the map, NaN-free.
        mask: 0..1, outlined at a half.
        look: how.
    """
    from scipy.ndimage import binary_dilation, zoom

    low, high = look.window
    grey = np.clip((ct - low) / max(high - low, 1e-6), 0, 1)[..., None] * 255
    table = signed_colors(look.hidden, look.sign)
    entries = np.clip(np.floor((values + look.full) / (2 * look.full) * (ENTRIES - 1)), 0, ENTRIES - 1).astype(int)
    colors = table[entries]
    shown = colors[..., 3:] * look.opacity
    pixels = np.repeat(np.repeat(grey * (1 - shown) + colors[..., :3] * 255 * shown, _OVERSAMPLING, 0), _OVERSAMPLING, 1)
    inside = zoom(mask, _OVERSAMPLING, order=1) >= 0.5
    thick = _OUTLINE * _OVERSAMPLING // 2
    edge = binary_dilation(inside, iterations=thick) & ~inside if inside.any() else inside
    edge |= inside & binary_dilation(~inside, iterations=thick)
    pixels[edge] = _YELLOW
    normal = np.cross(grid.right, -grid.down)
    normal = normal / np.linalg.norm(normal)
    offset = float(grid.corner @ normal)
    edges = (letter_of(-grid.right), letter_of(grid.right), letter_of(-grid.down), letter_of(grid.down))
    position = (letter_of(normal if offset >= 0 else -normal), abs(offset))
    rgb = smaller(np.round(pixels).astype(np.uint8), _OVERSAMPLING)
    return Picture(rgb, edges, position, float(np.linalg.norm(grid.right)))
