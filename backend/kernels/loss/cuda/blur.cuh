// SPDX-License-Identifier: Apache-2.0
// The separable 11x11 Gaussian of SSIM over a square of pixels in shared memory, and access to render and target. Colours
// are taken relative to the background (see loss/cpu.py): outside the frame there is zero, and where render and target
// are both empty the loss is exactly zero.
#pragma once
#include "cuda/common.cuh"

#define REACH 5
#define WIDE (LOSS_TILE + 2 * REACH)
#define RUN 4  // neighbouring outputs of a thread: 14 loads serve four sums of 11
#define LOSS_THREADS (LOSS_TILE * LOSS_TILE / RUN)

// One plane: rows of `wide` are blurred along x into `narrow`.
__device__ inline void blur_rows(const float (*wide)[WIDE + 1], float (*narrow)[LOSS_TILE]) {
    const float window[11] = {GAUSSIAN_WINDOW};
    for (int work = threadIdx.x; work < WIDE * (LOSS_TILE / RUN); work += LOSS_THREADS) {
        int row = work / (LOSS_TILE / RUN), column = work % (LOSS_TILE / RUN) * RUN;
        float sums[RUN] = {0, 0, 0, 0};
#pragma unroll
        for (int k = 0; k < 10 + RUN; k++) {
            float value = wide[row][column + k];
#pragma unroll
            for (int j = 0; j < RUN; j++)
                if (k - j >= 0 && k - j < 11) sums[j] += window[k - j] * value;
        }
#pragma unroll
        for (int j = 0; j < RUN; j++) narrow[row][column + j] = sums[j];
    }
}

// The five quantities of SSIM at once: x, y, xx, yy, xy.
__device__ inline void blur_products(
    const float (*x)[WIDE + 1], const float (*y)[WIDE + 1], float (*narrow)[WIDE][LOSS_TILE]) {
    const float window[11] = {GAUSSIAN_WINDOW};
    for (int work = threadIdx.x; work < WIDE * (LOSS_TILE / RUN); work += LOSS_THREADS) {
        int row = work / (LOSS_TILE / RUN), column = work % (LOSS_TILE / RUN) * RUN;
        float sums[5][RUN] = {};
#pragma unroll
        for (int k = 0; k < 10 + RUN; k++) {
            float a = x[row][column + k], b = y[row][column + k], aa = a * a, bb = b * b, ab = a * b;
#pragma unroll
            for (int j = 0; j < RUN; j++)
                if (k - j >= 0 && k - j < 11) {
                    float w = window[k - j];
                    sums[0][j] += w * a, sums[1][j] += w * b, sums[2][j] += w * aa;
                    sums[3][j] += w * bb, sums[4][j] += w * ab;
                }
        }
#pragma unroll
        for (int q = 0; q < 5; q++)
#pragma unroll
            for (int j = 0; j < RUN; j++) narrow[q][row][column + j] = sums[q][j];
    }
}

// The calling thread's RUN outputs below each other, from `first_row` on in its column.
__device__ inline void blur_column(const float (*narrow)[LOSS_TILE], int column, int first_row, float* sums) {
    const float window[11] = {GAUSSIAN_WINDOW};
#pragma unroll
    for (int j = 0; j < RUN; j++) sums[j] = 0;
#pragma unroll
    for (int k = 0; k < 10 + RUN; k++) {
        float value = narrow[first_row + k][column];
#pragma unroll
        for (int j = 0; j < RUN; j++)
            if (k - j >= 0 && k - j < 11) sums[j] += window[k - j] * value;
    }
}

__device__ inline bool in_frame(const View& view, int x, int y) {
    return x >= 0 && y >= 0 && x < view.width && y < view.height;
}

// A target plane at a pixel of the frame; zero outside the region.
__device__ inline float target_at(const View& view, int channel, int x, int y) {
    const int* r = view.region;
    if (x < r[0] || y < r[1] || x >= r[2] || y >= r[3]) return 0.0f;
    int width = r[2] - r[0];
    return view.target[(channel * (r[3] - r[1]) + y - r[1]) * width + x - r[0]];
}

__device__ inline float weight_at(const View& view, int x, int y) {
    return view.weights ? view.weights[y * view.width + x] : 1.0f;
}

#if DEPTH
// Rendered depth minus the target's, both premultiplied; 0 where the target has none at all.
__device__ inline float depth_error(const View& view, const float* image, int x, int y) {
    if (!view.depth) return 0.0f;
    return image[4 * view.rows * view.stride + y * view.stride + x] - view.depth[y * view.width + x];
}

__device__ inline float depth_weight_at(const View& view, int x, int y) {
    return view.depth ? view.depth[(view.height + y) * view.width + x] : 0.0f;
}
#endif

__device__ inline float rendered_at(const View& view, const float* image, int channel, float background, int x, int y) {
    int plane = view.rows * view.stride, place = y * view.stride + x;
    return image[channel * plane + place] - (1.0f - image[3 * plane + place]) * background;
}

__device__ inline float wanted_at(const View& view, int channel, float background, int x, int y) {
    return target_at(view, channel, x, y) - target_at(view, 3, x, y) * background;
}
