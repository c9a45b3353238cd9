# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend's account of itself as lines for the panel. No bpy."""

from __future__ import annotations

from typing import Any


def describe(stats: Any) -> tuple[str, ...]:
    """Lines out of `interchange.messages.Stats`; what an older backend does not tell (yet) is left out."""
    engine, reason = getattr(stats, "engine", None), getattr(stats, "engine_reason", None)
    lines = [
        _machine(getattr(stats, "machine", None)),
        (f"Engine {engine}: {reason}" if reason else f"Engine {engine}") if engine else "",
        _queue(stats),
        ", ".join(_version(getattr(stats, "version", None)) + _room(getattr(stats, "free_disk", None))),
    ]
    return tuple(line for line in lines if line)


def _version(version: str | None) -> list[str]:
    return [f"Version {version}"] if version else []


def _room(free: int | None) -> list[str]:
    if free is None:
        return []
    return [f"{free / 1e9:.0f} GB free"] if free >= 10e9 else [f"only {free / 1e9:.1f} GB free"]


def _machine(machine: Any) -> str:
    if machine is None:
        return ""
    cards = [f"{card.name} ({card.memory / 2**30:.0f} GiB)" for card in getattr(machine, "gpus", [])]
    return ", ".join([f"{machine.cpu}, {machine.threads} threads", *(cards or ["no GPU"])])


def _queue(stats: Any) -> str:
    running = stats.jobs.get("running", 0)
    queued = getattr(stats, "queued", None)
    queued = stats.jobs.get("queued", 0) if queued is None else queued
    slots = getattr(stats, "slots", None)
    at_work = f"{running} of {slots} slots at work" if slots else f"{running} at work"
    return f"{at_work}, {queued} waiting" if running or queued else "No jobs"
