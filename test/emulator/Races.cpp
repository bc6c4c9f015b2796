//===- Races.cpp - Unordered accesses to shared memory --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Races.h"

#include <algorithm>

using namespace qcc::emulator;

void RaceDetector::reset(size_t threadCount, size_t byteCount) {
  threads = threadCount;
  known.assign(threads * threads, 0);
  everyone.resize(threads);
  for (uint32_t thread = 0; thread < threads; ++thread) {
    everyone[thread] = thread;
    clocks(thread)[thread] = 1;
  }
  bytes.assign(byteCount, Byte());
}

void RaceDetector::synchronize(llvm::ArrayRef<uint32_t> from,
                               llvm::ArrayRef<uint32_t> to) {
  joined.assign(threads, 0);
  for (uint32_t thread : from) {
    const uint32_t *row = clocks(thread);
    for (size_t i = 0; i < threads; ++i)
      joined[i] = std::max(joined[i], row[i]);
  }
  for (uint32_t thread : to) {
    uint32_t *row = clocks(thread);
    for (size_t i = 0; i < threads; ++i)
      row[i] = std::max(row[i], joined[i]);
  }
  // What they do next is not known to the others.
  for (uint32_t thread : from)
    ++clocks(thread)[thread];
}

void RaceDetector::synchronizeAll() { synchronize(everyone, everyone); }

const RaceDetector::Event *
RaceDetector::conflict(const Byte &byte, uint32_t thread, Access access) {
  if (byte.write.pending)
    return &byte.write;
  bool bothAtomic =
      access == Access::Atomic && byte.write.access == Access::Atomic;
  if (!bothAtomic && !isOrdered(byte.write, thread))
    return &byte.write;
  if (access != Access::Read)
    for (const Event &read : byte.reads)
      if (!isOrdered(read, thread))
        return &read;
  return nullptr;
}

const RaceDetector::Event *RaceDetector::access(uint32_t thread, size_t offset,
                                                size_t count, Access access,
                                                uint32_t site) {
  Event event{thread, clocks(thread)[thread], site, access, false};
  for (size_t i = offset; i < offset + count; ++i) {
    Byte &byte = bytes[i];
    if (const Event *found = conflict(byte, thread, access))
      return found;
    if (access != Access::Read) {
      byte.write = event;
      continue;
    }
    if (byte.reads[0].thread != thread)
      byte.reads[1] = byte.reads[0];
    byte.reads[0] = event;
  }
  return nullptr;
}

const RaceDetector::Event *RaceDetector::beginCopy(uint32_t thread,
                                                   size_t offset, size_t count,
                                                   uint32_t site) {
  if (const Event *found = access(thread, offset, count, Access::Write, site))
    return found;
  for (size_t i = offset; i < offset + count; ++i)
    bytes[i].write.pending = true;
  return nullptr;
}

void RaceDetector::endCopy(uint32_t thread, size_t offset, size_t count) {
  for (size_t i = offset; i < offset + count; ++i) {
    bytes[i].write.pending = false;
    // Others must be ordered after the wait, not only after the issue.
    bytes[i].write.clock = clocks(thread)[thread];
  }
}
