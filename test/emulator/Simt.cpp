//===- Simt.cpp - The threads of one block on one CPU thread --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SimtState.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <sys/mman.h>

using namespace qcc::emulator;

Simt::Simt() {
  void *mapped = mmap(nullptr, 2 * kArenaBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (mapped == MAP_FAILED)
    return;
  // Unmaps what lies around the aligned part.
  auto address = reinterpret_cast<uintptr_t>(mapped);
  uintptr_t aligned = llvm::alignTo(address, kArenaBytes);
  if (aligned != address)
    munmap(mapped, aligned - address);
  munmap(reinterpret_cast<void *>(aligned + kArenaBytes),
         kArenaBytes - (aligned - address));
  shared = reinterpret_cast<char *>(aligned);
}

Simt::~Simt() {
  if (shared)
    munmap(shared, kArenaBytes);
}

//===----------------------------------------------------------------------===//
// Blocks and the scheduler
//===----------------------------------------------------------------------===//

llvm::Error Simt::run(Body kernel, llvm::ArrayRef<void *> kernelArguments,
                      const Launch &launch,
                      llvm::ArrayRef<SharedObject> objects,
                      size_t dynamicOffset, llvm::ArrayRef<std::string> sites,
                      Counters &result) {
  body = kernel;
  arguments = kernelArguments.vec();
  grid = {launch.gridX, launch.gridY, launch.gridZ};
  size = {launch.blockX, launch.blockY, launch.blockZ};
  copyTiming = launch.copies;
  buffers = launch.buffers;
  findRaces = launch.findRaces;
  startsEarly = launch.startsEarly;
  countPatterns = launch.countPatterns;
  random.seed(launch.seed);
  siteNames = sites;
  counters = &result;
  failed = false;
  sharedObjects = objects.vec();
  for (SharedObject &object : sharedObjects)
    if (!object.bytes)
      object.bytes = launch.dynamicSharedBytes;
  sharedEnd = dynamicOffset + launch.dynamicSharedBytes;

  size_t count = size_t(size.x) * size.y * size.z;
  if (!stacks.reserve(count))
    return llvm::createStringError("no memory for the stacks of %zu threads",
                                   count);
  threads.assign(count, Thread());
  if (findRaces)
    races.reset(count, sharedEnd);
  blockRaces.reset();
  warpStates.assign((count + kWarpSize - 1) / kWarpSize, Warp());
  warpOrder.resize(warpStates.size());
  for (unsigned i = 0; i < warpOrder.size(); ++i)
    warpOrder[i] = i;

  std::vector<uint64_t> blocks(uint64_t(grid.x) * grid.y * grid.z);
  for (uint64_t i = 0; i < blocks.size(); ++i)
    blocks[i] = i;
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (uint64_t index : blocks) {
    block = {unsigned(index % grid.x), unsigned(index / grid.x % grid.y),
             unsigned(index / grid.x / grid.y)};
    blockRaces.startBlock(index);
    if (llvm::Error error = runBlock())
      return error;
    ++counters->blocks;
  }
  return llvm::Error::success();
}

void Simt::startBlock() {
  // NaN in every float format.
  std::memset(shared, 0xff, sharedEnd);
  barriers.assign(kBarriers, Barrier());
  for (Barrier &barrier : barriers)
    barrier.sites.assign(warpStates.size(), 0);
  for (Warp &warp : warpStates)
    warp = Warp();
  live = threads.size();
  if (countPatterns)
    patterns.reset(threads.size());
  if (findRaces) {
    for (unsigned i = 0; i < threads.size(); ++i)
      for (const Copy &copy : threads[i].copies)
        races.endCopy(i, sharedOffset(copy.to), copy.bytes);
    races.synchronizeAll();
  }
  for (unsigned i = 0; i < threads.size(); ++i) {
    Thread &thread = threads[i];
    thread.simt = this;
    thread.context = stacks.start(i, threadMain, &thread);
    thread.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    thread.state = ThreadState::Ready;
    thread.copies.clear();
    thread.groups = 0;
    thread.hasWaited = false;
    Warp &warp = warpStates[i / kWarpSize];
    warp.alive |= 1u << (i % kWarpSize);
    warp.ready.push_back(i);
  }
  // Either all warps advance together, or one runs as far ahead as it can.
  randomWarps = random() & 1;
  std::shuffle(warpOrder.begin(), warpOrder.end(), random);
}

int Simt::pickThread() {
  if (randomWarps)
    std::swap(warpOrder[0], warpOrder[random() % warpOrder.size()]);
  for (unsigned index : warpOrder) {
    std::vector<unsigned> &ready = warpStates[index].ready;
    if (ready.empty())
      continue;
    std::swap(ready.back(), ready[random() % ready.size()]);
    unsigned thread = ready.back();
    ready.pop_back();
    return int(thread);
  }
  return -1;
}

llvm::Error Simt::runBlock() {
  startBlock();
  while (live) {
    int next = pickThread();
    if (next < 0)
      return deadlock();
    current = unsigned(next);
    switchFiber(&scheduler, threads[current].context);
    if (failed)
      return failure();
  }
  if (countPatterns)
    patterns.finish(*counters);
  return llvm::Error::success();
}

std::string Simt::blockName() const {
  return "block (" + std::to_string(block.x) + ", " + std::to_string(block.y) +
         ", " + std::to_string(block.z) + ")";
}

llvm::Error Simt::failure() const {
  return llvm::createStringError("%s", message);
}

llvm::Error Simt::deadlock() const {
  std::map<Site, unsigned> waiting;
  unsigned exited = 0;
  for (const Thread &thread : threads) {
    if (thread.state == ThreadState::Waiting)
      ++waiting[thread.site];
    else
      ++exited;
  }
  std::string text = "deadlock in " + blockName() + ": of " +
                     std::to_string(threads.size()) + " threads, ";
  for (auto [site, count] : waiting)
    text += std::to_string(count) + " wait in " + siteNames[site] + ", ";
  text += std::to_string(exited) + " have exited";
  return llvm::createStringError("%s", text.c_str());
}

//===----------------------------------------------------------------------===//
// One thread
//===----------------------------------------------------------------------===//

void Simt::threadMain(void *pointer) {
  Simt &simt = *static_cast<Thread *>(pointer)->simt;
  simt.body(simt.arguments.data());
  simt.exit();
}

void Simt::exit() {
  // Who waits for this launch relies on its having waited.
  if (startsEarly && !threads[current].hasWaited)
    failAtEnd("no griddepcontrol.wait came before it");
  exitThread();
  leave();
}

void Simt::leave() {
  switchFiber(&threads[current].context, scheduler);
  __builtin_unreachable();
}

void Simt::waitAt(Site site) {
  Thread &thread = threads[current];
  thread.state = ThreadState::Waiting;
  thread.site = site;
  switchFiber(&thread.context, scheduler);
}

void Simt::release(unsigned index) {
  threads[index].state = ThreadState::Ready;
  warpStates[index / kWarpSize].ready.push_back(index);
}

void Simt::exitThread() {
  Thread &thread = threads[current];
  thread.state = ThreadState::Exited;
  --live;
  Warp &warp = warpStates[current / kWarpSize];
  warp.alive &= ~(1u << lane());
  // Those who waited for this thread too may now go on.
  for (size_t i = 0; i < warp.gatherings.size();)
    if (!completeIfGathered(warp, i))
      ++i;
  for (Barrier &barrier : barriers)
    if (barrier.arrived && barrier.all && barrier.arrived == live)
      completeBarrier(barrier);
}

void Simt::failIn(const char *place, const char *format, va_list values) {
  int length = std::snprintf(
      message, sizeof(message),
      "%s, block (%u, %u, %u), thread (%u, %u, %u): ", place, block.x, block.y,
      block.z, threadIndex().x, threadIndex().y, threadIndex().z);
  if (length > 0 && size_t(length) < sizeof(message))
    std::vsnprintf(message + length, sizeof(message) - size_t(length), format,
                   values);
  failed = true;
  leave();
}

void Simt::fail(Site site, const char *format, ...) {
  va_list values;
  va_start(values, format);
  failIn(siteNames[site].c_str(), format, values);
}

void Simt::failAtEnd(const char *format, ...) {
  va_list values;
  va_start(values, format);
  failIn("the end of the kernel", format, values);
}

Dim3 Simt::threadIndex() const { return threads[current].index; }
unsigned Simt::lane() const { return current % kWarpSize; }
unsigned Simt::warp() const { return current / kWarpSize; }
unsigned Simt::warps() const { return unsigned(warpStates.size()); }
