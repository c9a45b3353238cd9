// SPDX-License-Identifier: Apache-2.0
// A face as the rasterizer needs it, and what lies at a sample of it: the arithmetic of ../cpu.py, operation by operation
// in double precision. The program is compiled without fused multiply-adds, so both give equal bits.
#pragma once
#include "constants.h"

typedef unsigned int uint;
typedef unsigned long long ulong64;

// edge: rows are cross products of two corners; their value at a sample has the sign of `volume` inside. Columns x0..x1
// and rows y0..y1 hold all samples that can lie inside; none if the face is degenerate, broken or out of sight.
struct Face {
    double edge[9];
    double volume;
    int x0, x1, y0, y1;
};

struct EdgeValues {
    double e0, e1, e2;
};

__device__ inline EdgeValues edge_values(const Face& face, int column, int row) {
    double x = column + 0.5, y = row + 0.5;
    return {face.edge[0] * x + face.edge[1] * y + face.edge[2], face.edge[3] * x + face.edge[4] * y + face.edge[5],
            face.edge[6] * x + face.edge[7] * y + face.edge[8]};
}

// 1 / depth of the face at a sample, 0 outside it.
__device__ inline double nearness_at(const Face& face, int column, int row) {
    EdgeValues e = edge_values(face, column, row);
    double sign = face.volume > 0 ? 1.0 : -1.0;
    if (!(e.e0 * sign >= 0 && e.e1 * sign >= 0 && e.e2 * sign >= 0)) return 0;
    return (e.e0 + e.e1 + e.e2) / face.volume;
}

// Threads count over samples or pixels, which can be more than an int holds.
__device__ inline size_t thread_number() { return size_t(blockIdx.x) * MESH_THREADS + threadIdx.x; }

// Faces are kept as ~index, so that the lower index is the larger number and 0 is nothing.
__device__ inline int face_of(uint code) { return int(~code); }
