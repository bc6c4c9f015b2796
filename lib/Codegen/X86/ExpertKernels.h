//===- ExpertKernels.h - Rows and the experts they chose --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A row of llm.route says which expert each of its slots takes. A matmul goes
// the other way round: it does an expert for all slots that chose it. What it
// needs for that is a dispatch, which every thread makes for itself from the
// same routes, in memory of its own:
//
//   u32      active: experts that some slot chose
//   u32      tiles of all of them
//   8 bytes
//   Active   [experts + 1]: of each active one, in ascending order
//   u32      cursor [experts]
//   u32      place [rows * slots]: the position of each slot
//   u32      slot [positions]: the slot (row * slots + slot of the row) there
//
// A position is a row of the activations that the matmul reads. Those of an
// expert follow each other in the order of the slots, and begin a tile.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_EXPERTKERNELS_H
#define QCC_LIB_CODEGEN_X86_EXPERTKERNELS_H

#include "Isa.h"

namespace qcc::x86 {

/// Sizes of a routing.
struct RouteShape {
  int64_t experts, slots;
  int64_t stride;   ///< Bytes between rows of llm.route.
  int64_t capacity; ///< Most rows of a step.
};

/// Where things lie in a dispatch for tiles of `tile` rows.
struct DispatchLayout {
  DispatchLayout(const RouteShape &shape, int64_t tile);

  static constexpr int64_t kActiveCount = 0, kTileCount = 4, kActive = 16;
  /// Of an entry of Active: the expert, its first position, its slots, and the
  /// tiles of those before it. u32 each.
  static constexpr int64_t kExpert = 0, kFirst = 4, kCount = 8,
                           kTilesBefore = 12;
  static constexpr int64_t kActiveBytes = 16;

  int64_t tile;
  int64_t cursorOffset, placeOffset, slotOffset, bytes;
};

/// What llm.route does, as its attributes.
struct RouteKind {
  bool normalize, sigmoid;
  double scale;
  int64_t groups, topGroups;
};

/// Bytes of memory that routeRow needs.
int64_t routeScratchBytes(const RouteShape &shape, const RouteKind &kind);

/// Writes a row of llm.route from its logits; `bias` may be null.
void routeRow(Emitter &e, const RouteShape &shape, const RouteKind &kind,
              Value logits, Value bias, Value scratch, Value out);

/// Makes the dispatch of `rows` (i64) routes at `dispatch`.
void emitDispatch(Emitter &e, const RouteShape &shape,
                  const DispatchLayout &layout, Value routes, Value rows,
                  Value dispatch);

/// out = residual + sum of weight * slot + sigmoid(gate) * shared, of a row.
/// `shared`, `gate` (for which 1 stands then) and `residual` may be null.
void combineRow(Emitter &e, const Isa &isa, const RouteShape &shape,
                Value slots, Value route, Value shared, Value gate,
                Value residual, Value out, int64_t columns);

/// Element `index` (i64) of an array of u32, as i64.
Value loadU32(Emitter &e, Value base, Value index);

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_EXPERTKERNELS_H
