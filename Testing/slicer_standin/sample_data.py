"""``SampleData``: the register of samples, and loading those that need no network."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer


@dataclass
class SampleDataSource:
    """One sample."""

    sampleName: str | None = None
    uris: Any = None
    fileNames: Any = None
    nodeNames: Any = None
    checksums: Any = None
    customDownloader: Callable | None = None
    thumbnailFileName: str | None = None


class SampleDataLogic:
    """Registers and loads samples."""

    def __init__(self, logMessage: Any = None):
        builtin = SampleDataSource("CTChest", "https://example.invalid/CT-chest.nrrd", "CT-chest.nrrd", "CTChest")
        _register("General", builtin)

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **properties: Any) -> None:
        _register(category, SampleDataSource(**properties))

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        sources = _sources()
        return sources if category is None else sources.get(category, [])

    def downloadSamples(self, sampleName: str) -> list[Any]:
        """Load a sample by name.

        Raises:
            RuntimeError: it lies on the network, or its checksum is wrong.
        """
        for source in [source for group in _sources().values() for source in group]:
            if source.sampleName == sampleName:
                address = urlparse(source.uris)
                if address.scheme != "file":
                    raise RuntimeError("The stand-in has no network")
                path = Path(url2pathname(address.path))
                if source.checksums != f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}":
                    raise RuntimeError("Checksum mismatch")
                return [slicer.util.loadVolume(str(path), {"name": source.nodeNames})]
        return []


def _sources() -> dict[str, list[SampleDataSource]]:
    if not hasattr(slicer.modules, "sampleDataSources"):
        slicer.modules.sampleDataSources = {}
    return slicer.modules.sampleDataSources


def _register(category: str, source: SampleDataSource) -> None:
    group = _sources().setdefault(category, [])
    if source not in group:
        group.append(source)


def make() -> types.ModuleType:
    """The module ``SampleData``."""
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    return module
