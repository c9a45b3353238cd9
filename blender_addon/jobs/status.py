# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend's account of itself as lines for the panel. No bpy."""

from __future__ import annotations

from typing import Any


def describe(stats: Any) -> tuple[str, ...]:
    """Lines out of `interchange.messages.Stats`; what an older backend does not tell is left out."""
    lines = [f"Version {stats.version}"] if getattr(stats, "version", None) else []
    lines += _machine(getattr(stats, "machine", None))
    engine, reason = getattr(stats, "engine", None), getattr(stats, "engine_reason", None)
    if engine:
        lines.append(f"Engine {engine}: {reason}" if reason else f"Engine {engine}")
    lines.append(_queue(stats))
    free = getattr(stats, "free_disk", None)
    if free is not None:
        lines.append(f"{free / 1e9:.0f} GB free" if free >= 10e9 else f"Only {free / 1e9:.1f} GB free")
    return tuple(lines)


def _machine(machine: Any) -> list[str]:
    if machine is None:
        return []
    cards = [f"{card.name}, {card.memory / 2**30:.0f} GiB" for card in getattr(machine, "gpus", [])]
    return [f"{machine.cpu}, {machine.threads} threads", *(cards or ["No GPU"])]


def _queue(stats: Any) -> str:
    running = stats.jobs.get("running", 0)
    queued = getattr(stats, "queued", None)
    queued = stats.jobs.get("queued", 0) if queued is None else queued
    slots = getattr(stats, "slots", None)
    at_work = f"{running} of {slots} slots at work" if slots else f"{running} at work"
    return f"{at_work}, {queued} waiting" if running or queued else "No jobs"
