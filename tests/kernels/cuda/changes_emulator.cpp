// SPDX-License-Identifier: Apache-2.0
// The kernels between steps as one CPU library; see emulator.cpp.
#include "cuda_on_cpu.h"

#include "regularization/cuda/kernels.cu"

#define EXPORT(name)                                                                       \
    extern "C" void launch_##name(unsigned* grid, unsigned threads, void** arguments) {    \
        cpu::entry<name>(name, grid, threads, arguments);                                  \
    }

EXPORT(decay)
EXPORT(align)
EXPORT(wander)
EXPORT(rearrange)
