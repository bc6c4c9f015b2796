//===- QZDialect.cpp - Registration of qz ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/QZ/QZDialect.h"

using namespace mlir;
using namespace qcc::qz;

#include "dialects/QZ/QZDialect.cpp.inc"

namespace {
/// Prints each encoding once, under a short name: `#q4`, `#f32`.
struct EncodingAliases : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attribute, raw_ostream &os) const override {
    auto encoding = dyn_cast<EncodingAttr>(attribute);
    if (!encoding)
      return AliasResult::NoAlias;
    qcc::Encoding e = encoding.toEncoding();
    if (e.isFloat())
      os << qcc::scalarName(e.element);
    else if (e.spans.empty())
      os << "q" << e.bits;
    else
      os << "q_spans";
    return AliasResult::OverridableAlias;
  }
};
} // namespace

void QZDialect::initialize() {
  addInterfaces<EncodingAliases>();
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialects/QZ/QZOps.cpp.inc"
      >();
}
