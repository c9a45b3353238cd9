# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's pieces of work on Blender's main thread by which tracing.py explains gaps."""

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
