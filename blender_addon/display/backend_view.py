# SPDX-License-Identifier: GPL-3.0-or-later
"""The active camera through the backend's own rasterizer: a process that is looked at now and then, no thread."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._interchange import cameras, errors, splats
from ..jobs.backend_command import BackendCommand
from ..jobs.local_backend import find_installation
from ..preferences import preferences
from .edits import posed_cloud

IMAGE = "Digidouble Backend View"
_NAME = "view"


class BackendView:
    """A Machine: writes the double as it is posed and the camera, has the backend render, ends with a PNG.

    Raises InputError when it is made: without a camera, or without a backend on this computer.
    """

    def __init__(self, item: Any, context: Any, *, waits: bool) -> None:
        chosen = preferences(context)
        installation = find_installation(bpy.path.abspath(chosen.backend_home) if chosen is not None else "")
        camera = camera_of(context.scene)
        self._started = time.monotonic()
        self._command: BackendCommand | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="digidouble-view-"))
        try:
            splats.write_splats(self._folder / "splats.ply", posed_cloud(item, context))
            (self._folder / "transforms.json").write_text(json.dumps(_transforms(camera)), encoding="utf-8")
            arguments = ["render", str(self._folder / "splats.ply")]
            arguments += ["--cameras", str(self._folder), "--out", str(self._folder / "out")]
            self._command = BackendCommand(installation, arguments, self._folder, waits=waits)
        except BaseException:
            self.close()
            raise
        self.picture: Path | None = None

    @property
    def fraction(self) -> float:
        """Half-way until it is there: one picture has no fractions."""
        return 1.0 if self.picture else 0.5

    @property
    def message(self) -> str:
        """Seconds so far."""
        return f"rendering, {time.monotonic() - self._started:.0f} s"

    def step(self) -> bool:
        """Look whether it is finished. Raises InputError with the backend's sentence if it failed."""
        assert self._command is not None
        code = self._command.step()
        if code is None:
            return True
        if code:
            said = self._command.said("errors")
            raise errors.InputError(f"The backend could not render: {said[-1] if said else f'exit code {code}'}")
        self.picture = self._folder / "out" / f"{_NAME}.png"
        return False

    def load(self) -> Any:
        """The picture as Blender's image, packed into the file; the one of the last time is replaced."""
        assert self.picture is not None
        image = bpy.data.images.load(str(self.picture))
        image.pack()
        image.filepath = ""
        old = bpy.data.images.get(IMAGE)
        if old is not None:
            old.user_remap(image)
            bpy.data.images.remove(old)
        image.name = IMAGE
        self.tidy()
        return image

    def close(self) -> None:
        """End the process if it still runs. The picture stays until `load`."""
        if self._command is not None:
            self._command.close()
        if getattr(self, "picture", None) is None:
            self.tidy()

    def tidy(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def camera_of(scene: Any) -> cameras.Camera:
    """The scene's camera at the render's resolution, in the splat frame.

    Raises InputError if there is none or it is not a perspective one.
    """
    item = scene.camera
    if item is None or item.type != "CAMERA":
        raise errors.InputError("The scene has no camera.", "Add one: Add > Camera, then View > Cameras > Set Active.")
    data, render = item.data, scene.render
    if data.type != "PERSP":
        raise errors.InputError(f"The camera {item.name!r} is no perspective camera.", "Set its type to Perspective.")
    width = max(1, int(render.resolution_x * render.resolution_percentage / 100))
    height = max(1, int(render.resolution_y * render.resolution_percentage / 100))
    K = cameras.intrinsics_from_blender(
        data.lens, data.sensor_width, data.sensor_height, data.sensor_fit, data.shift_x, data.shift_y, width, height
    )
    return cameras.Camera(K, cameras.world_to_camera_from_blender(np.array(item.matrix_world)), width, height)


def _transforms(camera: cameras.Camera) -> dict[str, Any]:
    frame = {
        "file_path": f"{_NAME}.png", "w": camera.width, "h": camera.height, "fl_x": camera.K[0, 0],
        "fl_y": camera.K[1, 1], "cx": camera.K[0, 2], "cy": camera.K[1, 2],
        "transform_matrix": camera.opengl_camera_to_world().tolist(),
    }  # fmt: skip
    return {"camera_model": "PINHOLE", "frames": [frame]}
