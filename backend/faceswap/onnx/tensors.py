# SPDX-License-Identifier: Apache-2.0
"""The border between pictures and networks: the one place where channels, order and ranges change."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

from .descriptors import Descriptor

Floats = npt.NDArray[Any]


def target_tensor(picture: Floats, descriptor: Descriptor) -> npt.NDArray[np.float32]:  # (S, S, 3) RGB 0..1
    """What the network takes as its crop: (1, 3, S, S) or (1, S, S, 3)."""
    values = (picture - np.array(descriptor.mean)) / np.array(descriptor.std)
    if descriptor.bgr:
        values = values[..., ::-1]
    return np.ascontiguousarray((values if descriptor.channels_last else values.transpose(2, 0, 1))[None], np.float32)


def picture_tensor(picture: Floats) -> npt.NDArray[np.float32]:  # (S, S, 3) RGB 0..1
    """(1, 3, S, S) RGB 0..1, as networks take a photo for a source."""
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1)[None], np.float32)


def recogniser_tensor(picture: Floats) -> npt.NDArray[np.float32]:  # (112, 112, 3) RGB 0..1
    """(1, 3, 112, 112) RGB -1..1."""
    return picture_tensor(np.asarray(picture) * 2 - 1)


def picture_from(output: Floats, descriptor: Descriptor, name: str) -> npt.NDArray[np.float32]:
    """(S, S, 3) RGB 0..1 of what the network gave. InputError if that has another shape; `name`: the model's."""
    size = descriptor.size
    shape = (1, size, size, 3) if descriptor.channels_last else (1, 3, size, size)
    if output.shape != shape:
        raise InputError(f"The model {name} gives a picture {[*output.shape]}, not {[*shape]}.", "Take another.")
    values = output[0] if descriptor.channels_last else output[0].transpose(1, 2, 0)
    if descriptor.bgr:
        values = values[..., ::-1]
    if descriptor.denormalize:
        values = values * np.array(descriptor.std) + np.array(descriptor.mean)
    return np.clip(values, 0, 1).astype(np.float32)


def mask_from(output: Floats, descriptor: Descriptor, name: str) -> npt.NDArray[np.float32]:
    """(S, S) 0..1 of a mask that the network gave, wherever it keeps its axes of length 1."""
    size = descriptor.size
    if size is None or output.size != size * size:
        raise InputError(f"The model {name} gives a mask {list(output.shape)}.", "Leave its mask out.")
    return np.clip(output.reshape(size, size), 0, 1).astype(np.float32)


def parts(picture: Floats, boost: int) -> list[npt.NDArray[np.float32]]:  # (N S, N S, 3)
    """N x N interleaved pictures (S, S, 3): each every N-th pixel, row offset first."""
    return [picture[row::boost, column::boost] for row in range(boost) for column in range(boost)]


def joined(pieces: list[npt.NDArray[np.float32]], boost: int) -> npt.NDArray[np.float32]:
    """Undo `parts`: N x N pictures (S, S, ...) to one (N S, N S, ...)."""
    height, width = pieces[0].shape[:2]
    whole = np.empty((height * boost, width * boost, *pieces[0].shape[2:]), np.float32)
    for index, piece in enumerate(pieces):
        whole[index // boost :: boost, index % boost :: boost] = piece
    return whole
