//===- Intrinsics.h - What stands for an NVVM intrinsic --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The rewritten module calls an entry with a pointer to its operands, laid out
// as a C struct, and to its result. To support one more intrinsic, add it to
// the table of the file that it belongs to.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_INTRINSICS_H
#define QCC_TEST_EMULATOR_INTRINSICS_H

#include "Simt.h"

#include "llvm/ADT/StringRef.h"

namespace qcc::emulator {

using Entry = void (*)(Simt &simt, const void *operands, void *result,
                       Site site);

/// The function that stands for an intrinsic (its full name), or null.
Entry findEntry(llvm::StringRef name);

struct NamedEntry {
  llvm::StringLiteral name;
  Entry entry;
};
llvm::ArrayRef<NamedEntry> threadEntries();
llvm::ArrayRef<NamedEntry> warpEntries();
llvm::ArrayRef<NamedEntry> matrixEntries();
llvm::ArrayRef<NamedEntry> mathEntries();

/// The operands as their struct.
template <typename T>
const T &operandsAs(const void *operands) {
  return *static_cast<const T *>(operands);
}
template <typename T>
T &resultAs(void *result) {
  return *static_cast<T *>(result);
}

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_INTRINSICS_H
