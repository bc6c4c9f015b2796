//===- FixedForm.h - How exact the fixed form of activations is -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_FIXEDFORM_H
#define QCC_TEST_UNIT_CODEGEN_FIXEDFORM_H

#include "qcc/Transforms/ActivationLayout.h"
#include "MatmulCase.h"

#include <optional>

namespace qcc::test {

/// The layout of prompts in the fixed form; none where `target` multiplies
/// `form` of the case in f32.
std::optional<ActivationLayout> fixedLayout(const MatmulCase &c,
                                            const std::string &target,
                                            const std::string &form);

/// The largest error that a product of `row` with `x` may have beside that of
/// quantized activations: what rounding its dot products, factors, scales,
/// terms and sums to 16 bits comes to.
double fixedBound(const ActivationLayout &layout, const Encoding &encoding,
                  const Fields &row, const Activations &x);

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_FIXEDFORM_H
