//===- FixedForm.cpp - How exact the fixed form of activations is ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FixedForm.h"

#include "qcc/Codegen/Common/Target.h"

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

/// Codes of a table are its values, plus 128.
static double largestCode(const Encoding &encoding) {
  if (encoding.table.empty())
    return double((1u << encoding.bits) - 1);
  return *std::max_element(encoding.table.begin(), encoding.table.end()) + 128;
}

static double zeroOf(const Encoding &encoding) {
  return encoding.table.empty() ? double(encoding.zero) : 128;
}

/// What is subtracted from codes in dot products.
static double startOf(const ActivationLayout &layout,
                      const Encoding &encoding) {
  return layout.hasTerms ? 0 : zeroOf(encoding);
}

std::optional<ActivationLayout>
qcc::test::fixedLayout(const MatmulCase &c, const std::string &target,
                       const std::string &form) {
  if (findTarget(target)->dot != DotKind::Vnni || !form.starts_with("a8"))
    return {};
  int64_t sumGroup = 32;
  bool hasTerms = false;
  for (const Segment &segment : c.segments) {
    const Encoding &encoding = segment.encoding;
    if (!encoding.spans.empty() || encoding.hasFloatCodes())
      return {};
    hasTerms |= encoding.hasMin() || encoding.hasZeros() ||
                zeroOf(encoding) > 128 ||
                largestCode(encoding) - zeroOf(encoding) > 127;
    if (encoding.group % 32)
      sumGroup = 16;
  }
  qz::Activations kind =
      form == "a8g16" ? qz::Activations::A8G16 : qz::Activations::A8;
  ActivationLayout layout(kind, int64_t(c.k), sumGroup, 8);
  int64_t floatBytes = layout.tileBytes();
  layout.isFixed = true;
  layout.hasTerms = hasTerms;
  if (layout.tileBytes() > floatBytes)
    return {};
  return layout;
}

namespace {
/// A row of weights as codes less `start`, factors and terms: w = F * code + T.
struct Line {
  std::vector<double> code, factor, term;

  Line(const Encoding &encoding, const Fields &row, double start) {
    auto number = [&](uint8_t code) {
      return (encoding.table.empty() ? double(code)
                                     : double(encoding.table[code] + 128)) -
             start;
    };
    auto last = uint8_t((1u << encoding.bits) - 1);
    Fields low = row, high = row;
    std::fill(low.codes.begin(), low.codes.end(), uint8_t(0));
    std::fill(high.codes.begin(), high.codes.end(), last);
    for (size_t k = 0; k < row.codes.size(); ++k) {
      double a = decodeElement(encoding, low, k),
             z = decodeElement(encoding, high, k);
      code.push_back(number(row.codes[k]));
      factor.push_back((z - a) / (number(last) - number(0)));
      term.push_back(a - factor.back() * number(0));
    }
  }
};
} // namespace

double qcc::test::fixedBound(const ActivationLayout &layout,
                             const Encoding &encoding, const Fields &row,
                             const Activations &x) {
  double start = startOf(layout, encoding);
  Line line(encoding, row, start);
  auto size = int64_t(x.value.size()), run = layout.dotGroup(),
       sumRun = layout.sumGroup;
  double largest = std::max(start, largestCode(encoding) - start);
  double divisor = 1;
  while ((largest * 127 * double(run) + std::floor(divisor / 2)) / divisor >=
         32768)
    divisor *= 2;

  double error = 0;
  int64_t slab = layout.slabBlocks() * 64;
  for (int64_t first = 0; first < size; first += slab) {
    int64_t end = std::min(first + slab, size);
    double unit = 0, peak = 0, all = 0;
    for (int64_t k = first; k < end; ++k) {
      unit = std::max(unit, std::fabs(line.factor[k]) * divisor);
      if (layout.hasTerms)
        unit = std::max(unit, std::fabs(line.term[k]) * double(sumRun) / 256);
      peak = std::max(peak, x.step[k]);
    }
    // Of each dotGroup, and the mean of each sumGroup, to the end of a chunk.
    double runs = !layout.hasTerms ? 1 : run == sumRun ? 2 : 1.5;
    for (int64_t k = first; k < (end + 31) / 32 * 32; k += run)
      all += runs * (k < end                ? x.step[k]
                     : layout.group() == 32 ? x.step[end - 1]
                                            : 0);
    unit /= ActivationLayout::kFixedFactor;
    if (unit == 0 || peak == 0)
      continue;
    double inverse =
        std::min(32767 / peak, double(ActivationLayout::kFixedSum) / all);
    double slabError = 0;
    for (int64_t from = first; from < end; from += run) {
      double dot = 0, scale = x.step[from] * inverse,
             factor = std::fabs(line.factor[from]) * divisor / unit;
      for (int64_t k = from; k < std::min(from + run, end); ++k)
        dot += line.code[k] *
               std::nearbyint(x.step[k] ? x.value[k] / x.step[k] : 0);
      dot = std::fabs(dot) / divisor + 1;
      slabError += dot * (0.51 + (scale + factor + 1) * 0.5 / 32768) +
                   0.6 * (factor * scale / 32768 + 1);
    }
    for (int64_t from = first; layout.hasTerms && from < end; from += sumRun) {
      double sum = 0, term = std::fabs(line.term[from]) * double(sumRun) / 256;
      for (int64_t k = from; k < std::min(from + sumRun, end); ++k)
        sum += x.value[k];
      sum = std::fabs(sum) * inverse / double(128 * sumRun);
      slabError += 0.51 * (term / unit + sum + 1);
    }
    error += slabError * unit * 32768 / inverse;
  }
  return error;
}
