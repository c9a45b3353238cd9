// SPDX-License-Identifier: Apache-2.0
// Which face is nearest at each sample. Two passes over the faces: the first finds the largest nearness (positive doubles
// order as their bits do), the second the lowest index among the faces that have it. Maxima do not depend on who comes
// first, so the result is the same on every run, and the CPU's. Small faces take a thread each; the others are cut into
// strips of rows, one for a block at a time.
#pragma once
#include "mesh_rasterization/cuda/face.cuh"

__device__ inline void set_bounds(const double (*corner)[3], int width, int height, Face& face) {
    double left = 1e300, right = -1e300, top = 1e300, bottom = -1e300;
    for (int i = 0; i < 3; i++) {
        double z = corner[i][2];
        if (z <= 1e-9) {  // behind the camera: anywhere
            face.x0 = 0, face.x1 = width - 1, face.y0 = 0, face.y1 = height - 1;
            return;
        }
        double x = corner[i][0] / z, y = corner[i][1] / z;
        left = fmin(left, x), right = fmax(right, x);
        top = fmin(top, y), bottom = fmax(bottom, y);
    }
    if (!(right >= -1 && left <= width + 1 && bottom >= -1 && top <= height + 1)) return;
    face.x0 = max(0, int(ceil(fmax(left, -1.0) - 0.5 - 1e-6)));
    face.x1 = min(width - 1, int(floor(fmin(right, width + 1.0) - 0.5 + 1e-6)));
    face.y0 = max(0, int(ceil(fmax(top, -1.0) - 0.5 - 1e-6)));
    face.y1 = min(height - 1, int(floor(fmin(bottom, height + 1.0) - 0.5 + 1e-6)));
}

__device__ inline size_t box_samples(const Face& face) {
    if (face.x1 < face.x0 || face.y1 < face.y0) return 0;
    return size_t(face.x1 - face.x0 + 1) * size_t(face.y1 - face.y0 + 1);
}

// vertices: (x z, y z, z) in samples. large: how many faces are large, then which, in any order.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
prepare_faces(const double* vertices, const int* faces, int count, int width, int height, Face* prepared, uint* large) {
    size_t f = thread_number();
    if (f >= size_t(count)) return;
    double corner[3][3];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) corner[i][k] = vertices[3 * size_t(faces[3 * f + i]) + k];
    Face face;
    face.x0 = 0, face.x1 = -1, face.y0 = 0, face.y1 = -1;
    for (int i = 0; i < 3; i++) {
        const double *a = corner[(i + 1) % 3], *b = corner[(i + 2) % 3];
        face.edge[3 * i] = a[1] * b[2] - a[2] * b[1];
        face.edge[3 * i + 1] = a[2] * b[0] - a[0] * b[2];
        face.edge[3 * i + 2] = a[0] * b[1] - a[1] * b[0];
    }
    face.volume = corner[0][0] * face.edge[0] + corner[0][1] * face.edge[1] + corner[0][2] * face.edge[2];
    if (face.volume != 0.0 && fabs(face.volume) <= 1.7976931348623157e308) set_bounds(corner, width, height, face);
    prepared[f] = face;
    if (box_samples(face) > SMALL_FACE) large[1 + atomicAdd(&large[0], 1u)] = uint(f);
}

__device__ inline void visit(
    const Face& face, uint f, int column, int row, int width, ulong64* nearest, uint* codes, int pass
) {
    double nearness = nearness_at(face, column, row);
    if (!(nearness > 0)) return;
    size_t at = size_t(row) * width + column;
    ulong64 bits = ulong64(__double_as_longlong(nearness));
    if (pass == 0) {
        if (bits > nearest[at]) atomicMax(&nearest[at], bits);
    } else if (bits == nearest[at]) {
        atomicMax(&codes[at], ~f);
    }
}

extern "C" __global__ void __launch_bounds__(MESH_THREADS)
nearest_small(const Face* prepared, int count, int width, ulong64* nearest, uint* codes, int pass) {
    size_t f = thread_number();
    if (f >= size_t(count)) return;
    Face face = prepared[f];
    if (box_samples(face) > SMALL_FACE) return;
    for (int row = face.y0; row <= face.y1; row++)
        for (int column = face.x0; column <= face.x1; column++)
            visit(face, uint(f), column, row, width, nearest, codes, pass);
}

extern "C" __global__ void __launch_bounds__(MESH_THREADS)
nearest_large(
    const Face* prepared, const uint* large, int width, int height, ulong64* nearest, uint* codes, int pass
) {
    uint strips = (height + STRIP_ROWS - 1) / STRIP_ROWS;
    ulong64 items = ulong64(large[0]) * strips;
    for (ulong64 item = blockIdx.x; item < items; item += gridDim.x) {
        uint f = large[1 + item / strips];
        Face face = prepared[f];
        int first = int(item % strips) * STRIP_ROWS;
        int y0 = max(face.y0, first), y1 = min(face.y1, first + STRIP_ROWS - 1);
        int columns = face.x1 - face.x0 + 1;
        for (int i = threadIdx.x; i < columns * (y1 - y0 + 1); i += MESH_THREADS)
            visit(face, f, face.x0 + i % columns, y0 + i / columns, width, nearest, codes, pass);
    }
}
