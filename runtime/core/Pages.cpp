//===- Pages.cpp - State that grows with the tokens -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pages.h"

#include <cstring>

namespace qcc::rt {

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static constexpr uint64_t hugePage = uint64_t(2) << 20;

Pages::~Pages() {
  for (size_t i = 0; i < mappings.size(); ++i)
    if (mappings[i].mapped)
      munmap(mappings[i].mapped, mappings[i].bytes);
}

qcc_status Pages::create(const qcc_model_v1 &model, uint32_t sequences,
                         uint32_t context, ErrorText &error) {
  perSequence = (uint64_t(context) + QCC_PAGE_TOKENS - 1) / QCC_PAGE_TOKENS;
  uint64_t pages;
  if (!multiplyInto(pages, perSequence, sequences) || pages > UINT32_MAX ||
      !mappings.allocate(model.state_count) ||
      !statePointers.allocate(model.state_count) ||
      !bytesOfPage.allocate(model.state_count) || !pageTable.allocate(pages) ||
      !joined.allocate(model.state_count) || !holders.allocate(pages) ||
      !used.allocate(sequences) || !freePages.allocate(pages))
    return error.set(QCC_E_NO_MEMORY,
                     "out of memory for %u sequences of %u positions",
                     sequences, context);
  for (size_t i = 0; i < model.state_count; ++i) {
    bytesOfPage[i] = model.states[i].page_bytes;
    uint64_t bytes, mapped;
    if (!multiplyInto(bytes, bytesOfPage[i], pages) ||
        !addInto(mapped, bytes, hugePage))
      return error.set(QCC_E_DATA, "state %zu has pages of %llu bytes", i,
                       static_cast<unsigned long long>(bytesOfPage[i]));
    void *address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED)
      return error.set(QCC_E_NO_MEMORY,
                       "cannot reserve %llu bytes of state for %u sequences of "
                       "%u positions; use a smaller context",
                       static_cast<unsigned long long>(mapped), sequences,
                       context);
    mappings[i] = {static_cast<uint8_t *>(address), mapped};
    auto start = reinterpret_cast<uintptr_t>(address);
    start = (start + hugePage - 1) & ~(hugePage - 1);
    statePointers[i] = reinterpret_cast<uint8_t *>(start);
    // A huge page at the start of each of many states would take far more
    // memory than a short sequence needs; resize() joins pages that are full.
    madvise(address, mapped, MADV_NOHUGEPAGE);
  }
  for (uint64_t i = 0; i < pages; ++i)
    freePages[i] = uint32_t(pages - 1 - i);
  freeCount = pages;
  return QCC_OK;
}

/// Turns each 2 MiB of a state that sequences have filled into a huge page: a
/// long context is read as fast as weights then, and no memory is taken that is
/// not in use. Best effort; needs Linux 6.1.
void Pages::joinFullPages() {
  for (size_t i = 0; i < mappings.size(); ++i) {
    uint64_t full = pageCountEver * bytesOfPage[i] / hugePage;
    for (; joined[i] < full; ++joined[i]) {
      uint8_t *start = statePointers[i] + joined[i] * hugePage;
      if (madvise(start, hugePage, MADV_HUGEPAGE) != 0 ||
          madvise(start, hugePage, MADV_COLLAPSE) != 0)
        return;
    }
  }
}

uint32_t Pages::take() {
  uint32_t page = freePages[--freeCount];
  pageCountEver = page >= pageCountEver ? page + 1u : pageCountEver;
  holders[page] = 1;
  return page;
}

void Pages::release(uint32_t page) {
  if (--holders[page] == 0)
    freePages[freeCount++] = page;
}

/// Replaces a page by a copy that only this table entry names. One is free,
/// because entries that share leave pages over.
void Pages::copyShared(uint32_t &page) {
  uint32_t own = take();
  for (size_t i = 0; i < mappings.size(); ++i)
    memcpy(statePointers[i] + own * bytesOfPage[i],
           statePointers[i] + page * bytesOfPage[i], bytesOfPage[i]);
  release(page);
  page = own;
}

void Pages::resize(uint32_t sequence, size_t from, size_t positions) {
  uint64_t wanted = (positions + QCC_PAGE_TOKENS - 1) / QCC_PAGE_TOKENS;
  uint32_t *row = &pageTable[sequence * perSequence];
  while (used[sequence] > wanted)
    release(row[--used[sequence]]);
  if (positions > from && from % QCC_PAGE_TOKENS != 0) {
    uint32_t &last = row[from / QCC_PAGE_TOKENS];
    if (holders[last] > 1)
      copyShared(last);
  }
  if (used[sequence] == wanted)
    return;
  joinFullPages(); // those given out before, which are written by now
  while (used[sequence] < wanted)
    row[used[sequence]++] = take();
}

void Pages::share(uint32_t from, uint32_t to, size_t positions) {
  uint64_t wanted = (positions + QCC_PAGE_TOKENS - 1) / QCC_PAGE_TOKENS;
  uint32_t *row = &pageTable[to * perSequence];
  while (used[to])
    release(row[--used[to]]);
  for (; used[to] < wanted; ++used[to]) {
    row[used[to]] = pageTable[from * perSequence + used[to]];
    ++holders[row[used[to]]];
  }
}

uint64_t Pages::bytesInUse() const {
  uint64_t pages = freePages.size() - freeCount, bytes = 0;
  for (size_t i = 0; i < bytesOfPage.size(); ++i)
    bytes += pages * bytesOfPage[i];
  return bytes;
}

} // namespace qcc::rt
