//===- Runtime.cpp - Stands in for the runtime archive --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Fixture.h"

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

namespace __gnu_cxx {
void __freeres(); // frees the reserve that libstdc++ keeps for exceptions
}

/// Without it each dlopen and dlclose would leak that reserve, 72 KiB.
__attribute__((destructor)) static void unload() { __gnu_cxx::__freeres(); }

static thread_local int calls = 0;

static int modelId() { return fixture_model_id; }

static const void *weights(uint64_t *bytes, uint64_t *fileOffset) {
  *bytes = qcc_payload_note.bytes;
  const void *data = qcc_payload_embedded(&qcc_payload_note, fileOffset);
  if (!data || !qcc_payload_footer_matches(qcc_payload_footer(data, *bytes),
                                           &qcc_payload_note))
    return nullptr;
  return data;
}

static const qcc_payload_note_t *note() { return &qcc_payload_note; }

static int selftest(double x) {
  ++calls;
  std::string text;
  std::thread([&] {
    char number[32];
    // The thread has a counter of its own.
    std::snprintf(number, sizeof number, "%.3f/%d", std::sin(x), ++calls);
    text = number;
  }).join();
  try {
    if (x > 0)
      throw std::runtime_error(text);
  } catch (const std::exception &error) {
    return error.what() == std::string("0.479/1");
  }
  return 0;
}

extern "C" const fixture_api *qcc_model_query(uint32_t maxVersion) {
  static const fixture_api api = {modelId, weights, note, selftest};
  return maxVersion >= 1 ? &api : nullptr;
}
