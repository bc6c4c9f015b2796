//===- Projections.cpp - Matmuls before an attention ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Projections.h"

using namespace mlir;
using namespace qcc;

int64_t qcc::columns(Value rows) {
  return cast<RankedTensorType>(rows.getType()).getDimSize(1);
}

RankedTensorType qcc::rowsType(Value like, int64_t columns) {
  auto type = cast<RankedTensorType>(like.getType());
  return RankedTensorType::get({ShapedType::kDynamic, columns},
                               type.getElementType());
}

qz::MatmulOp qcc::matchProjection(Value value, Operation *anchor,
                                  PatternRewriter &rewriter) {
  auto matmul = value.getDefiningOp<qz::MatmulOp>();
  auto no = [&](const char *why) {
    (void)rewriter.notifyMatchFailure(anchor, why);
    return qz::MatmulOp();
  };
  if (!matmul)
    return no("a projection is not a matmul");
  if (!matmul->hasOneUse())
    return no("a projection has other uses");
  if (matmul.getWeights().size() != 1)
    return no("a projection has several weights");
  if (matmul.getEpilogue() != qz::Epilogue::None)
    return no("a projection has an epilogue");
  return matmul;
}

bool qcc::readSameRows(qz::MatmulOp a, qz::MatmulOp b) {
  if (a.getInput() == b.getInput())
    return true;
  auto qa = a.getInput().getDefiningOp<qz::QuantizeOp>();
  auto qb = b.getInput().getDefiningOp<qz::QuantizeOp>();
  return qa && qb &&
         OperationEquivalence::isEquivalentTo(
             qa, qb, OperationEquivalence::IgnoreLocations);
}

Segments::Segments(std::initializer_list<qz::MatmulOp> projections) {
  for (qz::MatmulOp projection : projections) {
    if (Value bias = projection.findBias(0)) {
      biases.push_back(bias);
      biasOf.push_back(int64_t(weights.size()));
    }
    weights.push_back(projection.getWeights()[0]);
  }
}

Rotation::Rotation(llm::RopeOp rope, Builder &builder)
    : frequencies(rope ? rope.getFrequenciesAttr()
                       : builder.getDenseF32ArrayAttr(0.0f)),
      factor(rope ? rope.getFactorAttr() : builder.getF32FloatAttr(1.0f)),
      adjacent(rope ? rope.getAdjacentAttr() : UnitAttr()) {}
