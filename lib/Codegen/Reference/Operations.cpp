//===- Operations.cpp - The loops of each operation -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each function writes out the formula of the operation's description. Sums
// run over ascending indices, one f32 addition after the other.
//===----------------------------------------------------------------------===//

#include "Kernel.h"

#include "qcc-rt/qcc_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qcc;

void Kernel::emitEmbedding(llm::EmbeddingOp op) {
  int64_t width = widthOf(op.getResult());
  Value table = pointerOf(op.getTable()), to = pointerOf(op.getResult());
  Value positions = op.getPositions() ? pointerOf(op.getPositions()) : Value();
  Value scale = e.f32(op.getScale().convertToFloat());
  forRows([&](Value m) {
    Value from = e.mul(e.loadI32(token, m), e.i64(width));
    Value start = e.mul(m, e.i64(width));
    Value place;
    if (positions)
      place = e.mul(e.loadI32(position, m), e.i64(width));
    e.loop(width, [&](Value i) {
      Value x = e.fmul(e.loadF32(table, e.add(from, i)), scale);
      if (positions)
        x = e.fadd(x, e.loadF32(positions, e.add(place, i)));
      e.storeF32(x, to, e.add(start, i));
    });
  });
}

void Kernel::emitRMSNorm(llm::RMSNormOp op) {
  int64_t width = widthOf(op.getResult());
  int64_t group =
      isa<qz::QTensorType>(op.getWeight().getType())
          ? cast<qz::QTensorType>(op.getWeight().getType()).getColumns()
          : widthOf(op.getWeight());
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  Value weight = pointerOf(op.getWeight());
  Value count = e.f32(float(group));
  Value eps = e.f32(op.getEps().convertToFloat());
  forRows([&](Value m) {
    e.loop(width / group, [&](Value g) {
      Value start = e.add(e.mul(m, e.i64(width)), e.mul(g, e.i64(group)));
      Value squares =
          e.reduce(e.i64(0), e.i64(group), e.f32(0), [&](Value i, Value sum) {
            Value x = e.loadF32(from, e.add(start, i));
            return e.fadd(sum, e.fmul(x, x));
          });
      Value mean = e.fdiv(squares, count);
      Value factor = e.fdiv(e.f32(1), e.sqrt(e.fadd(mean, eps)));
      e.loop(group, [&](Value i) {
        Value x = e.loadF32(from, e.add(start, i));
        Value normed = e.fmul(x, factor);
        e.storeF32(e.fmul(normed, e.loadF32(weight, i)), to, e.add(start, i));
      });
    });
  });
}

void Kernel::emitLayerNorm(llm::LayerNormOp op) {
  int64_t size = op.getWeight().getType().getShape().back();
  int64_t heads = widthOf(op.getResult()) / size;
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  Value weight = pointerOf(op.getWeight());
  Value bias = op.getBias() ? pointerOf(op.getBias()) : Value();
  Value count = e.f32(float(size)), eps = e.f32(op.getEps().convertToFloat());
  auto normHead = [&](Value m, Value head) {
    Value first = e.mul(head, e.i64(size));
    Value start = e.add(e.mul(m, e.i64(heads * size)), first);
    auto meanOf = [&](llvm::function_ref<Value(Value)> term) {
      Value sum =
          e.reduce(e.i64(0), e.i64(size), e.f32(0),
                   [&](Value i, Value sum) { return e.fadd(sum, term(i)); });
      return e.fdiv(sum, count);
    };
    auto load = [&](Value i) { return e.loadF32(from, e.add(start, i)); };
    Value mean = meanOf(load);
    Value variance = meanOf([&](Value i) {
      Value x = e.fsub(load(i), mean);
      return e.fmul(x, x);
    });
    Value factor = e.fdiv(e.f32(1), e.sqrt(e.fadd(variance, eps)));
    e.loop(size, [&](Value i) {
      Value normed = e.fmul(e.fsub(load(i), mean), factor),
            at = e.add(first, i);
      Value y = e.fmul(normed, e.loadF32(weight, at));
      if (bias)
        y = e.fadd(y, e.loadF32(bias, at));
      e.storeF32(y, to, e.add(start, i));
    });
  };
  forRows(
      [&](Value m) { e.loop(heads, [&](Value head) { normHead(m, head); }); });
}

void Kernel::emitLinear(llm::LinearOp op) {
  // Independent sums side by side hide the latency of their additions; each
  // sum still runs over k in order.
  constexpr int64_t kRows = 8;
  int64_t k = widthOf(op.getInput()), n = widthOf(op.getResult());
  Value x = pointerOf(op.getInput()), w = pointerOf(op.getWeight());
  Value to = pointerOf(op.getResult());
  Value bias = op.getBias() ? pointerOf(op.getBias()) : Value();
  Value whole = e.mul(e.div(rows, e.i64(kRows)), e.i64(kRows));

  auto block = [&](Value column, Value m, int64_t size) {
    Value weightRow = e.element(w, e.mul(column, e.i64(k)));
    SmallVector<Value> inputs;
    for (int64_t i = 0; i < size; ++i)
      inputs.push_back(e.element(x, e.mul(e.add(m, e.i64(i)), e.i64(k))));
    SmallVector<Value> zeros(size, e.f32(0));
    SmallVector<Value> sums =
        e.reduce(e.i64(0), e.i64(k), zeros, [&](Value i, ValueRange sums) {
          Value weight = e.loadF32(weightRow, i);
          SmallVector<Value> next;
          for (int64_t r = 0; r < size; ++r)
            next.push_back(
                e.fadd(sums[r], e.fmul(e.loadF32(inputs[r], i), weight)));
          return next;
        });
    for (int64_t i = 0; i < size; ++i) {
      Value sum = bias ? e.fadd(sums[i], e.loadF32(bias, column)) : sums[i];
      e.storeF32(sum, to, e.add(e.mul(e.add(m, e.i64(i)), e.i64(n)), column));
    }
  };

  Value first = e.div(e.mul(thread, e.i64(n)), threads);
  Value last = e.div(e.mul(e.add(thread, e.i64(1)), e.i64(n)), threads);
  e.loop(first, last, e.i64(1), [&](Value column) {
    e.loop(e.i64(0), whole, e.i64(kRows),
           [&](Value m) { block(column, m, kRows); });
    e.loop(whole, rows, e.i64(1), [&](Value m) { block(column, m, 1); });
  });
}

void Kernel::emitAdd(llm::AddOp op) {
  int64_t width = widthOf(op.getResult());
  Value a = pointerOf(op.getLhs()), b = pointerOf(op.getRhs());
  Value to = pointerOf(op.getResult());
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      e.storeF32(e.fadd(e.loadF32(a, at), e.loadF32(b, at)), to, at);
    });
  });
}

void Kernel::emitPermute(qz::PermuteOp op) {
  int64_t width = widthOf(op.getResult());
  Value from = pointerOf(op.getInput()), order = pointerOf(op.getOrder());
  Value to = pointerOf(op.getResult());
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value j) {
      Value source = arith::FPToSIOp::create(
          e.builder, e.loc, e.builder.getI64Type(), e.loadF32(order, j));
      e.storeF32(e.loadF32(from, e.add(start, source)), to, e.add(start, j));
    });
  });
}

/// x / (1 + exp(-x)).
static Value silu(Emitter &e, Value x) {
  Value power = e.libm("expf", e.fsub(e.f32(0), x));
  return e.fdiv(x, e.fadd(e.f32(1), power));
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
static Value geluTanh(Emitter &e, Value x) {
  Value cube = e.fmul(e.fmul(x, x), x);
  Value inner = e.fadd(x, e.fmul(e.f32(0.044715f), cube));
  Value tanh = e.libm("tanhf", e.fmul(e.f32(0.7978845608028654f), inner));
  return e.fmul(e.fmul(e.f32(0.5f), x), e.fadd(e.f32(1), tanh));
}

/// x/2 (1 + erf(x / sqrt(2))).
static Value geluErf(Emitter &e, Value x) {
  Value erf = e.libm("erff", e.fmul(e.f32(0.70710678118654752f), x));
  return e.fmul(e.fmul(e.f32(0.5f), x), e.fadd(e.f32(1), erf));
}

static Value activate(Emitter &e, llm::Activation activation, Value x) {
  switch (activation) {
  case llm::Activation::Silu:
    return silu(e, x);
  case llm::Activation::GeluTanh:
    return geluTanh(e, x);
  case llm::Activation::GeluErf:
    return geluErf(e, x);
  case llm::Activation::Relu:
    return e.fmax(x, e.f32(0));
  case llm::Activation::ClampedSwiglu: // llm.activate does not take it.
    break;
  }
  llvm_unreachable("unknown activation");
}

void Kernel::emitActivate(llm::ActivateOp op) {
  int64_t width = widthOf(op.getResult());
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      e.storeF32(activate(e, op.getActivation(), e.loadF32(from, at)), to, at);
    });
  });
}

static Value clampedSwiglu(Emitter &e, Value gate, Value up) {
  auto negate = [&](Value x) { return e.fsub(e.f32(0), x); };
  auto atMost7 = [&](Value x) { return negate(e.fmax(negate(x), e.f32(-7))); };
  Value g = atMost7(gate), u = e.fmax(atMost7(up), e.f32(-7));
  Value power = e.libm("expf", e.fmul(e.f32(-1.702f), g));
  Value activated = e.fdiv(g, e.fadd(e.f32(1), power));
  return e.fmul(activated, e.fadd(u, e.f32(1)));
}

static Value gatedUnit(Emitter &e, llm::Activation activation, Value gate,
                       Value up) {
  if (activation == llm::Activation::ClampedSwiglu)
    return clampedSwiglu(e, gate, up);
  return e.fmul(activate(e, activation, gate), up);
}

void Kernel::emitGlu(llm::GluOp op) {
  int64_t width = widthOf(op.getResult());
  Value gate = pointerOf(op.getGate()), up = pointerOf(op.getUp());
  Value to = pointerOf(op.getResult());
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      e.storeF32(gatedUnit(e, op.getActivation(), e.loadF32(gate, at),
                           e.loadF32(up, at)),
                 to, at);
    });
  });
}

void Kernel::emitRope(llm::RopeOp op) {
  int64_t width = widthOf(op.getResult()), headDim = op.getHeadDim();
  int64_t pairs = op.getFrequencies().size();
  bool adjacent = op.getAdjacent();
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  Value frequencies = LLVM::AddressOfOp::create(
      builder, e.loc, set.constant(op.getFrequenciesAttr()));
  Value factor = e.f32(op.getFactor().convertToFloat());
  forRows([&](Value m) {
    Value row = e.mul(m, e.i64(width));
    Value place = arith::UIToFPOp::create(builder, e.loc, builder.getF32Type(),
                                          e.loadI32(position, m));
    auto forHeads = [&](llvm::function_ref<void(Value)> body) {
      e.loop(width / headDim, [&](Value head) {
        body(e.add(row, e.mul(head, e.i64(headDim))));
      });
    };
    e.loop(pairs, [&](Value i) {
      Value angle = e.fmul(place, e.loadF32(frequencies, i));
      Value cosine = e.fmul(e.libm("cosf", angle), factor);
      Value sine = e.fmul(e.libm("sinf", angle), factor);
      forHeads([&](Value head) {
        Value first = e.add(head, adjacent ? e.mul(i, e.i64(2)) : i);
        Value second = e.add(first, e.i64(adjacent ? 1 : pairs));
        Value a = e.loadF32(from, first), b = e.loadF32(from, second);
        e.storeF32(e.fsub(e.fmul(a, cosine), e.fmul(b, sine)), to, first);
        e.storeF32(e.fadd(e.fmul(b, cosine), e.fmul(a, sine)), to, second);
      });
    });
    if (pairs * 2 < headDim)
      forHeads([&](Value head) {
        e.loop(e.i64(pairs * 2), e.i64(headDim), e.i64(1), [&](Value i) {
          Value at = e.add(head, i);
          e.storeF32(e.loadF32(from, at), to, at);
        });
      });
  });
}

/// c tanh(x / c), or x without a cap.
static Value capped(Emitter &e, Value x, float cap) {
  if (cap == 0)
    return x;
  return e.fmul(e.f32(cap), e.libm("tanhf", e.fdiv(x, e.f32(cap))));
}

void Kernel::emitScaleLogits(llm::ScaleLogitsOp op) {
  int64_t width = widthOf(op.getResult());
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  Value scale = e.f32(op.getScale().convertToFloat());
  float cap = op.getSoftcap().convertToFloat();
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      Value x = e.fmul(scale, e.loadF32(from, at));
      e.storeF32(capped(e, x, cap), to, at);
    });
  });
}

void Kernel::emitConcatHeads(llm::ConcatHeadsOp op) {
  int64_t heads = op.getHeads(), width = widthOf(op.getResult());
  Value to = pointerOf(op.getResult());
  forRows([&](Value m) {
    e.loop(heads, [&](Value h) {
      int64_t before = 0;
      for (Value part : {op.getFirst(), op.getSecond()}) {
        int64_t all = widthOf(part), size = all / heads;
        Value from = e.add(e.mul(m, e.i64(all)), e.mul(h, e.i64(size)));
        Value out =
            e.add(e.add(e.mul(m, e.i64(width)), e.mul(h, e.i64(width / heads))),
                  e.i64(before));
        e.loop(size, [&](Value i) {
          e.storeF32(e.loadF32(pointerOf(part), e.add(from, i)), to,
                     e.add(out, i));
        });
        before += size;
      }
    });
  });
}

// A page holds keys then values, each [kv head][position % 64][head_dim], or
// value_dim.
void Kernel::emitAttention(llm::AttentionOp op) {
  constexpr int64_t kPage = QCC_PAGE_TOKENS;
  llm::StateType type = op.getState().getType();
  int64_t headDim = type.getHeadDim(), kvHeads = type.getKvHeads();
  int64_t valueDim = type.getValueDim();
  int64_t keyWidth = type.getKeyColumns(), valueWidth = type.getValueColumns();
  int64_t width = widthOf(op.getQuery()), outWidth = widthOf(op.getResult());
  int64_t heads = width / headDim;
  Value query = pointerOf(op.getQuery()), key = pointerOf(op.getKey());
  Value value = pointerOf(op.getValue()), to = pointerOf(op.getResult());
  Value state = pointerOf(op.getState());

  // Element of the state where the key or value of head `g` at `place` begins.
  auto elementAt = [&](Value tableRow, Value place, Value g, bool isValue) {
    Value page =
        e.loadI32(pageTable, e.add(tableRow, e.div(place, e.i64(kPage))));
    Value start =
        e.add(e.mul(page, pageFloats), e.i64(isValue ? keyWidth * kPage : 0));
    Value slot = e.add(e.mul(g, e.i64(kPage)), e.rem(place, e.i64(kPage)));
    return e.add(start, e.mul(slot, e.i64(isValue ? valueDim : headDim)));
  };
  auto tableRowOf = [&](Value m) {
    return e.mul(e.loadI32(sequence, m), pagesPerSequence);
  };

  forRows([&](Value m) {
    Value place = e.loadI32(position, m), tableRow = tableRowOf(m);
    e.loop(kvHeads, [&](Value g) {
      auto append = [&](Value rows, int64_t width, int64_t size, bool isValue) {
        Value at = elementAt(tableRow, place, g, isValue);
        Value from = e.add(e.mul(m, e.i64(width)), e.mul(g, e.i64(size)));
        storeInState(rows, from, size, state, at, !isValue);
      };
      append(key, keyWidth, headDim, false);
      append(value, valueWidth, valueDim, true);
    });
  });
  barrier();

  Value scale = e.f32(op.getScale().convertToFloat());
  float cap = op.getSoftcap().convertToFloat();
  Value scores = ownMemory;
  Value sinks = op.getSinks() ? pointerOf(op.getSinks()) : Value();
  int64_t window = op.getWindow();
  forRows([&](Value m) {
    Value place = e.loadI32(position, m), tableRow = tableRowOf(m);
    Value end = e.add(place, e.i64(1));
    Value begin =
        window ? e.max(e.sub(end, e.i64(window)), e.i64(0)) : e.i64(0);
    e.loop(heads, [&](Value h) {
      Value g = e.div(h, e.i64(heads / kvHeads));
      Value q = e.add(e.mul(m, e.i64(width)), e.mul(h, e.i64(headDim)));
      Value lowest = sinks ? e.loadF32(sinks, h)
                           : e.f32(-std::numeric_limits<float>::infinity());
      Value highest = e.reduce(begin, end, lowest, [&](Value j, Value high) {
        Value at = elementAt(tableRow, j, g, false);
        Value dot = e.reduce(
            e.i64(0), e.i64(headDim), e.f32(0), [&](Value d, Value sum) {
              Value product = e.fmul(e.loadF32(query, e.add(q, d)),
                                     e.loadF32(state, e.add(at, d)));
              return e.fadd(sum, product);
            });
        Value score = capped(e, e.fmul(scale, dot), cap);
        e.storeF32(score, scores, j);
        return e.fmax(high, score);
      });
      Value rest = sinks ? e.libm("expf", e.fsub(lowest, highest)) : e.f32(0);
      Value total = e.reduce(begin, end, rest, [&](Value j, Value sum) {
        Value shifted = e.fsub(e.loadF32(scores, j), highest);
        Value power = e.libm("expf", shifted);
        e.storeF32(power, scores, j);
        return e.fadd(sum, power);
      });
      Value out = e.add(e.mul(m, e.i64(outWidth)), e.mul(h, e.i64(valueDim)));
      e.loop(valueDim,
             [&](Value d) { e.storeF32(e.f32(0), to, e.add(out, d)); });
      e.loop(begin, end, e.i64(1), [&](Value j) {
        Value share = e.fdiv(e.loadF32(scores, j), total);
        Value at = elementAt(tableRow, j, g, true);
        e.loop(valueDim, [&](Value d) {
          Value sum = e.loadF32(to, e.add(out, d));
          Value part = e.fmul(share, e.loadF32(state, e.add(at, d)));
          e.storeF32(e.fadd(sum, part), to, e.add(out, d));
        });
      });
    });
  });
}

void Kernel::emitSelectOutputs(llm::SelectOutputsOp op) {
  int64_t width = widthOf(op.getResult());
  Value from = pointerOf(op.getInput()), to = pointerOf(op.getResult());
  forRows([&](Value i) {
    Value source = e.mul(e.loadI32(output, i), e.i64(width));
    Value target = e.mul(i, e.i64(width));
    e.loop(width, [&](Value d) {
      e.storeF32(e.loadF32(from, e.add(source, d)), to, e.add(target, d));
    });
  });
}
