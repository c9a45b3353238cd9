# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that render share: a render in progress is ended properly before the scene comes back."""

from __future__ import annotations

from typing import Any

from ._base import MachineOperator

STOPPING = "stopping after this view; ESC stops at once"


class RenderOperator(MachineOperator):
    """A MachineOperator whose machine renders: it has `busy`, `stop()` and `remarks` beside what a Machine has."""

    stage = "capture"
    tick_s = 0.04  # between two views a tick is lost, half of one on average

    def _tick(self, context: Any) -> set[str]:
        """As MachineOperator's, but Stop waits for the render in progress, and no time is lost between two views."""
        activity, machine = context.window_manager.digidouble.activity, self._machine
        assert machine is not None
        if activity.stop_asked:
            machine.stop()  # type: ignore[attr-defined]
        more = machine.step()
        if more and not machine.busy:  # type: ignore[attr-defined]
            more = machine.step()
        activity.show(machine.fraction, STOPPING if activity.stop_asked else machine.message)
        if more:
            return {"RUNNING_MODAL"}
        self._end(context)
        self.finish(context, machine)
        return {"FINISHED"}

    def finish(self, context: Any, machine: Any) -> None:
        """Tell what could not be done as asked."""
        for remark in machine.remarks:
            self.report({"WARNING"}, remark)  # type: ignore[attr-defined]
