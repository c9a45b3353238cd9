# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of poses: frames of the timeline, actions, random expressions; and which views show which. No bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .._interchange import errors
from .rigs import check_seed
from .settings import MOST_POSES, PoseSettings

_LONGEST_NAME = 60


def frame_poses(start: int, end: int, step: int) -> list[PoseSettings]:
    """One pose a frame. Raises InputError for an empty range."""
    if step < 1 or end < start:
        raise errors.InputError(f"The frames {start} to {end} by {step} are none.", "Set the end after the start.")
    _check_count((end - start) // step + 1)
    return [PoseSettings(frame=frame, name=f"frame_{frame:04d}") for frame in range(start, end + 1, step)]


def action_poses(ranges: Mapping[str, tuple[float, float]], count: int) -> list[PoseSettings]:
    """`count` poses of each action, at even steps from its first to its last frame.

    ranges: first and last frame by the action's name. Raises InputError if no action is chosen.
    """
    if not ranges:
        raise errors.InputError("No action is chosen.", "Add one or more actions to the list.")
    _check_count(len(ranges) * count)
    poses: list[PoseSettings] = []
    for action, (first, last) in ranges.items():
        frames = sorted({round(float(f)) for f in np.linspace(first, last, count)}) if count > 1 else [round(first)]
        poses += [PoseSettings(frame=f, action=action, name=f"{file_part(action)}_{f:04d}") for f in frames]
    return _distinct(poses)


def random_expressions(
    sliders: Mapping[str, tuple[float, float]], count: int, seed: int, keys: int = 3, strength: float = 0.8
) -> list[PoseSettings]:
    """`count` poses, each with up to `keys` shape keys at random values, all others at zero; the first is neutral.

    sliders: lowest and highest value by the key's name. strength: 0..1, how far towards the end of the slider at most.
    The same seed gives the same poses. Raises InputError if there are no shape keys.
    """
    if not sliders:
        raise errors.InputError("The avatar has no shape keys.", "Choose frames or actions instead.")
    _check_count(count)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    names = sorted(sliders)
    poses = []
    for number in range(count):
        expression = {name: float(np.clip(0.0, *sliders[name])) for name in names}
        if number:
            chosen = rng.choice(len(names), min(int(rng.integers(1, keys + 1)), len(names)), replace=False)
            for index in sorted(chosen.tolist()):
                low, high = sliders[names[index]]
                value = float(rng.uniform(0.2, 1.0)) * strength * (high if high > 0 else low)
                expression[names[index]] = round(value, 3)
        poses.append(PoseSettings(expression, name=f"expression_{number:03d}"))
    return poses


def shares(poses: int, cameras: Sequence[str], spread: bool) -> list[tuple[int, int]]:
    """(pose, camera) of each view. cameras: their splits (train, held_out), in order.

    spread: camera k of its split sees pose k modulo the number of poses, so that each pose gets its share of the
    training and of the held-out cameras. Raises InputError if a pose would get no training camera.
    """
    if not spread:
        return [(pose, camera) for pose in range(poses) for camera in range(len(cameras))]
    counters: dict[str, int] = {}
    pairs = []
    for camera, split in enumerate(cameras):
        pairs.append((counters.get(split, 0) % poses, camera))
        counters[split] = counters.get(split, 0) + 1
    if counters.get("train", 0) < poses:
        raise errors.InputError(
            f"{counters.get('train', 0)} training cameras cannot be spread over {poses} poses.",
            "Use more cameras or fewer poses, or let every camera see each pose.",
        )
    return sorted(pairs)


def file_part(name: str) -> str:
    """A name of a data-block as a part of a file name: letters and digits of any script, the rest underscores."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name).strip("_")
    while len(plain.encode()) > _LONGEST_NAME:
        plain = plain[:-1]
    return plain or "unnamed"


def _distinct(poses: list[PoseSettings]) -> list[PoseSettings]:
    """Number those whose names have become the same."""
    seen: dict[str, int] = {}
    result = []
    for pose in poses:
        key = pose.name.casefold()  # some disks do not tell A from a
        seen[key] = seen.get(key, 0) + 1
        same = seen[key] > 1
        result.append(_renamed(pose, f"{pose.name}_{seen[key]}") if same else pose)
    return result


def _renamed(pose: PoseSettings, name: str) -> PoseSettings:
    return PoseSettings(pose.expression, pose.bones, pose.frame, name, pose.action)


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_POSES:
        raise errors.InputError(f"{count} poses are not possible.", f"Ask for 1 to {MOST_POSES}.")
