//===- QZOps.cpp - Verifiers of qz operations -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/QZ/QZDialect.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::qz;

#define GET_OP_CLASSES
#include "dialects/QZ/QZOps.cpp.inc"

LogicalResult WeightOp::verify() {
  if (getOffset() && (*getOffset() < 0 || *getOffset() % 64))
    return emitOpError() << "expected an offset that is a multiple of 64, got "
                         << *getOffset();
  if (getOffset() && !getLayout())
    return emitOpError() << "has an offset but no layout";
  if (getRows() && getRowCount() % getRows()->getRun())
    return emitOpError() << "expected whole runs of " << getRows()->getRun()
                         << " rows, got " << getRowCount() << " rows";
  if (isTurned() && getType().getShape().size() == 1)
    return emitOpError() << "expected matrices to be turned, got " << getType();
  if (isTurned() && !getType().getEncoding().toEncoding().isFloat())
    return emitOpError() << "expected floats to be turned, got " << getType();
  return success();
}

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight =
      symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "uses an undeclared weight " << getWeightAttr();
  if (weight.getType() != getResult().getType())
    return emitOpError() << "has type " << getResult().getType() << ", but "
                         << getWeightAttr() << " has type " << weight.getType();
  return success();
}

LogicalResult DequantizeOp::verify() {
  auto weight = cast<QTensorType>(getWeight().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (weight.getShape() != result.getShape())
    return emitOpError() << "expected a result of the weight's shape, got "
                         << result;
  return success();
}

static LogicalResult verifyRows(Operation *op, Type type, int64_t columns,
                                const Twine &what) {
  auto tensor = cast<RankedTensorType>(type);
  if (tensor.getRank() != 2 || !tensor.isDynamicDim(0) ||
      tensor.getDimSize(1) != columns)
    return op->emitOpError() << "expected " << what << " of type tensor<?x"
                             << columns << "xf32>, got " << tensor;
  return success();
}

static LogicalResult verifyOrder(Operation *op, QTensorType order,
                                 int64_t columns) {
  Encoding encoding = order.getEncoding().toEncoding();
  if (order.getShape().size() != 1 || order.getColumns() != columns ||
      encoding.element != ScalarType::F32)
    return op->emitOpError() << "expected an order of " << columns
                             << " f32 elements, got " << order;
  return success();
}

LogicalResult PermuteOp::verify() {
  auto type = cast<RankedTensorType>(getInput().getType());
  if (type.getRank() != 2 || type.isDynamicDim(1))
    return emitOpError() << "expected rows, got " << type;
  return verifyOrder(*this, getOrder().getType(), type.getDimSize(1));
}

/// `experts` must be rows of so many slots, or null for one slot.
static LogicalResult verifyExperts(Operation *op, Value experts,
                                   int64_t slots) {
  if (experts)
    return verifyRows(op, experts.getType(), 2 * slots,
                      "the experts of " + std::to_string(slots) + " slots");
  if (slots != 1)
    return op->emitOpError()
           << "expected experts for activations with " << slots << " slots";
  return success();
}

LogicalResult QuantizeOp::verify() {
  int64_t columns = getResult().getType().getColumns();
  int64_t slots = getResult().getType().getSlots();
  if (failed(verifyExperts(*this, getExperts(), slots)))
    return failure();
  auto input = cast<RankedTensorType>(getInput().getType());
  bool isInParts = input.getRank() == 2 && slots > 1 && !getNorm() &&
                   !getOrder() && input.getDimSize(1) == slots * columns;
  if (failed(verifyRows(*this, input, isInParts ? slots * columns : columns,
                        "an input")))
    return failure();
  if (bool(getNorm()) != bool(getEps()))
    return emitOpError() << "expected norm and eps together";
  if (getNorm() && getNorm().getType().getColumns() != columns)
    return emitOpError() << "expected a norm of " << columns
                         << " elements, got "
                         << getNorm().getType().getColumns();
  if (!getNorm() && (getNormBias() || getCentered()))
    return emitOpError() << "expected norm_bias and centered with a norm";
  if (getNormBias() &&
      getNormBias().getType().getShape() != ArrayRef<int64_t>(columns))
    return emitOpError() << "expected a norm_bias of " << columns
                         << " elements, got " << getNormBias().getType();
  if (getOrder() && failed(verifyOrder(*this, getOrder().getType(), columns)))
    return failure();
  if (getSumGroup() && *getSumGroup() != 16 && *getSumGroup() != 32)
    return emitOpError() << "expected a sum_group of 16 or 32, got "
                         << *getSumGroup();
  return success();
}

mlir::Value MatmulOp::findBias(unsigned weight) {
  for (auto [bias, index] : llvm::zip(getBiases(), getBiasOf()))
    if (index == int64_t(weight))
      return bias;
  return {};
}

static LogicalResult verifyBiases(MatmulOp op) {
  ArrayRef<int64_t> biasOf = op.getBiasOf();
  if (biasOf.size() != op.getBiases().size())
    return op.emitOpError()
           << "expected bias_of to name a weight for each of "
           << op.getBiases().size() << " biases, got " << biasOf.size();
  int64_t least = 0;
  for (auto [value, index] : llvm::zip(op.getBiases(), biasOf)) {
    if (index < least || index >= int64_t(op.getWeights().size()))
      return op.emitOpError() << "expected bias_of to be ascending numbers of "
                                 "weights, got "
                              << index;
    least = index + 1;
    auto bias = cast<QTensorType>(value.getType());
    int64_t rows =
        cast<QTensorType>(op.getWeights()[index].getType()).getRows();
    ArrayRef<int64_t> shape =
        cast<QTensorType>(op.getWeights()[index].getType()).getShape();
    if (bias.getShape() != shape.drop_back() ||
        !bias.getEncoding().toEncoding().isFloat()) {
      InFlightDiagnostic error = op.emitOpError();
      error << "expected a bias of ";
      if (shape.size() == 3)
        error << shape.front() << " times ";
      return error << rows << " floats for weight " << index << ", got "
                   << bias;
    }
  }
  return success();
}

LogicalResult MatmulOp::verify() {
  if (getWeights().empty())
    return emitOpError() << "expected at least one weight";
  int64_t k = getInput().getType().getColumns(), rows = 0;
  int64_t slots = getInput().getType().getSlots();
  if (failed(verifyExperts(*this, getExperts(), slots)))
    return failure();
  if (auto quantize = getInput().getDefiningOp<QuantizeOp>())
    if (quantize.getExperts() != getExperts())
      return emitOpError() << "expected the experts that its input is made for";
  size_t dimensions = getExperts() ? 3 : 2;
  int64_t matrices = cast<QTensorType>(getWeights()[0].getType()).getMatrices();
  for (Value weight : getWeights()) {
    auto type = cast<QTensorType>(weight.getType());
    if (type.getShape().size() != dimensions || type.getColumns() != k ||
        type.getMatrices() != matrices)
      return emitOpError() << "expected weights with " << k << " columns"
                           << (getExperts() ? " of as many experts" : "")
                           << ", got " << type;
    rows += type.getRows();
  }
  if (isGlu()) {
    if (getWeights().size() != 2 ||
        cast<QTensorType>(getWeights()[0].getType()).getRows() * 2 != rows)
      return emitOpError()
             << "expected two weights of equal shape, gate and up";
    rows /= 2;
  }
  if (failed(verifyBiases(*this)))
    return failure();
  if (bool(getResidual()) != (getEpilogue() == Epilogue::Residual))
    return emitOpError() << "expected a residual operand exactly with the "
                            "residual epilogue";
  bool isLogits = getEpilogue() == Epilogue::Logits;
  if (bool(getScale()) != isLogits || bool(getSoftcap()) != isLogits)
    return emitOpError() << "expected scale and softcap exactly with the "
                            "logits epilogue";
  if (isLogits && (!getScale()->isFinite() || !getSoftcap()->isFinite() ||
                   getSoftcap()->isNegative()))
    return emitOpError() << "expected a finite scale and a softcap of at least "
                            "0, got "
                         << getScale()->convertToFloat() << " and "
                         << getSoftcap()->convertToFloat();
  if (getResidual() && getResidual().getType() != getResult().getType())
    return emitOpError() << "expected a residual of the result's type";
  if (getResidual() && getExperts())
    return emitOpError() << "expected no residual with experts";
  return verifyRows(*this, getResult().getType(), slots * rows, "a result");
}
