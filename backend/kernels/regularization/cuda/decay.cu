// SPDX-License-Identifier: Apache-2.0
// Opacities and widths become smaller: see cpu.py. One thread a splat.
#include "regularization/cuda/change.cuh"

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) decay(
    float* __restrict__ block,  // (rows, stride), changed
    int stride, int count, const Change* __restrict__ change) {
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x;
    if (i >= count) return;
    for (int row = ROW_LOG_SCALE; row < ROW_OPACITY; row++) block[row * stride + i] += change->log_scale;
    float logit = block[ROW_OPACITY * stride + i];
    if (change->opacity == 1.0 || !(fabsf(logit) < HUGE_NUMBER)) return;
    double left = fmin(fmax(opacity_of(logit) * change->opacity, LEAST_OPACITY), 1.0 - LEAST_OPACITY);
    block[ROW_OPACITY * stride + i] = (float)log(left / (1.0 - left));
}
