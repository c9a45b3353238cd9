# SPDX-License-Identifier: Apache-2.0
"""Who there is: shape parameters, looks and hair of the procedural identities; and what the parameters do."""

from __future__ import annotations

import attrs
import numpy as np

from ..skin import Look
from .anatomy import Anatomy, eye_centres
from .expressions import blink, bump
from .graph import Float
from .sculpt import EYE_RADIUS


@attrs.frozen
class Shape:
    """Shape of a face, all 0 = the neutral head. Lengths in mm at the strongest place, the rest plain factors.

    eye_size and lid_open are fractions (0.05 = 5 % larger; lid_open > 0 opens wider), eye_tilt is in degrees.
    """

    skull_width: float = 0.0
    face_width: float = 0.0
    jaw_width: float = 0.0
    chin_length: float = 0.0
    chin_forward: float = 0.0
    chin_width: float = 0.0
    cheekbones: float = 0.0
    cheeks_full: float = 0.0
    brow_ridge: float = 0.0
    brow_height: float = 0.0
    forehead_forward: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0
    nose_bridge: float = 0.0
    nose_forward: float = 0.0
    nose_tip_up: float = 0.0
    nose_tip_round: float = 0.0
    lips_full: float = 0.0
    lips_forward: float = 0.0
    mouth_width: float = 0.0
    eye_size: float = 0.0
    eye_tilt: float = 0.0
    eyes_apart: float = 0.0
    lid_open: float = 0.0
    neck_width: float = 0.0
    ears_out: float = 0.0


@attrs.frozen
class Identity:
    """A person: shape, skin and hair style ("bob", "crop", "buzz")."""

    shape: Shape
    look: Look
    hair: str
    about: str


IDENTITIES: dict[str, Identity] = {
    "ada": Identity(
        Shape(skull_width=-1.5, face_width=-2.5, jaw_width=-4.0, chin_length=-4.0, chin_forward=-1.5, chin_width=-4.5,
              cheekbones=1.0, cheeks_full=1.8, brow_ridge=-2.4, brow_height=2.0, forehead_forward=2.0, nose_length=-3.0,
              nose_width=-2.2, nose_bridge=-1.5, nose_forward=-2.2, nose_tip_up=2.5, lips_full=1.3, lips_forward=1.0,
              mouth_width=-1.5, eye_size=0.09, eye_tilt=3.0, lid_open=0.08, neck_width=-8.0, ears_out=-1.5),
        Look(tone=(0.86, 0.69, 0.61), lips=(0.74, 0.40, 0.38), hair=(0.42, 0.22, 0.11), brows=(0.36, 0.21, 0.12),
             iris=(0.24, 0.42, 0.36), brow_thickness=0.8, brow_density=0.8, brow_arch=0.6, freckles=0.75, moles=2,
             blush=0.5, makeup=0.3, seed=11),
        "bob", "young woman, light skin, freckles, auburn bob"),
    "bruno": Identity(
        Shape(skull_width=1.0, face_width=2.5, jaw_width=6.5, chin_length=3.0, chin_forward=2.0, chin_width=5.5,
              cheekbones=0.5, cheeks_full=0.5, brow_ridge=2.2, brow_height=-1.5, forehead_forward=-1.5,
              nose_length=2.0, nose_width=1.6, nose_bridge=2.4, nose_forward=1.8, nose_tip_up=-1.0, lips_full=-0.5,
              mouth_width=1.5, eye_size=-0.02, eye_tilt=-1.0, lid_open=-0.08, neck_width=7.0, ears_out=1.0),
        Look(tone=(0.72, 0.52, 0.41), lips=(0.58, 0.34, 0.30), hair=(0.10, 0.07, 0.05), brows=(0.10, 0.07, 0.05),
             iris=(0.28, 0.17, 0.09), brow_thickness=1.35, brow_density=1.0, brow_arch=0.2, freckles=0.0, moles=3,
             stubble=0.9, blush=0.15, wrinkles=0.28, seed=23),
        "crop", "broad-jawed man, tan, stubble, dark crop"),
    "chidi": Identity(
        Shape(skull_width=0.0, face_width=1.0, jaw_width=1.5, chin_length=-1.0, chin_forward=-1.0, chin_width=1.0,
              cheekbones=2.2, cheeks_full=0.4, brow_ridge=0.4, brow_height=1.0, forehead_forward=2.0, nose_length=-1.5,
              nose_width=5.6, nose_bridge=-3.4, nose_forward=-3.2, nose_tip_up=0.8, nose_tip_round=1.5, lips_full=3.6,
              lips_forward=3.0, mouth_width=2.5, eye_size=0.05, eye_tilt=1.5, eyes_apart=0.8, neck_width=2.0),
        Look(tone=(0.36, 0.22, 0.16), lips=(0.40, 0.22, 0.20), hair=(0.085, 0.075, 0.070), brows=(0.05, 0.04, 0.035),
             iris=(0.14, 0.08, 0.05), brow_thickness=1.05, brow_density=0.9, brow_arch=0.35, freckles=0.0, moles=2,
             stubble=0.25, blush=0.1, seed=37),
        "buzz", "young man, dark skin, full lips, close-cropped curls"),
}


def varied(identity: Identity, seed: int) -> Identity:
    """The same kind of person with small seeded differences of shape and skin; seed 0 is the identity itself."""
    if seed == 0:
        return identity
    rng = np.random.default_rng(seed)
    scale = {"eye_size": 0.02, "lid_open": 0.04, "eye_tilt": 1.2}
    change = {field.name: getattr(identity.shape, field.name) + float(rng.normal(0, scale.get(field.name, 0.9)))
              for field in attrs.fields(Shape)}
    red, green, blue = (float(np.clip(c + rng.normal(0, 0.012), 0, 1)) for c in identity.look.tone)
    look = attrs.evolve(identity.look, tone=(red, green, blue), seed=seed)
    return attrs.evolve(identity, shape=Shape(**change), look=look)


@attrs.frozen(eq=False)
class Person:
    """The head of one identity: points (V, 3) mm; eyes (2, 3) centres and the eyeballs' radius, mm."""

    points: Float
    eyes: Float
    eye_radius: float
    shape: Shape


def personify(anatomy: Anatomy, shape: Shape) -> Person:
    """Give the neutral head a person's shape."""
    points = anatomy.points + field(shape, anatomy.points)
    points = points + _ears(anatomy, shape)
    eyes = eye_centres() + _eye_shift(shape)
    if shape.lid_open:
        for side, centre in zip("LR", eyes, strict=True):
            points = points + blink(anatomy, points, side, centre, -shape.lid_open)
    return Person(points, eyes, EYE_RADIUS * (1 + shape.eye_size), shape)


def _eye_shift(shape: Shape) -> Float:
    """(2, 3) how the eyeballs move: with the orbit's middle, and apart."""
    shift = _forms(shape, eye_centres()[:1])[0] + np.array([shape.eyes_apart, 0.0, 0.0])
    return np.stack([shift, shift * np.array([-1.0, 1.0, 1.0])])


def _around_eye(p: Float) -> tuple[Float, Float]:
    """Offset to the nearer eye's centre (N, 3), and a weight that is 1 at the lids and 0 beyond the orbit."""
    centre = eye_centres()[0]
    offset = np.stack([np.abs(p[:, 0]) - centre[0], p[:, 1] - centre[1], p[:, 2] - centre[2]], axis=1)
    t = np.clip((np.linalg.norm(offset, axis=1) - 17.5) / 10.0, 0, 1)
    return offset, 1 - t * t * (3 - 2 * t)


def field(shape: Shape, p: Float) -> Float:
    """Displacement (N, 3) mm of any points near the neutral head: skin, teeth, hair.

    Around each eye it is one translation, one turn and one scale, so that lids keep hugging the eyeball.
    """
    offset, near = _around_eye(p)
    carried = _forms(shape, eye_centres()[:1])[0] * np.where(p[:, :1] < 0, [[-1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]])
    weight = near[:, None]
    return _forms(shape, p) * (1 - weight) + carried * weight + _eyes(shape, p, offset, near)


def _forms(shape: Shape, p: Float) -> Float:
    """The displacement without regard for the eyes."""
    x, f, z = p.T
    a, side = np.abs(x), np.sign(x) * np.clip(np.abs(x) / 6.0, 0, 1)
    out = np.zeros_like(p)
    out[:, 0] += x / 76.0 * shape.skull_width * _step(z, -10.0, 50.0)
    out[:, 0] += x / 66.0 * shape.face_width * _step(z, -130.0, -70.0) * _step(-z, -60.0, 0.0) * _step(f, -120.0, -60.0)
    _jaw_and_cheeks(out, shape, p, a, side)
    brow = np.exp(-(((z - 19.0) / 8.0) ** 2)) * _step(f, -25.0, 0.0) * _step(-z, -40.0, -10.0)
    out[:, 1] += shape.brow_ridge * brow * np.exp(-((a / 46.0) ** 4))
    out[:, 2] += shape.brow_height * bump(p, (26, 18, 22), (26, 26, 9))
    out[:, 1] += shape.forehead_forward * bump(p, (0, 20, 58), (60, 40, 24))
    _nose(out, shape, p)
    _mouth(out, shape, p)
    neck = _step(-z, 100.0, 135.0) * _step(z, -215.0, -175.0)
    out[:, 0] += x / 54.0 * shape.neck_width * neck
    below_jaw = _step(-z, 104.0, 122.0) * neck
    out[:, 1] += np.clip((f + 85.0) / 50.0, -1, 1) * 0.5 * shape.neck_width * below_jaw
    return out


def _step(value: Float, low: float, high: float) -> Float:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _jaw_and_cheeks(out: Float, shape: Shape, p: Float, a: Float, side: Float) -> None:
    out[:, 0] += side * shape.jaw_width * bump(p, (50, -42, -82), (26, 42, 30))
    chin = bump(p, (0, 12, -108), (34, 34, 22))
    out[:, 2] -= shape.chin_length * bump(p, (0, 10, -112), (44, 44, 26))
    out[:, 1] += shape.chin_forward * chin
    out[:, 0] += side * np.clip(a / 18.0, 0, 1) * shape.chin_width * bump(p, (20, 4, -106), (18, 26, 18))
    bone = bump(p, (46, -4, -22), (17, 24, 13))
    out[:, 0] += side * 0.7 * shape.cheekbones * bone
    out[:, 1] += 0.6 * shape.cheekbones * bone
    full = bump(p, (40, -2, -52), (20, 28, 20))
    out[:, 0] += side * shape.cheeks_full * full
    out[:, 1] += 0.8 * shape.cheeks_full * full


def _nose(out: Float, shape: Shape, p: Float) -> None:
    tip = bump(p, (0, 38, -42), (17, 24, 12))
    out[:, 2] -= shape.nose_length * bump(p, (0, 34, -46), (20, 28, 14))
    out[:, 1] += shape.nose_forward * bump(p, (0, 40, -36), (12, 26, 18))
    out[:, 1] += shape.nose_bridge * bump(p, (0, 27, -8), (10, 22, 17))
    out[:, 2] += shape.nose_tip_up * bump(p, (0, 46, -40), (11, 14, 9))
    out[:, 0] += p[:, 0] / 13.0 * shape.nose_width * bump(p, (0, 28, -43), (19, 24, 13))
    out[:, 0] += p[:, 0] / 10.0 * 0.35 * shape.nose_width * bump(p, (0, 36, -24), (12, 22, 16))
    out[:, 1] += shape.nose_tip_round * bump(p, (6, 42, -36), (6, 14, 7)) - 0.3 * shape.nose_tip_round * tip


def _mouth(out: Float, shape: Shape, p: Float) -> None:
    x, f, z = p.T
    lips = np.exp(-((x / 24.0) ** 4)) * _step(f, 2.0, 14.0)
    up = np.exp(-(((z + 63.5) / 5.5) ** 2)) * lips
    low = np.exp(-(((z + 74.5) / 6.0) ** 2)) * lips
    taper = np.clip(1 - (x / 27.0) ** 2, 0, 1)
    out[:, 2] += shape.lips_full * (0.8 * up - 0.9 * low) * taper
    out[:, 1] += shape.lips_full * 0.7 * (up + low) * taper
    out[:, 1] += shape.lips_forward * bump(p, (0, 26, -69), (30, 30, 17))
    out[:, 0] += x / 25.0 * shape.mouth_width * bump(p, (0, 16, -68), (34, 34, 14))


def _eyes(shape: Shape, p: Float, offset: Float, near: Float) -> Float:
    """Scale, tilt and shift the surroundings of each eye as one, so that lids keep hugging the eyeball."""
    turn = np.radians(shape.eye_tilt)
    c, s = np.cos(turn), np.sin(turn)
    scale = 1 + shape.eye_size
    moved = np.stack([(offset[:, 0] * c - offset[:, 2] * s) * scale + shape.eyes_apart, offset[:, 1] * scale,
                      (offset[:, 0] * s + offset[:, 2] * c) * scale], axis=1)
    shift = (moved - offset) * near[:, None]
    shift[:, 0] *= np.where(p[:, 0] < 0, -1.0, 1.0)
    return shift


def _ears(anatomy: Anatomy, shape: Shape) -> Float:
    out = np.zeros_like(anatomy.points)
    ear = anatomy.points[anatomy.ears]
    away = _step(-ear[:, 1], 70.0, 100.0)
    out[anatomy.ears, 0] = np.sign(ear[:, 0]) * shape.ears_out * away * 2.0
    return out
