# SPDX-License-Identifier: Apache-2.0
"""Reading a file that came from anywhere: whatever is wrong with it becomes one InputError that names it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import InputError
from .cloud import SplatCloud

Decoder = Callable[[bytes, Path], SplatCloud]

_DAMAGE = (
    struct.error, zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    ZeroDivisionError, RecursionError,
)  # fmt: skip


def read_whole(path: Path | str, decode: Decoder) -> SplatCloud:
    """`decode` the bytes of a file. Raises InputError if it is missing, damaged, empty or too large for the memory."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a folder; a device or a pipe, which may never end
            raise InputError(f"{path} is no file.", "Give a splat file.")
        with np.errstate(all="ignore"):  # any bytes may stand where numbers should; SplatCloud.finite finds what is not
            cloud = decode(path.read_bytes(), path)
    except InputError as error:
        if str(path) in error.message:
            raise
        raise InputError(f"The splat file {path} is damaged. {error.message}", "Export it again.") from error
    except FileNotFoundError:
        raise InputError(f"The splat file {path} is missing.", "Check its name.") from None
    except OSError as error:
        raise InputError(f"The splat file {path} cannot be read ({error.strerror}).", "Check its name.") from error
    except MemoryError:
        raise InputError(
            f"The splat file {path} does not fit into this machine's memory.", "Thin it out on a larger one."
        ) from None
    except _DAMAGE as error:
        reason = "it ends too early" if isinstance(error, struct.error) else error
        raise InputError(f"The splat file {path} is damaged ({reason}).", "Export it again.") from error
    if not len(cloud):
        raise InputError(f"The splat file {path} holds no splats.", "Export it again.")
    return cloud
