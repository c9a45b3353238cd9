# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operators share: a reason why a button is grey, errors in words, long work in the window or without one."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..jobs.machine import Machine
from ..jobs.machine import run as run_machine
from ..reporting import guarded

TICK_S = 0.1


class Operator:
    """Mix in before bpy.types.Operator. Subclasses write `run(context)`, which may raise InputError, and if need be
    `why_not(context)`.
    """

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """The sentence that a grey button shows, or None if the operator can run."""
        return None

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Called by Blender."""
        reason = cls.why_not(context)
        if reason is None:
            return True
        cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return False

    def run(self, context: Any) -> set[str] | None:
        """Do it. None means finished."""
        raise NotImplementedError

    def execute(self, context: Any) -> set[str]:
        """Called by Blender."""
        context.window_manager.digidouble.problem = ""
        return guarded(self, context, self.run)


class MachineOperator(Operator):
    """An operator whose work is a Machine. From a button it runs beside the artist's work and ESC stops it; from a
    script, or without a window, it returns when all is done. Subclasses write `start` and `finish`.
    """

    stage = "work"
    tick_s = TICK_S
    _machine: Machine | None = None
    _timer: Any = None

    def start(self, context: Any, *, waits: bool) -> Machine:
        """Make the machine. waits: its steps may take as long as they like (no window to keep alive)."""
        raise NotImplementedError

    def finish(self, context: Any, machine: Machine) -> None:
        """After the last step; the machine is closed."""

    def run(self, context: Any) -> set[str] | None:
        """The whole work at once."""
        machine = self.start(context, waits=True)
        run_machine(machine, self.stage)
        self.finish(context, machine)
        return {"FINISHED"}

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button."""
        if bpy.app.background:
            return self.execute(context)
        context.window_manager.digidouble.problem = ""
        return guarded(self, context, self._begin)

    def modal(self, context: Any, event: Any) -> set[str]:
        """Called by Blender for each event while the work goes on."""
        activity = context.window_manager.digidouble.activity
        if event.type == "ESC" and event.value == "PRESS":
            activity.stop_asked = True
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        result = guarded(self, context, self._tick)
        if result == {"RUNNING_MODAL"}:
            return {"PASS_THROUGH"}
        guarded(self, context, lambda c: self._end(c))
        return result

    def cancel(self, context: Any) -> None:
        """Called by Blender when it closes its window under us."""
        self._end(context)

    def _begin(self, context: Any) -> set[str]:
        activity = context.window_manager.digidouble.activity
        if activity.running:
            raise errors.InputError(f"{activity.title} is still at work.", "Wait for it, or stop it with ESC.")
        self._machine = self.start(context, waits=False)
        activity.begin(self.bl_label)  # type: ignore[attr-defined]
        self._timer = context.window_manager.event_timer_add(self.tick_s, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _tick(self, context: Any) -> set[str]:
        activity = context.window_manager.digidouble.activity
        assert self._machine is not None
        if activity.stop_asked:
            raise errors.Cancelled
        more = self._machine.step()
        activity.show(self._machine.fraction, self._machine.message)
        if more:
            return {"RUNNING_MODAL"}
        machine = self._machine
        self._end(context)
        self.finish(context, machine)
        return {"FINISHED"}

    def _end(self, context: Any) -> None:
        machine, self._machine = self._machine, None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        context.window_manager.digidouble.activity.end()
        if machine is not None:
            machine.close()
