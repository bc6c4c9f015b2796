//===- FakeCudaWork.cpp - The fake driver: memory, kernels, streams -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FakeCudaState.h"

#include <cstdlib>

using namespace fake;

static FakeCuda &state = fake::books.state;

constexpr unsigned staticShared = 1024; // of every kernel

void fake::add(CUstream_st *stream, std::function<void()> work,
               const void *host, CUstream_st::Kind kind) {
  if (stream->capturing) {
    stream->captured.push_back({std::move(work), host, kind});
    return;
  }
  stream->waiting.push_back({std::move(work), host, kind});
  stream->last = kind;
  ++stream->added;
}

/// The kernel of that name that a module has of its image or of the test, or
/// null.
static const FakeKernel *givenKernel(const CUmod_st *module,
                                     const std::string &name) {
  for (const std::vector<FakeKernel> *kernels :
       {&module->kernels, &std::as_const(state.kernels)})
    for (const FakeKernel &kernel : *kernels)
      if (kernel.name == name)
        return &kernel;
  return nullptr;
}

/// All memory of a context, joined where pieces of a kind meet.
static std::vector<FakeMemory> memoryOf(CUctx_st *context) {
  std::vector<FakeMemory> result;
  for (auto &[address, memory] : books.deviceMemory) {
    if (memory.context != context)
      continue;
    auto *start = reinterpret_cast<uint8_t *>(address);
    bool isConstant = memory.isCopied && !memory.isCopiedLate;
    if (!result.empty() && result.back().isConstant == isConstant &&
        static_cast<uint8_t *>(result.back().start) + result.back().bytes ==
            start)
      result.back().bytes += memory.bytes;
    else
      result.push_back({start, memory.bytes, isConstant});
  }
  return result;
}

/// Complains of copies under way to or from host memory that is freed.
static void checkUnused(void *address, uint64_t bytes) {
  auto check = [&](const CUstream_st &stream) {
    for (const CUstream_st::Work &work : stream.waiting)
      if (work.host >= address &&
          work.host < static_cast<uint8_t *>(address) + bytes)
        state.misuse.push_back("host memory is freed during a copy");
  };
  for (auto &entry : books.streams)
    check(*entry.second);
  for (auto &stream : books.ending)
    check(*stream);
}

uint8_t *fake::resolve(DevicePointer address, uint64_t bytes,
                       CUctx_st *context) {
  auto after = books.deviceMemory.upper_bound(address);
  if (after == books.deviceMemory.begin())
    return nullptr;
  auto &[start, memory] = *--after;
  if (memory.context != context || address - start > memory.bytes ||
      bytes > memory.bytes - (address - start))
    return nullptr;
  return reinterpret_cast<uint8_t *>(address);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

FAKE_EXPORT Result cuMemGetInfo_v2(size_t *unused, size_t *total) {
  Call call("cuMemGetInfo_v2");
  if (!call.fails() && call.in(nullptr)) {
    *total = books.memoryOf(stack.back()->device);
    *unused = *total - stack.back()->used;
  }
  return call.result;
}

/// What an allocation takes of the device's memory.
static uint64_t takenBy(uint64_t bytes) {
  return state.comesInPieces
             ? (bytes + state.granule - 1) / state.granule * state.granule
             : bytes;
}

FAKE_EXPORT Result cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  Call call("cuMemAlloc_v2");
  *address = 1; // what a failed call leaves is not to be used
  if (call.fails() || !call.in(nullptr))
    return call.result;
  CUctx_st *context = stack.back();
  if (bytes == 0)
    call.refuse(invalidValue);
  const uint64_t taken = takenBy(bytes);
  if (taken > books.memoryOf(context->device) - context->used)
    call.result = resultOutOfMemory;
  if (call.fails())
    return call.result;
  void *memory = aligned_alloc(256, (bytes + 255) & ~size_t(255));
  memset(memory, 0xa5, bytes);
  *address = reinterpret_cast<DevicePointer>(memory);
  books.deviceMemory[*address] = {context, bytes, false};
  context->used += taken;
  return 0;
}

FAKE_EXPORT Result cuMemFree_v2(DevicePointer address) {
  Call call("cuMemFree_v2");
  auto found = books.deviceMemory.find(address);
  if (!call.fails() &&
      (found == books.deviceMemory.end() || found->second.mapped))
    call.refuse(invalidValue);
  if (call.fails() || !call.in(found->second.context))
    return call.result;
  runAll();
  found->second.context->used -= takenBy(found->second.bytes);
  free(reinterpret_cast<void *>(address));
  books.deviceMemory.erase(found);
  return 0;
}

FAKE_EXPORT Result cuMemHostAlloc(void **address, size_t bytes, unsigned) {
  Call call("cuMemHostAlloc");
  *address = &call;
  if (call.fails() || !call.in(nullptr))
    return call.result;
  *address = malloc(bytes);
  books.hostMemory[*address] = {stack.back(), bytes, false};
  return 0;
}

FAKE_EXPORT Result cuMemFreeHost(void *address) {
  Call call("cuMemFreeHost");
  auto found = books.hostMemory.find(address);
  if (!call.fails() && found == books.hostMemory.end())
    call.refuse(invalidValue);
  if (call.fails() || !call.in(found->second.context))
    return call.result;
  checkUnused(address, found->second.bytes);
  runAll();
  free(address);
  books.hostMemory.erase(found);
  return 0;
}

FAKE_EXPORT Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from,
                                        size_t bytes, StreamHandle stream) {
  Call call("cuMemcpyHtoDAsync_v2");
  if (!call.known(books.streams, stream))
    return call.result;
  uint8_t *target = resolve(to, bytes, stream->context);
  if (!target) {
    call.refuse(invalidValue);
    return call.result;
  }
  Memory &memory = std::prev(books.deviceMemory.upper_bound(to))->second;
  memory.isCopied = true;
  memory.isCopiedLate |= stream->context->hasLaunched;
  add(stream, [=] { memcpy(target, from, bytes); }, from);
  return call.result;
}

FAKE_EXPORT Result cuMemcpyDtoHAsync_v2(void *to, DevicePointer from,
                                        size_t bytes, StreamHandle stream) {
  Call call("cuMemcpyDtoHAsync_v2");
  if (!call.known(books.streams, stream))
    return call.result;
  uint8_t *source = resolve(from, bytes, stream->context);
  if (!source)
    call.refuse(invalidValue);
  else
    add(stream, [=] { memcpy(to, source, bytes); }, to);
  return call.result;
}

FAKE_EXPORT Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from,
                                        size_t bytes, StreamHandle stream) {
  Call call("cuMemcpyDtoDAsync_v2");
  if (!call.known(books.streams, stream))
    return call.result;
  uint8_t *target = resolve(to, bytes, stream->context);
  uint8_t *source = resolve(from, bytes, stream->context);
  if (!target || !source)
    call.refuse(invalidValue);
  else
    add(stream, [=] { memcpy(target, source, bytes); });
  return call.result;
}

/// Nothing makes it wait for work of the other device.
FAKE_EXPORT Result cuMemcpyPeerAsync(DevicePointer to, ContextHandle toContext,
                                     DevicePointer from,
                                     ContextHandle fromContext, size_t bytes,
                                     StreamHandle stream) {
  Call call("cuMemcpyPeerAsync");
  if (!call.known(books.streams, stream))
    return call.result;
  uint8_t *target = resolve(to, bytes, toContext);
  uint8_t *source = resolve(from, bytes, fromContext);
  if (!target || !source || stream->context != toContext ||
      toContext == fromContext)
    call.refuse(invalidValue);
  else
    add(stream, [=] { memcpy(target, source, bytes); });
  return call.result;
}

FAKE_EXPORT Result cuMemsetD8Async(DevicePointer to, unsigned char value,
                                   size_t bytes, StreamHandle stream) {
  Call call("cuMemsetD8Async");
  if (!call.known(books.streams, stream))
    return call.result;
  uint8_t *target = resolve(to, bytes, stream->context);
  if (!target)
    call.refuse(invalidValue);
  else
    add(stream, [=] { memset(target, value, bytes); });
  return call.result;
}

//===----------------------------------------------------------------------===//
// Modules and kernels
//===----------------------------------------------------------------------===//

FAKE_EXPORT Result cuModuleLoadDataEx(ModuleHandle *module, const void *image,
                                      unsigned number, JitOption *options,
                                      void **values) {
  Call call("cuModuleLoadDataEx");
  *module = reinterpret_cast<ModuleHandle>(1);
  if (call.fails() || !call.in(nullptr))
    return call.result;
  char *log = nullptr;
  size_t logBytes = 0;
  for (unsigned i = 0; i < number; ++i) {
    if (options[i] == jitErrorLog)
      log = static_cast<char *>(values[i]);
    else if (options[i] == jitErrorLogBytes)
      logBytes = unsigned(reinterpret_cast<uintptr_t>(values[i]));
  }
  auto made = std::make_unique<CUmod_st>();
  std::string why = state.jitLog;
  bool loads = image && why.empty();
  if (loads && state.loadImage)
    loads = state.loadImage(image, made->kernels, why);
  if (!loads) {
    if (log && logBytes)
      snprintf(log, logBytes, "%s", why.c_str());
    return call.result = invalidPtx;
  }
  made->context = stack.back();
  *module = made.get();
  books.modules[*module] = std::move(made);
  return 0;
}

FAKE_EXPORT Result cuModuleUnload(ModuleHandle module) {
  Call call("cuModuleUnload");
  if (call.known(books.modules, module)) {
    runAll();
    books.modules.erase(module);
  }
  return call.result;
}

FAKE_EXPORT Result cuModuleGetFunction(FunctionHandle *function,
                                       ModuleHandle module, const char *name) {
  Call call("cuModuleGetFunction");
  if (!call.known(books.modules, module))
    return call.result;
  if (strcmp(name, "add") != 0 && strcmp(name, "crash") != 0 &&
      !givenKernel(module, name))
    return call.result = notFound;
  auto &entry = module->functions[name];
  if (!entry)
    entry.reset(new CUfunc_st{module->context, module, name,
                              (48u << 10) - staticShared});
  *function = entry.get();
  return 0;
}

FAKE_EXPORT Result cuFuncGetAttribute(int *value, FunctionAttribute attribute,
                                      FunctionHandle function) {
  Call call("cuFuncGetAttribute");
  if (call.fails() || !call.in(function->context))
    return call.result;
  const FakeKernel *kernel = givenKernel(function->module, function->name);
  switch (attribute) {
  case functionThreadsPerBlock:
    *value = kernel ? int(kernel->threads) : 512;
    break;
  case functionSharedBytes:
    *value = staticShared;
    break;
  case functionLocalBytes:
    *value = 0;
    break;
  case functionRegisters:
    *value = 40;
    break;
  default:
    call.refuse(invalidValue);
  }
  return call.result;
}

#ifndef FAKE_CUDA_WITHOUT_GRAPHS
FAKE_EXPORT Result cuFuncGetParamInfo(FunctionHandle function, size_t index,
                                      size_t *offset, size_t *bytes) {
  Call call("cuFuncGetParamInfo");
  if (call.fails() || !call.in(function->context))
    return call.result;
  // Those of "add"; "crash" has none.
  std::vector<size_t> parameters = {8, 8, 8, 4};
  if (const FakeKernel *kernel = givenKernel(function->module, function->name))
    parameters = kernel->parameterBytes;
  else if (function->name == "crash")
    parameters.clear();
  if (index >= parameters.size())
    return call.result = invalidValue;
  *offset = 0;
  for (size_t i = 0; i < index; ++i)
    *offset = (*offset + parameters[i] - 1) / parameters[i] * parameters[i] +
              parameters[i];
  *bytes = parameters[index];
  return 0;
}
#endif

FAKE_EXPORT Result cuFuncSetAttribute(FunctionHandle function,
                                      FunctionAttribute attribute, int value) {
  Call call("cuFuncSetAttribute");
  if (call.fails() || !call.in(function->context))
    return call.result;
  if (attribute != functionDynamicSharedLimit || value < 0 ||
      unsigned(value) + staticShared > (163u << 10))
    call.refuse(invalidValue);
  else
    function->dynamicShared = unsigned(value);
  return call.result;
}

/// Puts a launch into a stream. `early`: before the launch before it has ended.
static void launch(Call &call, const LaunchConfig &config,
                   FunctionHandle function, void **arguments, void **extra,
                   bool early) {
  StreamHandle stream = config.stream;
  if (!call.known(books.streams, stream) || !call.in(function->context))
    return;
  if (config.sharedBytes > function->dynamicShared || extra ||
      config.gridX * config.gridY * config.gridZ == 0 ||
      config.blockX * config.blockY * config.blockZ == 0 ||
      config.blockX * config.blockY * config.blockZ > 512) {
    call.refuse(invalidValue);
    return;
  }
  CUctx_st *context = stream->context;
  context->hasLaunched = true;
  CUstream_st::Kind kind =
      early ? CUstream_st::EarlyLaunch : CUstream_st::Launch;
  if (function->name == "crash")
    return add(
        stream, [=] { context->failed = illegalAddress; }, nullptr, kind);
  if (const FakeKernel *kernel =
          givenKernel(function->module, function->name)) {
    std::vector<std::vector<uint8_t>> values;
    for (size_t i = 0; i < kernel->parameterBytes.size(); ++i) {
      auto *value = static_cast<const uint8_t *>(arguments[i]);
      values.emplace_back(value, value + kernel->parameterBytes[i]);
    }
    auto run = [=]() mutable {
      std::vector<void *> pointers;
      for (std::vector<uint8_t> &value : values)
        pointers.push_back(value.data());
      FakeLaunch launch = {{config.gridX, config.gridY, config.gridZ},
                           {config.blockX, config.blockY, config.blockZ},
                           config.sharedBytes,
                           pointers.data(),
                           memoryOf(context),
                           early};
      if (int failure = kernel->run(launch))
        context->failed = failure;
    };
    return add(stream, std::move(run), nullptr, kind);
  }
  // add(out, a, b, n): one thread for each element.
  DevicePointer addresses[3];
  uint32_t n;
  for (int i = 0; i < 3; ++i)
    memcpy(&addresses[i], arguments[i], sizeof addresses[i]);
  memcpy(&n, arguments[3], sizeof n);
  uint64_t threads = uint64_t(config.gridX) * config.blockX;
  auto run = [=] {
    auto *out = reinterpret_cast<float *>(
        resolve(addresses[0], n * sizeof(float), context));
    auto *a = reinterpret_cast<const float *>(
        resolve(addresses[1], n * sizeof(float), context));
    auto *b = reinterpret_cast<const float *>(
        resolve(addresses[2], n * sizeof(float), context));
    if (!out || !a || !b) {
      context->failed = illegalAddress;
      return;
    }
    for (uint64_t i = 0; i < threads && i < n; ++i)
      out[i] = a[i] + b[i];
  };
  add(stream, run, nullptr, kind);
}

FAKE_EXPORT Result cuLaunchKernel(FunctionHandle function, unsigned gridX,
                                  unsigned gridY, unsigned gridZ,
                                  unsigned blockX, unsigned blockY,
                                  unsigned blockZ, unsigned sharedBytes,
                                  StreamHandle stream, void **arguments,
                                  void **extra) {
  Call call("cuLaunchKernel");
  launch(call,
         {gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream,
          nullptr, 0},
         function, arguments, extra, /*early=*/false);
  return call.result;
}

#ifndef FAKE_CUDA_WITHOUT_GRAPHS
/// With the one attribute that we use; only after another launch.
FAKE_EXPORT Result cuLaunchKernelEx(const LaunchConfig *config,
                                    FunctionHandle function, void **arguments,
                                    void **extra) {
  Call call("cuLaunchKernelEx");
  StreamHandle stream = config->stream;
  if (!call.known(books.streams, stream))
    return call.result;
  CUstream_st::Kind before = stream->last;
  if (stream->capturing)
    before = stream->captured.empty() ? CUstream_st::Other
                                      : stream->captured.back().kind;
  if (config->attributeCount != 1 ||
      config->attributes->id != launchSerialization ||
      config->attributes->value != 1 || state.major < 9 ||
      before == CUstream_st::Other)
    call.refuse(invalidValue);
  else if (!state.hasEarlyLaunches)
    return call.result = notSupported;
  else
    launch(call, *config, function, arguments, extra, /*early=*/true);
  return call.result;
}
#endif

//===----------------------------------------------------------------------===//
// Streams and events
//===----------------------------------------------------------------------===//

FAKE_EXPORT Result cuStreamCreate(StreamHandle *stream, unsigned flags) {
  Call call("cuStreamCreate");
  *stream = reinterpret_cast<StreamHandle>(1);
  if (call.fails() || !call.in(nullptr))
    return call.result;
  if (flags != streamNonBlocking) {
    call.refuse(invalidValue);
    return call.result;
  }
  auto made = std::make_unique<CUstream_st>();
  made->context = stack.back();
  *stream = made.get();
  books.streams[*stream] = std::move(made);
  return 0;
}

FAKE_EXPORT Result cuStreamSynchronize(StreamHandle stream) {
  Call call("cuStreamSynchronize");
  if (call.known(books.streams, stream)) {
    if (stream->capturing)
      return call.result = captureUnsupported;
    run(*stream, stream->added);
    call.result = stream->context->failed;
  }
  return call.result;
}

FAKE_EXPORT Result cuStreamDestroy_v2(StreamHandle stream) {
  Call call("cuStreamDestroy_v2");
  if (call.fails())
    return call.result;
  // Work goes on, and a context that failed lets go of its objects too.
  bool allowed = call.known(books.streams, stream);
  if (allowed || (books.streams.count(stream) && stream->context->failed)) {
    for (auto &entry : books.events)
      if (entry.second->stream == stream)
        entry.second->stream = nullptr;
    auto entry = books.streams.find(stream);
    books.ending.push_back(std::move(entry->second));
    books.streams.erase(entry);
  }
  return call.result;
}

FAKE_EXPORT Result cuEventCreate(EventHandle *event, unsigned flags) {
  Call call("cuEventCreate");
  *event = reinterpret_cast<EventHandle>(1);
  if (call.fails() || !call.in(nullptr))
    return call.result;
  auto made = std::make_unique<CUevent_st>();
  made->context = stack.back();
  made->flags = flags;
  *event = made.get();
  books.events[*event] = std::move(made);
  return 0;
}

FAKE_EXPORT Result cuEventRecord(EventHandle event, StreamHandle stream) {
  Call call("cuEventRecord");
  if (!call.known(books.events, event) || !call.known(books.streams, stream))
    return call.result;
  event->stream = stream;
  event->after = stream->added;
  return 0;
}

FAKE_EXPORT Result cuEventSynchronize(EventHandle event) {
  Call call("cuEventSynchronize");
  if (call.known(books.events, event)) {
    if (event->stream)
      run(*event->stream, event->after);
    call.result = event->context->failed;
  }
  return call.result;
}

FAKE_EXPORT Result cuEventElapsedTime(float *milliseconds, EventHandle start,
                                      EventHandle end) {
  Call call("cuEventElapsedTime");
  if (!call.known(books.events, start) || !call.known(books.events, end))
    return call.result;
  if ((start->flags | end->flags) & eventNoTiming || !start->stream ||
      !end->stream || end->stream->done < end->after) {
    call.refuse(invalidHandle);
    return call.result;
  }
  *milliseconds = 1.5f * float(end->after - start->after);
  return 0;
}

FAKE_EXPORT Result cuEventDestroy_v2(EventHandle event) {
  Call call("cuEventDestroy_v2");
  if (call.known(books.events, event))
    books.events.erase(event);
  return call.result;
}
