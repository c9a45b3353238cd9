# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the full state of a run in one safetensors file, the one before kept beside it.

A kill at any moment leaves at least one whole file: a new one is written under another name, flushed to disk, and only
then renamed. A checksum over all numbers tells a damaged file from a whole one.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
import safetensors
from safetensors import SafetensorError
from safetensors.numpy import save_file

from backend.kernels.parameters import AdamState, SplatParameters

from .state import FitState, RunState

FORMAT, VERSION = "digidouble-fit-checkpoint", "2"
_MEMORY = "memory."
NAME, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"


def save_checkpoint(folder: Path, state: FitState) -> None:
    """Write the state; the last checkpoint becomes the previous one. Raises OSError when the disk is full."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, npt.NDArray] = {
        "parameters": state.parameters.block,
        "order": state.parameters.order,
        "adam_first": state.adam.first,
        "adam_second": state.adam.second,
        "face": state.face,
        "barycentric": state.barycentric,
    }
    tensors |= {_MEMORY + name: array for name, array in state.memory.items()}
    run = json.dumps({
        "run": attrs.asdict(state.run), "reach": state.reach, "kind": state.kind,
        "antialiased": state.parameters.antialiased,
    })  # fmt: skip
    metadata = {"format": FORMAT, "version": VERSION, "digest": state.digest, "state": run}
    metadata["checksum"] = _checksum(tensors, run)
    part = folder / (NAME + ".part")
    save_file(tensors, part, metadata)
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    if (folder / NAME).exists():
        os.replace(folder / NAME, folder / PREVIOUS)
    os.replace(part, folder / NAME)


def load_checkpoint(folder: Path, digest: str) -> tuple[FitState | None, list[str]]:
    """The newest whole checkpoint with this digest, or None, and sentences for the user about what was passed over."""
    notes: list[str] = []
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            found = _read(path)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            notes.append(f"The checkpoint {path} is damaged ({error}) and was passed over.")
            continue
        if found.digest == digest:
            return found, notes
        notes.append(f"The checkpoint {path} belongs to other inputs or settings; the fit starts anew.")
        break
    return None, notes


def remove_checkpoints(folder: Path) -> None:
    """Delete what `save_checkpoint` wrote."""
    for name in (NAME, PREVIOUS, NAME + ".part"):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path) -> FitState:
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise ValueError("another format or version")
    if metadata["checksum"] != _checksum(tensors, metadata["state"]):
        raise ValueError("its checksum does not match")
    state = json.loads(metadata["state"])
    order = tensors["order"]
    return FitState(
        digest=metadata["digest"],
        parameters=SplatParameters(tensors["parameters"], len(order), order, state["antialiased"]),
        adam=AdamState(tensors["adam_first"], tensors["adam_second"]),
        run=RunState(**state["run"]),
        reach=state["reach"],
        kind=state["kind"],
        face=tensors["face"],
        barycentric=tensors["barycentric"],
        memory={name.removeprefix(_MEMORY): a for name, a in tensors.items() if name.startswith(_MEMORY)},
    )


def _checksum(tensors: dict[str, npt.NDArray], text: str) -> str:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        value = zlib.crc32(np.ascontiguousarray(tensors[name]).data, value)
    return f"{value:08x}"
