# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on in real windows of Blender, driven by the mouse."""
