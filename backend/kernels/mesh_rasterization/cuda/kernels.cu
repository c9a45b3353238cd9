// SPDX-License-Identifier: Apache-2.0
// All kernels that change a view's skin, in the order in which the data goes through them.
#include "mesh_rasterization/cuda/nearest_faces.cu"
#include "mesh_rasterization/cuda/filtered_skin.cu"
#include "mesh_rasterization/cuda/smooth_light.cu"
#include "mesh_rasterization/cuda/exchange_skin.cu"
