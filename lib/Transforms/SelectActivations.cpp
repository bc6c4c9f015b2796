//===- SelectActivations.cpp - How activations enter each matmul ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// The choice is the user's (--activations), bounded by what the weights allow
// and by what the logits need. It is made once here; kernels only read it.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/HalfTiles.h"
#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

namespace qcc {
#define GEN_PASS_DEF_SELECTACTIVATIONSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// The number of k elements under one sum of a chunk that scales of `encoding`
/// allow: 32, 16, or 0 where they are for parts of 16.
static int64_t scaleGroup(const Encoding &encoding) {
  auto ofGroup = [](unsigned group) -> int64_t {
    return group % 16 ? 0 : group % 32 ? 16 : 32;
  };
  if (encoding.spans.empty())
    return ofGroup(encoding.group);
  int64_t least = 32;
  for (const Encoding::Span &span : encoding.spans)
    least = std::min(least, ofGroup(span.group));
  return least;
}

/// The same of integers; 0 when only f32 activations can be used.
static int64_t sumGroup(const Encoding &encoding) {
  return encoding.isFloat() || encoding.minifloat != Minifloat::None
             ? 0
             : scaleGroup(encoding);
}

/// Whether each scale of `encoding` is for 64 elements or more.
static bool hasLargeGroups(const Encoding &encoding) {
  if (encoding.isTwoLevel())
    return false;
  if (encoding.spans.empty())
    return encoding.group >= 64;
  return llvm::all_of(encoding.spans, [](const Encoding::Span &span) {
    return span.group >= 64;
  });
}

static Encoding encodingOf(Value weight) {
  return cast<qz::QTensorType>(weight.getType()).getEncoding().toEncoding();
}

/// What all weights of `matmul` allow.
static int64_t sumGroupOf(qz::MatmulOp matmul) {
  int64_t group = 32;
  for (Value weight : matmul.getWeights())
    group = std::min(group, sumGroup(encodingOf(weight)));
  return group;
}

/// Whether codes stand for floats that products of integers stand in for.
static bool hasValues(qz::MatmulOp op) {
  return llvm::any_of(op.getWeights(), [](Value weight) {
    return !encodingOf(weight).values.empty();
  });
}

/// Whether codes of `weight` stand for floats that bf16 holds, without rounding
/// or, where they are `values`, rounded as the activations are.
static bool takesHalves(Value weight) {
  Encoding encoding = encodingOf(weight);
  if (encoding.isFloat())
    return encoding.element == ScalarType::BF16;
  return (encoding.minifloat != Minifloat::None || !encoding.values.empty()) &&
         !encoding.hasMin() && !encoding.hasZeros();
}

static bool isEightBit(qz::Activations activations) {
  return activations == qz::Activations::A8 ||
         activations == qz::Activations::A8G16;
}

/// Whether products of blocks take `weight` and such activations: integers,
/// bf16 with scales that are for 16 elements or more, or f16.
static bool takesBlocks(Value weight, qz::Activations activations) {
  Encoding encoding = encodingOf(weight);
  if (activations == qz::Activations::F16)
    return encoding.element != ScalarType::BF16 &&
           takesHalfTiles(encoding,
                          cast<qz::QTensorType>(weight.getType()).getColumns());
  if (activations == qz::Activations::BF16)
    return encoding.isFloat() || scaleGroup(encoding) != 0;
  return (isEightBit(activations) || activations == qz::Activations::A16) &&
         encoding.values.empty();
}

/// Whether all weights of `matmul` are f16, and prompts have blocks of it.
static bool takesStoredHalves(qz::MatmulOp matmul) {
  return !matmul.getExperts() &&
         llvm::all_of(matmul.getWeights(), [](Value weight) {
           return encodingOf(weight).isFloat() &&
                  takesBlocks(weight, qz::Activations::F16);
         });
}

/// Whether `op` makes rows whose errors are felt most. An order of k that is
/// kept with weights is that of importance, so the largest elements come
/// together.
static bool isFelt(qz::QuantizeOp op) {
  if (op.getOrder() ||
      (!op.getNorm() && op.getInput().getDefiningOp<qz::MatmulOp>()))
    return true;
  return llvm::any_of(op->getUsers(), [](Operation *user) {
    return llvm::any_of(user->getUsers(),
                        llvm::IsaPred<llm::RopeAppendOp, llm::LatentAppendOp>);
  });
}

/// Adds to `outputs` the values of `block` that are made of rows that want
/// logits, and of the bodies called with them.
static void markOutputs(Block &block, DenseSet<Value> &outputs) {
  for (Operation &op : block) {
    bool isOutput = isa<llm::SelectOutputsOp>(op);
    for (Value operand : op.getOperands())
      isOutput |= outputs.contains(operand);
    if (!isOutput)
      continue;
    outputs.insert(op.result_begin(), op.result_end());
    auto call = dyn_cast<func::CallOp>(op);
    if (!call)
      continue;
    Block &body = entryBlock(calledBody(call));
    for (auto [operand, argument] :
         llvm::zip_equal(call.getOperands(), body.getArguments()))
      if (outputs.contains(operand))
        outputs.insert(argument);
    markOutputs(body, outputs);
  }
}

namespace {
struct SelectActivationsPass
    : qcc::impl::SelectActivationsPassBase<SelectActivationsPass> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<func::FuncOp> step = findStep(getOperation());
    if (failed(step) || failed(findBodies(*step)))
      return signalPassFailure();
    DenseSet<Value> outputs;
    markOutputs(entryBlock(*step), outputs);
    SmallVector<qz::QuantizeOp> quantizes;
    getOperation().walk([&](qz::QuantizeOp op) { quantizes.push_back(op); });
    for (qz::QuantizeOp op : quantizes)
      select(op, outputs.contains(op));
    // Where rows are rounded to that anyway, or to less.
    if (llvm::any_of(quantizes, [](qz::QuantizeOp op) {
          return isEightBit(*op.getPrompt()) ||
                 *op.getPrompt() == qz::Activations::BF16 ||
                 *op.getPrompt() == qz::Activations::F16;
        }))
      getOperation().walk([](llm::AttendOp op) { op.setPromptHalves(true); });
  }

private:
  /// How activations enter in generating and in prompt steps, and the elements
  /// under one sum.
  struct Choice {
    qz::Activations generate, prompt;
    int64_t sumGroup = 32;
    SmallVector<Operation *> users = {}; ///< In their order in the block.
  };

  void select(qz::QuantizeOp op, bool isOutput) {
    SmallVector<Operation *> users(op->getUsers());
    llvm::sort(users, [](Operation *a, Operation *b) {
      return a->isBeforeInBlock(b);
    });
    // More scales of activations cost little where weights have few.
    bool isCheap = llvm::all_of(users, [](Operation *user) {
      auto matmul = dyn_cast<qz::MatmulOp>(user);
      return !matmul || sumGroupOf(matmul) == 0 ||
             llvm::all_of(matmul.getWeights(), [](Value weight) {
               return hasLargeGroups(encodingOf(weight));
             });
    });
    Choice asked = {generate, isFelt(op) || isCheap ? felt : prompt};
    SmallVector<Choice> choices;
    for (Operation *user : users) {
      Choice wanted = chooseFor(dyn_cast<qz::MatmulOp>(user), asked, isOutput);
      auto *same = llvm::find_if(choices, [&](const Choice &choice) {
        return choice.generate == wanted.generate &&
               choice.prompt == wanted.prompt;
      });
      if (same == choices.end())
        same = choices.insert(same, wanted);
      same->sumGroup = std::min(same->sumGroup, wanted.sumGroup);
      same->users.push_back(user);
    }
    if (choices.empty())
      choices.push_back(chooseFor({}, asked, isOutput));

    // Users that want different things have activations of their own, each made
    // right before the first of them.
    numSplit += choices.size() - 1;
    for (const Choice &choice : llvm::drop_begin(choices)) {
      OpBuilder builder(choice.users.front());
      auto copy = cast<qz::QuantizeOp>(builder.clone(*op));
      for (Operation *user : choice.users)
        user->replaceUsesOfWith(op, copy);
      write(copy, choice, isOutput);
    }
    if (choices.size() > 1)
      op->moveBefore(choices.front().users.front());
    write(op, choices.front(), isOutput);
  }

  /// What `matmul`, or another user when it is null, makes of what is asked.
  Choice chooseFor(qz::MatmulOp matmul, Choice choice, bool isOutput) {
    int64_t group = matmul ? sumGroupOf(matmul) : 32;
    // What a router decides is not continuous: a small error gives a row
    // another expert.
    bool isRouter =
        matmul && llvm::any_of(matmul->getUsers(), llvm::IsaPred<llm::RouteOp>);
    for (qz::Activations *activations : {&choice.generate, &choice.prompt}) {
      if (group == 0) {
        bool isPrompt = activations == &choice.prompt && !isOutput && !isRouter;
        if (isPrompt && blocks && *activations == qz::Activations::F16 &&
            takesStoredHalves(matmul))
          continue;
        numFloat += *activations != qz::Activations::F32;
        // What multiplies f16 takes no floats of 8 bits.
        bool isAsked = isEightBit(*activations) ||
                       (*activations == qz::Activations::F16 &&
                        llvm::all_of(matmul.getWeights(), [](Value weight) {
                          return encodingOf(weight).isFloat();
                        }));
        bool isHalf = isPrompt && isAsked &&
                      llvm::all_of(matmul.getWeights(), takesHalves);
        *activations = isHalf ? qz::Activations::BF16 : qz::Activations::F32;
      } else if ((isOutput || isRouter) && isEightBit(*activations)) {
        ++numRaised;
        *activations = qz::Activations::A16;
      }
    }
    // 16 bits would take as long as f32, and 8 bits cost more of these models'
    // exactness than of others.
    if (matmul && hasValues(matmul) && isEightBit(choice.prompt)) {
      ++numFloat;
      choice.prompt = llvm::all_of(matmul.getWeights(), takesHalves)
                          ? qz::Activations::BF16
                          : qz::Activations::F32;
    }
    choice.sumGroup = group == 16 ? 16 : 32;
    return choice;
  }

  void write(qz::QuantizeOp op, const Choice &choice, bool isOutput) {
    MLIRContext *context = &getContext();
    op.setGenerateAttr(qz::ActivationsAttr::get(context, choice.generate));
    op.setPromptAttr(qz::ActivationsAttr::get(context, choice.prompt));
    op.setSumGroup(choice.sumGroup);
    // f16 is stored for blocks alone, which the few rows of outputs and of
    // experts are none of.
    bool isStored = choice.prompt == qz::Activations::F16;
    op.setPromptBlocks(
        blocks && !(isStored && (isOutput || op.getExperts())) &&
        llvm::all_of(op->getUsers(), [&](Operation *user) {
          auto matmul = dyn_cast<qz::MatmulOp>(user);
          return matmul && llvm::all_of(matmul.getWeights(), [&](Value weight) {
                   return takesBlocks(weight, choice.prompt);
                 });
        }));
  }
};
} // namespace
