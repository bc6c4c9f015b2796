//===- Profile.h - Where the time of a step goes ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_PROFILE_H
#define QCC_LIB_CODEGEN_X86_PROFILE_H

#include "qcc/Codegen/Common/Emitter.h"
#include "qcc/Codegen/Common/ModelCode.h"

#include "mlir/IR/BuiltinOps.h"

namespace qcc::x86 {

using namespace qcc::codegen;

/// The stages of a schedule, and the code that counts their ticks when a step
/// asks for it (qcc_step_v1.profile). Every stage operation is one.
class Profile {
public:
  explicit Profile(mlir::ModuleOp source);

  const std::vector<ProfiledStage> &stages() const { return list; }
  bool contains(mlir::Operation *op) const { return numbers.contains(op); }
  /// Adds the ticks since the thread's last mark to those of `op`: of its work,
  /// or of waiting for other threads after it. `thread` is an i64.
  void mark(Emitter &e, Value step, Value thread, mlir::Operation *op,
            bool isWait) const;

private:
  std::vector<ProfiledStage> list;
  llvm::DenseMap<mlir::Operation *, int64_t> numbers;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_PROFILE_H
