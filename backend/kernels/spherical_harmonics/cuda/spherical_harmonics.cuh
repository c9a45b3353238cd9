// SPDX-License-Identifier: Apache-2.0
// Real spherical harmonics up to degree 3 and their backward pass; signs as in reference.py.
#pragma once
#include "cuda/common.cuh"

__device__ inline void sh_basis(float x, float y, float z, float* basis) {  // basis: SH_COEFFICIENTS
    basis[0] = 0.28209479177387814f;
#if SH_COEFFICIENTS > 1
    basis[1] = -0.4886025119029199f * y;
    basis[2] = 0.4886025119029199f * z;
    basis[3] = -0.4886025119029199f * x;
#endif
#if SH_COEFFICIENTS > 4
    float xx = x * x, yy = y * y, zz = z * z;
    basis[4] = 1.0925484305920792f * x * y;
    basis[5] = -1.0925484305920792f * y * z;
    basis[6] = 0.31539156525252005f * (2 * zz - xx - yy);
    basis[7] = -1.0925484305920792f * x * z;
    basis[8] = 0.5462742152960396f * (xx - yy);
#endif
#if SH_COEFFICIENTS > 9
    basis[9] = -0.5900435899266435f * y * (3 * xx - yy);
    basis[10] = 2.890611442640554f * x * y * z;
    basis[11] = -0.4570457994644658f * y * (4 * zz - xx - yy);
    basis[12] = 0.3731763325901154f * z * (2 * zz - 3 * xx - 3 * yy);
    basis[13] = -0.4570457994644658f * x * (4 * zz - xx - yy);
    basis[14] = 1.445305721320277f * z * (xx - yy);
    basis[15] = -0.5900435899266435f * x * (xx - 3 * yy);
#endif
}

// dL/d(x, y, z) from dL/dbasis `d`, by the derivatives of the polynomials above.
__device__ inline float3 sh_direction_gradient(float x, float y, float z, const float* d) {
    float3 out = make_float3(0.0f, 0.0f, 0.0f);
#if SH_COEFFICIENTS > 1
    out.x = -0.4886025119029199f * d[3];
    out.y = -0.4886025119029199f * d[1];
    out.z = 0.4886025119029199f * d[2];
#endif
#if SH_COEFFICIENTS > 4
    float d4 = 1.0925484305920792f * d[4], d5 = -1.0925484305920792f * d[5], d6 = 0.31539156525252005f * d[6];
    float d7 = -1.0925484305920792f * d[7], d8 = 0.5462742152960396f * d[8];
    out.x += y * d4 - 2 * x * d6 + z * d7 + 2 * x * d8;
    out.y += x * d4 + z * d5 - 2 * y * d6 - 2 * y * d8;
    out.z += y * d5 + 4 * z * d6 + x * d7;
#endif
#if SH_COEFFICIENTS > 9
    float xx = x * x, yy = y * y, zz = z * z, xy = x * y, xz = x * z, yz = y * z;
    float d9 = -0.5900435899266435f * d[9], d10 = 2.890611442640554f * d[10], d11 = -0.4570457994644658f * d[11];
    float d12 = 0.3731763325901154f * d[12], d13 = -0.4570457994644658f * d[13], d14 = 1.445305721320277f * d[14];
    float d15 = -0.5900435899266435f * d[15];
    out.x += 6 * xy * d9 + yz * d10 - 2 * xy * d11 - 6 * xz * d12 + (4 * zz - 3 * xx - yy) * d13 + 2 * xz * d14 +
             3 * (xx - yy) * d15;
    out.y += 3 * (xx - yy) * d9 + xz * d10 + (4 * zz - xx - 3 * yy) * d11 - 6 * yz * d12 - 2 * xy * d13 -
             2 * yz * d14 - 6 * xy * d15;
    out.z += xy * d10 + 8 * yz * d11 + 3 * (2 * zz - xx - yy) * d12 + 8 * xz * d13 + (xx - yy) * d14;
#endif
    return out;
}
