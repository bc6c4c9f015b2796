//===- DriverApiTest.cpp - Our declarations against cuda.h ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Built where a CUDA toolkit's header is installed; all of it is checked by the
// compiler.
//===----------------------------------------------------------------------===//

// First, as it turns cuEventElapsedTime into the name of its newer form.
#include <cuda.h>

#include "device/DriverApi.h"

#include <cstddef>
#include <type_traits>

namespace {

using namespace qcc::rt::device;

/// The same type, an enumeration on one side and its integer on the other, or
/// structs of one size, whose fields are compared below.
template <typename Ours, typename Theirs>
constexpr bool passedAlike() {
  if constexpr (std::is_same_v<Ours, Theirs>)
    return true;
  else if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>)
    return passedAlike<std::remove_pointer_t<Ours>,
                       std::remove_pointer_t<Theirs>>();
  else if constexpr (std::is_enum_v<Ours> || std::is_enum_v<Theirs> ||
                     (std::is_class_v<Ours> && std::is_class_v<Theirs>))
    return sizeof(Ours) == sizeof(Theirs);
  else
    return false;
}

template <typename Ours, typename Theirs>
constexpr bool sameCall = false;
template <typename... Ours, typename... Theirs>
constexpr bool sameCall<Result (*)(Ours...), CUresult(Theirs...)> =
    sizeof...(Ours) == sizeof...(Theirs) &&
    (passedAlike<Ours, Theirs>() && ...);

#define QCC_COMPARE(name, parameters)                                          \
  static_assert(sameCall<decltype(DriverApi::name), decltype(::name)>, #name);
QCC_DRIVER_FUNCTIONS(QCC_COMPARE)
QCC_DRIVER_GRAPH_FUNCTIONS(QCC_COMPARE)
#if CUDA_VERSION >= 12040
QCC_DRIVER_PARAMETER_FUNCTIONS(QCC_COMPARE)
#endif

#if CUDA_VERSION >= 11080
QCC_DRIVER_LAUNCH_FUNCTIONS(QCC_COMPARE)
static_assert(sizeof(LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(LaunchAttribute, value) ==
              offsetof(CUlaunchAttribute, value));
static_assert(launchSerialization ==
              CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
static_assert(offsetof(LaunchConfig, sharedBytes) ==
              offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(LaunchConfig, stream) ==
              offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(LaunchConfig, attributes) ==
              offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(LaunchConfig, attributeCount) ==
              offsetof(CUlaunchConfig, numAttrs));
#endif

static_assert(sizeof(MemoryLocation) == sizeof(CUmemLocation));
static_assert(offsetof(MemoryLocation, device) == offsetof(CUmemLocation, id));
static_assert(MemoryLocation().type == CU_MEM_LOCATION_TYPE_DEVICE);
static_assert(offsetof(MemoryProperties, location) ==
              offsetof(CUmemAllocationProp, location));
static_assert(offsetof(MemoryProperties, metaData) ==
              offsetof(CUmemAllocationProp, win32HandleMetaData));
static_assert(MemoryProperties().type == CU_MEM_ALLOCATION_TYPE_PINNED);
static_assert(offsetof(MemoryAccess, flags) ==
              offsetof(CUmemAccessDesc, flags));
static_assert(MemoryAccess().flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
static_assert(granularityMinimum == CU_MEM_ALLOC_GRANULARITY_MINIMUM);
static_assert(captureThreadLocal == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);

static_assert(resultSuccess == CUDA_SUCCESS);
static_assert(resultInvalidValue == CUDA_ERROR_INVALID_VALUE);
static_assert(resultOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(resultStub == CUDA_ERROR_STUB_LIBRARY);
static_assert(resultNoDevice == CUDA_ERROR_NO_DEVICE);
static_assert(int(attributeThreadsPerBlock) ==
              CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
static_assert(int(attributeMultiprocessors) ==
              CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(int(attributeMemoryClock) ==
              CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
static_assert(int(attributeMemoryBus) ==
              CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
static_assert(int(attributeL2Bytes) == CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
static_assert(int(attributeComputeMajor) ==
              CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(int(attributeComputeMinor) ==
              CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(int(attributeSharedPerMultiprocessor) ==
              CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
static_assert(int(attributeSharedPerBlock) ==
              CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
static_assert(int(functionThreadsPerBlock) ==
              CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
static_assert(int(functionSharedBytes) == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
static_assert(int(functionLocalBytes) == CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
static_assert(int(functionRegisters) == CU_FUNC_ATTRIBUTE_NUM_REGS);
static_assert(int(functionDynamicSharedLimit) ==
              CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(int(jitErrorLog) == CU_JIT_ERROR_LOG_BUFFER);
static_assert(int(jitErrorLogBytes) == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
static_assert(streamNonBlocking == CU_STREAM_NON_BLOCKING);
static_assert(eventBlocking == CU_EVENT_BLOCKING_SYNC);
static_assert(eventNoTiming == CU_EVENT_DISABLE_TIMING);

} // namespace
