# SPDX-License-Identifier: Apache-2.0
"""What a long job has done so far, in one JSON file of its folder: steps, their seconds, the settings they ran with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interchange.capture import write_json
from interchange.errors import InputError


class Ledger:
    """Survives kill -9: written (beside, then renamed) whenever a step ends, also when it ends badly."""

    def __init__(self, path: Path, settings: dict[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        """Open or start the ledger. Raises InputError if the folder holds parts of a job with other settings."""
        self.path, self.clock = path, clock
        self.data: dict[str, Any] = {"settings": settings, "steps": {}, "notes": {}}
        if path.exists():
            self.data = self._read()
            changed = differences({k: self.data["settings"].get(k) for k in settings}, settings)
            if not any(entry["done"] for entry in self.data["steps"].values()):
                self.data["settings"] = settings  # nothing was made with the old ones, which may have been a slip
            elif changed:
                raise InputError(
                    f"{path.parent} holds a job with other settings ({'; '.join(changed)}).",
                    "Choose another --out, or delete that folder.",
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.data)

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            steps = {
                str(name): {"done": bool(entry["done"]), "seconds": float(entry["seconds"])}
                for name, entry in dict(data["steps"]).items()
            }
            return {"settings": dict(data["settings"]), "steps": steps, "notes": dict(data["notes"])}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{self.path} is damaged ({error}).", "Delete it; finished parts are found again."
            ) from error

    def is_done(self, step: str) -> bool:
        """True if this step ended well, in this run or an earlier one."""
        return bool(self.data["steps"].get(step, {}).get("done"))

    def seconds(self, *steps: str) -> float:
        """Wall seconds of these steps (of all by default), summed over interrupted attempts."""
        chosen = steps or tuple(self.data["steps"])
        return round(sum(self.data["steps"].get(s, {}).get("seconds", 0.0) for s in chosen), 2)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and mark it done if it ends without an exception."""
        start = self.clock()
        entry = self.data["steps"].setdefault(name, {"done": False, "seconds": 0.0})
        try:
            yield
            entry["done"] = True
        finally:
            entry["seconds"] = round(entry["seconds"] + self.clock() - start, 3)
            write_json(self.path, self.data)

    def forget(self, *steps: str) -> None:
        """These steps are to be done again, because what they worked on has changed."""
        for name in steps:
            if name in self.data["steps"]:
                self.data["steps"][name]["done"] = False
        write_json(self.path, self.data)

    def note(self, key: str, value: Any) -> None:
        """Remember a fact, such as the job's id."""
        self.data["notes"][key] = value
        write_json(self.path, self.data)

    def noted(self, key: str) -> Any:
        """What was noted, or None."""
        return self.data["notes"].get(key)


def differences(was: dict[str, Any], now: dict[str, Any], within: str = "") -> list[str]:
    """What differs between two nested tables of settings, in words: "fit.splats was 4000, now 5000"."""
    found: list[str] = []
    for key in dict.fromkeys((*was, *now)):
        old, new, name = was.get(key), now.get(key), f"{within}.{key}".lstrip(".")
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, name)
        elif old != new:
            found.append(f"{name} was {old}, now {new}")
    return found
