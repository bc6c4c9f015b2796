/*===- Device.c - Stands in for the archive of code for GPUs ---------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

__attribute__((visibility("hidden"))) const char qcc_gpu_runtime[] =
    "fixture of the device archive";
