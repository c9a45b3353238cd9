// SPDX-License-Identifier: Apache-2.0
// From the tiles' sums to the parameters: one thread a splat adds up its slots in their order, chains them to all
// parameters and applies Adam in the same pass, so that gradients never go through memory.
#include "adam/cuda/adam.cuh"
#include "projection/cuda/geometry.cuh"
#include "spherical_harmonics/cuda/spherical_harmonics.cuh"

struct Sums {
    float v, vx, vy, vxx, vxy, vyy, red, green, blue;
    float used;  // slots that were reached
#if DEPTH
    float depth;
#endif
};

#define SUMS (10 + DEPTH)  // fields of Sums

// dL/dU and dL/d(u, v) from the moments of v = alpha dL/dalpha.
__device__ inline void covariance_gradient(const Geometry& g, const Sums& sums, float* dU, float& du, float& dv) {
    float inverse = 1.0f / g.determinant;
    float ca = g.yy * inverse, cb = -g.xy * inverse, cc = g.xx * inverse;
    du = ca * sums.vx + cb * sums.vy;
    dv = cc * sums.vy + cb * sums.vx;
    // dL/dconic as a symmetric matrix; dL/dcovariance = -conic dconic conic; dL/dU = 2 dcovariance U.
    float da = -0.5f * sums.vxx, db = -0.5f * sums.vxy, dc = -0.5f * sums.vyy;
    float t00 = ca * da + cb * db, t01 = ca * db + cb * dc, t10 = cb * da + cc * db, t11 = cb * db + cc * dc;
    float xx = -2 * (t00 * ca + t01 * cb), xy = -2 * (t00 * cb + t01 * cc), yy = -2 * (t10 * cb + t11 * cc);
    for (int k = 0; k < 3; k++) {
        dU[k] = xx * g.U[k] + xy * g.U[3 + k];
        dU[3 + k] = xy * g.U[k] + yy * g.U[3 + k];
    }
}

// Adds to dL/dU what flows through log(compensation) = (log det U U^T - log det covariance) / 2, with n = u x v:
// d log det U U^T / du = 2 (v x n) / n^2, and d/dv = 2 (n x u) / n^2.
__device__ inline void compensation_gradient(const Geometry& g, float sum_v, float* dU) {
    float inverse = 1.0f / g.determinant;
    if (!(g.bare_determinant * inverse > MIN_COMPENSATION)) return;
    float by_normal = sum_v / g.bare_determinant, pull = sum_v * inverse;
    const float* U = g.U;
    float n[3] = {g.n0, g.n1, g.n2};
    for (int k = 0; k < 3; k++) {
        int a = (k + 1) % 3, b = (k + 2) % 3;
        dU[k] += (U[3 + a] * n[b] - U[3 + b] * n[a]) * by_normal - (U[k] * g.yy - U[3 + k] * g.xy) * pull;
        dU[3 + k] += (n[a] * U[b] - n[b] * U[a]) * by_normal - (U[3 + k] * g.xx - U[k] * g.xy) * pull;
    }
}

// Gradients of quaternion (rows 3..6) and log-scales (7..9) through M = rotation x scale.
__device__ inline void shape_gradient(const Geometry& g, const float* dU, float* gradients) {
    float d[3][3];
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 3; k++) d[row][k] = g.JW[row] * dU[k] + g.JW[3 + row] * dU[3 + k];
    float s[3] = {g.s0, g.s1, g.s2};
    for (int k = 0; k < 3; k++) {
        gradients[ROW_LOG_SCALE + k] = dot3(d[0][k], d[1][k], d[2][k], g.M[k], g.M[3 + k], g.M[6 + k]);
        for (int row = 0; row < 3; row++) d[row][k] *= s[k];
    }
    float w = g.w, x = g.x, y = g.y, z = g.z;
    float dw = 2 * (z * (d[1][0] - d[0][1]) + y * (d[0][2] - d[2][0]) + x * (d[2][1] - d[1][2]));
    float dx = 2 * (y * (d[0][1] + d[1][0]) + z * (d[0][2] + d[2][0]) - 2 * x * (d[1][1] + d[2][2]) +
                    w * (d[2][1] - d[1][2]));
    float dy = 2 * (x * (d[0][1] + d[1][0]) + z * (d[1][2] + d[2][1]) - 2 * y * (d[0][0] + d[2][2]) +
                    w * (d[0][2] - d[2][0]));
    float dz = 2 * (x * (d[0][2] + d[2][0]) + y * (d[1][2] + d[2][1]) - 2 * z * (d[0][0] + d[1][1]) +
                    w * (d[1][0] - d[0][1]));
    float along = dw * w + dx * x + dy * y + dz * z;  // the part that the normalisation removes
    gradients[ROW_QUAT] = (dw - along * w) * g.inverse_norm;
    gradients[ROW_QUAT + 1] = (dx - along * x) * g.inverse_norm;
    gradients[ROW_QUAT + 2] = (dy - along * y) * g.inverse_norm;
    gradients[ROW_QUAT + 3] = (dz - along * z) * g.inverse_norm;
}

// dL/dmean in the world through the projected centre, the Jacobian and the depth.
__device__ inline void mean_gradient(
    const Geometry& g, const float* dU, float du, float dv, float d_depth, const float* camera, float* gradients) {
    const float* R = camera + CAMERA_ROTATION;
    const float* M = g.M;
    float a[3], b[3];
    for (int k = 0; k < 3; k++) {
        a[k] = dot3(dU[0], dU[1], dU[2], M[3 * k], M[3 * k + 1], M[3 * k + 2]);
        b[k] = dot3(dU[3], dU[4], dU[5], M[3 * k], M[3 * k + 1], M[3 * k + 2]);
    }
    float d_jx = dot3(a[0], a[1], a[2], R[0], R[1], R[2]), d_jxz = dot3(a[0], a[1], a[2], R[6], R[7], R[8]);
    float d_jy = dot3(b[0], b[1], b[2], R[3], R[4], R[5]), d_jyz = dot3(b[0], b[1], b[2], R[6], R[7], R[8]);
    float fx = camera[CAMERA_FOCAL_X], fy = camera[CAMERA_FOCAL_Y];
    // Where x/z was clamped, the Jacobian depends on z alone.
    float ratio_x = g.X * g.inverse_z, ratio_y = g.Y * g.inverse_z;
    bool free_x = ratio_x >= camera[CAMERA_SLOPE_X_LOW] && ratio_x <= camera[CAMERA_SLOPE_X_HIGH];
    bool free_y = ratio_y >= camera[CAMERA_SLOPE_Y_LOW] && ratio_y <= camera[CAMERA_SLOPE_Y_HIGH];
    float square = g.inverse_z * g.inverse_z;
    float dX = du * g.inverse_z * fx - (free_x ? d_jxz * square * fx : 0.0f);
    float dY = dv * g.inverse_z * fy - (free_y ? d_jyz * square * fy : 0.0f);
    float dZ = d_jxz * fx * g.rx * (free_x ? 2.0f : 1.0f) + d_jyz * fy * g.ry * (free_y ? 2.0f : 1.0f);
    dZ = (dZ - d_jx * fx - d_jy * fy - du * g.X * fx - dv * g.Y * fy) * square + d_depth;
    for (int k = 0; k < 3; k++) gradients[ROW_MEAN + k] = dX * R[k] + dY * R[3 + k] + dZ * R[6 + k];
}

// Gradients of the SH coefficients; adds what flows through the direction of view to the mean's gradient.
__device__ inline void colour_gradient(
    const float* __restrict__ block, int stride, int i, const Geometry& g, const Sums& sums, float* gradients) {
    float basis[SH_COEFFICIENTS], d_basis[SH_COEFFICIENTS];
    sh_basis(g.dir_x, g.dir_y, g.dir_z, basis);
    float colour[3] = {0.5f, 0.5f, 0.5f};
    for (int k = 0; k < SH_COEFFICIENTS; k++)
        for (int c = 0; c < 3; c++) colour[c] += basis[k] * block[(ROW_SH + 3 * k + c) * stride + i];
    // Colours that the clamp cut to zero pass nothing on.
    float d[3] = {
        colour[0] > 0 ? sums.red : 0.0f, colour[1] > 0 ? sums.green : 0.0f, colour[2] > 0 ? sums.blue : 0.0f};
    for (int k = 0; k < SH_COEFFICIENTS; k++) {
        d_basis[k] = 0.0f;
        for (int c = 0; c < 3; c++) {
            gradients[ROW_SH + 3 * k + c] = basis[k] * d[c];
            d_basis[k] += block[(ROW_SH + 3 * k + c) * stride + i] * d[c];
        }
    }
    float3 along_axes = sh_direction_gradient(g.dir_x, g.dir_y, g.dir_z, d_basis);
    float along = dot3(along_axes.x, along_axes.y, along_axes.z, g.dir_x, g.dir_y, g.dir_z);
    gradients[ROW_MEAN] += (along_axes.x - along * g.dir_x) * g.inverse_distance;
    gradients[ROW_MEAN + 1] += (along_axes.y - along * g.dir_y) * g.inverse_distance;
    gradients[ROW_MEAN + 2] += (along_axes.z - along * g.dir_z) * g.inverse_distance;
}

__device__ inline void add_slot(
    const float4* __restrict__ slots, const unsigned char* __restrict__ slot_used, uint slot, Sums& sums) {
    if (!slot_used[slot]) return;
    float4 a = slots[3 * slot], b = slots[3 * slot + 1];
    sums.v += a.x, sums.vx += a.y, sums.vy += a.z, sums.vxx += a.w;
    sums.vxy += b.x, sums.vyy += b.y, sums.red += b.z, sums.green += b.w;
    sums.blue += slots[3 * slot + 2].x;
#if DEPTH
    sums.depth += slots[3 * slot + 2].y;
#endif
    sums.used += 1.0f;
}

#define MANY_SLOTS 24

// The sums of the calling thread's splat over its slots. A splat with many of them would keep its warp waiting: there the
// whole warp adds, lane by lane, and the lanes' sums are added in a fixed order. To be called by whole warps.
__device__ inline Sums collect_sums(
    const float4* __restrict__ slots, const unsigned char* __restrict__ slot_used, uint2 span) {
    Sums sums = {};
    if (span.y <= MANY_SLOTS)
        for (uint slot = span.x; slot < span.x + span.y; slot++) add_slot(slots, slot_used, slot, sums);
    uint lane = threadIdx.x % 32;
    for (uint waiting = __ballot_sync(FULL_WARP, span.y > MANY_SLOTS); waiting; waiting &= waiting - 1) {
        int owner = __ffs(waiting) - 1;
        uint first = __shfl_sync(FULL_WARP, span.x, owner), count = __shfl_sync(FULL_WARP, span.y, owner);
        Sums part = {};
        for (uint k = lane; k < count; k += 32) add_slot(slots, slot_used, first + k, part);
        float* values = &part.v;
#pragma unroll
        for (int k = 0; k < SUMS; k++)
            for (int offset = 16; offset > 0; offset /= 2)
                values[k] += __shfl_xor_sync(FULL_WARP, values[k], offset);
        if ((int)lane == owner) sums = part;
    }
    return sums;
}

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) project_backward(
    float* __restrict__ block,             // (rows, stride), changed unless `output` is given
    float* __restrict__ first, float* __restrict__ second,  // Adam's moments
    int stride, const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    const Frame* __restrict__ frame,
    const uint2* __restrict__ slot_spans,  // (stride,) first slot and number of slots
    const unsigned char* __restrict__ slot_used,
    const float4* __restrict__ slots,
    float* __restrict__ statistics,        // (2, stride) sums of the screen gradient's norm and of steps; or null
    float* __restrict__ output) {          // (rows, stride) gradients; null: apply Adam
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x;
    if (run_stands(control, frame)) return;
    Sums sums = collect_sums(slots, slot_used, i < stride ? slot_spans[i] : make_uint2(0, 0));
    if (sums.used == 0) return;
    const Step& step = steps[control->cursor];
    const View& view = views[step.view];
    Geometry g = geometry(block, stride, i, view.camera);
    float gradients[PARAMETER_ROWS], dU[6], du, dv;
    covariance_gradient(g, sums, dU, du, dv);
#if ANTIALIASED
    compensation_gradient(g, sums.v, dU);
#endif
    shape_gradient(g, dU, gradients);
#if DEPTH
    float d_depth = sums.depth;
#else
    float d_depth = 0.0f;
#endif
    mean_gradient(g, dU, du, dv, d_depth, view.camera, gradients);
    float opacity = 1.0f / (1.0f + expf(-block[ROW_OPACITY * stride + i]));
    gradients[ROW_OPACITY] = (1.0f - opacity) * sums.v;
    colour_gradient(block, stride, i, g, sums, gradients);
    if (statistics) {
        float x = du * 0.5f * view.width, y = dv * 0.5f * view.height;  // NDC-scaled, as densification has it
        float norm = sqrtf(x * x + y * y);
        if (norm < HUGE_NUMBER) statistics[i] += norm, statistics[stride + i] += 1.0f;
    }
    if (output) {
        for (int row = 0; row < PARAMETER_ROWS; row++) output[row * stride + i] = broken_to_zero(gradients[row]);
        return;
    }
#pragma unroll
    for (int row = 0; row < PARAMETER_ROWS; row += ADAM_ROWS)
        adam_rows(block, first, second, row, stride, i, gradients, step);
}
