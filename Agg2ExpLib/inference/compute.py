"""Where and how exactly a network runs: device, precision, batch size, and what to do when the memory is too small."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..errors import InputError, OutOfMemoryError
from ..monitor import Monitor
from .slow_convolutions import WORTH_PAIRS, convolution_watch

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "float64", "float32", "bfloat16", "float16")
_LARGEST_BATCH = 32
# What libraries say of it; on a full card cuBLAS and cuDNN cannot even begin.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
)
_BYTES_HELD = 12  # what a window holds at most with its gradients, in multiples of what its convolutions give; for caution alone
_T = TypeVar("_T")


@dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: where the network runs.
        dtype: of weights, images and gradients: float32 or float64.
        autocast: half precision for the layers that bear it, or None.
        by_itself: whether nobody asked for this precision.
    """

    device: torch.device
    dtype: torch.dtype
    autocast: torch.dtype | None = None
    by_itself: bool = False

    @property
    def precision(self) -> str:
        """The precision's name, as given on the command line."""
        return str(self.autocast or self.dtype).removeprefix("torch.")

    def for_classifiers(self) -> Compute:
        """Full precision unless another was asked for: their gradient differs by a quarter in bfloat16, and takes little time."""
        return Compute(self.device, self.dtype) if self.by_itself else self

    @property
    def device_name(self) -> str:
        """The device as a person knows it, e.g. ``NVIDIA H200`` or ``CPU (2 threads)``."""
        import torch

        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        if self.device.type == "mps":
            return "Apple GPU"
        threads = torch.get_num_threads()
        return "CPU (1 thread)" if threads == 1 else f"CPU ({threads} threads)"

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Context of forward and backward passes: full precision means no TF32 rounding in a GPU's convolutions either."""
        import torch

        if self.device.type != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=self.autocast is not None):
            yield

    def mixed(self) -> contextlib.AbstractContextManager[object]:
        """Context of forward passes alone, inside :meth:`arithmetic`: half precision where it was asked for."""
        import torch

        return torch.autocast(self.device.type, dtype=self.autocast) if self.autocast else contextlib.nullcontext()

    def free_memory(self) -> int:
        """Bytes a new computation could use on the device."""
        import torch

        if self.device.type == "cuda":
            cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return torch.cuda.mem_get_info(self.device)[0] + cached
        import psutil

        return int(psutil.virtual_memory().available)


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """Turn the user's words into a device and a precision.

    ``auto`` takes the first GPU, else Apple's, else the CPU; and float32, except on GPUs whose tensor cores do bfloat16 (compute
    capability 8 and newer), where mixed precision is about twice as fast (classifiers: :meth:`Compute.for_classifiers`).

    Raises:
        InputError: a device that is not there, or a precision it cannot do.
    """
    import torch

    if precision not in PRECISIONS:
        raise InputError(f"Unknown precision '{precision}': choose one of {', '.join(PRECISIONS)}.")
    chosen, by_itself = _find_device(device), precision == "auto"
    if by_itself:
        fast = chosen.type == "cuda" and torch.cuda.get_device_capability(chosen)[0] >= 8
        precision = "bfloat16" if fast else "float32"
    if precision == "float64" and chosen.type == "mps":
        raise InputError("Apple GPUs cannot compute in float64: use ⟨device⟩ cpu or ⟨precision⟩ float32.")
    if precision in ("float64", "float32"):
        return Compute(chosen, getattr(torch, precision))
    return Compute(chosen, torch.float32, getattr(torch, precision), by_itself)


def _find_device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"Unknown device '{name}': use auto, cpu, cuda:0 or mps.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"Device '{name}' is not supported: use auto, cpu, cuda:0 or mps.")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"only {count} CUDA GPU{'s' if count > 1 else ''}" if count else "no CUDA GPU that PyTorch can use"
            raise InputError(f"Device '{name}' is not there (this machine has {have}): use ⟨device⟩ auto or cpu.")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("This machine has no Apple GPU that PyTorch can use: use ⟨device⟩ auto or cpu.")
    return device


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (on any device) or Python ran out of memory."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


def check_window_batch(requested: int | str) -> None:
    """Refuse what cannot be a number of windows.

    Raises:
        InputError: neither ``auto`` nor a positive whole number.
    """
    if requested != "auto" and (not isinstance(requested, int) or requested < 1):
        raise InputError(f"The window batch must be 'auto' or a positive number, not {requested!r}.")


class BatchSize:
    """How many windows (or noisy copies of windows) go through the network at once; halves when the memory runs out.

    ``auto`` fills a GPU's memory. On a CPU one item keeps all cores busy and a larger batch only costs memory, but for networks
    with few channels or small windows, whose convolutions torch does several times as fast for two items: what the first item's
    pass consists of decides.

    Args:
        compute: the device.
        monitor: is told when the batch is halved.
        requested: a number, or ``auto`` to choose from the free memory.
        last_resort: called when a single item does not fit; answers whether it now needs less memory, so that it is tried again.
    """

    def __init__(
        self, compute: Compute, monitor: Monitor, requested: int | str = "auto", last_resort: Callable[[], bool] = lambda: False
    ):
        self._compute = compute
        self._last_resort = last_resort
        self._monitor = monitor
        self._requested = requested
        self.current = 1 if requested == "auto" else int(requested)
        self._watched = True

    def choose(self, trial: Callable[[], object]) -> None:
        """Pick the batch from the memory that ``trial`` (one item, forward and backward) needs; a no-op unless ``auto``.

        On a CPU the first item's work tells, without a trial. Who asks again about single windows and wants the same numbers to the
        last bit does not call this, and has one window at a time.
        """
        if self._requested != "auto":
            return
        if self._compute.device.type != "cuda":
            self._watched = self._compute.device.type != "cpu" or self._compute.precision != "float32"
            return
        import torch

        device = self._compute.device
        while True:
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            if self.attempt(trial) is not None:
                break
        needed = max(torch.cuda.max_memory_allocated(device) - before, 1)
        torch.cuda.empty_cache()
        self.current = int(min(max(0.8 * self._compute.free_memory() / needed, 1), _LARGEST_BATCH))

    def attempt(self, work: Callable[[], _T]) -> _T | None:
        """Do ``work`` at the current size; after running out of memory halve the size and return None so that the caller retries.

        Raises:
            OutOfMemoryError: a single item does not fit.
        """
        try:
            return work() if self._watched else self._watch(work)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            detail = str(error).splitlines()[0] if str(error) else "no detail"
        # Outside the handler, so that the traceback no longer keeps the failed batch alive.
        if self._compute.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
        if self.current == 1 and self._last_resort():
            return None
        if self.current == 1:
            raise OutOfMemoryError(
                f"The {self._compute.device_name} has too little free memory for one window of this model ({detail}).",
                "Close other programs that use it, choose ⟨precision⟩ bfloat16 on a GPU, or run on the CPU with ⟨device⟩ cpu.",
            )
        self.current //= 2
        self._monitor.notice(f"The device ran out of memory: going on with batches of {self.current}.")
        return None

    def _watch(self, work: Callable[[], _T]) -> _T:
        """Do the first item's work on a CPU, and go on with two at once where that is faster and fits easily."""
        self._watched = True
        with convolution_watch() as watch:
            made = work()
        if watch.share >= WORTH_PAIRS and 2 * _BYTES_HELD * watch.bytes < self._compute.free_memory():
            self.current = 2
        return made
