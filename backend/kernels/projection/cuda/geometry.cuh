// SPDX-License-Identifier: Apache-2.0
// From a splat's parameters to its ellipse on the screen (EWA splatting, Zwicker et al. 2001): what forward and backward
// share. Names as in cpu.py.
#pragma once
#include "cuda/common.cuh"

struct Geometry {
    float X, Y, Z, inverse_z;       // in camera axes
    float rx, ry;                   // x/z and y/z after the clamp
    float w, x, y, z, inverse_norm; // quaternion, normalised
    float s0, s1, s2;               // standard deviations
    float M[9];                     // rotation times scale, row by row
    float JW[6];                    // Jacobian times world-to-camera rotation
    float U[6];                     // JW M; the covariance is U U^T
    float xx, xy, yy;               // covariance with EPS2D
    float determinant;
    float n0, n1, n2, bare_determinant;  // u x v of the rows of U; its square is the determinant without EPS2D
    float dir_x, dir_y, dir_z, inverse_distance;  // from the camera to the mean
};

__device__ inline float dot3(float a0, float a1, float a2, float b0, float b1, float b2) {
    return a0 * b0 + a1 * b1 + a2 * b2;
}

__device__ inline Geometry geometry(const float* block, int stride, int i, const float* camera) {
    Geometry g;
    const float* R = camera + CAMERA_ROTATION;
    const float* t = camera + CAMERA_TRANSLATION;
    float mx = block[i], my = block[stride + i], mz = block[2 * stride + i];
    g.X = mx * R[0] + my * R[1] + mz * R[2] + t[0];
    g.Y = mx * R[3] + my * R[4] + mz * R[5] + t[1];
    g.Z = mx * R[6] + my * R[7] + mz * R[8] + t[2];
    g.inverse_z = 1.0f / g.Z;

    const float* q = block + ROW_QUAT * stride + i;
    float w = q[0], x = q[stride], y = q[2 * stride], z = q[3 * stride];
    g.inverse_norm = 1.0f / sqrtf(w * w + x * x + y * y + z * z);
    g.w = w *= g.inverse_norm, g.x = x *= g.inverse_norm, g.y = y *= g.inverse_norm, g.z = z *= g.inverse_norm;
    const float* s = block + ROW_LOG_SCALE * stride + i;
    g.s0 = expf(s[0]), g.s1 = expf(s[stride]), g.s2 = expf(s[2 * stride]);
    g.M[0] = (1 - 2 * (y * y + z * z)) * g.s0, g.M[1] = 2 * (x * y - w * z) * g.s1, g.M[2] = 2 * (x * z + w * y) * g.s2;
    g.M[3] = 2 * (x * y + w * z) * g.s0, g.M[4] = (1 - 2 * (x * x + z * z)) * g.s1, g.M[5] = 2 * (y * z - w * x) * g.s2;
    g.M[6] = 2 * (x * z - w * y) * g.s0, g.M[7] = 2 * (y * z + w * x) * g.s1, g.M[8] = (1 - 2 * (x * x + y * y)) * g.s2;

    // Far outside the image the linearisation of the perspective is useless and explodes: hence the clamp.
    g.rx = clamped(g.X * g.inverse_z, camera[CAMERA_SLOPE_X_LOW], camera[CAMERA_SLOPE_X_HIGH]);
    g.ry = clamped(g.Y * g.inverse_z, camera[CAMERA_SLOPE_Y_LOW], camera[CAMERA_SLOPE_Y_HIGH]);
    float jx = g.inverse_z * camera[CAMERA_FOCAL_X], jy = g.inverse_z * camera[CAMERA_FOCAL_Y];
    float jxz = -jx * g.rx, jyz = -jy * g.ry;
    for (int k = 0; k < 3; k++) {
        g.JW[k] = jx * R[k] + jxz * R[6 + k];
        g.JW[3 + k] = jy * R[3 + k] + jyz * R[6 + k];
    }
    for (int k = 0; k < 3; k++) {
        g.U[k] = dot3(g.JW[0], g.JW[1], g.JW[2], g.M[k], g.M[3 + k], g.M[6 + k]);
        g.U[3 + k] = dot3(g.JW[3], g.JW[4], g.JW[5], g.M[k], g.M[3 + k], g.M[6 + k]);
    }
    const float* U = g.U;
    float uu = dot3(U[0], U[1], U[2], U[0], U[1], U[2]), vv = dot3(U[3], U[4], U[5], U[3], U[4], U[5]);
    // det(U U^T) = |u x v|^2: a sum of squares, where uu vv - uv^2 would cancel for needles.
    g.n0 = U[1] * U[5] - U[2] * U[4], g.n1 = U[2] * U[3] - U[0] * U[5], g.n2 = U[0] * U[4] - U[1] * U[3];
    g.bare_determinant = dot3(g.n0, g.n1, g.n2, g.n0, g.n1, g.n2);
    g.determinant = g.bare_determinant + (uu + vv) * EPS2D + EPS2D * EPS2D;
    g.xx = uu + EPS2D, g.xy = dot3(U[0], U[1], U[2], U[3], U[4], U[5]), g.yy = vv + EPS2D;

    float dx = mx - camera[CAMERA_POSITION], dy = my - camera[CAMERA_POSITION + 1];
    float dz = mz - camera[CAMERA_POSITION + 2];
    g.inverse_distance = 1.0f / sqrtf(dx * dx + dy * dy + dz * dz);
    g.dir_x = dx * g.inverse_distance, g.dir_y = dy * g.inverse_distance, g.dir_z = dz * g.inverse_distance;
    return g;
}
