# SPDX-License-Identifier: GPL-3.0-or-later
"""From the scene to a capture folder: camera rigs, geometry, passes, textures, portrait, true swap."""
