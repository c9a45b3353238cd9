# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer: photos, landmarks, consent record, kept in a source folder. The folder holds the truth; what is here is
where it lies, and the consent form until it is written down.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, PointerProperty, StringProperty

from .. import compat

KINDS = (
    ("employment", "Employment", "Given in a contract of employment, say for a role"),
    ("independent", "Independent", "Given by the person for this use alone"),
    ("licensed", "Licensed", "Bought or granted with a licence of the likeness"),
    ("public-domain", "Public Domain", "The picture and the likeness are free for all"),
    ("synthetic", "Nobody Depicted", "The picture was made by a computer and shows no real person"),
)
AUTHORITIES = (
    ("self", "The Person", "The person depicted gave it"),
    ("guardian", "Guardian", "A parent or guardian gave it"),
    ("estate", "Estate", "The heirs of the person gave it"),
    ("rights-holder", "Rights Holder", "Whoever holds the rights of the likeness gave it"),
    ("synthetic", "Nobody Depicted", "No real person is shown, so nobody had to give it"),
)

OPERATIONS = (
    ("swap", "Face Swap", "The face may be put on an avatar; this is what a double needs"),
    ("train", "Training", "Networks may be trained on the photos; nothing here does so yet"),
    ("voice", "Voice", "The voice may be used; nothing here does so yet"),
)


def _changed(form: Any, _: Any) -> None:
    """Another wording is another promise: the tick has to be set again."""
    if form.confirmed:
        form.confirmed = False


def _kind_changed(form: Any, context: Any) -> None:
    if (form.kind == "synthetic") != (form.authority == "synthetic"):
        form.authority = "synthetic" if form.kind == "synthetic" else "self"
    _changed(form, context)


class DigidoubleConsentForm(bpy.types.PropertyGroup):
    """What a consent record says, before it is written."""

    kind: EnumProperty(  # type: ignore[valid-type]
        name="Kind", description="What sort of permission it is", items=KINDS, update=_kind_changed
    )
    subject: StringProperty(  # type: ignore[valid-type]
        name="Depicted", description="Name or pseudonym of the person in the photos", update=_changed
    )
    granted_by: StringProperty(  # type: ignore[valid-type]
        name="Given By", description="Who gave the permission", update=_changed
    )
    authority: EnumProperty(  # type: ignore[valid-type]
        name="As", description="In what role they gave it", items=AUTHORITIES, update=_changed
    )
    use: StringProperty(  # type: ignore[valid-type]
        name="For", description="What it was given for: the production, the role, the shots", update=_changed
    )
    operations: EnumProperty(  # type: ignore[valid-type]
        name="Allows",
        description="What may be done with the likeness",
        items=OPERATIONS,
        options={"ENUM_FLAG"},
        default={"swap"},
        update=_changed,
    )
    never_expires: BoolProperty(  # type: ignore[valid-type]
        name="Never Expires", description="The permission has no last day", default=False, update=_changed
    )
    expires: StringProperty(  # type: ignore[valid-type]
        name="Until", description="The last day on which it holds: year-month-day, such as 2027-12-31", update=_changed
    )
    confirmed: BoolProperty(  # type: ignore[valid-type]
        name="I confirm that this permission was given",
        description="Set it yourself, when you know that it is true; any change of the lines above takes it back",
        default=False,
        options={"SKIP_SAVE"},
    )


class DigidoublePerformer(bpy.types.PropertyGroup):
    """A performer: photos, landmarks, consent record, kept in a source folder."""

    name: StringProperty(name="Name", description="What this performer is called here")  # type: ignore[valid-type]
    folder: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Where the photos, landmarks and the consent record of this performer lie",
        subtype="DIR_PATH",
        options=compat.beside_the_file(),
    )
    consent: PointerProperty(type=DigidoubleConsentForm)  # type: ignore[valid-type]


GROUPS = (DigidoubleConsentForm, DigidoublePerformer)
