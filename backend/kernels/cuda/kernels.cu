// SPDX-License-Identifier: Apache-2.0
// All kernels of a training step, in the order in which the data goes through them.
#include "projection/cuda/project.cu"
#include "binning/cuda/bin.cu"
#include "rasterization/cuda/rasterize.cu"
#include "loss/cuda/compare.cu"
#include "loss/cuda/differentiate.cu"
#include "rasterization/cuda/rasterize_backward.cu"
#include "projection/cuda/project_backward.cu"
