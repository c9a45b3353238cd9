# SPDX-License-Identifier: Apache-2.0
"""Clouds of 3D Gaussians and their files, one module a format (docs/formats/splats.md). numpy, zlib and json only."""

from .cloud import SH_C0, SplatCloud
from .formats import SUFFIXES, format_of, read_splats, write_splats
from .ply import ply_properties, read_ply, write_ply
from .transform import is_even, transformed, turned_each

__all__ = [
    "SH_C0", "SUFFIXES", "SplatCloud", "format_of", "is_even", "ply_properties", "read_ply", "read_splats",
    "transformed", "turned_each", "write_ply", "write_splats",
]  # fmt: skip
