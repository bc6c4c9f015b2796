//===- ExpertStages.cpp - The stages of mixtures of experts ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StageLowering.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static int64_t columnsOf(Value rows) {
  return cast<RankedTensorType>(rows.getType()).getDimSize(1);
}

RouteShape qcc::x86::routeShape(llm::RouteOp op) {
  auto capacity = op->getParentOfType<ModuleOp>()->getAttrOfType<IntegerAttr>(
      "llm.row_capacity");
  return {columnsOf(op.getLogits()), int64_t(op.getTopK()),
          rowStride(op.getResult()), capacity ? capacity.getInt() : 0};
}

/// Bytes of the routes in a thread's memory.
static int64_t routesBytes(const RouteShape &shape) {
  return shape.capacity * shape.stride;
}

int64_t qcc::x86::routeThreadBytes(llm::RouteOp op) {
  RouteShape shape = routeShape(op);
  // At most a tile for each stage that makes activations, and tiles of one.
  int64_t tiles = 1 + llvm::count_if(op->getUsers(), [](Operation *user) {
                    return isa<qz::QuantizeOp>(user);
                  });
  return routesBytes(shape) +
         tiles * DispatchLayout(shape, ActivationLayout::kMostTile).bytes;
}

SmallVector<int64_t> StageLowering::dispatchTiles(llm::RouteOp op) {
  SmallVector<int64_t> tiles;
  auto add = [&](int64_t tile) {
    if (!llvm::is_contained(tiles, tile))
      tiles.push_back(tile);
  };
  for (Operation *user : op->getUsers()) {
    auto quantize = dyn_cast<qz::QuantizeOp>(user);
    if (!quantize)
      continue;
    add(activationLayout(quantize, mode.tile).tile);
    if (outputs.contains(quantize.getInput()))
      add(activationLayout(quantize, 1).tile);
  }
  return tiles;
}

Value StageLowering::dispatchAt(llm::RouteOp op, int64_t tile) {
  RouteShape shape = routeShape(op);
  SmallVector<int64_t> tiles = dispatchTiles(op);
  int64_t index = llvm::find(tiles, tile) - tiles.begin();
  int64_t bytes = DispatchLayout(shape, ActivationLayout::kMostTile).bytes;
  return e.offset(scratch, context.routeOffsets.lookup(op) +
                               routesBytes(shape) + index * bytes);
}

void StageLowering::lowerRoute(llm::RouteOp op) {
  RouteShape shape = routeShape(op);
  bool replicated = !mode.prompt && op->hasAttr("generate_replicated");
  if (replicated)
    places[op.getResult()] = e.offset(scratch, context.routeOffsets.lookup(op));
  Value logits = place(op.getLogits()), routes = place(op.getResult());
  Value count = rowCount(op.getLogits());
  auto unit = [&](Value row) {
    routeRow(e, shape, op.getNormalize(),
             e.offset(logits, e.mul(row, rowStride(op.getLogits()))),
             e.offset(routes, e.mul(row, shape.stride)));
  };
  if (replicated) {
    e.loop(e.c64(0), count, 1, unit);
  } else {
    forUnits(count, unit);
    barrier();
  }
  for (int64_t tile : dispatchTiles(op))
    emitDispatch(e, shape, DispatchLayout(shape, tile), routes, count,
                 dispatchAt(op, tile));
}

void StageLowering::lowerCombine(llm::CombineOp op) {
  auto route = op.getRouting().getDefiningOp<llm::RouteOp>();
  RouteShape shape = routeShape(route);
  forUnits(rowCount(op.getSlots()), [&](Value row) {
    auto at = [&](Value rows) {
      return rows ? e.offset(place(rows), e.mul(row, rowStride(rows)))
                  : Value();
    };
    combineRow(e, context.isa, shape, at(op.getSlots()), at(op.getRouting()),
               at(op.getShared()), at(op.getGate()), at(op.getResidual()),
               at(op.getResult()), columnsOf(op.getResult()));
  });
}
