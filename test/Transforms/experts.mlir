// A mixture of experts through stages 2 to 4, pass by pass.
// RUN: qcc-opt %s --qcc-fuse-matmuls --cse | FileCheck %s --check-prefix=MATMULS
// RUN: qcc-opt %s --qcc-fuse-matmuls --cse --qcc-merge-projections --qcc-fuse-epilogues \
// RUN:   | FileCheck %s --check-prefix=FUSED
// RUN: qcc-opt %s --qcc-fuse | qcc-opt --qcc-layout --qcc-schedule \
// RUN:   | FileCheck %s --check-prefixes=LAYOUT,SCHEDULE

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// Matrices of experts are padded to panels, each for itself: 40 rows to 3 of 576
// bytes, 5 times; their biases are vectors.
// LAYOUT-DAG: qz.weight @gate : !qz.tensor<5x40x64, {{.*}}> {bytes = 8640 : i64, layout = #qz.layout<r16k4>
// LAYOUT-DAG: qz.weight @bias : !qz.tensor<5x40, {{.*}}> {bytes = 800 : i64, layout = #qz.layout<plain>
// LAYOUT-DAG: qz.weight @sgate : !qz.tensor<1x64, {{.*}}> {{{.*}}layout = #qz.layout<r16k4>
qz.weight @norm : !qz.tensor<64, #f32>
qz.weight @router : !qz.tensor<5x64, #f32>
qz.weight @sgate : !qz.tensor<1x64, #f32>
qz.weight @shared : !qz.tensor<64x64, #q4>
qz.weight @gate : !qz.tensor<5x40x64, #q4>
qz.weight @up : !qz.tensor<5x40x64, #q4>
qz.weight @bias : !qz.tensor<5x40, #f32>
qz.weight @down : !qz.tensor<5x64x40, #f32>

func.func private @layer(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %wn = qz.use @norm : !qz.tensor<64, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<64, #f32> -> tensor<64xf32>
  %n = llm.rms_norm %x, %fn {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %wr = qz.use @router : !qz.tensor<5x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<5x64, #f32> -> tensor<5x64xf32>
  %l = llm.linear %n, %fr : tensor<?x64xf32>, tensor<5x64xf32> -> tensor<?x5xf32>
  %wsg = qz.use @sgate : !qz.tensor<1x64, #f32>
  %fsg = qz.dequantize %wsg : !qz.tensor<1x64, #f32> -> tensor<1x64xf32>
  %sg = llm.linear %n, %fsg : tensor<?x64xf32>, tensor<1x64xf32> -> tensor<?x1xf32>
  %ws = qz.use @shared : !qz.tensor<64x64, #q4>
  %fs = qz.dequantize %ws : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %s = llm.linear %n, %fs : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %r = llm.route %l {top_k = 2 : i64, normalize} : tensor<?x5xf32> -> tensor<?x4xf32>
  %wg = qz.use @gate : !qz.tensor<5x40x64, #q4>
  %fg = qz.dequantize %wg : !qz.tensor<5x40x64, #q4> -> tensor<5x40x64xf32>
  %g = llm.expert_linear %n, %fg experts %r : tensor<?x64xf32>, tensor<5x40x64xf32> experts tensor<?x4xf32> -> tensor<?x80xf32>
  %wu = qz.use @up : !qz.tensor<5x40x64, #q4>
  %fu = qz.dequantize %wu : !qz.tensor<5x40x64, #q4> -> tensor<5x40x64xf32>
  %wb = qz.use @bias : !qz.tensor<5x40, #f32>
  %fb = qz.dequantize %wb : !qz.tensor<5x40, #f32> -> tensor<5x40xf32>
  %u = llm.expert_linear %n, %fu experts %r bias %fb : tensor<?x64xf32>, tensor<5x40x64xf32> experts tensor<?x4xf32> bias tensor<5x40xf32> -> tensor<?x80xf32>
  %h = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x80xf32>
  %wd = qz.use @down : !qz.tensor<5x64x40, #f32>
  %fd = qz.dequantize %wd : !qz.tensor<5x64x40, #f32> -> tensor<5x64x40xf32>
  %y = llm.expert_linear %h, %fd experts %r : tensor<?x80xf32>, tensor<5x64x40xf32> experts tensor<?x4xf32> -> tensor<?x128xf32>
  %c = llm.combine %y, %r shared %s gate %sg : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> gate tensor<?x1xf32> -> tensor<?x64xf32>
  %z = llm.add %x, %c : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// Rows for the experts are made apart from those for matmuls of all rows.
// MATMULS-LABEL: func private @layer
// MATMULS:     %[[A:.*]] = qz.quantize %[[N:[^ ]*]] : tensor<?x64xf32> -> <64>
// MATMULS:     %[[L:.*]] = qz.matmul %[[A]], [%{{.*}}] : <64>, [!qz.tensor<5x64
// MATMULS:     %[[R:.*]] = llm.route %[[L]]
// MATMULS:     %[[E:.*]] = qz.quantize %[[N]] experts %[[R]] : tensor<?x64xf32> experts tensor<?x4xf32> -> <64, 2>
// MATMULS-NOT: qz.quantize
// MATMULS:     qz.matmul %[[E]], [%{{.*}}] experts %[[R]] : <64, 2>
// MATMULS:     qz.matmul %[[E]], [%{{.*}}] bias[%{{.*}}] experts %[[R]]
// MATMULS:     qz.quantize %{{.*}} experts %[[R]] : tensor<?x80xf32> experts tensor<?x4xf32> -> <40, 2>
// MATMULS-NOT: llm.expert_linear

// FUSED-LABEL: func private @layer
// FUSED:       qz.quantize %{{.*}} norm %{{.*}} experts %{{.*}} {eps
// FUSED:       qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}] bias[%{{.*}}] experts %{{.*}} {bias_of = array<i64: 1>, epilogue = #qz.epilogue<glu_silu>}
// FUSED:       %[[Z:.*]] = llm.combine %{{.*}}, %{{.*}} shared %{{.*}} gate %{{.*}} residual %{{.*}} :
// FUSED-NEXT:  return %[[Z]]

// The float router has activations of its own, and so have the float matrices
// of the way back; the shared expert and the other experts keep theirs.
// SCHEDULE-LABEL: func private @body.0
// SCHEDULE: qz.quantize {{.*}}generate = #qz.activations<f32>{{.*}}prompt = #qz.activations<f32>{{.*}}units = "rows"
// SCHEDULE: qz.matmul {{.*}}!qz.tensor<5x64
// SCHEDULE: qz.matmul {{.*}}!qz.tensor<1x64
// SCHEDULE: qz.quantize {{.*}}generate = #qz.activations<a16>{{.*}}prompt = #qz.activations<a8>
// SCHEDULE: qz.matmul {{.*}}!qz.tensor<64x64
// SCHEDULE: llm.route {{.*}}generate_replicated{{.*}}units = "rows"
// SCHEDULE: qz.quantize {{.*}}generate = #qz.activations<a16>{{.*}}prompt = #qz.activations<a8>
// SCHEDULE: qz.matmul {{.*}}unit_count = 3 : i64, units = "expert_panels"
// SCHEDULE: qz.quantize {{.*}}generate = #qz.activations<f32>
// SCHEDULE: qz.matmul {{.*}}unit_count = 4 : i64, units = "expert_panels"
// SCHEDULE: llm.combine {{.*}}units = "rows"
func.func @step(%batch: !llm.batch) -> tensor<?x64xf32> {
  %t = qz.use @shared : !qz.tensor<64x64, #q4>
  %f = qz.dequantize %t : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %x = llm.embedding %batch, %f : tensor<64x64xf32> -> tensor<?x64xf32>
  %y = func.call @layer(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = llm.linear %y, %f : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
