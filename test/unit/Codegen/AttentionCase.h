//===- AttentionCase.h - Attention for tests of generated code --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_ATTENTIONCASE_H
#define QCC_TEST_UNIT_CODEGEN_ATTENTIONCASE_H

#include "CompiledStep.h"

namespace qcc::test {

/// Of llm.rope_append and llm.attend.
struct Shape {
  size_t kvHeads, group, headDim;
  size_t pairs; ///< Frequencies.
  bool adjacent = false, norms = false;
  size_t window = 0;
  ScalarType kv = ScalarType::F32;
  bool quantized = false; ///< Instead of kv: q8.
  bool still = false;     ///< All frequencies are 0.
  double softcap = 0;
  bool rowNorms = false; ///< Norms are of all heads of a row.
  bool centered = false; ///< Of each head, by mean and variance.
  bool halves = false;   ///< Prompts may multiply bf16.
  bool sinks = false;
  unsigned pages = 4; ///< Of a sequence.

  std::string kvName() const { return quantized ? "q8" : scalarName(kv); }
  /// Whether those of a GPU multiply prompts that may be rounded.
  bool takesTensorCores() const {
    return quantized ? headDim % 16 == 0
                     : headDim % 8 == 0 && kv != ScalarType::F32;
  }
  size_t heads() const { return kvHeads * group; }
  size_t queryColumns() const { return heads() * headDim; }
  size_t queryNormColumns() const {
    return rowNorms || centered ? queryColumns() : headDim;
  }
  size_t keyNormColumns() const {
    return rowNorms || centered ? kvHeads * headDim : headDim;
  }
  size_t columns() const { return (heads() + 2 * kvHeads) * headDim; }
};

/// Of a row.
struct Place {
  unsigned sequence, position;
};

/// The two against a reference in double precision.
class AttentionCase {
public:
  AttentionCase(const Shape &shape, const std::string &target);

  /// Runs one step of `places` and checks state and results.
  void check(const std::vector<Place> &places, bool prompt, unsigned threads);
  /// Runs one step and checks nothing.
  void run(const std::vector<Place> &places, bool prompt) {
    step->run(rowsOf(places, prompt));
  }
  /// Runs prompts of a sequence up to a position, and checks nothing.
  void fill(unsigned sequence, unsigned positions);
  /// Stores random keys and values up to a position, which runs nothing.
  void store(unsigned sequence, unsigned positions);

  /// Null for a CPU.
  EmulatedProgram *program() { return step->program(); }

private:
  std::string module(const std::string &scale) const;
  std::vector<double> rotated(const std::vector<float> &row, size_t head,
                              unsigned position, const float *norm,
                              double scale) const;
  /// Where an element of the state is.
  uint8_t *elementAt(const Place &place, size_t kvHead, size_t d,
                     bool value) const;
  double stored(const Place &place, size_t kvHead, size_t d, bool value) const;
  struct Code {
    uint8_t *code, *scale;
  };
  Code codeAt(const Place &place, size_t kvHead, size_t d, bool value) const;
  double storedCode(const Place &place, size_t kvHead, size_t d,
                    bool value) const;
  void checkCodes(const Place &place, size_t kvHead, std::vector<double> row,
                  bool value) const;
  void checkState(const Place &place, const std::vector<float> &row);
  void checkRow(const Place &place, const std::vector<float> &row,
                bool isRounded, const float *got);
  bool hasHalves() const;
  double asFactor(double x) const;
  StepRows rowsOf(const std::vector<Place> &places, bool prompt) const;

  static constexpr float kEps = 1e-5f;
  Shape shape;
  double scale;
  std::vector<float> frequencies, queryNorm, keyNorm, sinks;
  std::vector<std::vector<float>> x;
  std::unique_ptr<CompiledStep> step;
  bool isRounding; ///< The target multiplies 16 bits.
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_ATTENTIONCASE_H
