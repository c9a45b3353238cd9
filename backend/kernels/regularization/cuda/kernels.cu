// SPDX-License-Identifier: Apache-2.0
// All kernels that change splats between steps.
#include "regularization/cuda/decay.cu"
#include "regularization/cuda/align.cu"
#include "regularization/cuda/wander.cu"
#include "rearrangement/cuda/rearrange.cu"
