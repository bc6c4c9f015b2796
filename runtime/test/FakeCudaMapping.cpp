//===- FakeCudaMapping.cpp - The fake driver: reserved addresses, graphs --===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FakeCudaState.h"

#include <sys/mman.h>

using namespace fake;

static FakeCuda &state = fake::books.state;

//===----------------------------------------------------------------------===//
// Memory behind reserved addresses
//===----------------------------------------------------------------------===//

/// Memory goes when neither a handle nor a mapping names it.
static void letGo(uint64_t handle) {
  Physical &memory = books.memories[handle];
  if (memory.named || memory.mappings)
    return;
  memory.context->used -= memory.bytes;
  books.memories.erase(handle);
}

static void *pointer(uint64_t address) {
  return reinterpret_cast<void *>(address);
}

void fake::dropReservations() {
  for (auto &entry : books.reservations)
    munmap(pointer(entry.first), entry.second);
  books.reservations.clear();
}

void fake::dropMappings(CUctx_st *context) {
  state.orphans += std::erase_if(books.deviceMemory, [&](auto &entry) {
    if (entry.second.context != context || !entry.second.mapped)
      return false;
    mprotect(pointer(entry.first), entry.second.bytes, PROT_NONE);
    return true;
  });
  std::erase_if(books.memories,
                [&](auto &entry) { return entry.second.context == context; });
  std::erase_if(books.mappings, [&](auto &entry) {
    return !books.memories.count(entry.second.second);
  });
}

FAKE_EXPORT Result cuMemGetAllocationGranularity(size_t *bytes,
                                                 const MemoryProperties *given,
                                                 int) {
  Call call("cuMemGetAllocationGranularity");
  if (!call.fails() && (given->type != 1 || given->location.type != 1))
    call.refuse(invalidValue);
  if (!call.fails())
    *bytes = state.granule;
  return call.result;
}

FAKE_EXPORT Result cuMemAddressReserve(DevicePointer *address, size_t bytes,
                                       size_t, DevicePointer,
                                       unsigned long long) {
  Call call("cuMemAddressReserve");
  *address = 1;
  if (!call.fails() && (bytes == 0 || bytes % state.granule))
    call.refuse(invalidValue);
  if (call.fails())
    return call.result;
  void *start = mmap(nullptr, bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED)
    return resultOutOfMemory;
  *address = reinterpret_cast<DevicePointer>(start);
  books.reservations[*address] = bytes;
  return 0;
}

FAKE_EXPORT Result cuMemAddressFree(DevicePointer address, size_t bytes) {
  Call call("cuMemAddressFree");
  auto found = books.reservations.find(address);
  if (!call.fails() &&
      (found == books.reservations.end() || found->second != bytes ||
       books.deviceMemory.count(address)))
    call.refuse(invalidValue);
  if (call.fails())
    return call.result;
  munmap(pointer(address), bytes);
  books.reservations.erase(found);
  return 0;
}

FAKE_EXPORT Result cuMemCreate(MemoryHandle *handle, size_t bytes,
                               const MemoryProperties *given,
                               unsigned long long) {
  Call call("cuMemCreate");
  if (!call.fails() && (bytes == 0 || bytes % state.granule))
    call.refuse(invalidValue);
  if (call.fails())
    return call.result;
  CUctx_st *context = &books.contexts[given->location.device];
  if (bytes > books.memoryOf(context->device) - context->used)
    return call.result = resultOutOfMemory;
  context->used += bytes;
  *handle = ++books.lastMemory;
  books.memories[*handle] = {context, bytes};
  return 0;
}

FAKE_EXPORT Result cuMemRelease(MemoryHandle handle) {
  Call call("cuMemRelease");
  if (!call.fails() &&
      (!books.memories.count(handle) || !books.memories[handle].named))
    call.refuse(invalidValue);
  if (!call.fails()) {
    books.memories[handle].named = false;
    letGo(handle);
  }
  return call.result;
}

FAKE_EXPORT Result cuMemMap(DevicePointer address, size_t bytes, size_t offset,
                            MemoryHandle handle, unsigned long long) {
  Call call("cuMemMap");
  if (call.fails())
    return call.result;
  auto after = books.reservations.upper_bound(address);
  bool reserved =
      after != books.reservations.begin() &&
      address + bytes <= std::prev(after)->first + std::prev(after)->second;
  if (!reserved || offset || !books.memories.count(handle) ||
      books.memories[handle].bytes != bytes || books.mappings.count(address)) {
    call.refuse(invalidValue);
    return call.result;
  }
  books.mappings[address] = {bytes, handle};
  ++books.memories[handle].mappings;
  return 0;
}

FAKE_EXPORT Result cuMemSetAccess(DevicePointer address, size_t bytes,
                                  const MemoryAccess *access, size_t count) {
  Call call("cuMemSetAccess");
  auto found = books.mappings.find(address);
  if (!call.fails() &&
      (found == books.mappings.end() || found->second.first != bytes ||
       count != 1 || access->flags != 3))
    call.refuse(invalidValue);
  if (call.fails())
    return call.result;
  mprotect(pointer(address), bytes, PROT_READ | PROT_WRITE);
  memset(pointer(address), 0xa5, bytes);
  // One range with what was mapped just before it.
  auto after = books.deviceMemory.upper_bound(address);
  if (after != books.deviceMemory.begin()) {
    auto &[start, memory] = *std::prev(after);
    if (memory.mapped && start + memory.bytes == address &&
        !books.reservations.count(address)) {
      memory.bytes += bytes;
      return 0;
    }
  }
  CUctx_st *context = books.memories[found->second.second].context;
  books.deviceMemory[address] = {context, bytes, true};
  return 0;
}

FAKE_EXPORT Result cuMemUnmap(DevicePointer address, size_t bytes) {
  Call call("cuMemUnmap");
  if (call.fails())
    return call.result;
  // Whole mappings, and no work that uses them.
  uint64_t covered = 0;
  for (auto at = books.mappings.find(address);
       at != books.mappings.end() && at->first == address + covered &&
       covered < bytes;
       ++at)
    covered += at->second.first;
  if (covered != bytes) {
    call.refuse(invalidValue);
    return call.result;
  }
  runAll();
  while (covered) {
    auto at = books.mappings.upper_bound(address + covered - 1);
    --at;
    covered -= at->second.first;
    uint64_t handle = at->second.second;
    books.mappings.erase(at);
    --books.memories[handle].mappings;
    letGo(handle);
  }
  // All of a range, or its end.
  auto range = books.deviceMemory.upper_bound(address);
  if (range != books.deviceMemory.begin()) {
    --range;
    if (range->first == address)
      books.deviceMemory.erase(range);
    else if (range->second.mapped &&
             range->first + range->second.bytes == address + bytes)
      range->second.bytes -= bytes;
  }
  mprotect(pointer(address), bytes, PROT_NONE);
  return 0;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

#ifndef FAKE_CUDA_WITHOUT_GRAPHS
FAKE_EXPORT Result cuGraphInstantiateWithFlags(GraphExecHandle *exec,
                                               GraphHandle graph,
                                               unsigned long long) {
  Call call("cuGraphInstantiateWithFlags");
  *exec = reinterpret_cast<GraphExecHandle>(1);
  if (!call.known(books.graphs, graph))
    return call.result;
  if (!state.hasEarlyGraphs)
    for (const CUstream_st::Work &work : graph->work)
      if (work.kind == CUstream_st::EarlyLaunch)
        return call.result = notSupported;
  auto made = std::make_unique<CUgraphExec_st>();
  made->context = graph->context;
  made->work = graph->work;
  *exec = made.get();
  books.graphExecs[*exec] = std::move(made);
  return 0;
}
#endif

FAKE_EXPORT Result cuStreamBeginCapture_v2(StreamHandle stream, int mode) {
  Call call("cuStreamBeginCapture_v2");
  if (!call.known(books.streams, stream))
    return call.result;
  if (!state.hasGraphs)
    return call.result = invalidValue;
  if (stream->capturing || mode != captureThreadLocal)
    call.refuse(invalidValue);
  else
    stream->capturing = true;
  return call.result;
}

FAKE_EXPORT Result cuStreamEndCapture(StreamHandle stream, GraphHandle *graph) {
  Call call("cuStreamEndCapture");
  *graph = reinterpret_cast<GraphHandle>(1);
  if (call.fails()) { // ends all the same
    stream->capturing = false;
    stream->captured.clear();
  }
  if (!call.known(books.streams, stream))
    return call.result;
  if (!stream->capturing) {
    call.refuse(invalidValue);
    return call.result;
  }
  stream->capturing = false;
  auto made = std::make_unique<CUgraph_st>();
  made->context = stream->context;
  made->work = std::move(stream->captured);
  stream->captured.clear();
  *graph = made.get();
  books.graphs[*graph] = std::move(made);
  return 0;
}

FAKE_EXPORT Result cuGraphLaunch(GraphExecHandle exec, StreamHandle stream) {
  Call call("cuGraphLaunch");
  if (call.known(books.graphExecs, exec) && call.known(books.streams, stream))
    for (const CUstream_st::Work &work : exec->work)
      add(stream, work.run, work.host);
  return call.result;
}

FAKE_EXPORT Result cuGraphExecDestroy(GraphExecHandle exec) {
  Call call("cuGraphExecDestroy");
  if (call.known(books.graphExecs, exec))
    books.graphExecs.erase(exec);
  return call.result;
}

FAKE_EXPORT Result cuGraphDestroy(GraphHandle graph) {
  Call call("cuGraphDestroy");
  if (call.known(books.graphs, graph))
    books.graphs.erase(graph);
  return call.result;
}
