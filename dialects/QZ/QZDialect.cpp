//===- QZDialect.cpp - Registration of qz ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/QZ/QZDialect.h"

using namespace mlir;
using namespace qcc::qz;

#include "dialects/QZ/QZDialect.cpp.inc"

void QZDialect::initialize() {
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialects/QZ/QZOps.cpp.inc"
      >();
}
