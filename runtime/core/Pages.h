//===- Pages.h - State that grows with the tokens ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Token state (keys and values) lives in pages of QCC_PAGE_TOKENS positions. A
// page is one number: page p of every declared state. Sequences name their
// pages in a table, so that they can grow, shrink and share: a page that
// several sequences name is copied when one of them goes on writing it.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_PAGES_H
#define QCC_RUNTIME_CORE_PAGES_H

#include "Error.h"
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
  /// taken when a page is first written.
  qcc_status create(const qcc_model_v1 &model, uint32_t sequences,
                    uint32_t context, ErrorText &error);

  /// Gives a sequence that holds `from` positions the pages for `positions`;
  /// always succeeds up to the context, because the pool has a page for every
  /// table entry.
  void resize(uint32_t sequence, size_t from, size_t positions);

  /// Makes the pages of `to` those of the first `positions` of `from`.
  void share(uint32_t from, uint32_t to, size_t positions);

  const uint32_t *table() const { return pageTable.data(); }
  uint64_t pagesPerSequence() const { return perSequence; }
  uint8_t *const *states() { return statePointers.data(); }
  size_t stateCount() const { return mappings.size(); }
  uint64_t pageBytes(size_t state) const { return bytesOfPage[state]; }

  uint8_t *page(size_t state, uint32_t sequence, size_t index) {
    return statePointers[state] +
           pageTable[sequence * perSequence + index] * bytesOfPage[state];
  }
  size_t pageCount(uint32_t sequence) const { return used[sequence]; }

  /// Bytes of all pages that sequences hold, shared ones counted once.
  uint64_t bytesInUse() const;

private:
  void joinFullPages();
  uint32_t take();
  void release(uint32_t page);
  void copyShared(uint32_t &page);

  /// A Mapping as plain data, which Array asks for.
  struct Region {
    uint8_t *mapped;
    size_t bytes;
  };

  Array<Region> mappings;
  Array<uint8_t *> statePointers;
  Array<uint64_t> bytesOfPage;
  Array<uint64_t> joined;    // huge pages of each state
  Array<uint32_t> pageTable; // [sequences][perSequence]
  Array<uint32_t> used;      // pages of each sequence
  Array<uint32_t> holders;   // sequences that name each page
  Array<uint32_t> freePages; // a stack: warm pages are reused first
  size_t freeCount = 0;
  uint64_t pageCountEver = 0; // pages below this were given out at some time
  uint64_t perSequence = 0;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_PAGES_H
