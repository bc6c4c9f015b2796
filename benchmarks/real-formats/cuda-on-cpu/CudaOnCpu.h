//===- CudaOnCpu.h - As much of CUDA as ExLlamaV2's kernels need ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//
//
// Lets C++ written for CUDA be compiled for the CPU: the types, the arithmetic
// and the few calls of the runtime that the sources named in exllamav2_cpu.py
// use. Device memory is memory, and a kernel's threads run one after another.
//
// With CUDA_HALF_IS_FLOAT, half is float, so that the same kernels compute
// without rounding to f16 (those that look at the bits of a half do not work
// then).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_BENCHMARKS_REALFORMATS_CUDAONCPU_CUDAONCPU_H
#define QCC_BENCHMARKS_REALFORMATS_CUDAONCPU_CUDAONCPU_H

#include <algorithm>
#include <c10/util/Half.h>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
// Shared by the threads of a block, which do not run at the same time as
// another.
#define __shared__ static

using std::max;
using std::min;

//===----------------------------------------------------------------------===//
// Types and arithmetic
//===----------------------------------------------------------------------===//

#ifdef CUDA_HALF_IS_FLOAT
using half = float;
#else
using half = c10::Half;
#endif

template <typename T>
struct alignas(2 * sizeof(T)) Pair {
  T x, y;
};
template <typename T>
struct alignas(16) Quad {
  T x, y, z, w;
};
using half2 = Pair<half>;
using uint2 = Pair<uint32_t>;
using int4 = Quad<int32_t>;
using uint4 = Quad<uint32_t>;
using float4 = Quad<float>;

// f32 has more than twice the digits of a half, and double those of f32, so
// that results are those of rounding once.
inline half __float2half_rn(float a) { return half(a); }
inline half __int2half_rn(int a) { return half(float(a)); }
inline float __half2float(half a) { return float(a); }
inline float __int2float_rn(int a) { return float(a); }
inline half __hadd(half a, half b) { return half(float(a) + float(b)); }
inline half __hsub(half a, half b) { return half(float(a) - float(b)); }
inline half __hmul(half a, half b) { return half(float(a) * float(b)); }
inline half __hfma(half a, half b, half c) {
  return half(float(double(float(a)) * double(float(b)) + double(float(c))));
}
inline half __hneg(half a) { return half(-float(a)); }
inline half __habs(half a) { return half(std::fabs(float(a))); }
inline half __hmax(half a, half b) { return float(a) < float(b) ? b : a; }
inline half __low2half(half2 a) { return a.x; }
inline half __high2half(half2 a) { return a.y; }
inline half2 __halves2half2(half a, half b) { return {a, b}; }
inline half2 __half2half2(half a) { return {a, a}; }
inline half2 __hadd2(half2 a, half2 b) {
  return {__hadd(a.x, b.x), __hadd(a.y, b.y)};
}
inline half2 __hmul2(half2 a, half2 b) {
  return {__hmul(a.x, b.x), __hmul(a.y, b.y)};
}
inline half2 __hfma2(half2 a, half2 b, half2 c) {
  return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
inline float __powf(float a, float b) { return std::exp2(b * std::log2(a)); }
inline uint32_t __funnelshift_rc(uint32_t low, uint32_t high, uint32_t shift) {
  return uint32_t((uint64_t(high) << 32 | low) >> std::min(shift, 32u));
}
inline float atomicAdd(float *place, float value) {
  float before = *place;
  *place = before + value;
  return before;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace cuda_on_cpu {

struct AtBarrier {};
/// Whether threads stop at the barrier.
inline bool stopping;
inline bool stopped;

/// Calls `thread` for each thread of a block. Of a block with a barrier all
/// threads first run up to it, and then again from the start to the end: right
/// for kernels with one barrier, before which only shared memory is written.
template <typename Thread>
void runBlock(Thread thread) {
  auto each = [&](bool stop) {
    stopping = stop;
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)
      for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
          try {
            thread();
          } catch (AtBarrier) {
            stopped = true;
          }
  };
  stopped = false;
  each(true);
  if (stopped)
    each(false);
}

/// What stands for `kernel<<<grid, block, ...>>>`.
template <typename Kernel>
auto launch(Kernel kernel, dim3 grid, dim3 block, size_t = 0,
            void * = nullptr) {
  return [=](auto... arguments) {
    gridDim = grid;
    blockDim = block;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
      for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
          runBlock([&] { kernel(arguments...); });
  };
}

} // namespace cuda_on_cpu

inline void __syncthreads() {
  if (cuda_on_cpu::stopping)
    throw cuda_on_cpu::AtBarrier();
}

//===----------------------------------------------------------------------===//
// The runtime, and what PyTorch adds to it
//===----------------------------------------------------------------------===//

using cudaStream_t = void *;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
inline const char *cudaGetErrorString(cudaError_t) { return "no memory"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes,
                              cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                   cudaMemcpyKind kind,
                                   cudaStream_t = nullptr) {
  return cudaMemcpy(to, from, bytes, kind);
}
template <typename T>
cudaError_t cudaMalloc(T **place, size_t bytes) {
  *place = static_cast<T *>(std::malloc(bytes));
  return *place ? cudaSuccess : 2;
}
inline cudaError_t cudaFree(void *place) {
  std::free(place);
  return cudaSuccess;
}

namespace at::cuda {
struct OptionalCUDAGuard {
  template <typename T>
  explicit OptionalCUDAGuard(const T &) {}
};
struct CUDAStream {
  cudaStream_t stream() const { return nullptr; }
};
inline CUDAStream getCurrentCUDAStream() { return {}; }
} // namespace at::cuda

#endif // QCC_BENCHMARKS_REALFORMATS_CUDAONCPU_CUDAONCPU_H
