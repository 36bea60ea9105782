"""The 3D view drawn for real, offscreen: Slicer's displayable managers for models and volume rendering in a window of VTK."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

_MANAGERS = ("vtkMRMLModelDisplayableManager", "vtkMRMLVolumeRenderingDisplayableManager")


class DrawnThreeD:
    """Draws the scene's 3D view.

    Attributes:
        window, renderer: VTK's.
    """

    def __init__(self, state: Any, size: tuple[int, int] = (800, 600)):
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)  # software would draw each of them
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetBackground(0.76, 0.76, 0.91)  # Slicer's
        self.renderer.SetBackground2(0.45, 0.47, 0.75)
        self.renderer.GradientBackgroundOn()
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()  # the managers ask it for the view's size
        self._interactor.SetRenderWindow(self.window)
        self.window.Render()  # opens the window, which Slicer did long ago
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self._managers = [getattr(slicer, name)() for name in _MANAGERS]
        for manager in self._managers:
            manager.SetMRMLApplicationLogic(state.application_logic)
            self.group.AddDisplayableManager(manager)
        self.group.SetMRMLDisplayableNode(state.view_node)
        state.drawing.watch("3D", self.group, vtk.vtkCommand.UpdateEvent, self.window.Render)

    def reset_camera(self) -> None:
        self.renderer.ResetCamera()

    def pixels(self) -> Any:
        """What is drawn, uint8 ``[rows, columns, 3]``, first row on top."""
        from vtk.util.numpy_support import vtk_to_numpy

        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        columns, rows, _ = grab.GetOutput().GetDimensions()
        return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()

    def close(self) -> None:
        """Free the window."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()
