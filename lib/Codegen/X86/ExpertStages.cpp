//===- ExpertStages.cpp - The stages of mixtures of experts ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StageLowering.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

bool qcc::x86::isRouting(Operation *op) {
  return isa<llm::RouteOp, llm::RouteAllOp>(op);
}

RouteShape qcc::x86::routeShape(Operation *op) {
  auto capacity = op->getParentOfType<ModuleOp>()->getAttrOfType<IntegerAttr>(
      "llm.row_capacity");
  Value result = op->getResult(0);
  int64_t slots = columnsOf(result) / 2;
  auto route = dyn_cast<llm::RouteOp>(op);
  return {route ? columnsOf(route.getLogits()) : slots, slots,
          rowStride(result), capacity ? capacity.getInt() : 0};
}

/// Bytes of the routes in a thread's memory.
static int64_t routesBytes(const RouteShape &shape) {
  return shape.capacity * shape.stride;
}

/// Those of all its dispatches: at most one for each stage that makes
/// activations, and one for tiles of one row.
static int64_t dispatchBytes(Operation *op) {
  int64_t tiles = 1 + llvm::count_if(op->getUsers(), [](Operation *user) {
                    return isa<qz::QuantizeOp>(user);
                  });
  return tiles *
         DispatchLayout(routeShape(op), ActivationLayout::kMostTile).bytes;
}

/// How an llm.route chooses.
static RouteKind routeKind(llm::RouteOp op) {
  return {op.getNormalize(), op.getSigmoid(), op.getScale().convertToDouble(),
          int64_t(op.getGroups()), int64_t(op.getTopGroups())};
}

int64_t qcc::x86::routeThreadBytes(Operation *op) {
  RouteShape shape = routeShape(op);
  int64_t bytes = routesBytes(shape) + dispatchBytes(op);
  if (auto route = dyn_cast<llm::RouteOp>(op))
    bytes += routeScratchBytes(shape, routeKind(route));
  return bytes;
}

SmallVector<int64_t> StageLowering::dispatchTiles(Operation *op) {
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

Value StageLowering::dispatchAt(Operation *op, int64_t tile) {
  RouteShape shape = routeShape(op);
  SmallVector<int64_t> tiles = dispatchTiles(op);
  int64_t index = llvm::find(tiles, tile) - tiles.begin();
  int64_t bytes = DispatchLayout(shape, ActivationLayout::kMostTile).bytes;
  return e.offset(scratch, context.routeOffsets.lookup(op) +
                               routesBytes(shape) + index * bytes);
}

void StageLowering::makeRoutes(Operation *op, Value count,
                               function_ref<void(Value)> unit) {
  RouteShape shape = routeShape(op);
  Value result = op->getResult(0);
  if (!mode.prompt && op->hasAttr("generate_replicated")) {
    places[result] = e.offset(scratch, context.routeOffsets.lookup(op));
    e.loop(e.c64(0), count, 1, unit);
  } else {
    forUnits(count, unit);
    barrier();
  }
  for (int64_t tile : dispatchTiles(op))
    emitDispatch(e, shape, DispatchLayout(shape, tile), place(result), count,
                 dispatchAt(op, tile));
}

void StageLowering::lowerRoute(llm::RouteOp op) {
  RouteShape shape = routeShape(op);
  Value bias = op.getBias() ? place(op.getBias()) : Value();
  Value own = e.offset(scratch, context.routeOffsets.lookup(op) +
                                    routesBytes(shape) + dispatchBytes(op));
  Value logits = place(op.getLogits());
  makeRoutes(op, rowCount(op.getLogits()), [&](Value row) {
    routeRow(e, shape, routeKind(op),
             e.offset(logits, e.mul(row, rowStride(op.getLogits()))), bias, own,
             e.offset(place(op.getResult()), e.mul(row, shape.stride)));
  });
}

void StageLowering::lowerRouteAll(llm::RouteAllOp op) {
  RouteShape shape = routeShape(op);
  makeRoutes(op, rows, [&](Value row) {
    Value out = e.offset(place(op.getResult()), e.mul(row, shape.stride));
    e.loop(e.c64(0), e.c64(shape.slots), 1, [&](Value s) {
      Value at = e.offset(out, e.mul(s, 4));
      e.store(e.intToFloat(s, e.f32()), at);
      e.store(e.constant(e.f32(), 1.0), at, shape.slots * 4);
    });
  });
}

void StageLowering::lowerCombine(llm::CombineOp op) {
  RouteShape shape = routeShape(op.getRouting().getDefiningOp());
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
