# SPDX-License-Identifier: GPL-3.0-or-later
"""From interchange files to the scene: splats as a point cloud, capture cameras."""
