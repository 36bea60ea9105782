"""A MONAI bundle folder, or a model file in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle import bundle_of, read_bundle
from .checkpoint import read_weights
from .described import Described
from .foreground import without_background
from .loaded import Loaded
from .model_card import read_model_card
from .networks import build_network
from .weights_file import check_fits, checksum

if TYPE_CHECKING:
    from .variant import Variant


def find(path: Path) -> tuple[Path, Path | None] | None:
    """The bundle, and the model file where one was named.

    Raises:
        InputError: ``path`` is a folder, but not a bundle.
    """
    folder = bundle_of(path)
    return None if folder is None else (folder, path if path != folder else None)


def describe(found: tuple[Path, Path | None]) -> Described:
    """Labels and settings by the bundle's configuration, or by its own card.

    Raises:
        InputError: one sentence that says why it cannot be explained.
    """
    folder, weights = found
    bundle = read_bundle(folder, weights)
    card_file = folder / "model_card.json"
    if card_file.is_file():
        return Described("MONAI bundle", *read_model_card(card_file))
    bundle.check()
    channels = (bundle.network or {}).get("out_channels") or len(bundle.names)
    if not isinstance(channels, int) or channels < 1:
        return Described("MONAI bundle")
    return Described("MONAI bundle", *bundle.card(channels))


def load(found: tuple[Path, Path | None], card: Path | None, variant: Variant) -> Loaded:
    """The network of a bundle; its own card, or else its configuration, says what it expects.

    Raises:
        InputError: one sentence that says what is wrong with the bundle, or what in it cannot be followed.
    """
    folder, weights = found
    variant.refuse(folder.name)
    bundle = read_bundle(folder, weights)
    file, card_file = bundle.weights, card if card is not None else folder / "model_card.json"
    given, warnings = read_model_card(card_file) if card is not None or card_file.is_file() else (None, ())
    if given is None:
        bundle.check()
    content = read_weights(file)
    named = given.network if given is not None and given.network is not None else bundle.network
    built = build_network(content, named, given.weights if given else None, given.leave_out if given else ())
    network = built.network
    if given is None:
        given, assumed = bundle.card(built.channels)
        warnings += assumed
        if bundle.drops_background(built.channels):
            network, built = without_background(network), replace(built, channels=built.channels - 1)
    check_fits(given, built, file.name)
    return Loaded(
        network,
        replace(given, network=built.spec),
        folder.resolve().name,
        checksum(file),
        built.architecture,
        warnings + built.warnings,
    )
