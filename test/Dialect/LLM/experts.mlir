// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

#f32 = #qz.encoding<f32>

// CHECK-LABEL: func @mixture
func.func @mixture(%x: tensor<?x64xf32>, %l: tensor<?x8xf32>, %w: tensor<8x96x64xf32>, %d: tensor<8x64x96xf32>, %b: tensor<8x96xf32>, %g: tensor<?x1xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[R:.*]] = llm.route %{{.*}} {normalize, top_k = 2 : i64} : tensor<?x8xf32> -> tensor<?x4xf32>
  %r = llm.route %l {top_k = 2 : i64, normalize} : tensor<?x8xf32> -> tensor<?x4xf32>
  // CHECK: %[[U:.*]] = llm.expert_linear %{{.*}}, %{{.*}} experts %[[R]] : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> -> tensor<?x192xf32>
  %u = llm.expert_linear %x, %w experts %r : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> -> tensor<?x192xf32>
  // CHECK: llm.expert_linear %{{.*}}, %{{.*}} experts %[[R]] bias %{{.*}} : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> bias tensor<8x96xf32> -> tensor<?x192xf32>
  %v = llm.expert_linear %x, %w experts %r bias %b : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> bias tensor<8x96xf32> -> tensor<?x192xf32>
  // CHECK: llm.glu %{{.*}}, %{{.*}} {activation = #llm.activation<clamped_swiglu>} : tensor<?x192xf32>
  %h = llm.glu %u, %v {activation = #llm.activation<clamped_swiglu>} : tensor<?x192xf32>
  // A part of the input for each slot.
  // CHECK: %[[Y:.*]] = llm.expert_linear %{{.*}}, %{{.*}} experts %[[R]] : tensor<?x192xf32>, tensor<8x64x96xf32> experts tensor<?x4xf32> -> tensor<?x128xf32>
  %y = llm.expert_linear %h, %d experts %r : tensor<?x192xf32>, tensor<8x64x96xf32> experts tensor<?x4xf32> -> tensor<?x128xf32>
  // CHECK: %[[S:.*]] = llm.combine %[[Y]], %[[R]] : tensor<?x128xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  %s = llm.combine %y, %r : tensor<?x128xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  // CHECK: llm.combine %[[Y]], %[[R]] shared %[[S]] gate %{{.*}} residual %{{.*}} : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> gate tensor<?x1xf32> residual tensor<?x64xf32> -> tensor<?x64xf32>
  %t = llm.combine %y, %r shared %s gate %g residual %x : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> gate tensor<?x1xf32> residual tensor<?x64xf32> -> tensor<?x64xf32>
  return %t : tensor<?x64xf32>
}

// CHECK-LABEL: func @routes
func.func @routes(%l: tensor<?x8xf32>, %b: tensor<8xf32>, %w: !qz.tensor<8, #f32>, %batch: !llm.batch, %h: tensor<?x128xf32>, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.route %{{.*}} bias %{{.*}} {groups = 4 : i64, normalize, scale = 2.500000e+00 : f32, sigmoid, top_groups = 2 : i64, top_k = 2 : i64} : tensor<?x8xf32> bias tensor<8xf32> -> tensor<?x4xf32>
  %r = llm.route %l bias %b {top_k = 2 : i64, normalize, sigmoid, scale = 2.5 : f32, groups = 4 : i64, top_groups = 2 : i64} : tensor<?x8xf32> bias tensor<8xf32> -> tensor<?x4xf32>
  // CHECK: llm.route %{{.*}} bias %{{.*}} {sigmoid, top_k = 2 : i64} : tensor<?x8xf32> bias !qz.tensor<8, #f32> -> tensor<?x4xf32>
  %q = llm.route %l bias %w {top_k = 2 : i64, sigmoid} : tensor<?x8xf32> bias !qz.tensor<8, #f32> -> tensor<?x4xf32>
  // CHECK: llm.route_all %{{.*}} : tensor<?x4xf32>
  %a = llm.route_all %batch : tensor<?x4xf32>
  // CHECK: llm.combine %{{.*}}, %{{.*}} shared %{{.*}} : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> -> tensor<?x64xf32>
  %s = llm.combine %h, %a shared %x : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> -> tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}

// CHECK-LABEL: func @sinks
func.func @sinks(%q: tensor<?x64xf32>, %batch: !llm.batch, %s: !llm.state<2, 16>, %k: tensor<?x32xf32>, %f: tensor<4xf32>, %w: !qz.tensor<4, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} sinks %{{.*}} {scale = 2.500000e-01 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <2, 16> sinks tensor<4xf32>
  %a = llm.attention %q, %k, %k, %batch, %s sinks %f {scale = 0.25 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <2, 16> sinks tensor<4xf32>
  // CHECK: llm.attend %{{.*}}, %{{.*}}, %{{.*}} sinks %{{.*}} : tensor<?x64xf32>, <2, 16> sinks !qz.tensor<4, #f32>
  %b = llm.attend %a, %batch, %s sinks %w : tensor<?x64xf32>, <2, 16> sinks !qz.tensor<4, #f32>
  return %b : tensor<?x64xf32>
}
