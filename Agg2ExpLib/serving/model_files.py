"""Which files a model is made of, for a computer that does not have it."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .frames import fit_name

_SETTINGS = (".json", ".yaml", ".yml", ".csv")
_WEIGHTS = (".pt", ".pth", ".ts", ".safetensors", ".bin", ".tar", ".ckpt")
_NAMED = ("plans.json", "dataset.json", "model_card.json")
_MOST_SETTINGS = 4 * 2**20
_MOST_FILES = 500
_DEEPEST = 3
# Beside the final checkpoint of a fold nothing else is used.
_SPARE = ("checkpoint_best.pth", "checkpoint_latest.pth")


def model_files(path: Path) -> tuple[list[tuple[str, Path]], str]:
    """What to send.

    Args:
        path: weights, or a model's folder.

    Returns:
        Relative names with files, and the relative name of ``path`` itself.

    Raises:
        InputError: there is nothing of a model, or so much that it cannot be meant.
    """
    path = path.absolute()
    if path.is_dir():
        root = path
        if path.name.startswith("fold_") and (path.parent / "plans.json").is_file():
            root = path.parent
        files = [file for file in _below(path) if not _spare(file)]
        files += [root / name for name in _NAMED if root != path and (root / name).is_file()]
    else:
        root = _root_of(path)
        # What lies beside by chance is nobody's business.
        named = [path.with_suffix(".json"), path.with_name("labels.csv"), *(root / name for name in _NAMED)]
        files = [path, *(file for file in named if file.is_file())]
        files += _settings(root / "configs") if _is_bundle(root) else []
    # The folder's name tells which model it is, that of an nnU-Net with its data set's.
    above = list(root.parents)[: 2 if (root / "plans.json").is_file() else 1]
    base = above[-1] if above else root
    files = sorted(set(files))
    if not any(file.suffix.lower() in _WEIGHTS for file in files):
        raise InputError(f"{path.name} holds no weights that could be sent: give a model's file or folder.")
    if len(files) > _MOST_FILES:
        raise InputError(f"{path.name} holds {len(files)} files: give the folder of one model.")
    names = ["/".join(fit_name(part) for part in file.relative_to(base).parts) for file in files]
    own = "/".join(fit_name(part) for part in path.relative_to(base).parts)
    return list(zip(names, files, strict=True)), own


def _root_of(file: Path) -> Path:
    """The folder that the settings of a file of weights lie in or below."""
    for folder in list(file.parents)[:2]:
        if (folder / "plans.json").is_file() or _is_bundle(folder):
            return folder
    return file.parent


def _is_bundle(folder: Path) -> bool:
    return (folder / "configs" / "metadata.json").is_file()


def _settings(folder: Path) -> list[Path]:
    """Small files that say how the weights are to be used."""
    try:
        found = [file for file in folder.iterdir() if file.suffix.lower() in _SETTINGS and file.is_file()]
    except OSError:
        return []
    return [file for file in found if file.stat().st_size <= _MOST_SETTINGS][:_MOST_FILES]


def _below(folder: Path, depth: int = 0) -> list[Path]:
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth < _DEEPEST:
            found += _below(entry, depth + 1)
        elif entry.is_file() and entry.suffix.lower() in (*_SETTINGS, *_WEIGHTS):
            found.append(entry)
    return found


def _spare(file: Path) -> bool:
    return file.name in _SPARE and file.with_name("checkpoint_final.pth").is_file()
