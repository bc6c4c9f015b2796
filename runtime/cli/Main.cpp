//===- Main.cpp - The entry of a model compiled to an executable ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Cli.h"

// The executable's own model (core/Api.h).
extern "C" const qcc_api_v1 *qcc_model_query(uint32_t max_version);

int main(int argc, char **argv) {
  return qcc_cli_main(qcc_model_query(QCC_API_VERSION), argc, argv);
}
