# SPDX-License-Identifier: GPL-3.0-or-later
"""The views of a capture as a state machine: one view a step without a window; in one, a look whether it is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

from .._interchange import capture, errors, mesh
from .digest import Fingerprint
from .finishing import finish_view
from .rendering import Renderer
from .restore import Gone, Restore, close_later
from .resume import Finished
from .scene import CameraMan, set_up_render
from .settings import LAYERS, RenderSettings
from .stage import Stage


def _nothing(*_: Any) -> None:
    pass


@attrs.frozen(eq=False)
class Shot:
    """What a render job needs beyond the stage.

    manifest: of the folder to be, its meshes are written already. fingerprints: by pose. layers: what beside RGBA and
    masks goes into the EXR files. hold: takes a pose by name before its views are rendered; check: raises InputError if
    the avatar has been changed since.
    """

    manifest: capture.Capture
    fingerprints: dict[str, Fingerprint]
    layers: tuple[str, ...] = LAYERS
    hold: Callable[[str], None] = _nothing
    check: Callable[[], None] = _nothing


class RenderJob:
    """Renders the views of a manifest into its folder; finished views of the same fingerprint are kept.

    In a window the view before is finished and written while the next one is rendered, a piece a step. Not in a thread:
    with a Python thread beside Cycles' render, one test run of three crashed on 4.5, and none of eight without it (the
    cause is not proven; Blender advises against such threads). `restore` holds the changes made to the file
    so far; the job adds its own and takes all back in `close()`, which the one who steps must call whatever happens
    (`run` does).
    """

    def __init__(
        self, stage: Stage, render: RenderSettings, shot: Shot, restore: Restore, *, waits: bool = True
    ) -> None:
        self._stage, self._render, self._shot, self._restore, self._waits = stage, render, shot, restore, waits
        self._finished = Finished(shot.manifest, shot.fingerprints)
        self._todo = [v for v in shot.manifest.views if v.name not in self._finished]
        self._times: list[float] = []
        self._renderer: Renderer | None = None
        self._mesh: tuple[str, mesh.Mesh] | None = None
        self._pending: tuple[capture.View, Iterator[None]] | None = None
        self._work = self._views()
        self._stopped = False
        self.rendered: list[str] = []

    @property
    def fraction(self) -> float:
        """0..1 of the views are there."""
        total = len(self._shot.manifest.views)
        return len(self._finished) / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the views rendered so far (the median, as the first one also builds the scene)."""
        return float(np.median(self._times)) * len(self._todo) if self._times else None

    @property
    def message(self) -> str:
        """For the progress line."""
        text = f"view {len(self._finished)} of {len(self._shot.manifest.views)}"
        left = self.seconds_left
        return text if left is None else f"{text}, {int(left) // 60}:{int(left) % 60:02d} left"

    @property
    def busy(self) -> bool:
        """A render of ours goes on beside the window; ESC ends it, `close` would wait for its end."""
        return self._renderer is not None and self._renderer.running

    @property
    def seconds_a_view(self) -> float | None:
        """The median, None if none was rendered."""
        return float(np.median(self._times)) if self._times else None

    def stop(self) -> None:
        """Have `step` raise Cancelled when the render in progress is over; its view is kept."""
        self._stopped = True

    def step(self) -> bool:
        """Go on: True as long as there is more to do.

        Raises InputError when a view cannot be rendered or written (a full disk), or somebody has changed what is
        captured; Cancelled when ESC has ended a render. What is finished stays.
        """
        try:
            return next(self._work, False)
        except (ReferenceError, Gone) as error:
            raise errors.InputError(
                "Something that the capture needs was deleted or undone.",
                "Start the capture again: the finished views are kept.",
            ) from error

    def close(self) -> None:
        """Give the file back as it was; if a render of ours still goes on, when that is over."""
        if self.busy:
            close_later(lambda: self.busy, self.close)
            return
        with contextlib.suppress(errors.InputError, OSError):  # whoever closes has another reason to tell
            self._collect()
        if self._renderer is not None:
            self._renderer.close()
        self._restore.close()

    def _views(self) -> Iterator[bool]:
        pose = ""
        while self._todo:
            if self._stopped:
                raise errors.Cancelled
            view, begin = self._todo[0], time.perf_counter()
            renderer, camera_man = self._prepared()
            if view.pose != pose:
                self._shot.hold(view.pose)
                pose = view.pose
            while renderer.running:  # the artist renders something
                yield True
            self._shot.check()
            camera_man.place(view.camera)
            renderer.start()
            while renderer.running:
                self._finish_a_piece()
                yield True
            grabbed = renderer.passes()
            while self._finish_a_piece():
                yield True
            self._todo.pop(0)
            self._pending = view, self._finishing(view, grabbed)
            if self._waits:
                self._collect()
            self._times.append(time.perf_counter() - begin)
            yield True
        while self._finish_a_piece():
            yield True
        yield True  # so that whoever watches sees the last view done
        self._finish()

    def _prepared(self) -> tuple[Renderer, CameraMan]:
        """Set everything up before the first render; a capture that has all its views needs none of it."""
        if self._renderer is None:
            folder = self._shot.manifest.folder
            with _in_words("The capture"):
                if not self._finished:
                    (folder / capture.MANIFEST).unlink(missing_ok=True)  # it would describe other pictures
                for name in ("views", "previews"):
                    (folder / name).mkdir(parents=True, exist_ok=True)
            set_up_render(self._stage, self._render, waits=self._waits)
            self._camera_man = CameraMan(self._restore, self._stage)
            self._renderer = Renderer(self._stage, self._restore, self._render.engine, waits=self._waits)
        return self._renderer, self._camera_man

    def _finishing(self, view: capture.View, grabbed: dict[str, Any]) -> Iterator[None]:
        """The pieces of finishing and writing a view."""
        manifest = self._shot.manifest
        if self._mesh is None or self._mesh[0] != view.pose:
            self._mesh = (view.pose, manifest.load_mesh(manifest.pose_of(view)))
        return finish_view(manifest, view, self._mesh[1], grabbed, self._render.denoise, self._shot.layers)

    def _finish_a_piece(self) -> bool:
        """Go on with the view that is being finished. False if there is none, or it has just been written."""
        if self._pending is None:
            return False
        view, pieces = self._pending
        try:
            with _in_words(f"The view {view.name}"):
                for _ in pieces:
                    return True
                self._finished.add(view)
        except BaseException:
            self._pending = None  # it is not tried again
            raise
        self._pending = None
        self.rendered.append(view.name)
        return False

    def _collect(self) -> None:
        """Finish and write the pending view at once."""
        while self._finish_a_piece():
            pass

    def _finish(self) -> None:
        with _in_words(f"The manifest of {self._shot.manifest.folder}"):
            self._finished.sweep()
            self._shot.manifest.save_manifest()


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """An OSError as the sentence that `what` cannot be written."""
    try:
        yield
    except OSError as error:
        raise errors.InputError(
            f"{what} cannot be written ({error.strerror or error}).",
            "Free some disk space or choose another folder; the finished views are kept.",
        ) from error
