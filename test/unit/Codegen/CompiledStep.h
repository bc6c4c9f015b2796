//===- CompiledStep.h - Generated code inside the test process --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Takes a module in the fused form through layout, schedule and code
// generation and runs its steps as a runtime would, with pages behind a table,
// and with an arena and state full of NaN, so that nothing that was never
// written goes unnoticed. For a CPU the object is loaded and called by threads
// that meet at barriers; for a GPU the emulator follows the launch program.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_COMPILEDSTEP_H
#define QCC_TEST_UNIT_CODEGEN_COMPILEDSTEP_H

#include "qcc-rt/qcc_abi.h"
#include "qcc/Formats/PackedWeight.h"
#include "EmulatedProgram.h"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qcc::test {

/// Empty when this machine runs code for `target`; otherwise why not. Tile
/// registers (AMX) need not be there: they are emulated.
std::string whyNotRunnable(const std::string &target);

/// `#qz.encoding<...>`.
std::string encodingText(const Encoding &encoding);
/// `!qz.tensor<ROWSxCOLUMNS, #qz.encoding<...>>`.
std::string tensorText(size_t rows, size_t columns, const Encoding &encoding);

struct StepOptions {
  std::string target = "x86-64-v3";
  std::string activations = "f32"; ///< Of generating and prompt steps.
  std::string prompt;              ///< Of prompt steps, if different.
  std::string kv = "f32";
  unsigned pages = 4; ///< Of each sequence.
};

/// What a step is called with.
struct StepRows {
  std::vector<int32_t> token;
  std::vector<int32_t> position;  ///< 0, 1, ... when empty.
  std::vector<uint32_t> sequence; ///< All 0 when empty.
  std::vector<uint32_t> output;   ///< All rows when empty.
  bool prompt = false;
  unsigned threads = 1;
  /// When given, threads run one after the other from barrier to barrier, in
  /// the order of their numbers, and each calls this first.
  std::function<void(unsigned thread)> turn = {};
};

class CompiledStep {
public:
  static constexpr unsigned kSequences = 4;

  /// Throws std::runtime_error with the diagnostics on an error.
  CompiledStep(const std::string &module, const StepOptions &options);
  /// The same of an imported module, which goes through all stages.
  CompiledStep(mlir::ModuleOp module, const StepOptions &options);
  ~CompiledStep();

  /// Packs the rows of a matrix, or of those of all experts, or stores a vector
  /// (or one of each expert) in plain f32.
  void setWeight(const std::string &name, const std::vector<Fields> &rows);
  void setVector(const std::string &name, const std::vector<float> &values);

  /// Rows of results, one after the other.
  std::vector<float> run(const StepRows &rows);

  /// All weights at once, laid out as the module's are now.
  void setWeights(const std::vector<uint8_t> &bytes);
  /// All weights; they begin a page.
  std::span<uint8_t> bytes() { return {weightBytes.get(), weightSize}; }
  /// Bytes before a weight.
  size_t offsetOf(const std::string &name) const {
    return weights.at(name).offset;
  }
  /// Null for a CPU.
  EmulatedProgram *program() const;

  /// Columns of the result.
  size_t columns() const { return resultColumns; }
  /// The page that holds `position` of `sequence` of the first state.
  uint8_t *page(unsigned sequence, unsigned position) const;
  /// Forgets all state.
  void clearState();

private:
  struct Code;
  struct Weight {
    Encoding encoding;
    size_t matrices, rows, columns, offset, bytes;
    bool isVector;
  };
  struct FreeBytes {
    void operator()(uint8_t *bytes) const { free(bytes); }
  };
  using Bytes = std::unique_ptr<uint8_t[], FreeBytes>;

  static Bytes allocate(size_t bytes, uint8_t fill);
  uint32_t pageNumber(unsigned sequence, unsigned page) const;
  /// Bytes between pages of a state. A GPU has each state by itself.
  size_t pageStride(size_t state) const;

  void compile(mlir::ModuleOp module, const StepOptions &options);

  std::unique_ptr<Code> code;
  std::map<std::string, Weight> weights;
  size_t resultColumns = 0, weightSize = 0;
  std::vector<size_t> pageBytes; ///< Of each state.
  Bytes weightBytes;
  std::vector<Bytes> states;
  qcc_step_fn step = nullptr; ///< Null for a GPU.
  size_t arenaBytes = 0, threadBytes = 0;
  unsigned pagesPerSequence = 0;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_COMPILEDSTEP_H
