//===- cxx_compliance.cpp - The public headers are C++17 ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc-rt/qcc.h"
#include "qcc-rt/qcc_abi.h"
#include "qcc-rt/qcc_gpu.h"

bool useHeaders();
bool useHeaders() {
  qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  return sizeof(qcc_step_v1) == 136 && options.threads == 0 &&
         sampling.seed == -1;
}
