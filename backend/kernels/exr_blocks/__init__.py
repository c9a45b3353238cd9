# SPDX-License-Identifier: Apache-2.0
"""The bytes of EXR blocks by compiled code: see `interchange.exr.Blocks`, whose `NumpyBlocks` is the reference."""

from .cpu import CompiledBlocks

BLOCKS = CompiledBlocks()

__all__ = ["BLOCKS", "CompiledBlocks"]
