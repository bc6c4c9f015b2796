//===- FixedUnit.cpp - Units of prompts in the fixed form -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// k is cut into passes. A pass prepares what it needs of the unit's panels and
// multiplies that with all rows, parts of tiles at a time; the sums of all rows
// are in memory between passes.
//===----------------------------------------------------------------------===//

#include "FixedPanel.h"
#include "UnitEmitter.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

/// Panels that are multiplied together.
static constexpr int64_t kPanels = 2;
static constexpr int64_t kLine = PreparedLayout::kLine;

int64_t UnitEmitter::fixedScratchBytes(const ActivationLayout &activations,
                                       int64_t rows) {
  PreparedLayout prepared{activations, kPanels};
  if (prepared.passes() == 1)
    return prepared.bytes();
  int64_t tiles = (rows + activations.tile - 1) / activations.tile;
  return prepared.bytes() + tiles * activations.tile * kPanels * kLine;
}

Values UnitEmitter::nextOfPass(Panels panels, int64_t passes, Value pass) {
  Value isLast = e.cmp(arith::CmpIPredicate::eq, pass, e.c64(passes - 1));
  int64_t together = op.isGlu() ? 1 : int64_t(panels.size());
  Values next;
  for (const PanelOperand &panel : panels) {
    auto bytes = int64_t(panel.weight->panelBytes);
    Value inPanel = e.mul(e.add(pass, 1), bytes / passes);
    next.push_back(e.offset(
        panel.codes, e.select(isLast, e.c64(together * bytes), inPanel)));
  }
  return next;
}

void UnitEmitter::emitFixed(Panels panels, Value column, int64_t columns) {
  PreparedLayout prepared{act, int64_t(panels.size())};
  SmallVector<FixedPanel> forms;
  SmallVector<int> shifts;
  for (const PanelOperand &panel : panels) {
    const PackedWeight::Run &run = panel.weight->runs[0];
    forms.emplace_back(e, isa, run.layout, int64_t(run.columns), prepared);
    shifts.push_back(forms.back().shift());
  }
  int64_t rows = act.tile / prepared.panels, passes = prepared.passes();
  FixedProducts products(e, isa, prepared, shifts, rows);
  VectorType floats = e.vec(16, e.f32());
  Value parts = e.udiv(e.add(operands.rows, rows - 1), rows);
  Value partial = e.offset(operands.scratch, prepared.bytes());
  int64_t partBytes = act.tile * kLine;

  auto finish = [&](Value part, ValueRange sums) {
    SmallVector<Values> results;
    for (int64_t i = 0; i < prepared.panels; ++i) {
      ValueRange all = sums.slice(size_t(i * rows), size_t(rows));
      results.emplace_back(all.begin(), all.end());
    }
    Values biases;
    for (const PanelOperand &panel : panels)
      biases.push_back(panel.bias);
    Value row = e.mul(part, rows);
    if (op.isGlu())
      return storeRows(results, biases, column, columns, row);
    for (auto [i, result] : llvm::enumerate(results))
      storeRows(result, biases[i],
                e.add(column, int64_t(i) * PackedLayout::kRows), columns, row);
  };
  auto runPass = [&](Value pass) {
    Value first = e.mul(pass, PreparedLayout::kPassSlabs);
    Value end =
        e.minU(e.add(first, PreparedLayout::kPassSlabs), e.c64(act.slabs()));
    for (auto [i, panel] : llvm::enumerate(panels))
      forms[i].prepare(panel.codes, first, end, operands.scratch, int64_t(i));
    Values next = nextOfPass(panels, passes, pass);
    e.loop(e.c64(0), parts, 1, [&](Value part) {
      for (auto [i, panel] : llvm::enumerate(panels))
        askFor(next[i], int64_t(panel.weight->panelBytes) / passes, part,
               kAskedTiles * prepared.panels);
      Value tile = tileAt(e.udiv(part, prepared.panels));
      if (prepared.panels > 1)
        tile = e.offset(tile, e.mul(e.urem(part, prepared.panels), rows * 4));
      Values sums(size_t(act.tile), e.zero(floats));
      Value kept = e.offset(partial, e.mul(part, partBytes));
      if (passes > 1)
        for (auto [i, sum] : llvm::enumerate(sums))
          sum = e.load(floats, kept, int64_t(i) * kLine);
      sums = products.emit(operands.scratch, tile, first, end, sums);
      if (passes == 1)
        return finish(part, sums);
      Value isLast = e.cmp(arith::CmpIPredicate::eq, pass, e.c64(passes - 1));
      e.ifElse(
          isLast,
          [&] {
            finish(part, sums);
            return Values();
          },
          [&] {
            for (auto [i, sum] : llvm::enumerate(sums))
              e.store(sum, kept, int64_t(i) * kLine);
            return Values();
          });
    });
  };
  if (passes == 1)
    return runPass(e.c64(0));
  e.loop(e.c64(0), e.mul(parts, partBytes), kLine,
         [&](Value at) { e.store(e.zero(floats), e.offset(partial, at)); });
  e.loop(e.c64(0), e.c64(passes), 1, runPass);
}
