# SPDX-License-Identifier: Apache-2.0
"""What a user can choose about a swap by an ONNX network. Networks are named, never located: a job that comes over the
wire cannot make the service open any file but those in its models folder."""

from __future__ import annotations

import re
from typing import Any

import attrs

from interchange.errors import InputError

from ..checks import one_of, within
from .descriptors import KINDS

AUTO, NONE = "auto", "none"
CPU = "CPUExecutionProvider"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def check_model_name(name: Any) -> None:
    """InputError unless `name` is a plain file name, without any folder in it."""
    plain = isinstance(name, str) and name.strip() == name and not name.startswith(".")
    if not plain or len(name) > 200 or any(c in name for c in '/\\:*?"<>|') or not name.isprintable():
        raise InputError(f"{name!r:.100} is not the name of a model.", "Name a file of the models folder.")


def _model_name(_: Any, __: attrs.Attribute, value: Any) -> None:
    if value != "":
        check_model_name(value)


def _providers(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not value or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise InputError(
            f"The swap setting {attribute.name} is {value}.", f"List execution providers in order, like {CPU}."
        )


def _digests(_: Any, __: attrs.Attribute, value: dict[str, str]) -> None:
    for name, digest in value.items():
        check_model_name(name)
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise InputError(f"The expected SHA-256 of {name} is not 64 hexadecimal digits.", "Copy it again.")


def _whole(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if type(value) is not int:
        raise InputError(f"The swap setting {attribute.name} is {value}; it is a whole number.")


@attrs.frozen
class OnnxSettings:
    """model: the network's file name in the models folder. kind: of docs/formats/models.md, auto recognises it.
    recogniser: file name of the face recogniser (ArcFace) that kinds with an embedding need. converter: file name of
    the converter that some kinds need, none if the recogniser is the network's own. providers: of onnxruntime, in
    order of wish; what is not listed is not used. pixel_boost: the crop has so many times the network's edge, swapped
    in that many squared interleaved parts. crop_scale: above 1 shows the network more around the face. feather: how
    soft the crop's edge is, 0..1. morph: of a .dfm that morphs, 0..1. renormalize: give the mapped embedding length 1,
    as insightface does. model_mask: use the network's own mask where it gives one. sha256: expected digests by file
    name. licence: the network's, as the user states it; it is shown and kept in the report."""

    model: str = attrs.field(default="", validator=_model_name)
    kind: str = attrs.field(default=AUTO, validator=one_of((AUTO, *KINDS)))
    recogniser: str = attrs.field(default="", validator=_model_name)
    converter: str = attrs.field(default="", validator=_model_name)
    providers: list[str] = attrs.field(factory=lambda: [CPU], converter=list, validator=_providers)
    pixel_boost: int = attrs.field(default=1, validator=[_whole, within(1, 8)])
    crop_scale: float = attrs.field(default=1.0, validator=within(0.5, 2))
    feather: float = attrs.field(default=0.3, validator=within(0, 1))
    morph: float = attrs.field(default=1.0, validator=within(0, 1))
    renormalize: bool = True
    model_mask: bool = True
    sha256: dict[str, str] = attrs.field(factory=dict, validator=_digests)
    licence: str = ""
