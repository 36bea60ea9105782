"""A MONAI bundle's preprocessing as steps of ours; what has no counterpart of the very same effect is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import InputError
from ..preprocessing.clip_percentiles import ClipPercentiles
from ..preprocessing.crop_foreground import CropForeground
from ..preprocessing.hu_window import HuWindow
from ..preprocessing.normalise import Normalise
from ..preprocessing.orientation import Orientation
from ..preprocessing.scale_extremes import ScaleExtremes
from ..preprocessing.scale_percentiles import ScalePercentiles
from ..preprocessing.scale_range import ScaleRange
from ..preprocessing.spacing import Spacing
from ..preprocessing.step import Geometry
from ..preprocessing.threshold import Threshold
from .bundle_config import UNKNOWN, is_plain, resolve

if TYPE_CHECKING:
    from ..preprocessing.step import Step


class Unsuited(Exception):
    """What a bundle does and we do not; the text goes on from "The bundle NAME …"."""


# Settings that change nothing of what the network sees, whatever they are.
_NEUTRAL = {"_target_", "_desc_", "_disabled_", "keys", "allow_missing_keys", "meta_keys", "meta_key_postfix", "meta_key"}
# … and those of steps that only load, convert or move.
_LOADING = {
    "reader", "image_only", "ensure_channel_first", "simple_keys", "prune_meta_pattern", "prune_meta_sep", "expanduser",
    "overwriting", "strict_check", "device", "wrap_sequence", "names", "times", "prefix", "data_type", "track_meta", "dtype",
    "channel_dim", "data_shape", "value_range", "data_value", "non_blocking",
}  # fmt: skip
_READERS = ("NibabelReader", "ITKReader", "NrrdReader", "PydicomReader")
_FLOATS = ("float32", "float64", "float")
_PER_KEY = ("mode", "padding_mode", "align_corners", "dtype", "scale_extent")


class Arguments:
    """The settings of one transform, as far as they are plain.

    Args:
        target: ``_target_`` as the bundle writes it.
        values: its settings, ``UNKNOWN`` where only code would tell.
        position: of the image among ``keys``, for settings with one value a key.
    """

    def __init__(self, target: str, values: dict[str, Any], position: int = 0):
        self.target, self._values, self._position = target, values, position
        self._left = {key for key in values if key not in _NEUTRAL}

    def take(self, key: str, default: Any = None) -> Any:
        """A setting, or what MONAI does without it.

        Raises:
            Unsuited: it is an expression.
        """
        self._left.discard(key)
        value = self._values.get(key, default)
        if not is_plain(value):
            self.refuse(f"whose '{key}' is an expression that only running the bundle would tell")
        if key in _PER_KEY and isinstance(value, list):
            if not value:
                self.refuse(f"with '{key}' {value!r}")
            value = value[min(self._position, len(value) - 1)]
        return value

    def number(self, key: str, default: Any = None) -> float:
        """A setting that must be a number."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(f"with '{key}' {value!r}")
        return float(value)

    def number_or_none(self, key: str, default: Any = None) -> float | None:
        """A setting that may be a number."""
        return None if self.take(key, default) is None else self.number(key, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """A setting that must be true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            self.refuse(f"with '{key}' {value!r}")
        return bool(value)

    def three(self, key: str, default: Any = None) -> tuple[float, float, float]:
        """A setting of one number an axis, of which MONAI repeats the last."""
        value = self.take(key, default)
        parts = list(value) if isinstance(value, list) else [value]
        if not parts or any(isinstance(part, bool) or not isinstance(part, (int, float)) for part in parts):
            self.refuse(f"with '{key}' {value!r}")
        x, y, z = (float(parts[min(axis, len(parts) - 1)]) for axis in range(3))
        return x, y, z

    def only(self, **allowed: Sequence[Any]) -> None:
        """Refuse settings other than these values."""
        for key, values in allowed.items():
            value = self.take(key, values[0])
            if not any(value is one or (type(value) is type(one) and value == one) for one in values):
                self.refuse(f"with '{key}' {value!r}")

    def floats(self) -> None:
        """Refuse a ``dtype`` that rounds."""
        self._left.discard("dtype")
        value = self._values.get("dtype")
        kinds = value if isinstance(value, list) else [value]
        kind = kinds[min(self._position, len(kinds) - 1)] if kinds else None
        if kind is not None and str(kind).lstrip("$").rsplit(".", 1)[-1] not in _FLOATS:
            self.refuse("with a 'dtype' that is not float32")

    def forget(self, keys: set[str]) -> None:
        """Settings without effect."""
        self._left -= keys

    def finish(self) -> None:
        """Refuse what nobody has asked for."""
        if self._left:
            self.refuse(f"with '{sorted(self._left)[0]}'")

    def refuse(self, what: str = "") -> NoReturn:
        """Name this transform.

        Raises:
            Unsuited: always.
        """
        raise Unsuited(f"prepares its images with {self.target}{' ' + what if what else ''}, which Agg2Exp does not follow")


def read_steps(config: dict[str, Any], name: str, old: bool = False) -> tuple[Step, ...] | None:
    """The steps of a bundle's ``preprocessing``; None where it has none.

    Args:
        config: the bundle's configuration, with the bundle's own expressions as they are.
        name: the key of the preprocessing.
        old: whether the bundle is for a MONAI before 1.5, which cropped to the foreground otherwise.

    Raises:
        Unsuited: something in it cannot be followed exactly.
    """
    if config.get(name) is None:
        return None
    found = list(_transforms(config[name], config))
    image = _image_key(found)
    steps: list[Step] = []
    lost = ""
    for target, values in found:
        keys = _keys(target, values)
        if image not in keys:
            written = [values.get(key) for key in ("name", "names", "output_names", "new_key", "output_postfixes")]
            if any(image == part for value in written for part in (value if isinstance(value, list) else [value])):
                Arguments(target, values).refuse()
            continue
        arguments = Arguments(target, values, keys.index(image))
        base = base_name(target)
        arguments.only(lazy=(False, None), _requires_=(None,), _mode_=("default", "instantiate"))
        if base in _STEPS:
            step = _STEPS[base](arguments, image, old)
            arguments.floats()
            arguments.finish()
            if isinstance(step, Geometry) and lost:
                arguments.refuse(f"after {lost}, which forgets where the voxels lie")
            steps.append(step)
        elif base in _PLAIN:
            _check_plain(base, arguments, image)
            if values.get("data_type") == "numpy" or values.get("track_meta") is False or base in ("ToNumpy", "FromMetaTensor"):
                lost = target
        else:
            arguments.refuse()
    return tuple(steps)


def base_name(target: str) -> str:
    """The name of a dictionary transform without its suffix; empty for what is none of MONAI's."""
    place, _, name = target.rpartition(".")
    if place and not (place + ".").startswith("monai.transforms."):
        return ""
    for suffix in ("Dict", "d", "D"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return ""


def _transforms(raw: Any, config: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """``_target_`` and settings of every transform that is not switched off, in their order."""
    value = resolve(raw, config)
    if value is UNKNOWN:
        raise Unsuited(f"prepares its images by the expression {str(raw)[:80]!r}, which only running the bundle would tell")
    if isinstance(value, list):
        for index, part in enumerate(value):
            if part is UNKNOWN:
                raise Unsuited(f"has an expression as step {index + 1} of its preprocessing")
            yield from _transforms(part, config, depth + 1)
        return
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str) or depth > 20:
        raise Unsuited(f"has a preprocessing step without a plain '_target_' ({str(value)[:80]!r})")
    target, off = value["_target_"], value.get("_disabled_", False)
    if not isinstance(off, bool):
        off = {"true": True, "false": False}.get(str(off).lower(), UNKNOWN)
    if off is UNKNOWN:
        Arguments(target, value).refuse("whose '_disabled_' is an expression that only running the bundle would tell")
    if off:
        return
    if target in ("Compose", "monai.transforms.Compose", "monai.transforms.compose.Compose"):
        arguments = Arguments(target, value)
        arguments.only(lazy=(False, None), overrides=(None,), map_items=(True,), unpack_items=(False,), _requires_=(None,))
        arguments.only(_mode_=("default", "instantiate"))
        arguments.forget({"transforms", "log_stats", "threading"})
        arguments.finish()
        inner = value.get("transforms", [])
        if inner is UNKNOWN:
            raise Unsuited("lists its preprocessing by an expression, which only running the bundle would tell")
        yield from _transforms(inner if isinstance(inner, list) else [inner], config, depth + 1)
        return
    yield target, value


def _keys(target: str, values: dict[str, Any]) -> list[str]:
    keys = values.get("keys")
    names = [keys] if isinstance(keys, str) else keys
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        Arguments(target, values).refuse("whose 'keys' are not plain" if "keys" in values else "")
    return names


def _image_key(found: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The key that holds the image: ``image``, or the first one that is loaded."""
    named = [key for target, values in found for key in _keys(target, values)]
    return "image" if "image" in named or not named else named[0]


def _check_plain(base: str, arguments: Arguments, image: str) -> None:
    """That a step which only loads, converts or moves does nothing else."""
    if base == "EnsureChannelFirst":
        arguments.only(channel_dim=(None, "no_channel"))
    if base == "LoadImage":
        reader = arguments.take("reader")
        for one in reader if isinstance(reader, list) else [reader]:
            if one is not None and str(one).rsplit(".", 1)[-1].casefold() not in [name.casefold() for name in _READERS]:
                arguments.refuse(f"with the reader {one!r}")
    if base in ("LoadImage", "EnsureType", "CastToType", "ToTensor"):
        arguments.floats()
    if base == "DeleteItems":
        arguments.refuse("of the image")
    if base == "CopyItems":
        names = arguments.take("names")
        if image in (names if isinstance(names, list) else [names]):
            arguments.refuse("onto the image")
    arguments.forget(_LOADING)
    arguments.finish()


def _orientation(arguments: Arguments, image: str, old: bool) -> Step:
    closest = arguments.flag("as_closest_canonical")
    standard = [["L", "R"], ["P", "A"], ["I", "S"]]
    labels = arguments.take("labels")
    if labels is not None and labels != standard:
        arguments.refuse("with 'labels'")
    axcodes = "RAS" if closest else arguments.take("axcodes", "")
    axcodes = "".join(axcodes) if isinstance(axcodes, list) and all(isinstance(part, str) for part in axcodes) else axcodes
    arguments.forget({"axcodes"})
    return _made(arguments, lambda: Orientation(axcodes))


def _spacing(arguments: Arguments, image: str, old: bool) -> Step:
    if arguments.flag("recompute_affine") or arguments.flag("scale_extent"):
        arguments.refuse("with 'recompute_affine' or 'scale_extent'")
    arguments.forget({"ensure_same_shape"})
    x, y, z = (max(size, 0.0) for size in arguments.three("pixdim"))
    limits = [None if arguments.take(key) is None else arguments.three(key) for key in ("min_pixdim", "max_pixdim")]
    mode, padding = (arguments.take(key, default) for key, default in (("mode", "bilinear"), ("padding_mode", "border")))
    corners, diagonal = arguments.take("align_corners", False), arguments.flag("diagonal")
    corners = False if corners is None else corners
    return _made(arguments, lambda: Spacing((x, y, z), mode, padding, corners, diagonal, limits[0], limits[1]))


def _crop(arguments: Arguments, image: str, old: bool) -> Step:
    if arguments.take("source_key") != image:
        arguments.refuse("by another image than the network's")
    # is_positive is MONAI's own default
    if str(arguments.take("select_fn", "is_positive")).rsplit(".", 1)[-1] != "is_positive":
        arguments.refuse("with a 'select_fn' of its own")
    arguments.only(channel_indices=(None, 0))
    arguments.forget({"start_coord_key", "end_coord_key"})
    margin, divisible = arguments.three("margin", 0), arguments.three("k_divisible", 1)
    smaller = arguments.flag("allow_smaller", old)
    if divisible == (1, 1, 1) and (smaller or margin == (0, 0, 0)):
        arguments.forget({"mode", "value", "constant_values"})  # the box never leaves the image
    else:
        arguments.only(mode=("constant",), value=(0, 0.0), constant_values=(0, 0.0))
    return _made(arguments, lambda: CropForeground(_whole(margin), smaller, _whole(divisible)))


def _scale_range(arguments: Arguments, image: str, old: bool) -> Step:
    a_min, a_max = arguments.number("a_min"), arguments.number("a_max")
    b_min, b_max, clip = arguments.number_or_none("b_min"), arguments.number_or_none("b_max"), arguments.flag("clip")
    if clip and b_min is not None and b_max is not None and a_min < a_max and b_min < b_max:
        return HuWindow((a_min, a_max), (b_min, b_max))
    return _made(arguments, lambda: ScaleRange(a_min, a_max, b_min, b_max, clip))


def _scale(arguments: Arguments, image: str, old: bool) -> Step:
    low, high = arguments.number_or_none("minv", 0.0), arguments.number_or_none("maxv", 1.0)
    arguments.flag("channel_wise")
    factor = arguments.number_or_none("factor")
    if low is None and high is None:
        return ScaleRange(0.0, 1.0, 0.0, 1.0 + (factor or 0.0))
    # MONAI leaves out the second part where one of both is missing.
    return ScaleExtremes(0.0, 1.0) if low is None or high is None else ScaleExtremes(low, high)


def _scale_percentiles(arguments: Arguments, image: str, old: bool) -> Step:
    values = [arguments.number(key) for key in ("lower", "upper", "b_min", "b_max")]
    arguments.flag("channel_wise")
    clip, relative = arguments.flag("clip"), arguments.flag("relative")
    return _made(arguments, lambda: ScalePercentiles(values[0], values[1], values[2], values[3], clip, relative))


def _clip_percentiles(arguments: Arguments, image: str, old: bool) -> Step:
    arguments.flag("channel_wise")
    arguments.only(sharpness_factor=(None,), return_clipping_values=(False,))
    lower, upper = arguments.number_or_none("lower"), arguments.number_or_none("upper")
    return _made(arguments, lambda: ClipPercentiles(0.0 if lower is None else lower, 100.0 if upper is None else upper))


def _normalise(arguments: Arguments, image: str, old: bool) -> Step:
    channel_wise, nonzero = arguments.flag("channel_wise"), arguments.flag("nonzero")
    numbers = []
    for key in ("subtrahend", "divisor"):
        value = arguments.take(key)
        if isinstance(value, list) and len(value) == 1 and channel_wise:
            value = value[0]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            arguments.refuse(f"with '{key}' {value!r}")
        numbers.append(value)
    return _made(arguments, lambda: Normalise(numbers[0], numbers[1], nonzero))


def _threshold(arguments: Arguments, image: str, old: bool) -> Step:
    return Threshold(arguments.number("threshold"), arguments.flag("above", True), arguments.number("cval", 0.0))


def _shift(arguments: Arguments, image: str, old: bool) -> Step:
    arguments.only(safe=(False,), factor_key=(None,))
    return Normalise(-arguments.number("offset"), 1.0)


def _whole(values: tuple[float, float, float]) -> tuple[int, int, int]:
    x, y, z = (int(value) if float(value).is_integer() else value for value in values)
    return x, y, z  # type: ignore[return-value]  # what is not whole is refused by the step


def _made(arguments: Arguments, make: Callable[[], Step]) -> Step:
    """A step of these settings, or the bundle's own transform by name."""
    try:
        return make()
    except (InputError, TypeError, ValueError) as error:
        arguments.refuse(f"({str(error).rstrip('.')})")


_STEPS: dict[str, Callable[[Arguments, str, bool], Step]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "CropForeground": _crop,
    "ScaleIntensityRange": _scale_range,
    "ScaleIntensity": _scale,
    "ScaleIntensityRangePercentiles": _scale_percentiles,
    "ClipIntensityPercentiles": _clip_percentiles,
    "NormalizeIntensity": _normalise,
    "ThresholdIntensity": _threshold,
    "ShiftIntensity": _shift,
}
# Steps that load, convert or move: our own reading of a CT has done what they do.
_PLAIN = (
    "LoadImage", "EnsureChannelFirst", "AddChannel", "EnsureType", "ToTensor", "ToNumpy", "ToDevice", "CastToType", "SelectItems",
    "CopyItems", "DeleteItems", "Identity", "RandIdentity", "DataStats", "ToMetaTensor", "FromMetaTensor",
)  # fmt: skip
FOLLOWED = (*_STEPS, *_PLAIN)
