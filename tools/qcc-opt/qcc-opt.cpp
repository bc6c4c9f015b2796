//===- qcc-opt.cpp - Run passes on a module -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads MLIR of any stage and runs the passes that the command line names.
//===----------------------------------------------------------------------===//

#include "qcc/Driver/Registry.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  qcc::registerAllDialects(registry);
  qcc::registerAllPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "qcc pass driver\n", registry));
}
