//===- PanelScales.h - Scales and minima of a packed panel ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// How kernels of every target read what qcc/Formats/PackedLayout.h stores
// beside the codes.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_PANELSCALES_H
#define QCC_CODEGEN_COMMON_PANELSCALES_H

#include "qcc/Codegen/Common/Emitter.h"
#include "qcc/Formats/PackedLayout.h"

namespace qcc::codegen {

/// The factor S and the term M of one group, for one row or for several. `min`
/// is null without one, `zero` (i32, all that is subtracted from a code) where
/// it is a constant, `subs` (where a unit keeps its second level) where chunks
/// keep it, `split` (i32, the groups of a unit before `secondFactor`) where
/// there is one factor.
struct PanelScales {
  Value factor, min, zero, subs, offset, secondFactor, split;
};

/// Reads them as f32 of `type` (a scalar or a vector) for the rows of the panel
/// from `lane` on.
class ScaleReader {
public:
  ScaleReader(Emitter &e, const PackedLayout &layout)
      : e(e), layout(layout), encoding(layout.encoding) {}

  /// What the unit at `unit` holds for all its groups; empty when it holds
  /// nothing.
  PanelScales unit(Value unit, Value lane, Type type);
  /// The same for chunk `index` of the unit (null: the first).
  PanelScales chunk(PanelScales unit, Value index, Value lane, Type type);
  /// Group `group` of the chunk at `chunk`, given what chunk() returned.
  PanelScales group(const PanelScales &unit, Value chunk, int64_t group,
                    Value lane, Type type);

  /// Scalars of `type` at index `lane` of the array at `base`: an f32, or as
  /// many as the vector type `result` has lanes.
  Value scalars(ScalarType type, Value base, Value lane, Type result);

private:
  /// What stands under "scales" in PackedLayout.h.
  PanelScales scales(Value base, Value lane, Type type);
  /// A byte for each row from `lane` on, i8.
  Value bytes(Value base, Value lane, Type type);
  /// What is halved, i32.
  Value halves(Value base, Value lane, Type type);
  /// The factor of a group or a unit from the scales at `at`.
  Value factor(Value at, Value lane, Type type);
  /// The term M of one level at `base`, beside `factor`.
  Value termOf(Value base, Value factor, Value lane, Type type);
  /// Those of the half of `unit` that chunk `index` is in.
  PanelScales selectHalf(PanelScales unit, Value index);
  /// What `unit` becomes with the second level at `record`.
  PanelScales withSub(const PanelScales &unit, Value record, Value lane,
                      Type type);
  Value broadcast(Value scalar, Type type);
  /// The f32 that subs, i32, stand for.
  Value second(Value subs, Type type);

  Emitter &e;
  const PackedLayout &layout;
  const Encoding &encoding;
};

/// The numbers whose bits are the low bytes of `bits` (i32), as f32 of `type`.
Value emitMinifloat(Emitter &e, Minifloat format, Value bits, Type type);

} // namespace qcc::codegen

#endif // QCC_CODEGEN_COMMON_PANELSCALES_H
