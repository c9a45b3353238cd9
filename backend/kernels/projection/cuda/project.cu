// SPDX-License-Identifier: Apache-2.0
// Projection of splats to records, one thread a splat.
#include "projection/cuda/geometry.cuh"
#include "spherical_harmonics/cuda/spherical_harmonics.cuh"

// Log-scales and opacity are numbers; NaN in the other rows shows on the screen.
__device__ inline bool not_broken(const float* block, int stride, int i) {
    bool fine = fabsf(block[ROW_OPACITY * stride + i]) < HUGE_NUMBER;
    for (int k = 0; k < 3; k++) fine = fine && fabsf(block[(ROW_LOG_SCALE + k) * stride + i]) < HUGE_NUMBER;
    return fine;
}

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) project(
    const float* __restrict__ block,  // (rows, stride)
    int stride, const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    float4* __restrict__ records,     // (stride, 3), out
    uint* __restrict__ depths,        // (stride,) bits of the planar depth; all ones: not drawn, out
    uint2* __restrict__ rects,        // (stride,) first and last tile, column | row << 16, out
    Frame* __restrict__ frame) {
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x;
    bool drawn = false;
    float depth = 0.0f;
    if (i < stride && control->needed == 0) {
        const View& view = views[steps[control->cursor].view];
        const float* camera = view.camera;
        Geometry g = geometry(block, stride, i, camera);
        float inverse_determinant = 1.0f / g.determinant;
        float u = g.X * g.inverse_z * camera[CAMERA_FOCAL_X] + camera[CAMERA_CENTRE_X];
        float v = g.Y * g.inverse_z * camera[CAMERA_FOCAL_Y] + camera[CAMERA_CENTRE_Y];
        float log2_opacity = -log2f(1.0f + expf(-block[ROW_OPACITY * stride + i]));
#if ANTIALIASED
        log2_opacity += 0.5f * log2f(fmaxf(g.bare_determinant * inverse_determinant, MIN_COMPENSATION));
#endif
        float margin = (log2_opacity - LOG2_CUTOFF) * (2 * LN_2);  // twice ln(255 opacity)
        float visible_margin = fmaxf(margin, 0.0f);
        float half_width = sqrtf(visible_margin * g.xx), half_height = sqrtf(visible_margin * g.yy);

        float basis[SH_COEFFICIENTS];
        sh_basis(g.dir_x, g.dir_y, g.dir_z, basis);
        float colour[3] = {0.5f, 0.5f, 0.5f};
        for (int k = 0; k < SH_COEFFICIENTS; k++)
            for (int c = 0; c < 3; c++) colour[c] += basis[k] * block[(ROW_SH + 3 * k + c) * stride + i];

        // First and last pixel whose centre lies in the box.
        float width = (float)view.width, height = (float)view.height;
        float x0 = ceilf(clamped(u - half_width - 0.5f, 0.0f, width));
        float y0 = ceilf(clamped(v - half_height - 0.5f, 0.0f, height));
        float x1 = floorf(clamped(u + half_width - 0.5f, -1.0f, width - 1.0f));
        float y1 = floorf(clamped(v + half_height - 0.5f, -1.0f, height - 1.0f));
        drawn = g.Z > NEAR_PLANE && g.Z < HUGE_NUMBER && margin > 0.0f && x0 <= x1 && y0 <= y1;
        drawn = drawn && fabsf(u) < HUGE_NUMBER && fabsf(v) < HUGE_NUMBER && half_width < HUGE_NUMBER;
        drawn = drawn && half_height < HUGE_NUMBER && inverse_determinant > 0.0f && not_broken(block, stride, i);
        for (int c = 0; c < 3; c++) drawn = drawn && fabsf(colour[c]) < HUGE_NUMBER;
        depth = g.Z;
        if (drawn) {
            records[3 * i] = make_float4(
                u, v, g.yy * inverse_determinant * (-0.5f * LOG2_E), g.xy * inverse_determinant * LOG2_E);
            records[3 * i + 1] = make_float4(
                g.xx * inverse_determinant * (-0.5f * LOG2_E), log2_opacity, fmaxf(colour[0], 0.0f),
                fmaxf(colour[1], 0.0f));
            records[3 * i + 2] = make_float4(fmaxf(colour[2], 0.0f), g.xy / g.xx, half_width, half_height);
            rects[i] = make_uint2(
                (uint)x0 / TILE_SIZE | (uint)y0 / TILE_SIZE << 16, (uint)x1 / TILE_SIZE | (uint)y1 / TILE_SIZE << 16);
        }
    }
    uint bits = __float_as_uint(depth);
    if (i < stride) depths[i] = drawn ? bits : 0xFFFFFFFFu;
    // The range of depths, for sort keys of few bits. Maxima do not depend on the order in which they are taken.
    __shared__ uint highs[SPLAT_THREADS / 32], lows_inverted[SPLAT_THREADS / 32];
    uint high = drawn ? bits : 0, low_inverted = drawn ? ~bits : 0;
    for (int offset = 16; offset > 0; offset /= 2) {
        high = max(high, __shfl_xor_sync(FULL_WARP, high, offset));
        low_inverted = max(low_inverted, __shfl_xor_sync(FULL_WARP, low_inverted, offset));
    }
    if (threadIdx.x % 32 == 0) highs[threadIdx.x / 32] = high, lows_inverted[threadIdx.x / 32] = low_inverted;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int k = 1; k < SPLAT_THREADS / 32; k++) {
            high = max(high, highs[k]);
            low_inverted = max(low_inverted, lows_inverted[k]);
        }
        if (high != 0) {
            atomicMax(&frame->depth_high, high);
            atomicMax(&frame->depth_low_inverted, low_inverted);
        }
    }
}
