//===- Passes.td - Code generation as a pass ----------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_DRIVER_PASSES
#define QCC_DRIVER_PASSES

include "mlir/Pass/PassBase.td"

def GenerateCodePass : Pass<"qcc-generate-code", "mlir::ModuleOp"> {
  let summary = "Replace a model by the step function of one target";
  let description = [{
    The last stage of the pipelines as a pass, so that tests can look at the
    code of a small model. The module's content becomes structured code below
    the level of tensors: `llvm`, `scf`, `arith`, `vector`.

    Before, for `target=reference`, an imported module; for other targets, one
    that went through `qcc-schedule`:

    ```mlir
    qz.weight @w : !qz.tensor<16x32, #q>
    func.func @step(%batch: !llm.batch) -> tensor<?x16xf32> { ... }
    ```

    After:

    ```mlir
    llvm.func @qcc_step_0(%step: !llvm.ptr, %thread: i32, %threads: i32) { ... }
    ```

    For a GPU, kernels of its stages:

    ```mlir
    gpu.module @kernels { gpu.func @matmul_0(...) kernel { ... } }
    ```

    Precondition: the module attributes that import writes. The reference gives
    each weight the plain layout itself; other targets need layout and schedule.
  }];
  let options = [
    Option<"target", "target", "std::string", /*default=*/"\"reference\"",
           "Name of the target">,
    Option<"kv", "kv", "std::string", /*default=*/"\"f16\"",
           "Type of keys and values">];
  let dependentDialects = [
    "mlir::arith::ArithDialect", "mlir::cf::ControlFlowDialect",
    "mlir::gpu::GPUDialect", "mlir::NVVM::NVVMDialect",
    "mlir::LLVM::LLVMDialect", "mlir::scf::SCFDialect",
    "mlir::vector::VectorDialect"];
}

#endif // QCC_DRIVER_PASSES
