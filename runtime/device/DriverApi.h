//===- DriverApi.h - What we call in the CUDA driver ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The driver is opened at run time and no header of NVIDIA's is needed to build
// qcc, so the few functions and numbers that we use are declared here. Source
// of every signature, suffix and number: the CUDA driver API reference and
// cuda.h of CUDA 13.0; DriverApiTest.cpp compares them with a cuda.h where
// there is one.
//
// Names keep the suffix of the exported symbol (cuMemAlloc_v2): cuda.h hides it
// behind a macro, and the symbol without it is another function with 32-bit
// sizes. All are in drivers of CUDA 11.0 and newer. cuEventElapsedTime is the
// first form, whose newer one takes the same arguments.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DRIVERAPI_H
#define QCC_RUNTIME_DEVICE_DRIVERAPI_H

#include <cstddef>

// The tags that cuda.h gives its handles, so that both may be included
// together.
struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;
struct CUgraph_st;
struct CUgraphExec_st;

namespace qcc::rt::device {

using Result = int;                       // CUresult, an enumeration
using DeviceNumber = int;                 // CUdevice
using DevicePointer = unsigned long long; // CUdeviceptr
using ContextHandle = CUctx_st *;         // CUcontext
using ModuleHandle = CUmod_st *;          // CUmodule
using FunctionHandle = CUfunc_st *;       // CUfunction
using StreamHandle = CUstream_st *;       // CUstream
using EventHandle = CUevent_st *;         // CUevent
using GraphHandle = CUgraph_st *;         // CUgraph
using GraphExecHandle = CUgraphExec_st *; // CUgraphExec
using MemoryHandle = unsigned long long;  // CUmemGenericAllocationHandle

// CUresult: those that we tell apart. The driver names the others.
constexpr Result resultSuccess = 0;
constexpr Result resultInvalidValue = 1;
constexpr Result resultOutOfMemory = 2;
constexpr Result resultStub = 34; // the toolkit's library for linking only
constexpr Result resultNoDevice = 100;

// CUdevice_attribute
enum DeviceAttribute : int {
  attributeThreadsPerBlock = 1,
  attributeMultiprocessors = 16,
  attributeMemoryClock = 36, // kHz
  attributeMemoryBus = 37,   // bits
  attributeL2Bytes = 38,
  attributeComputeMajor = 75,
  attributeComputeMinor = 76,
  attributeSharedPerMultiprocessor = 81,
  attributeSharedPerBlock = 97, // what a kernel may be allowed to use
};

// CUfunction_attribute
enum FunctionAttribute : int {
  functionThreadsPerBlock = 0,
  functionSharedBytes = 1, // static
  functionLocalBytes = 3,
  functionRegisters = 4,
  functionDynamicSharedLimit = 8,
};

// CUjit_option
enum JitOption : int {
  jitErrorLog = 5,      // char *
  jitErrorLogBytes = 6, // unsigned, passed as a pointer
};

// CUmemLocation, CUmemAllocationProp, CUmemAccessDesc
struct MemoryLocation {
  int type = 1; // CU_MEM_LOCATION_TYPE_DEVICE
  int device = 0;
};
struct MemoryProperties {
  int type = 1; // CU_MEM_ALLOCATION_TYPE_PINNED
  int handleTypes = 0;
  MemoryLocation location;
  void *metaData = nullptr;
  unsigned char flags[8] = {};
};
struct MemoryAccess {
  MemoryLocation location;
  int flags = 3; // CU_MEM_ACCESS_FLAGS_PROT_READWRITE
};

// CUlaunchAttribute, of whose value we use
// `programmaticStreamSerializationAllowed`
constexpr int launchSerialization = 6; // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_...
struct alignas(8) LaunchAttribute {
  int id = launchSerialization;
  int padding = 0;
  int value = 1;
  char rest[60] = {};
};
// CUlaunchConfig
struct LaunchConfig {
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  StreamHandle stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};

constexpr int granularityMinimum = 0;     // CU_MEM_ALLOC_GRANULARITY_MINIMUM
constexpr int captureThreadLocal = 1;     // CU_STREAM_CAPTURE_MODE_...
constexpr unsigned streamNonBlocking = 1; // CU_STREAM_NON_BLOCKING
constexpr unsigned eventBlocking = 1;     // CU_EVENT_BLOCKING_SYNC
constexpr unsigned eventNoTiming = 2;     // CU_EVENT_DISABLE_TIMING

// X(symbol, (parameters)); each returns a CUresult.
#define QCC_DRIVER_FUNCTIONS(X)                                                \
  X(cuDriverGetVersion, (int *version))                                        \
  X(cuInit, (unsigned flags))                                                  \
  X(cuGetErrorName, (Result result, const char **name))                        \
  X(cuGetErrorString, (Result result, const char **text))                      \
  X(cuDeviceGetCount, (int *count))                                            \
  X(cuDeviceGet, (DeviceNumber * device, int index))                           \
  X(cuDeviceGetName, (char *name, int bytes, DeviceNumber device))             \
  X(cuDeviceGetAttribute,                                                      \
    (int *value, DeviceAttribute attribute, DeviceNumber device))              \
  X(cuDeviceTotalMem_v2, (size_t *bytes, DeviceNumber device))                 \
  X(cuDevicePrimaryCtxRetain, (ContextHandle * context, DeviceNumber device))  \
  X(cuDevicePrimaryCtxRelease_v2, (DeviceNumber device))                       \
  X(cuCtxPushCurrent_v2, (ContextHandle context))                              \
  X(cuCtxPopCurrent_v2, (ContextHandle * context))                             \
  X(cuMemGetInfo_v2, (size_t *free, size_t *total))                            \
  X(cuMemAlloc_v2, (DevicePointer * address, size_t bytes))                    \
  X(cuMemFree_v2, (DevicePointer address))                                     \
  X(cuMemHostAlloc, (void **address, size_t bytes, unsigned flags))            \
  X(cuMemFreeHost, (void *address))                                            \
  X(cuMemcpyHtoDAsync_v2,                                                      \
    (DevicePointer to, const void *from, size_t bytes, StreamHandle stream))   \
  X(cuMemcpyDtoHAsync_v2,                                                      \
    (void *to, DevicePointer from, size_t bytes, StreamHandle stream))         \
  X(cuMemcpyDtoDAsync_v2,                                                      \
    (DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream)) \
  X(cuMemcpyPeerAsync,                                                         \
    (DevicePointer to, ContextHandle toContext, DevicePointer from,            \
     ContextHandle fromContext, size_t bytes, StreamHandle stream))            \
  X(cuMemsetD8Async, (DevicePointer to, unsigned char value, size_t bytes,     \
                      StreamHandle stream))                                    \
  X(cuMemGetAllocationGranularity,                                             \
    (size_t *bytes, const MemoryProperties *properties, int which))            \
  X(cuMemAddressReserve,                                                       \
    (DevicePointer * address, size_t bytes, size_t alignment,                  \
     DevicePointer wanted, unsigned long long flags))                          \
  X(cuMemAddressFree, (DevicePointer address, size_t bytes))                   \
  X(cuMemCreate,                                                               \
    (MemoryHandle * memory, size_t bytes, const MemoryProperties *properties,  \
     unsigned long long flags))                                                \
  X(cuMemRelease, (MemoryHandle memory))                                       \
  X(cuMemMap, (DevicePointer address, size_t bytes, size_t offset,             \
               MemoryHandle memory, unsigned long long flags))                 \
  X(cuMemUnmap, (DevicePointer address, size_t bytes))                         \
  X(cuMemSetAccess, (DevicePointer address, size_t bytes,                      \
                     const MemoryAccess *access, size_t count))                \
  X(cuModuleLoadDataEx, (ModuleHandle * module, const void *image,             \
                         unsigned count, JitOption *options, void **values))   \
  X(cuModuleUnload, (ModuleHandle module))                                     \
  X(cuModuleGetFunction,                                                       \
    (FunctionHandle * function, ModuleHandle module, const char *name))        \
  X(cuFuncGetAttribute,                                                        \
    (int *value, FunctionAttribute attribute, FunctionHandle function))        \
  X(cuFuncSetAttribute,                                                        \
    (FunctionHandle function, FunctionAttribute attribute, int value))         \
  X(cuLaunchKernel,                                                            \
    (FunctionHandle function, unsigned gridX, unsigned gridY, unsigned gridZ,  \
     unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,  \
     StreamHandle stream, void **arguments, void **extra))                     \
  X(cuStreamCreate, (StreamHandle * stream, unsigned flags))                   \
  X(cuStreamSynchronize, (StreamHandle stream))                                \
  X(cuStreamDestroy_v2, (StreamHandle stream))                                 \
  X(cuEventCreate, (EventHandle * event, unsigned flags))                      \
  X(cuEventRecord, (EventHandle event, StreamHandle stream))                   \
  X(cuEventSynchronize, (EventHandle event))                                   \
  X(cuEventElapsedTime,                                                        \
    (float *milliseconds, EventHandle start, EventHandle end))                 \
  X(cuEventDestroy_v2, (EventHandle event))

// Those that a driver may lack (before CUDA 11.4): graphs are not used then.
#define QCC_DRIVER_GRAPH_FUNCTIONS(X)                                          \
  X(cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                  \
  X(cuStreamEndCapture, (StreamHandle stream, GraphHandle * graph))            \
  X(cuGraphInstantiateWithFlags,                                               \
    (GraphExecHandle * exec, GraphHandle graph, unsigned long long flags))     \
  X(cuGraphLaunch, (GraphExecHandle exec, StreamHandle stream))                \
  X(cuGraphExecDestroy, (GraphExecHandle exec))                                \
  X(cuGraphDestroy, (GraphHandle graph))

// Those that a driver may lack (before CUDA 12.4): parameters of kernels are
// not compared with what launches give them then.
#define QCC_DRIVER_PARAMETER_FUNCTIONS(X)                                      \
  X(cuFuncGetParamInfo,                                                        \
    (FunctionHandle function, size_t index, size_t *offset, size_t *bytes))

// Those that a driver may lack (before CUDA 11.8): launches do not begin before
// the one before has ended then.
#define QCC_DRIVER_LAUNCH_FUNCTIONS(X)                                         \
  X(cuLaunchKernelEx, (const LaunchConfig *config, FunctionHandle function,    \
                       void **arguments, void **extra))

/// The functions of an open driver.
struct DriverApi {
#define QCC_DECLARE(name, parameters) Result(*name) parameters = nullptr;
  QCC_DRIVER_FUNCTIONS(QCC_DECLARE)
  QCC_DRIVER_GRAPH_FUNCTIONS(QCC_DECLARE)
  QCC_DRIVER_PARAMETER_FUNCTIONS(QCC_DECLARE)
  QCC_DRIVER_LAUNCH_FUNCTIONS(QCC_DECLARE)
#undef QCC_DECLARE
  bool graphs = false; // whether all functions of graphs are there
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DRIVERAPI_H
