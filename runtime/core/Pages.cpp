//===- Pages.cpp - State that grows with the tokens -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pages.h"

#include <cstring>

namespace qcc::rt {

static constexpr uint64_t hugePage = uint64_t(2) << 20;

Pages::~Pages() {
  if (mapped)
    munmap(mapped, mappedBytes);
}

qcc_status Pages::create(const qcc_model_v1 &model, uint32_t sequences,
                         uint32_t context, PageMemory *elsewhere,
                         const qcc_model_v1 &other, ErrorText &error) {
  remote = elsewhere;
  perSequence = pagesFor(context);
  uint64_t pages;
  if (!multiplyInto(pages, perSequence, sequences) || pages > UINT32_MAX ||
      !statePointers.allocate(model.state_count) ||
      !bytesOfPage.allocate(model.state_count) || !pageTable.allocate(pages) ||
      !holders.allocate(pages) || !used.allocate(sequences) ||
      !freePages.allocate(pages))
    return error.set(QCC_E_NO_MEMORY,
                     "out of memory for %u sequences of %u positions",
                     sequences, context);
  for (uint32_t i = 0; i < model.state_count; ++i) {
    bytesOfPage[i] = (isRemote(i) ? other : model).states[i].page_bytes;
    if (!isRemote(i) && !addInto(bytesHere, bytesHere, bytesOfPage[i]))
      return error.set(QCC_E_DATA, "state %u has pages of %llu bytes", i,
                       static_cast<unsigned long long>(bytesOfPage[i]));
  }
  if (bytesHere)
    if (qcc_status status = reserve(pages, sequences, context, error))
      return status;
  for (uint64_t i = 0; i < pages; ++i)
    freePages[i] = uint32_t(pages - 1 - i);
  freeCount = pages;
  changedTo = pages; // all: nobody has seen any
  return QCC_OK;
}

qcc_status Pages::reserve(uint64_t pages, uint32_t sequences, uint32_t context,
                          ErrorText &error) {
  uint64_t bytes;
  void *address = MAP_FAILED;
  if (multiplyInto(bytes, bytesHere, pages) &&
      addInto(mappedBytes, bytes, hugePage))
    address = mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return error.set(QCC_E_NO_MEMORY,
                     "cannot reserve state of %llu bytes a page for %u "
                     "sequences of %u positions; use a smaller context",
                     static_cast<unsigned long long>(bytesHere), sequences,
                     context);
  mapped = address;
  auto start = reinterpret_cast<uintptr_t>(address);
  start = (start + hugePage - 1) & ~(hugePage - 1);
  // Long contexts are read as fast as weights then. Best effort.
  madvise(reinterpret_cast<void *>(start), bytes, MADV_HUGEPAGE);
  auto *next = reinterpret_cast<uint8_t *>(start);
  for (size_t i = 0; i < bytesOfPage.size(); ++i)
    if (!isRemote(i)) {
      statePointers[i] = next;
      next += bytesOfPage[i];
    }
  return QCC_OK;
}

uint32_t Pages::take() {
  uint32_t page = freePages[--freeCount];
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
  for (size_t i = 0; i < bytesOfPage.size(); ++i)
    if (!isRemote(i))
      memcpy(at(i, own), at(i, page), bytesOfPage[i]);
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
  memcpy(to, at(state, page), bytesOfPage[state]);
  return QCC_OK;
}

qcc_status Pages::write(size_t state, uint32_t sequence, size_t index,
                        const void *from, ErrorText &error) {
  uint32_t page = pageTable[sequence * perSequence + index];
  if (isRemote(state))
    return remote->write(uint32_t(state), page, from, error);
  memcpy(at(state, page), from, bytesOfPage[state]);
  return QCC_OK;
}

uint64_t Pages::bytesInUse() const {
  uint64_t pages = freePages.size() - freeCount, bytes = 0;
  for (size_t i = 0; i < bytesOfPage.size(); ++i)
    bytes += pages * bytesOfPage[i];
  return bytes;
}

} // namespace qcc::rt
