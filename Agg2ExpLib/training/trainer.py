"""The training loop on Lightning Fabric: mixed precision, several devices, checkpoints, and a run that goes on where it ended.

Every step draws its examples from (seed, step), so a run that was interrupted ends with the weights of one that was not (bit for
bit on one thread).
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from .monitor import Progress, TrainMonitor
from .settings import OPTIMIZERS, TrainSettings
from .sources import Draws, step_indices
from .task import Task, is_better

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

_FABRIC_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
# What PyTorch makes of a file that is cut off or not its own.
_BROKEN = (RuntimeError, LookupError, TypeError, ValueError, AttributeError, EOFError, OSError, pickle.UnpicklingError)
_SHOWN_LOSS = 50  # steps whose mean loss is shown


class Trainer:
    """A network in training.

    Args:
        task: what is trained on what, with the settings of the run.
        folder: for checkpoint, weights and tables.
        name: stem of their files.
        monitor: is told how it goes.

    Raises:
        InputError: the checkpoint in the folder is damaged or of a run with other settings, or the network cannot be built.
    """

    def __init__(self, task: Task, folder: Path, name: str, monitor: TrainMonitor | None = None):
        import torch

        settings = task.settings
        self.task, self.settings, self.monitor = task, settings, monitor or TrainMonitor()
        self.checkpoint, self.weights = folder / f"{name}.checkpoint.pt", folder / f"{name}.safetensors"
        self.fabric = make_fabric(settings)
        self.fabric.launch()
        if not self.fabric.is_global_zero:
            self.monitor = TrainMonitor()  # one of several processes speaks
        torch.manual_seed(settings.seed)
        self.network = task.new_network(self.fabric.device.type)
        self.progress = Progress()
        self._stop = threading.Event()
        state = self._read_checkpoint()
        if state:
            self.network.load_state_dict(state["network"])
        optimizer = _make_optimizer(self.network, settings)
        self.module, self.optimizer = self.fabric.setup(self.network, optimizer)
        if state:  # now that the weights are where they stay, to which their moments follow
            self.optimizer.load_state_dict(state["optimizer"])
        torch.backends.cudnn.benchmark = self.fabric.device.type == "cuda"  # every step has the same shapes
        self.loss = task.make_loss(self.fabric.device)

    def stop(self) -> None:
        """Ask the run to end after the present step, its state kept."""
        self._stop.set()

    @property
    def finished(self) -> bool:
        """Whether all steps are taken."""
        return self.progress.step >= self.settings.steps

    def run(self, command: str = "") -> bool:
        """Train to the end of the run; returns False when it was asked to stop before.

        Args:
            command: kept in the model card.

        Raises:
            FloatingPointError: too many steps without a finite gradient.
        """
        settings, progress = self.settings, self.progress
        if not self.finished:
            progress.runs.append({"from_step": progress.step, "command": command})
        losses: deque[float] = deque(maxlen=_SHOWN_LOSS)
        for image, target in self._batches():
            losses.append(self._train_step(image, target))
            loss = _mean(losses)
            self.monitor.step(progress, settings.steps, loss)
            if progress.skipped > 20 + progress.step // 10:
                raise FloatingPointError(
                    f"{progress.skipped} of {progress.step} steps had no finite gradient: lower ⟨learning_rate⟩ or choose "
                    "⟨precision⟩ float32."
                )
            if progress.step % settings.validate_every == 0 or self.finished:
                self._validate(loss)
            if progress.step % settings.save_every == 0 or self.finished or self._stop_everywhere():
                self.save()
            if self._stop_everywhere():
                break
        return self.finished

    def save(self) -> None:
        """Keep the state; the old one is replaced only when the new one is whole."""
        import torch

        if self.fabric.is_global_zero:
            state = {
                "settings": self.settings.to_dict(),
                "labels": list(self.task.outputs),
                "data": self._data,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "progress": vars(self.progress),
            }
            with replacing(self.checkpoint) as temporary:
                torch.save(state, temporary)
        self.fabric.barrier()

    def write_weights(self) -> None:
        """The present weights as safetensors."""
        if self.fabric.is_global_zero:
            write_weights(self.weights, self.network, self.settings.float16_weights)

    def _batches(self) -> Any:
        import torch

        fabric, settings = self.fabric, self.settings
        indices = step_indices(self.progress.step, settings.steps, settings.batch, fabric.global_rank, fabric.world_size)
        dataset: Any = Draws(self.task.draw, settings)  # map-style by its methods
        loader: Any = torch.utils.data.DataLoader(dataset, batch_sampler=indices, num_workers=settings.workers)
        return fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def _train_step(self, image: torch.Tensor, target: torch.Tensor) -> float:
        import torch

        start = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.progress.step)
        loss = self.loss(self.module(image), target)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(self.module, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False)
        # float16's loss scale is lowered by the optimizer's own step when the gradient is not finite.
        if self.settings.precision == "float16" or norm is None or torch.isfinite(norm):
            self.optimizer.step()
        if norm is not None and not torch.isfinite(norm):  # one bad example must not spoil the weights
            self.progress.skipped += 1
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - start
        return float(loss.detach())

    def _validate(self, loss: float) -> None:
        scores = self.task.validate(self.network, self.fabric)
        progress = self.progress
        known = round(loss, 4) if np.isfinite(loss) else None
        progress.history.append({"step": progress.step, "loss": known, self.task.measure: scores.to_dict()})
        better = is_better(self.task, scores.mean, progress.best)
        if better:
            progress.best = scores.mean
        if better or np.isnan(scores.mean) or self.settings.keep == "last" or not self.weights.exists():
            self.write_weights()
        self.monitor.validated(progress, scores)

    def _stop_everywhere(self) -> bool:
        """Whether any of the processes was asked to stop; all of them then stop after the same step."""
        import torch

        if self.fabric.world_size == 1:
            return self._stop.is_set()
        asked = torch.tensor(float(self._stop.is_set()), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum"))

    @property
    def _data(self) -> list[str]:
        """What is learnt from, in the model card's words: with other cases kept out, a validation would measure what was seen."""
        card = self.task.card(Progress(), {}, None, None)
        return list((card.metrics or {}).get("data", ()))

    def _read_checkpoint(self) -> dict[str, Any] | None:
        import torch

        if not self.checkpoint.exists():
            return None
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            changed = self.settings.differences(state["settings"])
            labels, self.progress = state["labels"], Progress(**state["progress"])
            if state.get("data", self._data) != self._data:
                changed.append("data")
            _ = state["network"], state["optimizer"]
        except _BROKEN as error:
            raise InputError(f"{self.checkpoint} is damaged: remove it to begin again, or give another ⟨output⟩.") from error
        if changed or labels != list(self.task.outputs):
            raise InputError(
                f"{self.checkpoint.name} belongs to a run with other {', '.join(changed) or 'labels'}: repeat its command to go "
                "on with it, remove it to begin again, or give another ⟨output⟩."
            )
        return dict(state)


def make_fabric(settings: TrainSettings) -> Fabric:
    """Lightning Fabric for the devices and the precision asked for.

    Raises:
        InputError: the machine has no such devices.
    """
    import torch

    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError(f"Training needs Lightning Fabric ({error}): run pip install 'agg2exp[train]'.") from error

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision = settings.precision
    if precision == "auto":
        on_gpu = settings.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
        fast = on_gpu and torch.cuda.get_device_capability()[0] >= 8  # older ones only imitate bfloat16
        precision = "bfloat16" if fast else "float32"
    try:
        devices = settings.devices if settings.devices == "auto" else int(settings.devices)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Fabric(
                accelerator=settings.accelerator,
                devices=devices,
                strategy="auto" if devices == 1 else "ddp",
                precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]
            )
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"This machine cannot train on {settings.devices} devices of kind {settings.accelerator} ({reason}): choose others "
            "with ⟨accelerator⟩ and ⟨devices⟩."
        ) from None


def _mean(losses: Iterable[float]) -> float:
    """Mean of the finite ones."""
    finite = [loss for loss in losses if np.isfinite(loss)]
    return float(np.mean(finite)) if finite else float("nan")


def write_weights(path: Path, network: torch.nn.Module, half: bool) -> None:
    """A network's tensors as safetensors, without the position indices that follow from a Swin UNETR's window."""
    from safetensors.torch import save

    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("relative_position_index")
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))


def _make_optimizer(network: torch.nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    import torch

    kind = getattr(torch.optim, OPTIMIZERS[settings.optimizer])
    options = {"decoupled_weight_decay": True} if settings.optimizer == "nadam" else {}
    optimizer: torch.optim.Optimizer = kind(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, **options
    )
    return optimizer
