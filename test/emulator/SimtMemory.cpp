//===- SimtMemory.cpp - Copies and checks of accesses ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SimtState.h"

#include <cstring>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// Asynchronous copies
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
  Thread &thread = threads[current];
  counters->copiedBytes += read;
  if (!thread.hasWaited)
    counters->earlyCopiedBytes += read;
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

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

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
  } else {
    if (!buffers.empty())
      checkBuffer(address, bytes, access, site);
    if (findRaces && !stacks.contains(address))
      checkBlocks(address, bytes, access, site);
  }
  if (countPatterns && access != Access::Atomic && !stacks.contains(address))
    patterns.add(current, site,
                 isShared(address) ? AccessPatterns::Space::Shared
                                   : AccessPatterns::Space::Global,
                 reinterpret_cast<uintptr_t>(address), bytes, *counters);
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

void Simt::awaitLaunchBefore() { threads[current].hasWaited = true; }

void Simt::fence() {
  if (findRaces)
    blockRaces.fence(current);
}

void Simt::checkBlocks(const void *address, size_t bytes, Access access,
                       Site site) {
  const BlockRaces::Store *found = blockRaces.access(
      current, reinterpret_cast<uintptr_t>(address), bytes, access, site);
  if (!found)
    return;
  const Dim3 &other = threads[found->event.thread].index;
  fail(site,
       "nothing orders it after thread (%u, %u, %u) of block (%u, %u, "
       "%u) in %s: %zu bytes of global memory",
       other.x, other.y, other.z, unsigned(found->block % grid.x),
       unsigned(found->block / grid.x % grid.y),
       unsigned(found->block / grid.x / grid.y),
       siteNames[found->event.site].c_str(), bytes);
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
    bool isEarly = startsEarly && !threads[current].hasWaited;
    if (isEarly && (access != Access::Read || !buffer.constant))
      fail(site,
           "%zu bytes at offset %zu of buffer %zu before griddepcontrol.wait",
           bytes, offset, size_t(&buffer - buffers.data()));
    return;
  }
  fail(site, "%zu bytes at %p, in no buffer", bytes, address);
}
