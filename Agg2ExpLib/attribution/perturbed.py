"""The outputs of many copies of one image in which some voxels are removed: what supervoxel methods and faithfulness ask for.

``f̂_c`` is a sum over windows (see :mod:`~.stitched`), so a removal changes only the parts of the windows that it touches. Windows
that stay as they are keep their clean part, a window is computed once for each different way in which supervoxels are removed from
it, and one forward pass serves all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from .stitched import StitchedGradient

# A window to be computed: a key for the caller, the number of the visit, the window's content [rx, ry, rz].
_Item = tuple[int, int, "torch.Tensor"]
Report = Callable[[int, int], None]


def _silent(done: int, everything: int) -> None:
    """Tell nobody."""


class PerturbedOutputs:
    """``f̂_c`` of every target for copies of an image whose removed voxels take the baseline's values.

    Args:
        engine: the stitched network with its targets.
        image: model-grid image ``[x, y, z]``.
        baseline: ``[x, y, z]``; zeros by default.

    Attributes:
        names: of the targets.
    """

    def __init__(self, engine: StitchedGradient, image: torch.Tensor, baseline: torch.Tensor | None = None):
        import torch

        plan, compute = engine.plan, engine.compute
        self._engine = engine
        self._image = plan.pad(image.to(compute.device, compute.dtype), engine.pad_value)
        start = torch.zeros_like(image) if baseline is None else baseline
        # What lies beyond the image is never removed.
        self._baseline = plan.pad(start.to(compute.device, compute.dtype), engine.pad_value)
        self.names = tuple(target.name for target in engine.targets)
        self._parts = np.zeros((len(engine.visits), len(self.names)))
        items = ((0, visit, self._image[window]) for visit, (window, _) in enumerate(engine.visits))
        for _, visit, part in self._compute(items):
            self._parts[visit] = part
        self._known: list[dict[bytes, np.ndarray]] = [{} for _ in engine.visits]
        self._known_regions: np.ndarray | None = None

    @property
    def clean(self) -> np.ndarray:
        """``f̂_c(x)`` of every target, float64 ``[targets]``."""
        return self._parts.sum(axis=0)

    def without_voxels(self, removals: Sequence[np.ndarray], report: Report = _silent) -> np.ndarray:
        """Outputs when single voxels are removed.

        Args:
            removals: for each copy the removed voxels, as flat indices into ``[x, y, z]`` in C order.
            report: is told copies done and all.

        Returns:
            float64 ``[copies, targets]``.
        """
        totals = np.repeat(self.clean[None], len(removals), axis=0)
        for copy, visit, part in self._compute(self._windows_without(removals, report)):
            totals[copy] += part - self._parts[visit]
        report(len(removals), len(removals))
        return totals

    def _windows_without(self, removals: Sequence[np.ndarray], report: Report) -> Iterator[_Item]:
        import torch

        plan = self._engine.plan
        for copy, removal in enumerate(removals):
            report(copy, len(removals))
            voxels = np.unravel_index(np.asarray(removal), plan.shape)
            place = tuple(
                torch.as_tensor(index + before, device=self._image.device)
                for index, before in zip(voxels, plan.before, strict=True)
            )
            image = self._image.clone()
            image[place] = self._baseline[place]
            changed = torch.stack([(image[window] != self._image[window]).any() for window, _ in self._engine.visits])
            for visit in np.flatnonzero(changed.cpu().numpy()):
                yield copy, int(visit), image[self._engine.visits[visit][0]]

    def effective_regions(self, regions: np.ndarray) -> np.ndarray:
        """Which supervoxels can change an output: those that differ from the baseline in a window that a target meets.

        Args:
            regions: supervoxel of every voxel, ``[x, y, z]``, numbered from 0.

        Returns:
            boolean ``[supervoxels]``.
        """
        found = np.zeros(int(regions.max()) + 1, dtype=bool)
        for present in self._present(regions):
            found[present] = True
        return found

    def without_regions(self, regions: np.ndarray, kept: np.ndarray, report: Report = _silent) -> np.ndarray:
        """Outputs when whole supervoxels are removed.

        Args:
            regions: supervoxel of every voxel, ``[x, y, z]``, numbered from 0.
            kept: for each copy which supervoxels stay, boolean ``[copies, supervoxels]``.
            report: is told windows done and all.

        Returns:
            float64 ``[copies, targets]``.
        """
        import torch

        if regions is not self._known_regions:
            self._known, self._known_regions = [{} for _ in self._engine.visits], regions
        present = self._present(regions)
        patterns = [kept[:, here] for here in present]
        todo: list[tuple[int, np.ndarray]] = []
        for visit, pattern in enumerate(patterns):
            known = self._known[visit]
            for row in np.unique(pattern, axis=0):
                if row.all():
                    known[row.tobytes()] = self._parts[visit]
                elif row.tobytes() not in known:
                    todo.append((visit, row))
        device = self._image.device
        numbers = torch.as_tensor(np.ascontiguousarray(self._padded(regions), dtype=np.int32), device=device)

        def windows() -> Iterator[_Item]:
            for item, (visit, row) in enumerate(todo):
                report(item, len(todo))
                window = self._engine.visits[visit][0]
                # One more place, for what lies beyond the image.
                stays = np.ones(kept.shape[1] + 1, dtype=bool)
                stays[present[visit]] = row
                mask = torch.as_tensor(stays, device=device).index_select(0, numbers[window].flatten())
                mask = mask.view(self._engine.plan.roi_size)
                yield item, visit, torch.where(mask, self._image[window], self._baseline[window])

        for item, visit, part in self._compute(windows()):
            self._known[visit][todo[item][1].tobytes()] = part
        report(len(todo), len(todo))
        totals = np.zeros((len(kept), len(self.names)))
        for known, pattern in zip(self._known, patterns, strict=True):
            totals += np.stack([known[row.tobytes()] for row in pattern])
        return totals

    def _present(self, regions: np.ndarray) -> list[np.ndarray]:
        """For every visited window the supervoxels in it that differ from the baseline there."""
        count, numbers = int(regions.max()) + 1, self._padded(regions)
        differs = (self._image != self._baseline).cpu().numpy()
        found = []
        for window, _ in self._engine.visits:
            here = np.unique(numbers[window][differs[window]])
            found.append(here[here < count])
        return found

    def _padded(self, regions: np.ndarray) -> np.ndarray:
        """Supervoxels on the padded grid; beyond the image the number after the last."""
        plan = self._engine.plan
        if plan.shape == plan.padded_shape:
            return regions
        padded = np.full(plan.padded_shape, int(regions.max()) + 1, dtype=regions.dtype)
        padded[plan.inside] = regions
        return padded

    def _compute(self, items: Iterable[_Item]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Key, visit and parts ``[targets]`` of every window, in batches as they fit."""
        engine = self._engine
        engine.choose_batch(self._image)
        waiting: list[_Item] = []
        source = iter(items)
        while True:
            while len(waiting) < engine.batch.current and (item := next(source, None)) is not None:
                waiting.append(item)
            if not waiting:
                return
            now = waiting[: engine.batch.current]
            parts = engine.batch.attempt(lambda now=now: self._pass(now))  # type: ignore[misc]
            if parts is None:
                continue
            yield from ((key, visit, part) for (key, visit, _), part in zip(now, parts, strict=True))
            waiting = waiting[len(now) :]

    def _pass(self, items: list[_Item]) -> np.ndarray:
        """One forward pass; ``[items, targets]`` in float64."""
        import torch

        engine, compute = self._engine, self._engine.compute
        # Apple's GPUs have no float64.
        exact = torch.float32 if compute.device.type == "mps" else torch.float64
        found = torch.zeros((len(items), len(self.names)), dtype=exact, device=compute.device)
        with torch.inference_mode(), compute.arithmetic():
            with compute.mixed():
                logits = engine.network(torch.stack([content for _, _, content in items])[:, None])
            for row, (_, visit, _) in enumerate(items):
                window, met = engine.visits[visit]
                for number in met:
                    channel = logits[row, engine.targets[number].channel].to(exact)
                    found[row, number] = (channel * engine.cotangent(number, window).to(exact)).sum()
        return found.double().cpu().numpy() if exact == torch.float64 else found.cpu().double().numpy()
