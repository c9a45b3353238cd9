# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work: machines that are stepped inside Blender, and jobs that a backend does while Blender stays free.

    operators ──▶ desk ──orders──▶ control, transfer (threads) ──▶ backend
    panels ◀── mirror ◀── inbox's timer ◀──messages──┘

Only inbox, arrival, mirror, submission and pictures know bpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def results_folder(context: Any, job: Any) -> Path:
    """Where a job's results lie: where they were sent to, or for a new `job.name` a folder beside its capture."""
    from ..folders import safe_name, work_folder

    if getattr(job, "results", ""):
        return Path(job.results)
    from .submission import avatar_name

    return work_folder(context) / safe_name(avatar_name(context)) / "doubles" / safe_name(job.name)
