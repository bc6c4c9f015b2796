//===- Transforms.h - Pipelines and patterns of stages 2 to 4 ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The target-independent stages between import and code generation. Each
// pipeline ends in a normal form:
//
//   fuse      what qcc-verify-fused checks: stage operations only, one private
//             function for each distinct kind of layer
//   layout    each weight has a layout, an offset and a size in the artefact
//   schedule  each stage has its activations, work units and buffer
//===----------------------------------------------------------------------===//

#ifndef QCC_TRANSFORMS_TRANSFORMS_H
#define QCC_TRANSFORMS_TRANSFORMS_H

#include "dialects/QZ/QZDialect.h"

namespace mlir {
class OpPassManager;
class RewritePatternSet;
} // namespace mlir

namespace qcc {

struct LayoutOptions {
  /// Layout of matrices; vectors are always plain.
  qz::Layout layout = qz::Layout::R16K4;
};

struct ScheduleOptions {
  /// Activations of generating steps and of prompt steps.
  qz::Activations generate = qz::Activations::A16;
  qz::Activations prompt = qz::Activations::A8;
  /// Those of prompt steps whose errors the result feels most.
  qz::Activations felt = qz::Activations::A8G16;
  /// Whether the target multiplies blocks of rows by blocks of weights.
  bool blocks = false;
  /// Rows that a buffer holds: the most rows of a prompt step, padding to the
  /// tile included.
  int64_t rowCapacity = 264;
  /// Most rows of a generating step.
  int64_t generateRows = 16;
};

/// Stage 2, from the imported module to the fused form.
void buildFusePipeline(mlir::OpPassManager &pm);
/// Stage 3.
void buildLayoutPipeline(mlir::OpPassManager &pm,
                         const LayoutOptions &options = {});
/// Stage 4. Needs the fused form; independent of stage 3.
void buildSchedulePipeline(mlir::OpPassManager &pm,
                           const ScheduleOptions &options = {});

/// The rewrites of the passes with the same names.
void populateFuseMatmulsPatterns(mlir::RewritePatternSet &patterns);
void populateMergeProjectionsPatterns(mlir::RewritePatternSet &patterns);
void populateFuseEpiloguesPatterns(mlir::RewritePatternSet &patterns);

} // namespace qcc

#endif // QCC_TRANSFORMS_TRANSFORMS_H
