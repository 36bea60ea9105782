"""Real MRML slice views without a screen: CT, overlay and segment outlines of a scene as pixels.

A view is Slicer's own slice logic (what a Red, Green or Yellow view of the application shows) with its segmentation drawing
and an offscreen render window; it needs slicer-core only.
"""

from __future__ import annotations

import ctypes.util
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import InputError
from .mrml import require_slicer

# orientation: Slicer's name of the view, axis of RAS it runs through
ORIENTATIONS = {"axial": ("Red", 2), "coronal": ("Green", 1), "sagittal": ("Yellow", 0)}
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True)
class Picture:
    """One rendered slice.

    Attributes:
        pixels: uint8 ``[rows, columns, 3]``, first row on top.
        edges: anatomical letter at the left, right, top and bottom edge.
        position: ``(letter, mm)`` of the slice: how far from the patient's origin and on which side, e.g. ``("I", 142.0)``.
        millimetres: edge length of a pixel.
    """

    pixels: np.ndarray
    edges: tuple[str, str, str, str]
    position: tuple[str, float]
    millimetres: float


class SliceView:
    """An offscreen slice view of a scene; use it as a context manager, or call :meth:`close`.

    Args:
        scene: the vtkMRMLScene to show.
        orientation: ``axial``, ``coronal`` or ``sagittal``.
        size: width and height in pixels.
        name: layout name of the slice node; Slicer's own name for the orientation by default, so that a saved scene
            opens at the slice shown last. Inside Slicer give another name: the user's views are left alone then, and the
            view's nodes leave the scene when it is closed.

    Raises:
        InputError: slicer is not installed, or the machine cannot render offscreen.
    """

    def __init__(self, scene: Any, orientation: str, size: tuple[int, int] = (720, 720), name: str | None = None):
        slicer = require_slicer()
        import vtk

        self.scene, self.orientation, self._is_guest = scene, orientation, name is not None
        self._renderer = vtk.vtkRenderer()
        self._renderer.SetBackground(0, 0, 0)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.ShowWindowOff()
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._window.AddRenderer(self._renderer)
        interactor = vtk.vtkRenderWindowInteractor()  # drawing managers ask it for the view's size
        interactor.SetRenderWindow(self._window)
        if not _can_draw(self._window):
            raise InputError("This machine cannot draw without a screen: install libegl1 and libgl1-mesa-dri (Debian, Ubuntu).")
        self._mapper = vtk.vtkImageMapper()  # the slice logic gives finished RGBA pixels
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._application = _application_logic(slicer, scene)
        self._logic.SetMRMLApplicationLogic(self._application)
        self._logic.SetMRMLScene(scene)
        layout = name or ORIENTATIONS[orientation][0]
        self.node = _slice_node(scene, layout)
        if self.node is None:
            self.node = self._logic.AddSliceNode(layout)
        else:
            self._logic.SetSliceNode(self.node)
        self.node.SetOrientation(orientation.capitalize())
        self._segments = slicer.vtkMRMLSegmentationsDisplayableManager2D()
        self._segments.SetMRMLApplicationLogic(self._application)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.AddDisplayableManager(self._segments)
        self._group.SetMRMLDisplayableNode(self.node)
        self._mapper.SetInputConnection(self._logic.GetImageDataConnection())
        self._logic.ResizeSliceNode(*size)

    def show(self, background: Any, foreground: Any = None, opacity: float = 0.65) -> None:
        """Choose the volumes of the view, turn it to the background's voxel axes and fit that volume into it."""
        composite = self._logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(opacity)
        self.node.SetOrientation(self.orientation.capitalize())
        self.node.RotateToVolumePlane(background)
        self._logic.ResizeSliceNode(*self._window.GetSize())
        self._logic.FitSliceToBackground()

    def jump(self, ras: np.ndarray) -> None:
        """Move the slice plane through a point, patient RAS in mm."""
        self.node.JumpSliceByOffsetting(*(float(part) for part in ras))

    def picture(self) -> Picture:
        """Render now."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self._mapper.SetInputConnection(self._logic.GetImageDataConnection())
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()
        axes = _matrix_of(self.node.GetSliceToRAS())
        right, up, normal = axes[:3, 0], axes[:3, 1], axes[:3, 2]
        offset = float(axes[:3, 3] @ normal)
        position = (letter_of(normal if offset >= 0 else -normal), abs(offset))
        field = self.node.GetFieldOfView()
        edges = (letter_of(-right), letter_of(right), letter_of(up), letter_of(-up))
        return Picture(pixels, edges, position, field[0] / columns)

    def close(self) -> None:
        """Free the window."""
        self._group.SetMRMLDisplayableNode(None)
        self._window.Finalize()
        if self._is_guest:
            model = self._logic.GetSliceModelNode()
            made = [self._logic.GetSliceModelTransformNode(), model, model.GetDisplayNode() if model else None]
            made += [self._logic.GetSliceCompositeNode(), self.node]
            self._logic.SetMRMLScene(None)
            for node in made:
                if node is not None and node.GetScene() is self.scene:
                    self.scene.RemoveNode(node)

    def __enter__(self) -> SliceView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def largest_section(mask: np.ndarray, affine: np.ndarray, axis: int) -> np.ndarray | None:
    """Centre (patient RAS, mm) of a mask's largest cross-section over a voxel axis; None for an empty mask."""
    areas = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    if not areas.any():
        return None
    best = int(areas.argmax())
    others = np.argwhere(np.take(mask, best, axis=axis)).mean(axis=0)
    index = np.insert(others, axis, best)
    return np.asarray(affine)[:3, :3] @ index + np.asarray(affine)[:3, 3]


def view_axis(affine: np.ndarray, orientation: str) -> int:
    """The voxel axis of a grid (4×4 index to RAS) that is closest to the normal of a standard view."""
    world = ORIENTATIONS[orientation][1]
    directions = np.asarray(affine)[:3, :3]
    return int(np.abs(directions[world] / np.linalg.norm(directions, axis=0)).argmax())


def _can_draw(window: Any) -> bool:
    """VTK's last resort is OSMesa, which says it can draw and then crashes where its library is missing."""
    if window.GetClassName() == "vtkOSOpenGLRenderWindow" and not ctypes.util.find_library("OSMesa"):
        return False
    return bool(window.SupportsOpenGL())


def _application_logic(slicer: Any, scene: Any) -> Any:
    app = getattr(slicer, "app", None)
    if app is not None and getattr(slicer, "mrmlScene", None) is scene:
        return app.applicationLogic()
    logics = getattr(scene, "agg2exp_logics", None)
    if logics:
        return logics[0]
    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(scene)
    return logic


def _slice_node(scene: Any, layout: str) -> Any:
    """The scene's slice node of that name, None when it has none; adding a second one would give a node outside the scene."""
    nodes = (
        scene.GetNthNodeByClass(index, "vtkMRMLSliceNode") for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    )
    return next((node for node in nodes if node.GetLayoutName() == layout), None)


def _matrix_of(matrix: Any) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def letter_of(direction: np.ndarray) -> str:
    """The anatomical letter nearest to a direction in RAS."""
    axis = int(np.abs(direction).argmax())
    return _LETTERS[axis][int(direction[axis] > 0)]
