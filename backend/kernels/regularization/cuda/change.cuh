// SPDX-License-Identifier: Apache-2.0
// What a change between steps is told. Doubles where the host's arithmetic is double: opacities near 1 leave nothing of
// the rest in float, and such a change comes once in ten steps.
#pragma once
#include "cuda/common.cuh"

struct Change {
    double opacity;    // factor of the opacities; 1: leave them alone
    double length;     // of the noise: see wander.cu
    double reach;
    float log_scale;   // what is added to the log-scales
    float part;        // of the turn to the surface's normal
    uint key[2];       // of the noise
    uint iteration;
    uint unused;
};

// True if the rows are numbers, none of them absurd.
__device__ inline bool is_sound(const float* block, int first, int last, int stride, int i) {
    bool sound = true;
    for (int row = first; row < last; row++) sound = sound && fabsf(block[row * stride + i]) < HUGE_NUMBER;
    return sound;
}

__device__ inline double opacity_of(float logit) { return 1.0 / (1.0 + exp(-(double)logit)); }

// The splat's axis k in the world, of a quaternion of length 1.
template <class T> __device__ inline void axis_of(int k, T w, T x, T y, T z, T* axis) {
    if (k == 0) axis[0] = 1 - 2 * (y * y + z * z), axis[1] = 2 * (x * y + w * z), axis[2] = 2 * (x * z - w * y);
    if (k == 1) axis[0] = 2 * (x * y - w * z), axis[1] = 1 - 2 * (x * x + z * z), axis[2] = 2 * (y * z + w * x);
    if (k == 2) axis[0] = 2 * (x * z + w * y), axis[1] = 2 * (y * z - w * x), axis[2] = 1 - 2 * (x * x + y * y);
}
