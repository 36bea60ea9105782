"""Workers for a cohort: processes on this machine, one a GPU where there are GPUs, or a Dask cluster that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from distributed import Client

GPU = "GPU"  # the workers' resource; a task holds one


def require_distributed() -> None:
    """Refuse where Dask distributed is not installed.

    Raises:
        InputError: it is missing.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise InputError("A cohort needs Dask distributed: install it with pip install 'agg2exp[cohort]'.") from None


def gpus_here(device: str) -> int:
    """How many GPUs a local run may use: all for ``auto`` and ``cuda``, one for ``cuda:1``, none for ``cpu``."""
    import torch

    if device.startswith("cuda:"):
        return 1
    return torch.cuda.device_count() if device in ("auto", "cuda") else 0


@contextlib.contextmanager
def open_client(scheduler: str | None, workers: int, gpus: int) -> Iterator[Client]:
    """A client of a running cluster, or of processes on this machine that end with it (even when it is killed).

    Args:
        scheduler: address such as ``tcp://host:8786``; None for processes here.
        workers: processes here.
        gpus: with GPUs each worker sees one of them and offers it as the resource ``GPU``.

    Raises:
        InputError: the scheduler does not answer.
    """
    from distributed import Client

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(f"No Dask scheduler answers at {scheduler} ({error}): start one with dask scheduler.") from None
        with client:
            yield client
        return
    with _quiet(), _local_cluster(workers, gpus) as cluster, Client(cluster) as client:
        yield client


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Dask and its helpers log when workers end: connections that close are no news to who started them."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio", "bokeh")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def offers_gpu(client: Client) -> bool:
    """Whether any worker of the cluster offers a GPU."""
    return any(worker.get("resources", {}).get(GPU) for worker in client.scheduler_info(n_workers=-1)["workers"].values())


@contextlib.contextmanager
def _local_cluster(workers: int, gpus: int) -> Iterator[object]:
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    specs = {}
    for index in range(workers):
        # volumes live outside Dask, so its own memory limit would only kill workers
        options: dict[str, object] = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "host": "127.0.0.1"}
        if gpus:
            card = visible[index % gpus] if len(visible) == gpus and visible[0] else str(index % gpus)
            options |= {"resources": {GPU: 1}, "env": {"CUDA_VISIBLE_DEVICES": card}}
        specs[index] = {"cls": Nanny, "options": options}
    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard": False, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0},
    }
    with (
        dask.config.set({"distributed.logging.distributed": "critical"}),
        SpecCluster(specs, scheduler, silence_logs=50) as cluster,
    ):
        yield cluster
