//===- Rope.cpp - How a model's queries and keys turn ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Rope.h"

#include <algorithm>
#include <cmath>

using namespace qcc;

std::vector<float> Rope::frequencies(uint32_t rotaryDim) const {
  std::vector<float> result;
  for (uint32_t i = 0; i < rotaryDim / 2; ++i) {
    float f = float(std::pow(double(base), -2.0 * i / rotaryDim)) / divisor;
    result.push_back(divisors.empty() ? f : f / divisors[i]);
  }
  return result;
}

std::optional<std::string> Rope::problem(uint32_t rotaryDim) const {
  // No known model comes near; angles of later positions stay exact enough.
  constexpr float kMaxFrequency = 10000;
  for (float frequency : frequencies(rotaryDim))
    if (!(frequency < kMaxFrequency))
      return "expected rope to turn by less than " +
             std::to_string(int(kMaxFrequency)) + " at each position, got " +
             std::to_string(frequency);
  if (!std::isfinite(factor))
    return "expected a finite factor of the cosines and sines of rope";
  return std::nullopt;
}

/// Divisors of Llama 3.1: long waves are slowed by `factor`, short ones stay,
/// those between are interpolated.
static std::vector<float> llama3Divisors(double base, uint32_t rotaryDim,
                                         const ConfigNames &names,
                                         ConfigReader &reader) {
  double factor = reader.real(names.ropeFactor);
  double low = reader.real(names.ropeLowFactor);
  double high = reader.real(names.ropeHighFactor);
  double context = reader.count(names.ropeTrainedContext, kMaxContext);
  if (!(high > low))
    reader.fail(names.ropeHighFactor, "expected more than low_freq_factor");
  std::vector<float> divisors;
  for (uint32_t i = 0; i < rotaryDim / 2; ++i) {
    double wave = 2 * M_PI * std::pow(base, 2.0 * i / rotaryDim);
    double smooth = (context / wave - low) / (high - low);
    smooth = std::clamp(smooth, 0.0, 1.0);
    divisors.push_back(float(1 / ((1 - smooth) / factor + smooth)));
  }
  return divisors;
}

/// The positions of the first training, and how many times as many there can
/// be, for YaRN and LongRope.
static std::pair<double, double> growthOfContext(const ConfigNames &names,
                                                 const RopeSizes &sizes,
                                                 ConfigReader &reader) {
  double trained =
      reader.countOr(names.ropeTrainedContext, sizes.trained, kMaxContext);
  return {trained,
          reader.realOr(names.ropeFactor, float(sizes.trained / trained))};
}

/// YaRN: pairs that turn less than `slow` times within the trained context are
/// slowed by the factor, those that turn more than `fast` times stay, those
/// between are interpolated; and cosines and sines grow with the factor.
static void readYarn(Rope &rope, const Architecture &arch,
                     const ConfigNames &names, const RopeSizes &sizes,
                     ConfigReader &reader) {
  const uint32_t rotaryDim = sizes.rotaryDim;
  auto context = growthOfContext(names, sizes, reader);
  const double trained = context.first, factor = context.second;
  double fast = reader.realOr(names.yarnFast, 32);
  double slow = reader.realOr(names.yarnSlow, 1);
  double base = rope.base;
  if (!(base > 1)) {
    reader.fail(names.ropeBase, "expected more than 1");
    return;
  }
  // The pair, as a real number, that turns so many times.
  auto pairOf = [&](double turns) {
    return rotaryDim * std::log(trained / (turns * 2 * M_PI)) /
           (2 * std::log(base));
  };
  double first = pairOf(fast), last = pairOf(slow);
  if (reader.flagOr(names.yarnTruncate, !arch.hasExactYarn)) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  first = std::max(first, 0.0);
  last = std::min(last, rotaryDim - 1.0);
  if (first == last)
    last += 0.001;
  for (uint32_t i = 0; i < rotaryDim / 2; ++i) {
    double slowed = std::clamp((i - first) / (last - first), 0.0, 1.0);
    rope.divisors.push_back(float(1 / (1 - slowed + slowed / factor)));
  }

  auto factorOf = [&](double share) {
    return factor > 1 ? 0.1 * share * std::log(factor) + 1 : 1;
  };
  double all = reader.realOrZero(names.yarnScaleAll);
  double log = reader.realOrZero(names.yarnLogScale);
  if (reader.has(names.ropeGrowth))
    rope.factor = reader.real(names.ropeGrowth);
  else if (reader.has(names.yarnScale) && all > 0)
    rope.factor = float(factorOf(reader.real(names.yarnScale)) / factorOf(all));
  else if (log == 0)
    rope.factor = float(factorOf(1));
  const double growth = factorOf(all > 0 ? all : 10 * log);
  rope.scoreScale = float(growth * growth);
}

bool qcc::isLongContext(const ConfigNames &names, const RopeSizes &sizes,
                        ConfigReader &reader) {
  return sizes.context >
         reader.countOr(names.ropeTrainedContext, sizes.trained, kMaxContext);
}

/// LongRope: each pair has a divisor of its own.
static void readLongRope(Rope &rope, const ConfigNames &names,
                         const RopeSizes &sizes, ConfigReader &reader) {
  auto [trained, factor] = growthOfContext(names, sizes, reader);
  bool isLong = isLongContext(names, sizes, reader);
  rope.divisors = reader.reals(
      isLong ? names.longDivisors : names.shortDivisors, sizes.rotaryDim / 2);
  if (reader.has(names.ropeGrowth))
    rope.factor = reader.real(names.ropeGrowth);
  else if (factor > 1 && trained > 1)
    rope.factor = float(std::sqrt(1 + std::log(factor) / std::log(trained)));
  else if (factor > 1)
    reader.fail(names.ropeTrainedContext, "expected more than 1");
}

Rope qcc::readRope(const Architecture &arch, const ConfigNames &names,
                   const RopeSizes &sizes, ConfigReader &reader) {
  Rope rope;
  rope.base = reader.realOr(names.ropeBase, rope.base);
  std::string scaling = reader.text(names.ropeScaling);
  bool hasLlama3 = !names.ropeLowFactor[0].empty();
  // Older names of it.
  bool isLongRope = scaling == "longrope" || scaling == "su" ||
                    (scaling == "yarn" && reader.isArray(names.shortDivisors));
  if (scaling == "linear")
    rope.divisor = reader.real(names.ropeFactor);
  else if (scaling == "llama3" && hasLlama3)
    rope.divisors = llama3Divisors(rope.base, sizes.rotaryDim, names, reader);
  // Without keys for divisors they are tensors.
  else if (isLongRope && !names.shortDivisors[0].empty())
    readLongRope(rope, names, sizes, reader);
  else if (scaling == "yarn")
    readYarn(rope, arch, names, sizes, reader);
  // Of text all three positions of "mrope" are the same.
  else if (!scaling.empty() && scaling != "none" && scaling != "default" &&
           scaling != "mrope" && !isLongRope)
    reader.fail("unsupported rope scaling " + quoted(scaling) +
                " (supported: none, linear, " + (hasLlama3 ? "llama3, " : "") +
                "longrope, yarn)");
  rope.factor *= reader.realOr(names.ropeGrowthShare, 1);
  return rope;
}

Rope qcc::readSlidingRope(const Architecture &arch, const ConfigNames &names,
                          const Rope &full, ConfigReader &reader) {
  std::string scaling = reader.text(names.slidingRopeScaling);
  if (!scaling.empty() && scaling != "default")
    reader.fail(names.slidingRopeScaling,
                "rope scaling " + quoted(scaling) +
                    " of layers with a window is not supported (supported: "
                    "default)");
  if (arch.slidingRopeBase == 0 && !arch.plainSlidingRope &&
      !reader.has(names.slidingRopeBase))
    return full;
  Rope rope;
  rope.base = reader.realOr(names.slidingRopeBase, arch.slidingRopeBase > 0
                                                       ? arch.slidingRopeBase
                                                       : full.base);
  return rope;
}
