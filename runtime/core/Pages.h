//===- Pages.h - State that grows with the tokens ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Token state (keys and values) lives in pages of QCC_PAGE_TOKENS positions. A
// page is one number: page p of every declared state, which follow each other
// in memory. So memory is dense, and in huge pages, however many states there
// are and however few tokens. Sequences name their pages in a table, so that
// they can grow, shrink and share: a page that several sequences name is copied
// when one of them goes on writing it.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_PAGES_H
#define QCC_RUNTIME_CORE_PAGES_H

#include "Error.h"
#include "Gpu.h"
#include "Memory.h"

#include "qcc-rt/qcc_abi.h"

namespace qcc::rt {

class Pages {
public:
  Pages() = default;
  Pages(const Pages &) = delete;
  Pages &operator=(const Pages &) = delete;
  ~Pages();

  /// Reserves address space for `sequences` of `context` positions. Memory is
  /// taken when a page is first written. With `elsewhere`, which outlives this,
  /// the states that it keeps are kept there, with the sizes that `other` says.
  qcc_status create(const qcc_model_v1 &model, uint32_t sequences,
                    uint32_t context, PageMemory *elsewhere,
                    const qcc_model_v1 &other, ErrorText &error);

  /// Pages of a sequence that holds `positions`.
  static uint64_t pagesFor(uint64_t positions) {
    return (positions + QCC_PAGE_TOKENS - 1) / QCC_PAGE_TOKENS;
  }

  /// Gives a sequence that holds `from` positions the pages for `positions`.
  /// The pool has a page for every table entry, so that only memory elsewhere
  /// can be too little; the sequence can be used as before then.
  qcc_status grow(uint32_t sequence, size_t from, size_t positions,
                  ErrorText &error);

  /// Leaves a sequence the pages of its first `positions`.
  void shrink(uint32_t sequence, size_t positions);

  /// Makes the pages of `to` those of the first `positions` of `from`.
  void share(uint32_t from, uint32_t to, size_t positions);

  // One state's part of a page of a sequence.
  qcc_status read(size_t state, uint32_t sequence, size_t index, void *to,
                  ErrorText &error) const;
  qcc_status write(size_t state, uint32_t sequence, size_t index,
                   const void *from, ErrorText &error);

  /// Entries of the table that may have changed since forgetChanges().
  uint64_t firstChanged() const { return changedFrom; }
  uint64_t lastChanged() const { return changedTo; }
  void forgetChanges() { changedFrom = changedTo = 0; }

  const uint32_t *table() const { return pageTable.data(); }
  uint64_t pagesPerSequence() const { return perSequence; }
  uint8_t *const *states() { return statePointers.data(); }
  /// Bytes from a page to the next: all states that are here.
  uint64_t stride() const { return bytesHere; }
  size_t stateCount() const { return bytesOfPage.size(); }
  uint64_t pageBytes(size_t state) const { return bytesOfPage[state]; }

  size_t pageCount(uint32_t sequence) const { return used[sequence]; }

  /// Bytes of all pages that sequences hold, shared ones counted once.
  uint64_t bytesInUse() const;

private:
  qcc_status reserve(uint64_t pages, uint32_t sequences, uint32_t context,
                     ErrorText &error);
  uint32_t take();
  void release(uint32_t page);
  qcc_status copyShared(uint32_t sequence, size_t index, ErrorText &error);
  void changed(uint32_t sequence, uint64_t from, uint64_t to);

  bool isRemote(size_t state) const {
    return remote && remote->keeps(uint32_t(state));
  }

  uint8_t *at(size_t state, uint64_t page) const {
    return statePointers[state] + page * bytesHere;
  }

  PageMemory *remote = nullptr; // null: all states are here
  void *mapped = nullptr;
  uint64_t mappedBytes = 0;
  Array<uint8_t *> statePointers; // null for those elsewhere
  Array<uint64_t> bytesOfPage;
  uint64_t bytesHere = 0;
  Array<uint32_t> pageTable; // [sequences][perSequence]
  Array<uint32_t> used;      // pages of each sequence
  Array<uint32_t> holders;   // sequences that name each page
  Array<uint32_t> freePages; // a stack: warm pages are reused first
  size_t freeCount = 0;
  uint64_t perSequence = 0;
  uint64_t changedFrom = 0, changedTo = 0;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_PAGES_H
