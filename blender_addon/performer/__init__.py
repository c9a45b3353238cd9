# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the double shall look like: a source folder (docs/formats/source.md) and what the artist does to it.

For the rest of the add-on: `active_source_folder` and `why_incomplete`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from .._interchange import errors
from .folder import FolderState, look


def active_performer(context: Any) -> Any | None:
    """The performer that is chosen in the list; None if there is none."""
    scene = context.scene.digidouble
    chosen = scene.active_performer
    return scene.performers[chosen] if 0 <= chosen < len(scene.performers) else None


def folder_of(performer: Any) -> Path:
    """The source folder of a performer; it need not exist yet."""
    from .. import folders

    return folders.from_property(performer.folder, Path(performer.folder))


def state_of(performer: Any) -> FolderState:
    """What lies in a performer's folder now."""
    return look(folder_of(performer), date.today())


def why_incomplete(performer: Any) -> str | None:
    """The first thing that keeps a performer from being sent, in a sentence; None if all is there.

    For panels and grey buttons: at most half a second old, and photos are read only when they have changed.
    """
    from .gallery import GALLERY

    return GALLERY.state(folder_of(performer)).problem


def active_source_folder(context: Any, *, anew: bool = True) -> Path:
    """The folder of the chosen performer, complete. anew: it is read now, photos too, as whoever sends it must; else
    `why_incomplete` tells, as panels may ask at each redraw. InputError says what is missing.
    """
    performer = active_performer(context)
    if performer is None:
        raise errors.InputError("There is no performer yet.", "Add one in the panel Performer, or take an avatar.")
    problem = state_of(performer).problem if anew else why_incomplete(performer)
    if problem:
        raise errors.InputError(f"The performer {performer.name} is not ready: {problem}", "See the panel Performer.")
    return folder_of(performer)


def need_performer(context: Any) -> Any:
    """The chosen performer; InputError if there is none."""
    performer = active_performer(context)
    if performer is None:
        raise errors.InputError("There is no performer yet.", "Add one in the panel Performer.")
    return performer
