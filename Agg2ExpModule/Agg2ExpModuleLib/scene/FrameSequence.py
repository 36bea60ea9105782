"""Volumes along λ in the scene: a sequence that is saved with it, and one volume node that shows any of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer
import vtk

_FRAMES, _BROWSER = "agg2expFrames", "agg2expBrowser"


def sequenceOf(volume: Any, images: Sequence[Any], amounts: Sequence[float], name: str) -> Any:
    """A sequence node of images (vtkImageData) of the grid of a volume, each with its λ."""
    sequence = slicer.vtkMRMLSequenceNode()
    sequence.SetName(name)
    sequence.SetIndexName("lambda")
    sequence.SetIndexUnit("")
    sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    slicer.mrmlScene.AddNode(sequence)
    for image, amount in zip(images, amounts, strict=True):
        frame = slicer.vtkMRMLScalarVolumeNode()
        frame.SetName(f"{name} {amount:g}")
        frame.CopyOrientation(volume)
        frame.SetAndObserveImageData(image)
        sequence.SetDataNodeAtValue(frame, repr(float(amount)))
    return sequence


class FrameSequence:
    """A volume node that shows one of several images of the same grid; a thin view of that node.

    The images lie in a vtkMRMLSequenceNode, so that they are saved with the scene and can be played in Slicer's sequence toolbar.
    An image is put into the node as it is, without a copy.
    """

    def __init__(self, volume: Any):
        self.volume = volume

    def keep(self, images: Sequence[Any], amounts: Sequence[float], name: str) -> None:
        """Keep images (vtkImageData) of the grid of the volume, each with its λ."""
        self.volume.SetNodeReferenceID(_FRAMES, sequenceOf(self.volume, images, amounts, name).GetID())

    def addBrowser(self, name: str) -> None:
        """Have Slicer's sequence toolbar play it; without the Sequences module nothing happens."""
        if getattr(getattr(slicer, "modules", None), "sequences", None) is None or self.sequence is None:
            return
        browser = slicer.vtkMRMLSequenceBrowserNode()
        browser.SetName(name)
        slicer.mrmlScene.AddNode(browser)
        modified = browser.StartModify()  # the module would make a volume of its own as soon as it heard of the sequence
        browser.SetAndObserveMasterSequenceNodeID(self.sequence.GetID())
        browser.AddProxyNode(self.volume, self.sequence, False)
        browser.SetPlaybackRateFps(5.0)
        browser.SetSaveChanges(self.sequence, False)
        browser.SetOverwriteProxyName(self.sequence, False)
        browser.EndModify(modified)
        self.volume.SetNodeReferenceID(_BROWSER, browser.GetID())

    @property
    def sequence(self) -> Any:
        """The node that holds the images, None when it was deleted."""
        return self.volume.GetNodeReference(_FRAMES)

    @property
    def browser(self) -> Any:
        """The node of the toolbar, or None."""
        return self.volume.GetNodeReference(_BROWSER)

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.sequence.GetNumberOfDataNodes() if self.sequence is not None else 0

    def image(self, index: int) -> Any:
        """One of the images."""
        return self.sequence.GetNthDataNode(index).GetImageData()

    def show(self, index: int) -> None:
        """Put an image into the volume node."""
        if self.browser is not None and self.browser.GetSelectedItemNumber() != index:
            self.browser.SetSelectedItemNumber(index)
        self.volume.SetAndObserveImageData(self.image(index))

    def observe(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Be told which image Slicer's toolbar has gone to; returns what ends that."""
        browser = self.browser
        if browser is None:
            return lambda: None
        tag = browser.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_unused: callback(browser.GetSelectedItemNumber()))
        return lambda: browser.RemoveObserver(tag)

    def nodes(self) -> list[Any]:
        """All that belongs to it but the volume."""
        return [node for node in (self.browser, self.sequence) if node is not None]
