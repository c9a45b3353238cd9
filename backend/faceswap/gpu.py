# SPDX-License-Identifier: Apache-2.0
"""`views.exchange_skin` on a GPU: rasterizing, filtering and compositing, for all views of a swap.

The kernels are in backend/kernels/mesh_rasterization/cuda and keep the CPU's order and precision: the filtered skin is
the CPU's bit by bit, and the picture too but for the last digits of two blurs and of the smoothed light. Only a median
is left to the CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.cuda.device import Device
from backend.kernels.cuda.launches import Clear, Launch, Operation, Pointer
from backend.kernels.cuda.memory import RESERVE, Buffers
from backend.kernels.cuda.sources import MESH_THREADS
from backend.kernels.mesh_rasterization.gpu import VARIANT, face_sizes, grid, nearest_faces, sample_sizes
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.errors import InputError
from interchange.mesh import Mesh, Region

from .views import LIGHT_RADIUS, NO_PASSES, PASSED_BLUR, Skins, filter_taps

Floats = npt.NDArray[Any]
_WINDOW = 13  # taps that OpenCV gives a Gaussian of PASSED_BLUR
_FILTERED = 7  # floats a pixel: difference, old, coverage
_PIXEL_SIZES = {
    "rgb": 12, "albedo": 12, "light": 12, "alpha": 4, "mask": 4, "filtered": 4 * _FILTERED, "skins": 32, "shades": 8,
    "blurred": 8, "ratio": 4, "result": 12,
}  # fmt: skip
_LIGHT_SIZES = {"normal": 12, "depth": 4, "guided": 16, "smoothed": 16}


class GpuExchange:
    """Changes view after view; may be called from any thread, one view at a time is on the device."""

    def __init__(
        self, device: Device, head: int, skins: Skins, samples: int, noisy_light: bool, cameras: Iterable[Camera]
    ) -> None:
        """Textures go to the device now, the mesh with the first view. Arguments as in `views.exchange_skin`.

        Raises InputError (RES_GPU_MEMORY) if the largest view of `cameras` does not fit.
        """
        self._device, self._head, self._samples, self._noisy = device, head, samples, noisy_light
        self._texture_size = skins.old.shape[1], skins.old.shape[0]
        self._lock = threading.Lock()
        self._mesh: Mesh | None = None
        self._faces = 0
        self._most_pixels = max(camera.width * camera.height for camera in cameras)
        sizes = self._sizes()
        _check_memory(device, sum(sizes.values()) + skins.old.nbytes + skins.difference.nbytes)
        self._kernels = device.load(VARIANT)
        self._views, self._of_mesh = Buffers(device), Buffers(device)
        self._taps = filter_taps(samples)
        try:
            self._views.add(sizes)
            window = cv2.getGaussianKernel(_WINDOW, PASSED_BLUR, cv2.CV_32F)
            for name, array in {
                "old": skins.old, "difference": skins.difference, "taps": self._taps, "window": window,
                "usual": np.zeros(1, np.float32),
            }.items():  # fmt: skip
                self._views.put(name, array)
        except BaseException:
            self.close()
            raise

    def change(self, images: ViewImages, mesh: Mesh, camera: Camera) -> npt.NDArray[np.float32]:
        """The view's new rgb (H, W, 3), linear, premultiplied, as `views.exchange_skin` gives it."""
        passes = self._passes(images, camera)
        vertices = self._seen(mesh, camera)
        result = np.empty((camera.height, camera.width, 3), np.float32)
        with self._lock:
            self._filter(mesh, vertices, camera)
            for name, image in passes.items():
                self._device.upload(self._views.at[name], image)
            self._device.execute(self._kernels, self._compare(camera, "mask" in passes))
            usual = self._usual_share(camera, passes.get("mask"))
            self._device.upload(self._views.at["usual"], np.array([usual], np.float32))
            self._device.execute(self._kernels, self._exchange(camera, passes))
            self._device.download(self._views.at["result"], result)
        return result

    def filtered_skin(self, mesh: Mesh, camera: Camera) -> npt.NDArray[np.float32]:
        """(H, W, 7) difference, old and coverage, as `views.filtered_skin` gives them."""
        vertices = self._seen(mesh, camera)
        with self._lock:
            self._filter(mesh, vertices, camera)
            return self._filtered(camera)

    def close(self) -> None:
        """Give memory back."""
        with self._lock:
            self._of_mesh.free()
            self._views.free()

    def _sizes(self) -> dict[str, int]:
        samples = self._most_pixels * self._samples**2
        pixels = {**_PIXEL_SIZES, **(_LIGHT_SIZES if self._noisy else {})}
        sizes = {name: size * self._most_pixels for name, size in pixels.items()}
        return {**sizes, **sample_sizes(samples), "looked_up": 32 * samples}

    def _passes(self, images: ViewImages, camera: Camera) -> dict[str, Floats]:
        if images.light is None or images.albedo is None:
            raise InputError(NO_PASSES, "Capture again with them.")
        passes = {
            "rgb": images.rgb, "albedo": images.albedo, "light": images.light, "alpha": images.alpha,
            "mask": images.masks.get("skin"),
        } | ({"normal": images.normal, "depth": images.depth} if self._noisy else {})  # fmt: skip
        present = {k: np.ascontiguousarray(v, np.float32) for k, v in passes.items() if v is not None}
        for name, image in present.items():
            if image.shape[:2] != (camera.height, camera.width):
                raise InputError(
                    f"A view's {name} is {image.shape[1]} x {image.shape[0]}, its camera {camera.width} x "
                    f"{camera.height}.",
                    "Capture again.",
                )
        return present

    def _seen(self, mesh: Mesh, camera: Camera) -> Floats:
        view = camera.scaled(self._samples)
        return np.ascontiguousarray(view.to_camera(mesh.vertices) @ view.K.T)

    def _filter(self, mesh: Mesh, vertices: Floats, camera: Camera) -> None:
        if camera.width * camera.height > self._most_pixels:
            raise ValueError(f"{camera.width} x {camera.height} is more than the views that were announced")
        if self._mesh is not mesh:
            self._put_mesh(mesh)
        self._device.upload(self._of_mesh.at["vertices"], vertices)
        self._device.execute(self._kernels, self._look(camera))

    def _put_mesh(self, mesh: Mesh) -> None:
        solid = np.flatnonzero(mesh.face_region != Region.LASHES)
        faces = np.ascontiguousarray(mesh.faces[solid])
        self._mesh = None
        self._of_mesh.free()
        self._of_mesh.add(face_sizes(len(mesh.vertices), len(faces)))
        self._device.upload(self._of_mesh.at["faces"], faces)
        self._of_mesh.put("on_head", (mesh.face_object[solid] == self._head).astype(np.uint8))
        self._of_mesh.put("face_uvs", np.ascontiguousarray(mesh.face_uvs[solid]))
        self._mesh, self._faces = mesh, len(faces)

    def _look(self, camera: Camera) -> list[Operation]:
        """From vertices to `filtered`."""
        width, height = camera.width * self._samples, camera.height * self._samples
        at = {**self._views.at, **self._of_mesh.at}
        return [
            *nearest_faces(self._faces, width, height, at),
            Launch("look_up", grid(width * height), MESH_THREADS,
                   (Pointer(at["prepared"]), Pointer(at["codes"]), width, height, Pointer(at["on_head"]),
                    Pointer(at["face_uvs"]), Pointer(at["old"]), Pointer(at["difference"]), *self._texture_size,
                    Pointer(at["looked_up"]))),
            self._launch("gather", camera, "looked_up", "taps", len(self._taps), self._samples, camera.width,
                         camera.height, "filtered"),
        ]  # fmt: skip

    def _compare(self, camera: Camera, masked: bool) -> list[Operation]:
        """From `filtered` and the passes to `skins` and `ratio`."""
        size, taps = (camera.width, camera.height), _WINDOW
        mask = "mask" if masked else ""
        return [
            self._launch("as_rendered", camera, "filtered", mask, "alpha", "albedo", *size, "skins", "shades"),
            self._launch("blur_rows", camera, "shades", "window", taps, *size, "blurred"),
            self._launch("passed_share", camera, "blurred", "window", taps, *size, "ratio"),
        ]

    def _exchange(self, camera: Camera, passes: dict[str, Floats]) -> list[Operation]:
        """From `skins`, `ratio` and the passes to `result`."""
        pixels = camera.width * camera.height
        operations: list[Operation] = []
        if self._noisy:
            operations += [
                Clear(self._views.at[name], _LIGHT_SIZES[name] * pixels)
                for name in ("normal", "depth") if name not in passes
            ]  # fmt: skip
            operations += [
                self._launch("guide_light", camera, "rgb", "albedo", "light", "alpha", pixels, "guided"),
                self._launch("smooth_light", camera, "guided", "alpha", "normal", "depth", "skins", camera.width,
                             camera.height, LIGHT_RADIUS, "smoothed"),
            ]  # fmt: skip
        smoothed = "smoothed" if self._noisy else ""
        operations.append(self._launch(
            "exchange_skin", camera, "rgb", "albedo", "light", "alpha", "skins", "ratio", "usual", smoothed, pixels,
            "result",
        ))  # fmt: skip
        return operations

    def _launch(self, kernel: str, camera: Camera, *arguments: str | int) -> Launch:
        """A thread a pixel; buffers by name, "" for null."""
        values = [Pointer(self._views.at[a] if a else 0) if isinstance(a, str) else a for a in arguments]
        return Launch(kernel, grid(camera.width * camera.height), MESH_THREADS, tuple(values))

    def _usual_share(self, camera: Camera, mask: Floats | None) -> float:
        """The median of `ratio` where skin fills the pixel; 1 where it fills none."""
        ratio = np.empty((camera.height, camera.width), np.float32)
        self._device.download(self._views.at["ratio"], ratio)
        share = self._filtered(camera)[..., 6] if mask is None else mask
        known = np.maximum(ratio[share > 0.98], 0)
        return float(np.median(known)) if len(known) else 1.0

    def _filtered(self, camera: Camera) -> npt.NDArray[np.float32]:
        filtered = np.empty((camera.height, camera.width, _FILTERED), np.float32)
        self._device.download(self._views.at["filtered"], filtered)
        return filtered


def _check_memory(device: Device, needed: int) -> None:
    needed, free = needed + RESERVE, device.free_memory()
    if needed > free:
        raise InputError(
            f"The swap needs {needed / 2**20:.0f} MiB on the GPU, where {free / 2**20:.0f} MiB are free.",
            "Close other programs that use the GPU, take fewer samples, or the swap's engine cpu.",
            "RES_GPU_MEMORY",
        )
