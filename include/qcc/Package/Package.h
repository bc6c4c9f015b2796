//===- Package.h - Objects and weights to one runnable file -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The last stage: links the generated objects with the runtime that qcc ships,
// then streams the weights to the end of the file. Needs no compiler, linker or
// development file on the machine where it runs.
//===----------------------------------------------------------------------===//

#ifndef QCC_PACKAGE_PACKAGE_H
#define QCC_PACKAGE_PACKAGE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBufferRef.h"

#include <cstdint>
#include <functional>
#include <string>

namespace qcc {

/// Receives weights in order. Small pieces are collected, so that any
/// granularity is fine; nothing that was passed is kept after the call.
class WeightSink {
public:
  virtual ~WeightSink();

  /// Appends `size` bytes. Fails when the output cannot be written or when
  /// there would be more bytes than announced; the stream must then end and
  /// hand the error on.
  virtual llvm::Error append(const void *data, uint64_t size) = 0;

  /// Appends zero bytes up to `offset` from the first byte of the weights.
  llvm::Error padTo(uint64_t offset);

  /// Bytes appended so far.
  virtual uint64_t size() const = 0;
};

/// The weights of a model: how many bytes, and who produces them. `write` is
/// called once, in the calling thread, and must append exactly `bytes` bytes.
struct WeightStream {
  uint64_t bytes = 0;
  std::function<llvm::Error(WeightSink &)> write;
};

struct PackageOptions {
  enum Kind { SharedLibrary, Executable };

  /// Path of the result. Replaced in one step when all is done.
  std::string output;
  Kind kind = Executable;
  /// A shared library exports `<symbolPrefix>_query` and nothing else. Must be
  /// a C identifier.
  std::string symbolPrefix = "qcc_model";
  /// Puts the weights in `<output>.qw`; the result refers to them by name.
  bool externalWeights = false;
  /// Leaves out the symbol table that profilers and debuggers read.
  bool stripSymbols = false;
  /// Folder with the runtime archives and the C library's link inputs; empty
  /// means `../lib/qcc` beside the running executable.
  std::string supportDir;
  /// Called now and then with the bytes of weights done, and at the end.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// Path of the external weights file of `options`.
std::string externalWeightsPath(const PackageOptions &options);

/// Links `objects` (relocatable x86-64 ELF; their buffer identifiers name them
/// in messages) and the runtime, appends the weights and moves the result to
/// `options.output`. The same input gives the same bytes. On failure no file is
/// left or changed. Calls are serialized.
///
/// What the objects must define: for an executable and a shared library alike
/// `<symbolPrefix>_query`, directly or through a runtime archive.
llvm::Error package(llvm::ArrayRef<llvm::MemoryBufferRef> objects,
                    const WeightStream &weights, const PackageOptions &options);

} // namespace qcc

#endif // QCC_PACKAGE_PACKAGE_H
