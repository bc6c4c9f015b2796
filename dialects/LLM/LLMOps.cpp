//===- LLMOps.cpp - Verifiers of llm operations ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/LLM/LLMDialect.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::llm;

#define GET_OP_CLASSES
#include "dialects/LLM/LLMOps.cpp.inc"

static int64_t columns(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

RankedTensorType qcc::llm::valueRows(StateType state) {
  return RankedTensorType::get({ShapedType::kDynamic, state.getValueColumns()},
                               Float32Type::get(state.getContext()));
}

/// The type of what comes of queries of type `query`.
static Type attendedRows(Type query, Type state) {
  auto rows = cast<RankedTensorType>(query);
  auto kept = cast<StateType>(state);
  int64_t heads = rows.getShape().back() / kept.getHeadDim();
  return RankedTensorType::get(
      {ShapedType::kDynamic, heads * kept.getValueDim()},
      rows.getElementType());
}

/// Shape of a weight operand, dequantized or not.
static ArrayRef<int64_t> weightShape(Value weight) {
  if (auto type = dyn_cast<qz::QTensorType>(weight.getType()))
    return type.getShape();
  return cast<RankedTensorType>(weight.getType()).getShape();
}

static LogicalResult verifyHeads(Operation *op, int64_t width, int64_t headDim,
                                 StringRef what) {
  if (headDim <= 0 || width % headDim)
    return op->emitOpError() << "expected " << what << " to be heads of "
                             << headDim << " elements, got " << width;
  return success();
}

static LogicalResult verifyFrequencies(Operation *op, size_t count,
                                       int64_t headDim) {
  if (count == 0 || int64_t(count) * 2 > headDim)
    return op->emitOpError()
           << "expected 1 to " << headDim / 2 << " frequencies, got " << count;
  return success();
}

static LogicalResult verifySoftcap(Operation *op, const APFloat &softcap) {
  if (softcap.isFinite() && (softcap.isZero() || !softcap.isNegative()))
    return success();
  return op->emitOpError() << "expected a softcap that is positive, or 0 for "
                              "none, got "
                           << softcap.convertToFloat();
}

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto state =
      symbols.lookupNearestSymbolFrom<KVStateOp>(*this, getStateAttr());
  if (!state)
    return emitOpError() << "uses an undeclared state " << getStateAttr();
  if (state.getType() != getResult().getType())
    return emitOpError() << "has type " << getResult().getType() << ", but "
                         << getStateAttr() << " has type " << state.getType();
  return success();
}

LogicalResult EmbeddingOp::verify() {
  ArrayRef<int64_t> shape = weightShape(getTable());
  if (shape.size() != 2 || shape[1] != columns(getResult()))
    return emitOpError() << "expected a table with " << columns(getResult())
                         << " columns";
  if (!getPositions())
    return success();
  shape = weightShape(getPositions());
  if (shape.size() != 2 || shape[1] != columns(getResult()))
    return emitOpError() << "expected positions with " << columns(getResult())
                         << " columns";
  auto module = (*this)->getParentOfType<ModuleOp>();
  auto context = module ? module->getAttrOfType<IntegerAttr>("llm.context")
                        : IntegerAttr();
  if (context && context.getInt() > shape[0])
    return emitOpError() << "expected positions for a context of "
                         << context.getInt() << ", got " << shape[0];
  return success();
}

LogicalResult RMSNormOp::verify() {
  ArrayRef<int64_t> shape = weightShape(getWeight());
  if (shape.size() != 1)
    return emitOpError() << "expected a weight of one dimension";
  return verifyHeads(*this, columns(getInput()), shape[0], "the row");
}

LogicalResult LayerNormOp::verify() {
  int64_t width = columns(getInput());
  ArrayRef<int64_t> shape = weightShape(getWeight());
  bool isOfHeads = shape.size() == 2 && shape[0] > 0 && width % shape[0] == 0 &&
                   shape[1] == width / shape[0];
  if (shape != ArrayRef<int64_t>(width) && !isOfHeads)
    return emitOpError() << "expected a weight of " << width
                         << " elements, or of those of heads, got "
                         << getWeight().getType();
  if (getBias() && weightShape(getBias()) != shape)
    return emitOpError() << "expected a bias like the weight, got "
                         << getBias().getType();
  return success();
}

LogicalResult LinearOp::verify() {
  ArrayRef<int64_t> shape = weightShape(getWeight());
  if (shape.size() != 2 || shape[1] != columns(getInput()) ||
      shape[0] != columns(getResult()))
    return emitOpError() << "expected a weight of " << columns(getResult())
                         << " x " << columns(getInput()) << " elements";
  if (getBias() &&
      weightShape(getBias()) != ArrayRef<int64_t>(columns(getResult())))
    return emitOpError() << "expected a bias of " << columns(getResult())
                         << " elements, got " << getBias().getType();
  return success();
}

LogicalResult ActivateOp::verify() {
  if (getActivation() == Activation::ClampedSwiglu)
    return emitOpError() << "expected a function of one element, got a gated "
                            "unit";
  return success();
}

LogicalResult RouteOp::verify() {
  int64_t experts = columns(getLogits()), slots = getTopK();
  if (slots < 1 || slots > experts)
    return emitOpError() << "expected a top_k of 1 to " << experts << ", got "
                         << slots;
  if (columns(getResult()) != 2 * slots)
    return emitOpError() << "expected rows of an expert and a weight for each "
                            "of "
                         << slots << " slots, got " << columns(getResult())
                         << " elements";
  if (!getScale().isFinite())
    return emitOpError() << "expected a finite scale, got "
                         << getScale().convertToFloat();
  if (getBias() && !getSigmoid())
    return emitOpError() << "expected sigmoid with a bias";
  if (getBias() && weightShape(getBias()) != ArrayRef<int64_t>(experts))
    return emitOpError() << "expected a bias of " << experts
                         << " elements, got " << getBias().getType();
  int64_t groups = getGroups(), chosen = getTopGroups();
  if (groups < 1 || experts % groups || chosen < 1 || chosen > groups ||
      chosen * (experts / groups) < slots)
    return emitOpError() << "expected equal groups of which some have " << slots
                         << " experts, got " << chosen << " of " << groups
                         << " groups of " << experts << " experts";
  if (groups > 1 && getSigmoid() && experts / groups < 2)
    return emitOpError() << "expected groups of two experts at least, got "
                         << groups << " groups of " << experts;
  return success();
}

LogicalResult ConcatHeadsOp::verify() {
  int64_t heads = getHeads();
  if (heads < 1 || columns(getFirst()) % heads || columns(getSecond()) % heads)
    return emitOpError() << "expected rows of whole heads, got " << heads
                         << " heads in " << columns(getFirst()) << " and "
                         << columns(getSecond()) << " elements";
  int64_t both = columns(getFirst()) + columns(getSecond());
  if (columns(getResult()) != both)
    return emitOpError() << "expected rows of " << both << " elements, got "
                         << columns(getResult());
  return success();
}

LogicalResult RouteAllOp::verify() {
  if (columns(getResult()) < 2 || columns(getResult()) % 2)
    return emitOpError() << "expected rows of an expert and a weight for each "
                            "slot, got "
                         << columns(getResult()) << " elements";
  return success();
}

LogicalResult ExpertLinearOp::verify() {
  ArrayRef<int64_t> shape = weightShape(getWeight());
  int64_t slots = columns(getRouting()) / 2, in = columns(getInput());
  if (slots < 1 || columns(getRouting()) % 2)
    return emitOpError() << "expected a routing of slots in pairs of elements, "
                            "got "
                         << columns(getRouting());
  if (shape.size() != 3 || (shape[2] != in && shape[2] * slots != in))
    return emitOpError() << "expected a weight of experts x rows x " << in
                         << " elements, or of a part for each of " << slots
                         << " slots, got " << getWeight().getType();
  if (columns(getResult()) != slots * shape[1])
    return emitOpError() << "expected rows of " << slots << " slots of "
                         << shape[1] << " elements, got "
                         << columns(getResult());
  if (getBias() && weightShape(getBias()) != shape.drop_back())
    return emitOpError() << "expected a bias of " << shape[0] << " x "
                         << shape[1] << " elements, got "
                         << getBias().getType();
  return success();
}

LogicalResult CombineOp::verify() {
  int64_t slots = columns(getRouting()) / 2, size = columns(getResult());
  if (slots < 1 || columns(getRouting()) % 2 ||
      columns(getSlots()) != slots * size)
    return emitOpError() << "expected a routing of as many slots of " << size
                         << " elements as " << columns(getSlots()) << ", got "
                         << columns(getRouting());
  if (getGate() && !getShared())
    return emitOpError() << "expected a gate of shared rows";
  if (getGate() && columns(getGate()) != 1)
    return emitOpError() << "expected a gate of one element, got "
                         << columns(getGate());
  for (Value rows : {getShared(), getResidual()})
    if (rows && rows.getType() != getResult().getType())
      return emitOpError() << "expected rows of the result's type, got "
                           << rows.getType();
  return success();
}

/// One sink for each of the query heads in `width` elements.
static LogicalResult verifySinks(Operation *op, Value sinks, int64_t width,
                                 StateType state) {
  int64_t heads = width / state.getHeadDim();
  if (sinks && weightShape(sinks) != ArrayRef<int64_t>(heads))
    return op->emitOpError() << "expected a sink for each of " << heads
                             << " heads, got " << sinks.getType();
  return success();
}

LogicalResult RopeOp::verify() {
  if (failed(verifyHeads(*this, columns(getInput()), getHeadDim(), "the row")))
    return failure();
  return verifyFrequencies(*this, getFrequencies().size(), getHeadDim());
}

LogicalResult AttentionOp::verify() {
  if (failed(verifySoftcap(*this, getSoftcap())))
    return failure();
  StateType state = getState().getType();
  if (columns(getKey()) != state.getKeyColumns())
    return emitOpError() << "expected keys of " << state.getKeyColumns()
                         << " elements, got " << columns(getKey());
  if (failed(verifyHeads(*this, columns(getQuery()), columns(getKey()),
                         "queries (in units of all key heads)")))
    return failure();
  return verifySinks(*this, getSinks(), columns(getQuery()), state);
}

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location>,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  types.push_back(
      attendedRows(adaptor.getQuery().getType(), adaptor.getState().getType()));
  return success();
}

LogicalResult RotationsOp::verify() {
  if (columns(getResult()) != int64_t(getFrequencies().size()) * 2)
    return emitOpError() << "expected rows of two elements for each of "
                         << getFrequencies().size() << " frequencies, got "
                         << columns(getResult());
  return success();
}

LogicalResult RopeAppendOp::verify() {
  StateType state = getState().getType();
  int64_t kv = state.getKeyColumns();
  if (state.getValueColumns() != kv)
    return emitOpError() << "expected values of as many elements as keys, got "
                         << state;
  if (columns(getQkv()) != columns(getResult()) + 2 * kv)
    return emitOpError() << "expected rows of queries, keys and values of "
                         << columns(getResult()) + 2 * kv << " elements, got "
                         << columns(getQkv());
  if (bool(getQueryNorm()) != bool(getKeyNorm()))
    return emitOpError() << "expected query_norm and key_norm together";
  if (getCentered() && !getQueryNorm())
    return emitOpError() << "expected query_norm and key_norm with centered";
  if (failed(verifyHeads(*this, columns(getResult()), kv,
                         "queries (in units of all key heads)")))
    return failure();
  for (auto [norm, width] :
       {std::pair{getQueryNorm(), columns(getResult())}, {getKeyNorm(), kv}})
    if (getCentered()) {
      int64_t headDim = state.getHeadDim();
      const int64_t shape[] = {width / headDim, headDim};
      if (weightShape(norm) != ArrayRef<int64_t>(shape))
        return emitOpError() << "expected centered norms of " << width / headDim
                             << " heads of " << headDim << " elements, got "
                             << norm.getType();
    } else if (norm &&
               weightShape(norm) != ArrayRef<int64_t>(state.getHeadDim()) &&
               weightShape(norm) != ArrayRef<int64_t>(width)) {
      return emitOpError() << "expected norms of " << state.getHeadDim()
                           << " elements, or of all heads, got "
                           << norm.getType();
    }
  if (columns(getRotations()) % 2)
    return emitOpError() << "expected cosines and sines in equal number, got "
                         << columns(getRotations()) << " elements";
  return verifyFrequencies(*this, columns(getRotations()) / 2,
                           state.getHeadDim());
}

LogicalResult LatentAppendOp::verify() {
  StateType state = getState().getType();
  ArrayRef<int64_t> shape = weightShape(getNorm());
  if (shape.size() != 1)
    return emitOpError() << "expected a norm of one dimension, got "
                         << getNorm().getType();
  int64_t rotated = columns(getRotations()), latent = shape[0];
  if (state.getKvHeads() != 1 || state.getHeadDim() != rotated + latent ||
      state.getValueDim() != latent)
    return emitOpError() << "expected a state of one key of "
                         << rotated + latent << " and one value of " << latent
                         << " elements, got " << state;
  if (columns(getKey()) != state.getHeadDim())
    return emitOpError() << "expected keys of " << state.getHeadDim()
                         << " elements, got " << columns(getKey());
  int64_t heads = columns(getResult()) / state.getHeadDim();
  if (columns(getResult()) != heads * state.getHeadDim() ||
      columns(getQuery()) != heads * rotated ||
      columns(getLatentQuery()) != heads * latent)
    return emitOpError() << "expected heads of " << rotated << " and of "
                         << latent << " elements, got " << columns(getQuery())
                         << " and " << columns(getLatentQuery())
                         << " elements for rows of " << columns(getResult());
  if (rotated % 2)
    return emitOpError() << "expected cosines and sines in equal number, got "
                         << rotated << " elements";
  return success();
}

LogicalResult AddNormOp::verify() {
  if (weightShape(getWeight()) != ArrayRef<int64_t>(columns(getResult())))
    return emitOpError() << "expected a weight of " << columns(getResult())
                         << " elements, got " << getWeight().getType();
  return success();
}

LogicalResult AttendOp::verify() {
  if (failed(verifySoftcap(*this, getSoftcap())))
    return failure();
  StateType state = getState().getType();
  if (failed(verifyHeads(*this, columns(getQuery()), state.getKeyColumns(),
                         "queries (in units of all key heads)")))
    return failure();
  return verifySinks(*this, getSinks(), columns(getQuery()), state);
}

LogicalResult AttendOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  types.push_back(
      attendedRows(adaptor.getQuery().getType(), adaptor.getState().getType()));
  return success();
}

LogicalResult ScaleLogitsOp::verify() {
  if (!getScale().isFinite())
    return emitOpError() << "expected a finite scale, got "
                         << getScale().convertToFloat();
  return verifySoftcap(*this, getSoftcap());
}
