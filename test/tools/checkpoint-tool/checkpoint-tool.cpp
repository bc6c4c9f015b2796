//===- checkpoint-tool.cpp - Describes checkpoints for tests --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads paths from stdin, one per line. Answers each with a line "ok N" and N
// bytes of JSON (see describeJson), or with a line "error MESSAGE".
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include <cstdio>
#include <iostream>
#include <string>

using namespace qcc;

int main() {
  std::string path;
  while (std::getline(std::cin, path)) {
    Result<Checkpoint> checkpoint = openCheckpoint(path);
    if (!checkpoint) {
      std::printf("error %s\n", checkpoint.message().c_str());
    } else {
      std::string json = describeJson(*checkpoint);
      std::printf("ok %zu\n%s", json.size(), json.c_str());
    }
    std::fflush(stdout);
  }
  return 0;
}
