//===- Simt.cpp - The threads of one block on one CPU thread --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Simt.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <sys/mman.h>

using namespace qcc::emulator;

namespace {
struct Copy {
  void *to;
  const void *from;
  uint32_t bytes, read, group;
  bool done = false;
};

struct Gathering {
  Simt::Complete complete;
  uint32_t mask;
  bool aligned;
  Site site;
  uint32_t arrived = 0;
  Collective lanes;
};
} // namespace

enum class State { Ready, Waiting, Exited };

struct Simt::Thread {
  Simt *simt = nullptr;
  void *context = nullptr;
  Dim3 index;
  State state = State::Ready;
  Site site = 0; ///< Where it waits.
  std::vector<Copy> copies;
  uint32_t groups = 0; ///< Committed so far.
};

struct Simt::Warp {
  std::vector<unsigned> ready;
  uint32_t alive = 0;
  std::vector<Gathering> gatherings;
};

struct Simt::Barrier {
  uint32_t arrived = 0, threads = 0;
  bool all = true;
  BarrierReduction reduction = BarrierReduction::None;
  uint32_t trues = 0;
  std::vector<uint32_t> arrivals, released;
  std::vector<void *> results; ///< Of those that are released.
  /// By warp: one more than the site where its first lane arrived.
  std::vector<Site> sites;
};

static constexpr unsigned kBarriers = 16;

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
    thread.state = State::Ready;
    thread.copies.clear();
    thread.groups = 0;
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
    if (thread.state == State::Waiting)
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
  simt.exitThread();
  simt.leave();
}

void Simt::leave() {
  switchFiber(&threads[current].context, scheduler);
  __builtin_unreachable();
}

void Simt::waitAt(Site site) {
  Thread &thread = threads[current];
  thread.state = State::Waiting;
  thread.site = site;
  switchFiber(&thread.context, scheduler);
}

void Simt::release(unsigned index) {
  threads[index].state = State::Ready;
  warpStates[index / kWarpSize].ready.push_back(index);
}

void Simt::exitThread() {
  Thread &thread = threads[current];
  thread.state = State::Exited;
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

void Simt::fail(Site site, const char *format, ...) {
  int length = std::snprintf(message, sizeof(message),
                             "%s, block (%u, %u, %u), thread (%u, %u, %u): ",
                             siteNames[site].c_str(), block.x, block.y, block.z,
                             threadIndex().x, threadIndex().y, threadIndex().z);
  va_list values;
  va_start(values, format);
  if (length > 0 && size_t(length) < sizeof(message))
    std::vsnprintf(message + length, sizeof(message) - size_t(length), format,
                   values);
  va_end(values);
  failed = true;
  leave();
}

Dim3 Simt::threadIndex() const { return threads[current].index; }
unsigned Simt::lane() const { return current % kWarpSize; }
unsigned Simt::warp() const { return current / kWarpSize; }
unsigned Simt::warps() const { return unsigned(warpStates.size()); }

//===----------------------------------------------------------------------===//
// Block barriers
//===----------------------------------------------------------------------===//

void Simt::barrier(const BarrierArrival &arrival, Site site) {
  if (arrival.id >= kBarriers)
    fail(site, "barrier %u, of %u", arrival.id, kBarriers);
  if (!arrival.all && (!arrival.threads || arrival.threads % kWarpSize))
    fail(site, "a barrier of %u threads, not a multiple of the warp size",
         arrival.threads);
  Barrier &barrier = barriers[arrival.id];
  if (!barrier.arrived) {
    barrier.all = arrival.all;
    barrier.threads = arrival.threads;
    barrier.reduction = arrival.reduction;
  } else if (barrier.all != arrival.all || barrier.threads != arrival.threads ||
             (arrival.wait && barrier.reduction != arrival.reduction)) {
    fail(site, "barrier %u was begun for %u threads, and found with %u",
         arrival.id, barrier.all ? live : barrier.threads,
         arrival.all ? live : arrival.threads);
  }
  if (arrival.aligned) {
    Site &first = barrier.sites[warp()];
    if (first && first != site + 1)
      fail(site, "divergent barrier: another lane of the warp waits in %s",
           siteNames[first - 1].c_str());
    first = site + 1;
  }
  ++barrier.arrived;
  barrier.trues += arrival.predicate;
  barrier.arrivals.push_back(current);
  if (arrival.wait) {
    barrier.released.push_back(current);
    barrier.results.push_back(arrival.result);
  }
  bool last = barrier.arrived == (barrier.all ? live : barrier.threads);
  if (last)
    completeBarrier(barrier);
  else if (arrival.wait)
    waitAt(site);
}

void Simt::completeBarrier(Barrier &barrier) {
  ++counters->barriers;
  if (findRaces) {
    // What exited threads did is also done.
    if (barrier.all)
      races.synchronizeAll();
    else
      races.synchronize(barrier.arrivals, barrier.released);
  }
  for (auto [thread, result] : llvm::zip(barrier.released, barrier.results)) {
    switch (barrier.reduction) {
    case BarrierReduction::None:
      break;
    case BarrierReduction::Count:
      *static_cast<uint32_t *>(result) = barrier.trues;
      break;
    case BarrierReduction::And:
      *static_cast<bool *>(result) = barrier.trues == barrier.arrived;
      break;
    case BarrierReduction::Or:
      *static_cast<bool *>(result) = barrier.trues != 0;
      break;
    }
    if (thread != current)
      release(thread);
  }
  barrier.arrivals.clear();
  barrier.released.clear();
  barrier.results.clear();
  barrier.sites.assign(warpStates.size(), 0);
  barrier.arrived = barrier.trues = 0;
  if (!randomWarps)
    std::shuffle(warpOrder.begin(), warpOrder.end(), random);
}

void Simt::orderWarp(uint32_t mask) {
  if (!findRaces)
    return;
  uint32_t lanes[kWarpSize];
  size_t count = 0;
  for (uint32_t i = 0; i < kWarpSize; ++i)
    if (mask >> i & 1)
      lanes[count++] = warp() * kWarpSize + i;
  races.synchronize({lanes, count}, {lanes, count});
}

//===----------------------------------------------------------------------===//
// Operations of a warp
//===----------------------------------------------------------------------===//

void Simt::collective(uint32_t mask, Complete complete, const void *operands,
                      void *result, Site site) {
  gather(mask, false, complete, operands, result, site);
}

void Simt::wholeWarp(Complete complete, const void *operands, void *result,
                     Site site) {
  uint32_t alive = warpStates[warp()].alive;
  if (alive != ~0u)
    fail(site, "the warp has %d of the 32 lanes that this needs",
         llvm::popcount(alive));
  gather(~0u, true, complete, operands, result, site);
}

void Simt::gather(uint32_t mask, bool aligned, Complete complete,
                  const void *operands, void *result, Site site) {
  if (!(mask >> lane() & 1))
    fail(site, "lane %u is not in its own mask 0x%x", lane(), mask);
  Warp &state = warpStates[warp()];
  size_t index = 0;
  for (; index < state.gatherings.size(); ++index) {
    Gathering &other = state.gatherings[index];
    if (other.complete == complete && other.mask == mask &&
        !(other.arrived >> lane() & 1))
      break;
    // Each waits for the other.
    if ((other.arrived & mask) && (other.mask >> lane() & 1))
      fail(site, "divergent warp: other lanes wait in %s with mask 0x%x",
           siteNames[other.site].c_str(), other.mask);
  }
  if (index == state.gatherings.size()) {
    state.gatherings.push_back({complete, mask, aligned, site, 0, {}});
  } else if (aligned && state.gatherings[index].site != site) {
    fail(site, "divergent warp: other lanes wait in %s",
         siteNames[state.gatherings[index].site].c_str());
  }
  Gathering &gathering = state.gatherings[index];
  gathering.arrived |= 1u << lane();
  gathering.lanes.operands[lane()] = operands;
  gathering.lanes.results[lane()] = result;
  if (!completeIfGathered(state, index))
    waitAt(site);
}

bool Simt::completeIfGathered(Warp &warp, size_t index) {
  Gathering &found = warp.gatherings[index];
  uint32_t expected = found.aligned ? found.mask : found.mask & warp.alive;
  if (found.arrived != expected)
    return false;
  // A copy: the list may not change under the operation, which may fail.
  Gathering gathering = found;
  warp.gatherings.erase(warp.gatherings.begin() + index);
  gathering.lanes.mask = gathering.arrived;
  gathering.complete(*this, gathering.lanes, gathering.site);
  unsigned first = current / kWarpSize * kWarpSize;
  for (unsigned i = 0; i < kWarpSize; ++i)
    if ((gathering.arrived >> i & 1) && first + i != current)
      release(first + i);
  return true;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static void performCopy(Copy &copy) {
  std::memcpy(copy.to, copy.from, copy.read);
  std::memset(static_cast<char *>(copy.to) + copy.read, 0,
              copy.bytes - copy.read);
  copy.done = true;
}

void Simt::copy(void *to, const void *from, uint32_t bytes, uint32_t read,
                Site site) {
  if (read > bytes)
    fail(site, "%u bytes to read for a copy of %u", read, bytes);
  if (isShared(from))
    fail(site, "the source %p is in shared memory", from);
  // Of nothing, the address may be any.
  if (read)
    checkAccess(from, read, bytes, Access::Read, site);
  checkAlignment(to, bytes, bytes, site);
  checkShared(to, bytes, site);
  if (findRaces)
    reportRace(races.beginCopy(current, sharedOffset(to), bytes, site), to,
               bytes, site);
  (bytes == 4   ? counters->copies4
   : bytes == 8 ? counters->copies8
                : counters->copies16) += 1;
  counters->copiedBytes += read;
  Thread &thread = threads[current];
  thread.copies.push_back({to, from, bytes, read, thread.groups});
  if (copyTiming == CopyTiming::AtIssue ||
      (copyTiming == CopyTiming::Random && (random() & 1)))
    performCopy(thread.copies.back());
}

void Simt::commitCopies() { ++threads[current].groups; }

void Simt::waitForCopies(uint32_t pending, bool open) {
  Thread &thread = threads[current];
  size_t count = 0;
  for (Copy &copy : thread.copies) {
    if (!open && uint64_t(copy.group) + pending >= thread.groups)
      break;
    if (!copy.done)
      performCopy(copy);
    if (findRaces)
      races.endCopy(current, sharedOffset(copy.to), copy.bytes);
    ++count;
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + count);
}

bool Simt::isShared(const void *address) const {
  return reinterpret_cast<uintptr_t>(address) -
             reinterpret_cast<uintptr_t>(shared) <
         kArenaBytes;
}

void Simt::checkAccess(const void *address, size_t bytes, size_t alignment,
                       Access access, Site site) {
  ++counters->accesses;
  checkAlignment(address, bytes, alignment, site);
  if (isShared(address)) {
    checkShared(address, bytes, site);
    if (findRaces)
      reportRace(
          races.access(current, sharedOffset(address), bytes, access, site),
          address, bytes, site);
  } else if (!buffers.empty()) {
    checkBuffer(address, bytes, access, site);
  }
}

void Simt::checkShared(const void *address, size_t bytes, Site site) {
  if (!isShared(address))
    fail(site, "%p is not in shared memory", address);
  variableOf(address, bytes, site);
}

void Simt::noteLoad(unsigned lane, const void *address, size_t bytes,
                    Site site) {
  if (findRaces)
    reportRace(races.access(warp() * kWarpSize + lane, sharedOffset(address),
                            bytes, Access::Read, site),
               address, bytes, site);
}

void Simt::reportRace(const RaceDetector::Event *found, const void *address,
                      size_t bytes, Site site) {
  if (!found)
    return;
  const SharedObject &variable = variableOf(address, bytes, site);
  const Dim3 &other = threads[found->thread].index;
  fail(site, "%s of thread (%u, %u, %u) in %s: %zu bytes at offset %zu of '%s'",
       found->pending ? "may be overwritten by the copy, not waited for,"
                      : "no barrier after the access",
       other.x, other.y, other.z, siteNames[found->site].c_str(), bytes,
       sharedOffset(address) - variable.offset, variable.name.c_str());
}

size_t Simt::sharedOffset(const void *address) const {
  return size_t(static_cast<const char *>(address) - shared);
}

void Simt::checkAlignment(const void *address, size_t bytes, size_t alignment,
                          Site site) {
  if (reinterpret_cast<uintptr_t>(address) % alignment)
    fail(site,
         "misaligned access of %zu bytes at %p, expected a multiple of %zu",
         bytes, address, alignment);
}

const SharedObject &Simt::variableOf(const void *address, size_t bytes,
                                     Site site) {
  size_t offset = sharedOffset(address);
  const SharedObject *before = nullptr;
  for (const SharedObject &object : sharedObjects)
    if (object.offset <= offset &&
        (!before || object.offset >= before->offset)) {
      before = &object;
      size_t inside = offset - object.offset;
      if (inside < object.bytes && object.bytes - inside >= bytes)
        return object;
    }
  if (!before)
    fail(site, "%zu bytes at offset %zu of shared memory, in no variable",
         bytes, offset);
  fail(site, "%zu bytes at offset %zu of '%s', which has %zu bytes", bytes,
       offset - before->offset, before->name.c_str(), before->bytes);
}

void Simt::checkBuffer(const void *address, size_t bytes, Access access,
                       Site site) {
  if (stacks.contains(address))
    return;
  auto place = reinterpret_cast<uintptr_t>(address);
  for (const Buffer &buffer : buffers) {
    size_t offset = place - reinterpret_cast<uintptr_t>(buffer.data);
    if (offset >= buffer.bytes)
      continue;
    if (buffer.bytes - offset < bytes)
      fail(site, "%zu bytes at offset %zu of buffer %zu, which has %zu bytes",
           bytes, offset, size_t(&buffer - buffers.data()), buffer.bytes);
    if (access != Access::Read && !buffer.writable)
      fail(site, "a store at offset %zu of buffer %zu, which is not writable",
           offset, size_t(&buffer - buffers.data()));
    return;
  }
  fail(site, "%zu bytes at %p, in no buffer", bytes, address);
}
