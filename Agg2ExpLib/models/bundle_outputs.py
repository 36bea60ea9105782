"""What a MONAI bundle does around its network: the sliding windows before it, and how its output becomes labels."""

from __future__ import annotations

from typing import Any

from .bundle_config import UNKNOWN, is_plain, resolve
from .bundle_steps import Unsuited, base_name
from .model_card import PADDINGS

_INFERERS = ("SlidingWindowInferer", "SlidingWindowInfererAdapt")
# Settings of an inferer that change how fast it is, not what comes out.
_SPEED = {
    "_target_", "_desc_", "sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map", "cpu_thresh", "buffer_steps",
    "buffer_dim",
}  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "overlap": 0.25, "mode": "constant", "sigma_scale": 0.125, "padding_mode": "constant", "cval": 0.0, "with_coord": False,
}  # fmt: skip
# Steps after the network that only convert, resample or write.
_CONVERTING = (
    "Invert", "SaveImage", "EnsureType", "ToTensor", "ToNumpy", "ToDevice", "CastToType", "SelectItems", "DeleteItems", "CopyItems",
    "Identity", "SqueezeDim", "EnsureChannelFirst",
)  # fmt: skip


def read_windows(config: dict[str, Any]) -> dict[str, Any] | None:
    """A card's values for the sliding windows (``roi_size``, ``overlap`` …, and ``pad_value``); None where nothing is said.

    Raises:
        Unsuited: the inferer does something else, or says it by an expression.
    """
    if config.get("inferer") is None:
        return None
    inferer = resolve(config["inferer"], config)
    if not isinstance(inferer, dict) or not isinstance(inferer.get("_target_"), str):
        raise Unsuited("gives its inferer by an expression, which only running the bundle would tell")
    place, _, kind = inferer["_target_"].rpartition(".")
    if kind not in _INFERERS or (place and not (place + ".").startswith("monai.inferers.")):
        raise Unsuited(f"infers with {inferer['_target_']}, and Agg2Exp follows {' and '.join(_INFERERS)} only")
    values = {**_DEFAULTS, **{key: value for key, value in inferer.items() if key not in _SPEED}}
    for key, value in values.items():
        if not is_plain(value):
            raise Unsuited(f"gives the '{key}' of its inferer by an expression, which only running the bundle would tell")
    if unknown := next((key for key in values if key != "roi_size" and key not in _DEFAULTS), None):
        raise Unsuited(f"sets '{unknown}' of its inferer, which Agg2Exp does not follow")
    size = _same_or_three(values.get("roi_size"))
    if size is None or not all(float(side).is_integer() and side > 0 for side in size):
        raise Unsuited(f"has windows of {values.get('roi_size')!r} voxels, and Agg2Exp needs three whole numbers")
    overlaps = _same_or_three(values["overlap"])
    if overlaps is None or len(set(overlaps)) > 1 or not 0 <= overlaps[0] < 1:
        raise Unsuited(f"overlaps its windows by {values['overlap']!r}, and Agg2Exp needs one share from 0 to less than 1")
    mode = str(values["mode"]).rsplit(".", 1)[-1].lower()
    if mode not in ("constant", "gaussian"):
        raise Unsuited(f"blends its windows by {values['mode']!r}, and Agg2Exp knows constant and gaussian")
    if mode == "gaussian" and set(_same_or_three(values["sigma_scale"]) or ()) != {0.125}:
        raise Unsuited(f"blends its windows by a Gaussian of 'sigma_scale' {values['sigma_scale']!r}, and Agg2Exp knows 0.125 only")
    padding = str(values["padding_mode"]).rsplit(".", 1)[-1].lower()
    if padding not in PADDINGS:
        raise Unsuited(f"pads small images by 'padding_mode' {values['padding_mode']!r}, which MONAI does not have")
    if isinstance(values["cval"], bool) or not isinstance(values["cval"], (int, float)):
        raise Unsuited(f"pads small images with {values['cval']!r}, which is no number")
    if values["with_coord"] is not False:
        raise Unsuited("tells its network where each window lies, which Agg2Exp does not follow")
    return {
        "roi_size": tuple(int(side) for side in size),
        "overlap": float(overlaps[0]),
        "blend": mode,
        "padding": padding,
        "pad_value": float(values["cval"]),
    }


def read_output(config: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """How the network's output becomes labels (``softmax`` or ``sigmoid``), and the steps afterwards that are not done.

    Raises:
        Unsuited: by a rule that is neither.
    """
    sigmoid, argmax, softmax, threshold = False, False, False, None
    left: list[str] = []
    for target, values, position in _after(config):
        base = base_name(target)
        if base == "Activations":
            sigmoid |= _one(target, values, "sigmoid", position) is True
            softmax |= _one(target, values, "softmax", position) is True
            if _one(target, values, "other", position) is not None:
                raise Unsuited(f"bends its output by the 'other' of {target}, which Agg2Exp does not follow")
        elif base == "AsDiscrete":
            argmax |= _one(target, values, "argmax", position) is True
            found = _one(target, values, "threshold", position)
            threshold = threshold if found is None else found
        elif base not in _CONVERTING:
            left.append(target)
    if argmax or threshold is None:
        return ("sigmoid" if sigmoid and not argmax else "softmax"), tuple(left)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or softmax or threshold != (0.5 if sigmoid else 0.0):
        curve = "softmax" if softmax else "sigmoid" if sigmoid else "plain"
        raise Unsuited(f"draws its labels where its {curve} output reaches {threshold!r}, and Agg2Exp where a logit is above 0")
    return "sigmoid", tuple(left)


def _after(config: dict[str, Any]) -> list[tuple[str, dict[str, Any], int]]:
    """``_target_``, settings and the prediction's place among the keys of every step after the network that is not switched off."""
    found: list[tuple[str, dict[str, Any], int]] = []
    level = [config.get("postprocessing")]
    for _ in range(20):
        deeper: list[Any] = []
        for raw in level:
            value = resolve(raw, config)
            if isinstance(value, list):
                deeper += value
            elif isinstance(value, dict) and value.get("_disabled_") is not True and isinstance(value.get("_target_"), str):
                if value["_target_"].rsplit(".", 1)[-1] == "Compose":
                    deeper += value["transforms"] if isinstance(value.get("transforms"), list) else [value.get("transforms")]
                else:
                    keys = value.get("keys")
                    names = keys if isinstance(keys, list) else [keys]
                    if names == [None] or "pred" in names:
                        found.append((value["_target_"], value, names.index("pred") if "pred" in names else 0))
            elif value is UNKNOWN:
                found.append((str(raw if raw is not UNKNOWN else "an expression")[:80], {}, 0))
        if not deeper:
            break
        level = deeper
    return found


def _one(target: str, values: dict[str, Any], key: str, position: int) -> Any:
    """A setting of a step after the network, of several the prediction's."""
    value = values.get(key)
    if not is_plain(value):
        raise Unsuited(f"gives '{key}' of {target} by an expression, which only running the bundle would tell")
    return value[min(position, len(value) - 1)] if isinstance(value, list) and value else value


def _same_or_three(value: Any) -> tuple[float, ...] | None:
    parts = value if isinstance(value, list) else [value] * 3
    numbers = [part for part in parts if isinstance(part, (int, float)) and not isinstance(part, bool)]
    return tuple(numbers) if len(numbers) == len(parts) == 3 else None
