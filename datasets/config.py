"""Frozen configuration models, and the one flattening that axes, MLflow params and analysis columns share."""

import importlib
import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from .refusal import UserError

ConfigT = TypeVar("ConfigT", bound="Config")
Place = TypeVar("Place", str, Path)


class Config(BaseModel):
    """Base of every configuration: frozen, keyword-only, unknown fields refused, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def from_root(place: Place, is_here: Callable[[str], bool]) -> Place:
    """Return ``place``, named from the root on if it ``is_here``: workers have another working directory than the user."""
    path = os.path.abspath(os.path.expanduser(place))  # noqa: PTH100, PTH111 - for text and paths alike
    return type(place)(path) if is_here(path) else place


FILE = AfterValidator(lambda place: from_root(place, os.path.isfile))
FOLDER = AfterValidator(lambda place: from_root(place, os.path.isdir))


def flatten(config: Config, prefix: str = "") -> dict[str, Any]:
    """Return ``{"dotted.name": scalar}`` for every leaf of ``config``.

    A nested config contributes its class name under its own field (``objective: "Clip"``) and its fields below
    (``objective.temperature: 0.07``), so that two configs are the same experiment exactly if they flatten alike.

    >>> class Optim(Config):
    ...     lr: float = 0.1
    >>> class Trial(Config):
    ...     optim: Optim = Optim()
    ...     seed: int = 0
    >>> flatten(Trial())
    {'optim': 'Optim', 'optim.lr': 0.1, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            flat[prefix + name] = type(value).__name__
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def override(config: ConfigT, name: str, value: Any) -> ConfigT:
    """Return ``config`` with the field at dotted ``name`` set to ``value``, validated as if it had been given at first.

    Text, as of a command line, may say several values with commas where the field holds several, and ``none`` where it may hold
    none.

    Raises:
        UserError: no such field (with the nearest names), or a value that the field forbids.
    """
    return _override(config, name, value, config, name)


def _override(config: ConfigT, name: str, value: Any, whole: Config, full_name: str) -> ConfigT:
    """`override` of the part ``config`` of ``whole``; ``full_name`` is what the user wrote."""
    field, _, rest = name.partition(".")
    if field not in type(config).model_fields:
        near = get_close_matches(full_name, flatten(whole), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"fields here: {', '.join(type(config).model_fields)}"
        raise UserError(f"{type(whole).__name__} has no field {full_name!r}; {hint}")
    if rest:
        part = getattr(config, field)
        if not isinstance(part, Config):
            raise UserError(f"{full_name!r}: {field!r} is a single value ({part!r}) and has no field {rest!r}")
        value = _override(part, rest, value, whole, full_name)
    elif isinstance(value, str):
        value = _said(type(config).model_fields[field].annotation, value)
    fields = {key: getattr(config, key) for key in type(config).model_fields}
    try:
        return type(config).model_validate(fields | {field: value})
    except ValidationError as error:
        reasons = "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        raise UserError(f"{full_name} cannot be {value!r}: {reasons}") from error


def _said(annotation: Any, text: str) -> Any:
    """Return what ``text`` says to a field of this type, as far as pydantic would not know."""
    if get_origin(annotation) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if type(None) in get_args(annotation) and text.lower() == "none":
        return None
    return text


def to_json(config: Config) -> dict[str, Any]:
    """Return ``config`` as JSON values from which `from_json` makes it again: each part names its class."""
    told: dict[str, Any] = {"class": f"{type(config).__module__}:{type(config).__qualname__}"}
    for name in type(config).model_fields:
        value = getattr(config, name)
        told[name] = to_json(value) if isinstance(value, Config) else str(value) if isinstance(value, Path) else value
    return told


def from_json(told: Mapping[str, Any]) -> Config:
    """Return the configuration that `to_json` was given.

    Raises:
        UserError: its class is nowhere to be found, is no configuration, or takes other fields by now.
    """
    module, _, name = str(told.get("class")).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the configuration names the class {told.get('class')!r}, which is not here ({error}): install the code it "
            "was made with"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Config)):
        raise UserError(f"{told.get('class')!r} is no configuration: the file is not one that radsweep wrote")
    fields = {
        field: from_json(value) if isinstance(value, Mapping) and "class" in value else value
        for field, value in told.items()
        if field != "class"
    }
    try:
        return found.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"{name} does not take what was written ({error}): it is of another version of radsweep") from error
