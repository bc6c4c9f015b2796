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
                         uint32_t context, PageMemory *elsewhere,
                         const qcc_model_v1 &other, ErrorText &error) {
  remote = elsewhere;
  perSequence = pagesFor(context);
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
    bytesOfPage[i] = (isRemote(i) ? other : model).states[i].page_bytes;
    if (isRemote(i))
      continue;
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
    // memory than a short sequence needs; grow() joins pages that are full.
    madvise(address, mapped, MADV_NOHUGEPAGE);
  }
  for (uint64_t i = 0; i < pages; ++i)
    freePages[i] = uint32_t(pages - 1 - i);
  freeCount = pages;
  changedTo = pages; // all: nobody has seen any
  return QCC_OK;
}

/// Turns each 2 MiB of a state that sequences have filled into a huge page: a
/// long context is read as fast as weights then, and no memory is taken that is
/// not in use. Best effort; needs Linux 6.1.
void Pages::joinFullPages() {
  for (size_t i = 0; i < mappings.size(); ++i) {
    if (!mappings[i].mapped)
      continue;
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

void Pages::changed(uint32_t sequence, uint64_t from, uint64_t to) {
  if (from == to)
    return;
  from += sequence * perSequence;
  to += sequence * perSequence;
  bool none = changedFrom == changedTo;
  changedFrom = none || from < changedFrom ? from : changedFrom;
  changedTo = to > changedTo ? to : changedTo;
}

/// Replaces a page by a copy that only this table entry names. One is free,
/// because entries that share leave pages over.
qcc_status Pages::copyShared(uint32_t sequence, size_t index,
                             ErrorText &error) {
  uint32_t &page = pageTable[sequence * perSequence + index];
  uint32_t own = take();
  if (remote) {
    qcc_status status = remote->hold(own + 1, error);
    if (status == QCC_OK)
      status = remote->copy(page, own, error);
    if (status) {
      release(own);
      return status;
    }
  }
  for (size_t i = 0; i < mappings.size(); ++i)
    if (mappings[i].mapped)
      memcpy(statePointers[i] + own * bytesOfPage[i],
             statePointers[i] + page * bytesOfPage[i], bytesOfPage[i]);
  release(page);
  page = own;
  changed(sequence, index, index + 1);
  return QCC_OK;
}

qcc_status Pages::grow(uint32_t sequence, size_t from, size_t positions,
                       ErrorText &error) {
  uint64_t wanted = pagesFor(positions);
  uint32_t *row = &pageTable[sequence * perSequence];
  if (positions > from && from % QCC_PAGE_TOKENS != 0 &&
      holders[row[from / QCC_PAGE_TOKENS]] > 1)
    if (qcc_status status = copyShared(sequence, from / QCC_PAGE_TOKENS, error))
      return status;
  uint32_t before = used[sequence], pages = 0;
  if (before >= wanted)
    return QCC_OK;
  joinFullPages(); // those given out before, which are written by now
  while (used[sequence] < wanted) {
    uint32_t page = take();
    pages = page >= pages ? page + 1 : pages;
    row[used[sequence]++] = page;
  }
  if (remote)
    if (qcc_status status = remote->hold(pages, error)) {
      while (used[sequence] > before)
        release(row[--used[sequence]]);
      return status;
    }
  changed(sequence, before, wanted);
  return QCC_OK;
}

void Pages::shrink(uint32_t sequence, size_t positions) {
  uint64_t wanted = pagesFor(positions);
  while (used[sequence] > wanted)
    release(pageTable[sequence * perSequence + --used[sequence]]);
}

void Pages::share(uint32_t from, uint32_t to, size_t positions) {
  uint64_t wanted = pagesFor(positions);
  uint32_t *row = &pageTable[to * perSequence];
  shrink(to, 0);
  for (; used[to] < wanted; ++used[to]) {
    row[used[to]] = pageTable[from * perSequence + used[to]];
    ++holders[row[used[to]]];
  }
  changed(to, 0, wanted);
}

qcc_status Pages::read(size_t state, uint32_t sequence, size_t index, void *to,
                       ErrorText &error) const {
  uint32_t page = pageTable[sequence * perSequence + index];
  if (isRemote(state))
    return remote->read(uint32_t(state), page, to, error);
  memcpy(to, statePointers[state] + page * bytesOfPage[state],
         bytesOfPage[state]);
  return QCC_OK;
}

qcc_status Pages::write(size_t state, uint32_t sequence, size_t index,
                        const void *from, ErrorText &error) {
  uint32_t page = pageTable[sequence * perSequence + index];
  if (isRemote(state))
    return remote->write(uint32_t(state), page, from, error);
  memcpy(statePointers[state] + page * bytesOfPage[state], from,
         bytesOfPage[state]);
  return QCC_OK;
}

uint64_t Pages::bytesInUse() const {
  uint64_t pages = freePages.size() - freeCount, bytes = 0;
  for (size_t i = 0; i < bytesOfPage.size(); ++i)
    bytes += pages * bytesOfPage[i];
  return bytes;
}

} // namespace qcc::rt
