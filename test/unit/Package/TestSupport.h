//===- TestSupport.h - Helpers of the packaging tests -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_PACKAGE_TESTSUPPORT_H
#define TEST_UNIT_PACKAGE_TESTSUPPORT_H

#include "qcc/Package/Package.h"

#include "gtest/gtest.h"

#include <functional>
#include <string>
#include <vector>

/// A folder of its own for a test, removed afterwards with all its content.
class TempFolder {
public:
  TempFolder();
  ~TempFolder();
  std::string operator/(const std::string &name) const {
    return folder + "/" + name;
  }
  const std::string &path() const { return folder; }
  /// Sorted names of what is inside.
  std::vector<std::string> entries() const;

private:
  std::string folder;
};

/// How a program or a forked function ended and what it printed.
struct Outcome {
  int status = -1; // exit status, or 128 + signal
  std::string output;
};

/// Runs `command` (no shell) with both output streams collected.
Outcome run(const std::vector<std::string> &command);

/// Runs `body` in a forked child. It may append to `message`, which comes back
/// as `output`; its result is the exit status.
Outcome inChild(const std::function<int(std::string &message)> &body);

std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &content);

/// Bytes that no shift or swap of pages leaves equal.
std::string patternedWeights(size_t bytes);

/// What Inputs/Main.c prints for these weights.
std::string expectedReport(int model, const std::string &weights);

/// A stream of these bytes, in pieces of uneven size.
qcc::WeightStream streamOf(const std::string &weights);

/// Packages the object file at `object`; the message of the error, or "".
std::string packageObject(const std::string &object,
                          const qcc::WeightStream &weights,
                          const qcc::PackageOptions &options);

/// Options for `output` with the support folder of the tests.
qcc::PackageOptions
optionsFor(const std::string &output,
           qcc::PackageOptions::Kind kind = qcc::PackageOptions::Executable);

#endif // TEST_UNIT_PACKAGE_TESTSUPPORT_H
