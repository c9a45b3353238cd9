# SPDX-License-Identifier: GPL-3.0-or-later
"""Which views of a capture folder are finished, by fingerprint, so that a second call renders only what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._interchange import capture, errors
from .digest import Fingerprint

RESUME = "resume.json"
_FORMAT, _VERSION = "digidouble-resume", 1


class Finished:
    """The finished views of a manifest: their files are there, readable and of the same making."""

    def __init__(self, manifest: capture.Capture, fingerprints: dict[str, Fingerprint]) -> None:
        self._manifest = manifest
        self._expected = {v.name: fingerprints[v.pose].copy_with(v.camera) for v in manifest.views}
        noted = _noted(manifest.folder)
        self._older = [*noted.get("views", {}), *noted.get("meshes", []), *noted.get("older", [])]
        self._done = {
            view.name: self._expected[view.name]
            for view in manifest.views
            if noted.get("views", {}).get(view.name) == self._expected[view.name] and self._is_whole(view)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._done

    def __len__(self) -> int:
        return len(self._done)

    def add(self, view: capture.View) -> None:
        """Note a view as finished. Raises OSError if the note cannot be written."""
        self._done[view.name] = self._expected[view.name]
        self._save()

    def sweep(self) -> None:
        """Delete views and meshes that an earlier capture has left in the folder, as its note says."""
        manifest = self._manifest
        ours = {path for view in manifest.views for path in (view.exr, view.preview)} | {p.mesh for p in manifest.poses}
        for name in self._older:
            if not isinstance(name, str) or Path(name).name != name:
                continue
            for path in (f"views/{name}.exr", f"previews/{name}.png", f"meshes/{name}"):
                if path not in ours and (manifest.folder / path).is_file():
                    (manifest.folder / path).unlink()
        self._older = []
        self._save()

    def _save(self) -> None:
        meshes = [Path(pose.mesh).name for pose in self._manifest.poses]
        note = {"format": _FORMAT, "version": _VERSION, "views": self._done, "meshes": meshes, "older": self._older}
        capture.write_json(self._manifest.folder / RESUME, note)

    def _is_whole(self, view: capture.View) -> bool:
        folder = self._manifest.folder
        if not (folder / view.preview).is_file():
            return False
        try:
            capture.read_view(folder / view.exr, ())
        except errors.InputError:
            return False
        return True


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted = capture.read_json(folder / RESUME, _FORMAT, _VERSION)
    except errors.InputError:
        return {}
    lists = (noted.get("meshes", []), noted.get("older", []))
    good = isinstance(noted.get("views"), dict) and all(isinstance(names, list) for names in lists)
    return noted if good else {}
