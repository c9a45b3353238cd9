# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's pieces of work on Blender's main thread by which tracing.py explains gaps."""

from __future__ import annotations

REST = "Blender"
"""Names of its own work begin so."""
WORK = (
    "jobs.inbox.tick", "jobs.desk.Desk.drain", "jobs.mirror.show", "jobs.pictures.Pictures.icon",
    "jobs.arrival.Arrivals.step", "jobs.arrival.put_into_scene", "steps.Stepped.step", "display.binding.find_part",
    "display.binding.read_shape", "compat.new_point_cloud", "display.attributes.write_attribute",
    "display.pointcloud.new_object", "display.follow.hang", "display.follow_nodes.follow_group",
    "display.double.settle", "display.double.select_only", "display.modes.show", "display.follow.show_avatar",
    "operators.show_double.DIGIDOUBLE_OT_show_double.run", "panels.jobs.DIGIDOUBLE_PT_jobs.draw",
    "panels.status.DIGIDOUBLE_PT_status.draw",
)  # fmt: skip

OURS_MS = 50.0
"""What the add-on itself may have of a gap; calm it had at most 8. Drawing and evaluating are Blender's."""


def ours(parts: dict[str, float]) -> float:
    """Milliseconds of the add-on itself in a gap."""
    return sum(ms for name, ms in parts.items() if not name.startswith(REST))
