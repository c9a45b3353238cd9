# SPDX-License-Identifier: GPL-3.0-or-later
"""A source folder made with the add-on's operators in Blender is what the backend reads."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import blender_process
from backend.faceswap.source import load_source
from interchange.errors import InputError

SCRIPT = """
import json, sys
from pathlib import Path
import bpy, numpy
import blender_addon
from blender_addon import performer
from blender_addon.performer.photo_image import PhotoImage, pixels_of

folder = Path(sys.argv[1])
blender_addon.register()
try:
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "film.blend"))
    ops = bpy.ops.digidouble
    ops.performer_add(name="Jane")
    ops.performer_add_photos(directory=str(folder), files=[{"name": "front.jpg"}, {"name": "left.png"}])
    for name in ("front.jpg", "left.png"):
        ops.performer_landmarks_load(photo=name, filepath=str(folder / "list.json"))
    ops.performer_landmark_set(photo="front.jpg", index=30, x=MARK_X, y=MARK_Y)
    form = bpy.context.scene.digidouble.performers[0].consent
    form.subject = form.granted_by = "J. Doe"
    form.use, form.expires, form.confirmed = "a short film", "2027-12-31", True
    ops.performer_consent_write()
    shown = PhotoImage(folder / "front.jpg")
    numpy.save(folder / "shown.npy", pixels_of(shown.image))
    shown.close()
    (folder / "where.json").write_text(json.dumps(str(performer.active_source_folder(bpy.context))))
finally:
    blender_addon.unregister()
"""
MARK = (151, 90)  # of the upright photo: x, y of a white block's middle


def blender_python() -> Path | None:
    try:
        return blender_process.blender_python()
    except InputError:
        return None


@pytest.mark.skipif(blender_python() is None, reason="Blender's environment is not installed")
def test_the_backend_reads_what_the_add_on_wrote(tmp_path: Path) -> None:
    upright = np.full((220, 240, 3), (60, 90, 120), np.uint8)
    upright[80:100, 141:161] = 255
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "front.jpg", exif=exif, quality=97)
    Image.fromarray(upright[::-1]).save(tmp_path / "left.png")
    points = face()
    (tmp_path / "list.json").write_text(json.dumps([[x - 0.5, y - 0.5] for x, y in points]))
    script = SCRIPT.replace("MARK_X", str(MARK[0])).replace("MARK_Y", str(MARK[1]))
    done = subprocess.run(
        [str(blender_python()), "-c", script, str(tmp_path)], cwd=blender_process.ROOT, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    folder = Path(json.loads((tmp_path / "where.json").read_text()))
    source = load_source(folder, today=date(2026, 1, 1))
    assert [photo.path.name for photo in source.photos] == ["front.jpg", "left.png"]
    assert source.consent.subject == "J. Doe" and source.consent.expires == date(2027, 12, 31)
    front = source.photos[0]
    assert front.image.shape == (220, 240, 3)
    x, y = front.landmarks[30]
    assert (x, y) == MARK
    # where the artist sees the white block is where the backend finds it under the landmark
    shown = np.load(tmp_path / "shown.npy")
    for image in (front.image, shown):
        assert image[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8, :3].min() > 0.9
        assert image[int(y) - 14, int(x), 0] < 0.3 and image[int(y), int(x) + 14, 0] < 0.3
    np.testing.assert_allclose([source.photos[1].landmarks[i] for i in range(68)], points, atol=1e-3)


def face() -> list[tuple[float, float]]:
    """68 points in the middle of such a photo."""
    from interchange.mean_face import MEAN_FACE

    flat = (MEAN_FACE[:, :2] - MEAN_FACE[:, :2].mean(axis=0)) * 80 + [120, 110]
    return [(float(x), float(y)) for x, y in flat]
