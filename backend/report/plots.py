# SPDX-License-Identifier: Apache-2.0
"""Plots for the report as inline SVG whose colours follow the page: text, lines and series become CSS variables."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from interchange.capture import View

from .geometry import Stage

_INK, _LINE, _MUTED = "#010203", "#040506", "#070809"
_ONE, _TWO, _THREE = "#0a0b0c", "#0d0e0f", "#101112"
_CSS = {
    _INK: "var(--ink)", _LINE: "var(--line)", _MUTED: "var(--muted)",
    _ONE: "var(--one)", _TWO: "var(--two)", _THREE: "var(--three)",
}  # fmt: skip
_SPLITS = (("train", _ONE, "training"), ("held_out", _TWO, "held out"))
_SQUARE = (5.2, 4.6)
_HALF = (5.2, 3.1)  # inches; two plots stand side by side, or one above the other on a phone
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "digidouble", "font.family": "sans-serif", "font.size": 11,
    "text.color": _INK, "axes.labelcolor": _MUTED, "axes.edgecolor": _LINE, "axes.linewidth": 1, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": _LINE, "grid.linewidth": 0.8, "xtick.color": _MUTED, "ytick.color": _MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "none", "axes.facecolor": "none",
    "legend.frameon": False, "axes.titlesize": 12, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "lines.linewidth": 2, "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip


def training_curves(curves: Mapping[str, Sequence[float]]) -> list[str]:
    """Loss (logarithmic) and PSNR over the iterations: two SVGs, or one where no PSNR was measured (NaN)."""
    x, loss, psnr = (np.asarray(curves[key], float) for key in ("iteration", "loss", "psnr"))
    with matplotlib.rc_context(_STYLE):
        figures = [Figure(figsize=_HALF, layout="constrained") for _ in range(2)]
        left, right = (figure.subplots() for figure in figures)
        left.semilogy(x, np.maximum(loss, 1e-12), color=_TWO)
        left.set_title("Training loss")
        right.plot(x, psnr, color=_ONE)
        right.set_title("PSNR at held-out views, dB")
        for axes in (left, right):
            axes.set_xlabel("iteration")
            axes.margins(x=0.01)
        _mark_last(right, x, psnr)
        shown = figures if np.isfinite(psnr).any() else figures[:1]
        return [_svg(figure, name) for figure, name in zip(shown, ("loss", "psnr"), strict=False)]


def scores_by_azimuth(azimuths: Sequence[float], series: Mapping[str, Sequence[float | None]]) -> str:
    """One dot a held-out view and series, over the camera's azimuth, as SVG. Series: label -> dB, None left out."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(10.6, 3.1), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(azimuths)
        x = np.asarray(azimuths, float)[order]
        for (label, values), colour in zip(series.items(), (_ONE, _TWO, _MUTED), strict=False):
            y = np.array([np.nan if values[i] is None else values[i] for i in order], float)
            axes.plot(x, y, "o-", color=colour, label=label, markersize=6, linewidth=1.3)
        axes.set_xlabel("camera azimuth in degrees, 0 = in front, + = the character's left")
        axes.set_title("PSNR in the face, dB, by held-out view")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return _svg(figure, "azimuth")


def camera_map(views: Sequence[View], place: Stage) -> list[str]:
    """The cameras from above (where they look, where the face looks) and as azimuth and elevation: two SVGs."""
    with matplotlib.rc_context(_STYLE):
        first, second = (Figure(figsize=_SQUARE, layout="constrained") for _ in range(2))
        above, angles = first.subplots(), second.subplots()
        above.grid(False)
        _seen_from_above(above, views, place)
        for split, colour, label in _SPLITS:
            chosen = [v.camera for v in views if v.split == split]
            azimuth, elevation = ([f(c) for c in chosen] for f in (place.azimuth, place.elevation))
            angles.plot(azimuth, elevation, "o", color=colour, markersize=6, label=f"{label} ({len(chosen)})")
        angles.set_title("Directions")
        angles.set_xlabel("azimuth in degrees, + = the character's left")
        angles.set_ylabel("elevation in degrees")
        angles.margins(0.08)
        angles.xaxis.set_major_locator(MultipleLocator(60 if np.ptp(angles.get_xlim()) > 240 else 30))
        second.legend(*angles.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return [_svg(first, "above"), _svg(second, "angles")]


def _seen_from_above(axes: Axes, views: Sequence[View], place: Stage) -> None:
    """The face looks down the page, so the character's left is on the right."""
    left = np.array([-place.facing[1], place.facing[0], 0.0])
    plane = np.stack([left, -place.facing], axis=1)  # (3, 2)
    stand = (np.array([v.camera.position for v in views]) - place.centre) @ plane
    look = np.array([v.camera.forward for v in views]) @ plane
    reach = float(np.median(np.linalg.norm(stand, axis=1)))
    circle = np.linspace(0, 2 * np.pi, 120)
    axes.plot(reach * np.cos(circle), reach * np.sin(circle), color=_LINE, linewidth=1)
    axes.text(0, 1.2 * reach, f"{reach:.2f} m from the face", ha="center", color=_MUTED, fontsize=9)
    if len(place.head) > 2:
        hull = cv2.convexHull(((place.head - place.centre) @ plane).astype(np.float32))[:, 0]
        axes.fill(hull[:, 0], hull[:, 1], color=_MUTED, alpha=0.4, linewidth=0)
    for split, colour, _ in _SPLITS:
        chosen = np.array([v.split == split for v in views])
        tips = stand + 0.17 * reach * look
        ends = np.stack([stand[chosen], tips[chosen]])
        axes.plot(ends[..., 0], ends[..., 1], color=colour, linewidth=1.3)
        axes.plot(*stand[chosen].T, "o", color=colour, markersize=5.5)
    axes.annotate("", (0, -0.45 * reach), (0, 0), arrowprops={"arrowstyle": "-|>", "color": _INK, "lw": 1.6})
    axes.set_title("From above, with the face's direction")
    axes.set_aspect("equal")
    axes.set_xlim(-1.3 * reach, 1.3 * reach)
    axes.set_ylim(-1.3 * reach, 1.3 * reach)
    axes.set_axis_off()


def _mark_last(axes: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    known = np.flatnonzero(np.isfinite(y))
    if len(known):
        last = known[-1]
        axes.plot(x[last], y[last], "o", color=_ONE, markersize=6)
        axes.annotate(f"{y[last]:.1f}", (x[last], y[last]), (-8, -14), textcoords="offset points", ha="right")


def _svg(figure: Figure, name: str) -> str:
    """The figure as an inline <svg>: no prologue or metadata, ids of its own, colours as CSS variables."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = text.replace("font-weight: 700", "font-weight: 600")
    for colour, variable in _CSS.items():
        text = text.replace(colour, variable)
    return text
