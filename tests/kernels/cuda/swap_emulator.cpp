// SPDX-License-Identifier: Apache-2.0
// The swap's CUDA kernels as one CPU library; see emulator.cpp.
#include "cuda_on_cpu.h"

#include "mesh_rasterization/cuda/kernels.cu"

#define EXPORT(name)                                                                       \
    extern "C" void launch_##name(unsigned* grid, unsigned threads, void** arguments) {    \
        cpu::entry<name>(name, grid, threads, arguments);                                  \
    }

EXPORT(prepare_faces)
EXPORT(nearest_small)
EXPORT(nearest_large)
EXPORT(look_up)
EXPORT(gather)
EXPORT(guide_light)
EXPORT(smooth_light)
EXPORT(as_rendered)
EXPORT(blur_rows)
EXPORT(passed_share)
EXPORT(exchange_skin)
