// SPDX-License-Identifier: Apache-2.0
// Each splat goes a part of the shortest turn that lays its thinnest axis along its face's normal, or against it, which
// is as flat: see cpu.py. One thread a splat. Float is enough: what is lost is 1e-7 of a turn.
#include "regularization/cuda/change.cuh"

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) align(
    float* __restrict__ block,  // (rows, stride), changed
    int stride, int count, const Change* __restrict__ change,
    const float* __restrict__ normals,  // (faces, 3) unit, or zero
    const int* __restrict__ columns) {  // (count,) each splat's face; -1: none
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x;
    if (i >= count || columns[i] < 0 || !is_sound(block, ROW_QUAT, ROW_OPACITY, stride, i)) return;
    float* quat = block + ROW_QUAT * stride + i;
    float w = quat[0], x = quat[stride], y = quat[2 * stride], z = quat[3 * stride];
    float inverse = 1.0f / fmaxf(sqrtf(w * w + x * x + y * y + z * z), 1e-12f);
    const float* scales = block + ROW_LOG_SCALE * stride + i;
    int thin = scales[stride] < scales[0] ? 1 : 0;
    if (scales[2 * stride] < scales[thin * stride]) thin = 2;
    float axis[3];
    axis_of(thin, w * inverse, x * inverse, y * inverse, z * inverse, axis);
    const float* normal = normals + 3 * (size_t)columns[i];
    float cosine = axis[0] * normal[0] + axis[1] * normal[1] + axis[2] * normal[2];
    float side = cosine < 0 ? -1.0f : 1.0f, nx = normal[0] * side, ny = normal[1] * side, nz = normal[2] * side;
    float cx = axis[1] * nz - axis[2] * ny, cy = axis[2] * nx - axis[0] * nz, cz = axis[0] * ny - axis[1] * nx;
    float sine = sqrtf(cx * cx + cy * cy + cz * cz);
    if (!(sine > 1e-9f)) return;
    float half = 0.5f * atan2f(sine, fabsf(cosine)) * change->part;
    float tw = cosf(half), across = sinf(half) / sine, tx = across * cx, ty = across * cy, tz = across * cz;
    quat[0] = tw * w - tx * x - ty * y - tz * z;
    quat[stride] = tw * x + tx * w + ty * z - tz * y;
    quat[2 * stride] = tw * y - tx * z + ty * w + tz * x;
    quat[3 * stride] = tw * z + tx * y - ty * x + tz * w;
}
