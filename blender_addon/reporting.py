# SPDX-License-Identifier: GPL-3.0-or-later
"""From an exception to what an artist reads: one sentence in the report, and for surprises a text to be copied."""

from __future__ import annotations

import platform
import traceback
from typing import Any

import bpy

from ._interchange import errors


def guarded(operator: Any, context: Any, action: Any) -> set[str]:
    """Call `action(context)` for an operator and turn what goes wrong into a report.

    InputError and OSError become their one sentence; Cancelled a remark; anything else a short sentence, with the full
    story kept for the button "Copy Error Report". Returns the operator's result.
    """
    try:
        return action(context) or {"FINISHED"}
    except errors.Cancelled:
        operator.report({"INFO"}, "Stopped.")
    except errors.InputError as error:
        tell(operator, context, str(error))
    except OSError as error:
        tell(operator, context, errors.describe_os_error(error))
    except Exception as error:  # a bug of ours: say so in words, keep the story
        surprise(operator, context, error)
    return {"CANCELLED"}


def tell(operator: Any, context: Any, sentence: str) -> None:
    """Show a sentence in the report and keep it on the panel until the next action."""
    context.window_manager.digidouble.problem = sentence
    operator.report({"ERROR"}, sentence)


def surprise(operator: Any, context: Any, error: BaseException) -> None:
    """Something that we did not foresee."""
    sentence = f"Something went wrong inside Digidouble ({type(error).__name__}). Copy the error report from the panel."
    context.window_manager.digidouble.problem = sentence
    context.window_manager.digidouble.error_report = describe(operator.bl_idname, error)
    operator.report({"ERROR"}, sentence)


def describe(where: str, error: BaseException) -> str:
    """The report of a surprise: what was done, versions, the stack. Paths of the home folder are not shortened."""
    story = "".join(traceback.format_exception(error))
    return (
        f"Digidouble error report\noperator {where}\nBlender {bpy.app.version_string} on {platform.platform()}, "
        f"Python {platform.python_version()}\n\n{story}"
    )
