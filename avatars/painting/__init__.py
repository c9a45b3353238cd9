# SPDX-License-Identifier: Apache-2.0
"""Parts of the skin painter (avatars.skin): pure numpy, functions of the 3D rest surface, so seams never show."""
