# SPDX-License-Identifier: Apache-2.0
"""The models folder: where the user's own networks lie, and the digests that say which they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from interchange.consent import sha256_of_file
from interchange.errors import InputError

from .settings import check_model_name

MODELS_VARIABLE = "DIGIDOUBLE_MODELS"
SUFFIXES = (".onnx", ".dfm")


@attrs.frozen
class ModelFile:
    """A network on the disk. sha256: of its bytes, hexadecimal."""

    name: str
    path: Path
    sha256: str


@attrs.frozen
class ModelFolder:
    """A folder of networks; nothing outside of it is ever opened."""

    path: Path

    def names(self) -> list[str]:
        """Names of all networks, sorted. InputError if there is no such folder."""
        if not self.path.is_dir():
            raise InputError(f"The models folder {self.path} does not exist.", "Make it, and put the networks there.")
        return sorted(p.name for p in self.path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())

    def file(self, name: str, expected: Mapping[str, str] | None = None) -> ModelFile:
        """The network of that name. Raises InputError when there is none or its digest is not the `expected` one."""
        check_model_name(name)
        path = self.path / name
        if path.is_dir():
            raise InputError(f"The model {path} is a folder.", "Name the file of the network.")
        if not path.is_file():
            there = self.names()
            listed = ", ".join(there[:8]) + (" and more" if len(there) > 8 else "")
            raise InputError(
                f"There is no model {name} in {self.path}.", f"There: {listed}." if listed else "The folder is empty."
            )
        try:
            digest = sha256_of_file(path)
        except OSError as error:
            raise InputError(f"The model {path} cannot be read ({error.strerror or error}).", "Check it.") from error
        wanted = (expected or {}).get(name, digest).lower()
        if digest != wanted:
            raise InputError(
                f"The model {name} has the SHA-256 {digest}, not the expected {wanted}.",
                "Put the agreed file there, or correct the expected digest.",
            )
        return ModelFile(name, path, digest)


def models_folder(
    environment: Mapping[str, str], chosen: Path | None = None, what: str = "the swapper onnx"
) -> ModelFolder:
    """The folder that was `chosen`, or the one that DIGIDOUBLE_MODELS names. InputError if neither is given; `what`
    needs it."""
    place = str(chosen) if chosen is not None else environment.get(MODELS_VARIABLE, "")
    if not place.strip():
        raise InputError(
            f"No models folder is known, and {what} needs one.",
            f"Give --models DIR where it computes, or set {MODELS_VARIABLE}.",
        )
    return ModelFolder(Path(place))
