// RUN: qcc-opt %s --qcc-generate-code=target=reference | FileCheck %s

#q = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>

module attributes {llm.architecture = "llama", llm.context = 128 : i64,
                   llm.hidden = 32 : i64, llm.layers = 2 : i64,
                   llm.vocab = 48 : i64} {
  qz.weight @table : !qz.tensor<48x32, #q>
  qz.weight @norm : !qz.tensor<32, #f32>
  qz.weight @a : !qz.tensor<32x32, #q>
  qz.weight @b : !qz.tensor<32x32, #q>

  // The two layers differ in their weight only: one kernel serves both. Their
  // memory begins after that of the threads (512 bytes each) and of @step,
  // whose two buffers take 64 rows of 32 floats each.
  // CHECK-LABEL: llvm.func internal @layer.0(
  // CHECK-SAME: %[[STEP:.*]]: !llvm.ptr, %{{.*}}: i32, %{{.*}}: i32, %[[X:.*]]: !llvm.ptr, %[[OUT:.*]]: !llvm.ptr) -> i1
  // CHECK: arith.constant 512 : i64
  // What enters the matmul is written where that is wanted.
  // CHECK: llvm.icmp "ne"
  // CHECK: llvm.call @copy.{{[0-9]+}}(%[[STEP]], %{{.*}}, %{{.*}}, %{{.*}}, %[[X]], %{{.*}})
  // CHECK: %[[A:.*]] = arith.constant 6272 : i64
  // CHECK: llvm.getelementptr %{{.*}}[%[[A]]]
  // CHECK: %[[TMP:.*]] = arith.constant 16384 : i64
  // CHECK: %[[PRODUCT:.*]] = llvm.getelementptr %{{.*}}[%[[TMP]]]
  // CHECK: %[[GO:.*]] = llvm.call @[[LINEAR:linear\.[0-9]+]](%[[STEP]], %{{.*}}, %{{.*}}, %{{.*}}, %[[X]], %{{.*}}, %[[PRODUCT]])
  // CHECK: llvm.cond_br %[[GO]], ^{{.*}}, ^[[EXIT:.*]]
  // The result is made where the caller wants it.
  // CHECK: llvm.call @[[ADD:add\.[0-9]+]](%[[STEP]], %{{.*}}, %{{.*}}, %{{.*}}, %[[X]], %[[PRODUCT]], %[[OUT]])
  func.func private @layer.0(%x: tensor<?x32xf32>, %batch: !llm.batch) -> tensor<?x32xf32> {
    %w = qz.use @a : !qz.tensor<32x32, #q>
    %f = qz.dequantize %w : !qz.tensor<32x32, #q> -> tensor<32x32xf32>
    %y = llm.linear %x, %f : tensor<?x32xf32>, tensor<32x32xf32> -> tensor<?x32xf32>
    %z = llm.add %x, %y : tensor<?x32xf32>
    return %z : tensor<?x32xf32>
  }
  // CHECK-LABEL: llvm.func internal @layer.1(
  // CHECK: arith.constant 10368 : i64
  // CHECK: llvm.call @[[LINEAR]](
  // CHECK: llvm.call @[[ADD]](
  func.func private @layer.1(%x: tensor<?x32xf32>, %batch: !llm.batch) -> tensor<?x32xf32> {
    %w = qz.use @b : !qz.tensor<32x32, #q>
    %f = qz.dequantize %w : !qz.tensor<32x32, #q> -> tensor<32x32xf32>
    %y = llm.linear %x, %f : tensor<?x32xf32>, tensor<32x32xf32> -> tensor<?x32xf32>
    %z = llm.add %x, %y : tensor<?x32xf32>
    return %z : tensor<?x32xf32>
  }
  // The residual stream is traced before the first layer and after each.
  // CHECK-LABEL: llvm.func internal @step(
  // CHECK: llvm.call @embedding
  // CHECK: llvm.call @[[COPY:copy\.[0-9]+]](
  // CHECK: llvm.call @layer.0(
  // CHECK: llvm.call @[[COPY]](
  // CHECK: llvm.call @layer.1(
  // CHECK: llvm.call @[[COPY]](
  // CHECK: llvm.call @rms_norm
  // CHECK: llvm.call @select_outputs
  // CHECK: llvm.call @linear
  func.func @step(%batch: !llm.batch) -> tensor<?x48xf32> {
    %t = qz.use @table : !qz.tensor<48x32, #q>
    %tf = qz.dequantize %t : !qz.tensor<48x32, #q> -> tensor<48x32xf32>
    %x0 = llm.embedding %batch, %tf : tensor<48x32xf32> -> tensor<?x32xf32>
    %x1 = call @layer.0(%x0, %batch) : (tensor<?x32xf32>, !llm.batch) -> tensor<?x32xf32>
    %x2 = call @layer.1(%x1, %batch) : (tensor<?x32xf32>, !llm.batch) -> tensor<?x32xf32>
    %n = qz.use @norm : !qz.tensor<32, #f32>
    %nf = qz.dequantize %n : !qz.tensor<32, #f32> -> tensor<32xf32>
    %h = llm.rms_norm %x2, %nf {eps = 1.0e-5 : f32} : tensor<?x32xf32>, tensor<32xf32>
    %s = llm.select_outputs %h, %batch : tensor<?x32xf32>
    %l = llm.linear %s, %tf : tensor<?x32xf32>, tensor<48x32xf32> -> tensor<?x48xf32>
    return %l : tensor<?x48xf32>
  }
  // Sums run over k in order, one addition after the other, without fusing.
  // CHECK: llvm.func internal @[[LINEAR]](
  // CHECK: scf.for
  // CHECK: scf.for {{.*}} iter_args
  // CHECK: arith.mulf
  // CHECK-NEXT: arith.addf
  // CHECK-NOT: fma
  // CHECK: llvm.func hidden @qcc_step_0(%{{.*}}: !llvm.ptr, %{{.*}}: i32, %{{.*}}: i32)
  // CHECK: llvm.call @step(
}
