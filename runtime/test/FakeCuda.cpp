//===- FakeCuda.cpp - The fake driver: devices and contexts ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FakeCudaState.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

using namespace fake;

fake::Books fake::books;
thread_local std::vector<CUctx_st *> fake::stack;
static FakeCuda &state = fake::books.state;
static CUctx_st (&contexts)[8] = fake::books.contexts;

void Books::count() {
  state.deviceBuffers = deviceMemory.size();
  state.hostBuffers = hostMemory.size();
  state.modules = modules.size();
  state.streams = streams.size();
  state.events = events.size();
  state.reservations = reservations.size();
  state.memories = memories.size();
  state.graphs = graphs.size() + graphExecs.size();
  state.retained = 0;
  for (const CUctx_st &context : contexts)
    state.retained += size_t(context.retained);
}

Call::Call(const char *name) : lock(books.mutex) {
  state.calls.push_back(name);
  if (state.calls.size() == state.failAt || state.failName == name)
    result = state.failWith;
  else if (!books.initialised && strcmp(name, "cuInit") != 0 &&
           strcmp(name, "cuDriverGetVersion") != 0)
    state.misuse.push_back(std::string(name) + " before cuInit");
}

bool Call::in(CUctx_st *wanted) {
  CUctx_st *current = stack.empty() ? nullptr : stack.back();
  if (!current || (wanted && wanted != current))
    return refuse(invalidContext);
  result = current->failed;
  return result == 0;
}

bool Call::refuse(int why) {
  result = why;
  state.misuse.push_back(state.calls.back() + ": " + std::to_string(why));
  return false;
}

void fake::run(CUstream_st &stream, uint64_t until) {
  while (stream.done < until && !stream.waiting.empty()) {
    if (!stream.context->failed)
      stream.waiting.front().run();
    stream.waiting.pop_front();
    ++stream.done;
  }
}

void fake::runAll() {
  for (auto &entry : books.streams)
    run(*entry.second, entry.second->added);
  for (auto &stream : books.ending)
    run(*stream, stream->added);
  books.ending.clear();
}

template <typename Handle>
static void drop(std::map<Handle *, std::unique_ptr<Handle>> &all,
                 CUctx_st *context) {
  state.orphans += std::erase_if(
      all, [&](auto &entry) { return entry.second->context == context; });
}

/// What the driver does when nobody holds a primary context any more.
static void destroy(CUctx_st *context) {
  runAll();
  drop(books.graphs, context);
  drop(books.graphExecs, context);
  dropMappings(context);
  drop(books.events, context);
  drop(books.streams, context);
  drop(books.modules, context);
  state.orphans += std::erase_if(books.deviceMemory, [&](auto &entry) {
    if (entry.second.context != context)
      return false;
    free(reinterpret_cast<void *>(entry.first));
    return true;
  });
  state.orphans += std::erase_if(books.hostMemory, [&](auto &entry) {
    if (entry.second.context != context)
      return false;
    free(entry.first);
    return true;
  });
  context->used = 0;
  context->failed = 0;
}

FAKE_EXPORT FakeCuda *fake_cuda() { return &state; }

FAKE_EXPORT FakeCuda *fake_cuda_reset() {
  std::lock_guard<std::mutex> lock(books.mutex);
  for (CUctx_st &context : contexts) {
    destroy(&context);
    context = {};
    context.device = int(&context - contexts);
  }
  dropReservations();
  stack.clear();
  books.initialised = false;
  state = {};
  return &state;
}

FAKE_EXPORT size_t fake_cuda_depth() { return stack.size(); }
FAKE_EXPORT int fake_cuda_current() {
  return stack.empty() ? -1 : stack.back()->device;
}

//===----------------------------------------------------------------------===//
// Driver, devices and contexts
//===----------------------------------------------------------------------===//

FAKE_EXPORT Result cuDriverGetVersion(int *version) {
  Call call("cuDriverGetVersion");
  if (!call.fails())
    *version = state.version;
  return call.result;
}

#ifndef FAKE_CUDA_INCOMPLETE
FAKE_EXPORT Result cuInit(unsigned flags) {
  if (const char *path = getenv("FAKE_CUDA_KERNELS");
      path && !books.initialised) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    auto *fill = reinterpret_cast<void (*)(FakeCuda *)>(
        library ? dlsym(library, "fake_kernels") : nullptr);
    if (!fill)
      return resultNoDevice;
    fill(&state);
    if (const char *megabytes = getenv("FAKE_CUDA_MEGABYTES"))
      state.memoryBytes = uint64_t(atoi(megabytes)) << 20;
    if (const char *bytes = getenv("FAKE_CUDA_BYTES"))
      for (state.devices = 0; *bytes && state.devices < 8;
           bytes += *bytes == ',')
        state.memoryOf[state.devices++] =
            strtoull(bytes, const_cast<char **>(&bytes), 10);
    if (const char *capability = getenv("FAKE_CUDA_CAPABILITY"))
      sscanf(capability, "%d.%d", &state.major, &state.minor);
  }
  Call call("cuInit");
  if (!call.fails()) {
    books.initialised = true;
    call.result = flags ? invalidValue : state.devices ? 0 : resultNoDevice;
  }
  return call.result;
}
#endif

FAKE_EXPORT Result cuGetErrorName(Result result, const char **name) {
  *name = result == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : result == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : result == 999 ? "CUDA_ERROR_UNKNOWN"
                          : nullptr;
  return *name ? 0 : invalidValue;
}

FAKE_EXPORT Result cuGetErrorString(Result result, const char **text) {
  *text = result == 2     ? "out of memory"
          : result == 700 ? "an illegal memory access was encountered"
          : result == 999 ? "unknown error"
                          : nullptr;
  return *text ? 0 : invalidValue;
}

FAKE_EXPORT Result cuDeviceGetCount(int *number) {
  Call call("cuDeviceGetCount");
  if (!call.fails())
    *number = state.devices;
  return call.result;
}

FAKE_EXPORT Result cuDeviceGet(DeviceNumber *device, int index) {
  Call call("cuDeviceGet");
  if (!call.fails() && (index < 0 || index >= state.devices))
    call.refuse(invalidDevice);
  if (!call.fails())
    *device = index;
  return call.result;
}

FAKE_EXPORT Result cuDeviceGetName(char *name, int bytes, DeviceNumber) {
  Call call("cuDeviceGetName");
  if (!call.fails())
    snprintf(name, size_t(bytes), "Fake GPU");
  return call.result;
}

FAKE_EXPORT Result cuDeviceGetAttribute(int *value, DeviceAttribute attribute,
                                        DeviceNumber) {
  Call call("cuDeviceGetAttribute");
  if (call.fails())
    return call.result;
  const std::map<int, int> values = {{1, state.threadsPerBlock},
                                     {16, 108},
                                     {36, 1593000},
                                     {37, 5120},
                                     {38, 40 << 20},
                                     {75, state.major},
                                     {76, state.minor},
                                     {81, 164 << 10},
                                     {97, state.sharedPerBlock}};
  auto found = values.find(attribute);
  if (found == values.end())
    call.refuse(invalidValue);
  else
    *value = found->second;
  return call.result;
}

FAKE_EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, DeviceNumber device) {
  Call call("cuDeviceTotalMem_v2");
  if (!call.fails())
    *bytes = books.memoryOf(device);
  return call.result;
}

FAKE_EXPORT Result cuDevicePrimaryCtxRetain(ContextHandle *context,
                                            DeviceNumber device) {
  Call call("cuDevicePrimaryCtxRetain");
  if (call.fails())
    return call.result;
  *context = &contexts[device];
  contexts[device].device = device;
  ++contexts[device].retained;
  return 0;
}

FAKE_EXPORT Result cuDevicePrimaryCtxRelease_v2(DeviceNumber device) {
  Call call("cuDevicePrimaryCtxRelease_v2");
  if (!call.fails() && contexts[device].retained == 0)
    call.refuse(invalidContext);
  if (!call.fails() && --contexts[device].retained == 0)
    destroy(&contexts[device]);
  return call.result;
}

FAKE_EXPORT Result cuCtxPushCurrent_v2(ContextHandle context) {
  Call call("cuCtxPushCurrent_v2");
  if (!call.fails() && (!context || !context->retained))
    call.refuse(invalidContext);
  if (!call.fails())
    stack.push_back(context);
  return call.result;
}

FAKE_EXPORT Result cuCtxPopCurrent_v2(ContextHandle *context) {
  Call call("cuCtxPopCurrent_v2");
  if (!call.fails() && stack.empty())
    call.refuse(invalidContext);
  if (!call.fails()) {
    *context = stack.back();
    stack.pop_back();
  }
  return call.result;
}
