# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings kept beside the settings, so that drawing the panel costs nothing."""

from __future__ import annotations

from typing import Any

from . import findings


def check(avatar: Any, context: Any) -> list[findings.Finding]:
    """Run all checks on a DigidoubleAvatar and keep what they find."""
    found = findings.examine(avatar, context)
    avatar.findings.clear()
    for finding in found:
        entry = avatar.findings.add()
        entry.severity, entry.sentence, entry.item = finding.severity, finding.sentence, finding.item
        entry.fixes, entry.detail = " ".join(finding.fixes), finding.detail
    avatar.checked = findings.signature(avatar, context.view_layer)
    return found


def is_stale(avatar: Any, context: Any) -> bool:
    """True if the avatar has changed since it was checked."""
    return bool(avatar.checked != findings.signature(avatar, context.view_layer))


def refresh(avatar: Any, context: Any) -> None:
    """Check again if it has been checked before; for operators whose work the checks look at."""
    if avatar.checked:
        check(avatar, context)
