// SPDX-License-Identifier: Apache-2.0
// What all CUDA kernels share: the records of a step, tiles, warp helpers. Constants come from backend/kernels/layout.py
// through constants.h, which sources.py writes at compile time, so that both engines agree to the last digit.
//
// Where data lies. Splats, Adam's moments and everything per splat are planar. A *record* is a projected splat, three
// float4: (u, v, A, B), (C, log2 opacity, red, green), (blue, slope_y, half width, half height); see layout.py. An
// *entry* is a splat in a tile's list; its *slot* is the same pair seen from the splat, twelve floats for the sums of the
// backward pass. Frames are PLANES planes (red, green, blue premultiplied; transmittance; and where the loss asks for it,
// DEPTH being 1, depth: the sum of weight times planar depth) of padded rows.
//
// No kernel knows its step from the host: each reads the present one from `steps[control->cursor]`, so that one recorded
// graph serves every step. All sums are taken in a fixed order: results are bit-identical on every run.
#pragma once
#include "constants.h"

#define FULL_WARP 0xFFFFFFFFu
#define PLANES (4 + DEPTH)
#define TERMS (3 + DEPTH)  // of the loss

typedef unsigned int uint;

// A target and its camera. Target planes (premultiplied red, green, blue, alpha) cover `region` only.
struct View {
    float camera[CAMERA_SIZE];
    int region[4];  // x0, y0, x1, y1
    int width, height, stride, rows;  // frame, and its size padded to loss tiles
    int tiles_x, tiles_y;
    const float* target;
    const float* weights;  // (height, width) or null: all 1
    const float* depth;    // (2, height, width) depth times alpha, and weights, 0 where there is no depth; or null: none
};

// What changes from step to step.
struct Step {
    int view;
    float background[3];
    float factors[4];      // of the sums of L1, 1 - SSIM, alpha L1 and depth L1 in the loss
    float corrections[2];  // 1 / (1 - beta^t) of Adam's moments
    float rates[PARAMETER_ROWS];
};

// Counters that live on the device.
struct Control {
    uint cursor;    // steps done in this run
    uint needed;    // entries that a step would have needed when they did not fit; the run stands still from then on
    uint capacity;  // entries that fit
    uint skipped;   // unused, keeps the next fields aligned
};

// Counters of one frame, zero at its start.
struct Frame {
    uint entries;
    uint depth_high;          // largest depth bits
    uint depth_low_inverted;  // largest ~bits: the smallest depth
    uint tickets[8];          // of the passes that hand out blocks in order
};

__device__ inline bool run_stands(const Control* control, const Frame* frame) {
    return control->needed != 0 || frame->entries > control->capacity;
}

__device__ inline float broken_to_zero(float x) { return fabsf(x) < HUGE_NUMBER ? x : 0.0f; }

__device__ inline float clamped(float x, float low, float high) { return fminf(fmaxf(x, low), high); }
