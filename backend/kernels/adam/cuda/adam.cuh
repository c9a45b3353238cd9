// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma & Ba 2015); called by the projection's backward pass for splats that the view saw.
#pragma once
#include "cuda/common.cuh"

#define ADAM_ROWS 6  // rows whose loads are under way together

// One step for the rows row..row + ADAM_ROWS - 1 of one splat. A broken gradient leaves its parameter as it is.
__device__ inline void adam_rows(
    float* __restrict__ values, float* __restrict__ first, float* __restrict__ second, int row, int stride, int splat,
    const float* gradients, const Step& step) {
    float value[ADAM_ROWS], m[ADAM_ROWS], v[ADAM_ROWS];
#pragma unroll
    for (int k = 0; k < ADAM_ROWS; k++) {
        if (row + k >= PARAMETER_ROWS) continue;
        int index = (row + k) * stride + splat;
        value[k] = values[index], m[k] = first[index], v[k] = second[index];
    }
#pragma unroll
    for (int k = 0; k < ADAM_ROWS; k++) {
        if (row + k >= PARAMETER_ROWS) continue;
        float gradient = gradients[row + k];
        if (!(fabsf(gradient) < HUGE_NUMBER)) continue;
        m[k] = m[k] * ADAM_BETA1 + gradient * (1.0f - ADAM_BETA1);
        v[k] = v[k] * ADAM_BETA2 + gradient * gradient * (1.0f - ADAM_BETA2);
        value[k] -= m[k] * (step.rates[row + k] * step.corrections[0]) /
                    (sqrtf(v[k] * step.corrections[1]) + ADAM_EPSILON);
    }
#pragma unroll
    for (int k = 0; k < ADAM_ROWS; k++) {
        if (row + k >= PARAMETER_ROWS) continue;
        int index = (row + k) * stride + splat;
        values[index] = value[k], first[index] = m[k], second[index] = v[k];
    }
}
