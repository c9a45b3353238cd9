# SPDX-License-Identifier: Apache-2.0
"""The performer's shape on the target: how photos move its face in 3D, and how rendered views follow."""

from .identity import IdentityShape, identity_shape
from .posed import moved_mesh
from .reshape import reshape_view

__all__ = ["IdentityShape", "identity_shape", "moved_mesh", "reshape_view"]
