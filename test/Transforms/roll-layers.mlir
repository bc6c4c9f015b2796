// RUN: qcc-opt %s --split-input-file --qcc-roll-layers | FileCheck %s

// Kinds may alternate: layers 0 and 2 are one body, layer 1 with another
// encoding is another. Arguments stand in the order of first use.

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#q8 = #qz.encoding<bits = 8, zero = 128, group = 32, scale = f16>

qz.weight @w0 : !qz.tensor<64x64, #q4>
qz.weight @w1 : !qz.tensor<64x64, #q8>
qz.weight @w2 : !qz.tensor<64x64, #q4>
llm.kv_state @kv.0 : !llm.state<1, 64> {window = 0 : i64}
llm.kv_state @kv.1 : !llm.state<1, 64> {window = 0 : i64}
llm.kv_state @kv.2 : !llm.state<1, 64> {window = 0 : i64}

// CHECK-NOT: @layer
// CHECK-LABEL: func private @body.0
// CHECK-SAME:  %[[X:.*]]: tensor<?x64xf32>, %[[B:.*]]: !llm.batch, %[[S:.*]]: !llm.state<1, 64>, %[[W:.*]]: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32>
// CHECK-NEXT:  llm.attend %[[X]], %[[B]], %[[S]]
// CHECK-NEXT:  qz.quantize
// CHECK-NEXT:  qz.matmul %{{.*}}, [%[[W]]]
// CHECK-NEXT:  return
// CHECK-LABEL: func private @body.1
// CHECK-SAME:  !llm.state<1, 64>, %{{.*}}: !qz.tensor<64x64, #q8>)
func.func private @layer.0(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %w = qz.use @w0 : !qz.tensor<64x64, #q4>
  %s = llm.state @kv.0 : !llm.state<1, 64>
  %y = llm.attend %x, %batch, %s : tensor<?x64xf32>, <1, 64>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %z = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
func.func private @layer.1(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %w = qz.use @w1 : !qz.tensor<64x64, #q8>
  %s = llm.state @kv.1 : !llm.state<1, 64>
  %y = llm.attend %x, %batch, %s : tensor<?x64xf32>, <1, 64>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %z = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q8>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
func.func private @layer.2(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %w = qz.use @w2 : !qz.tensor<64x64, #q4>
  %s = llm.state @kv.2 : !llm.state<1, 64>
  %y = llm.attend %x, %batch, %s : tensor<?x64xf32>, <1, 64>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %z = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
// CHECK-LABEL: func @step
// CHECK-SAME:  %[[X:.*]]: tensor<?x64xf32>, %[[B:.*]]: !llm.batch
func.func @step(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  // CHECK-DAG: %[[S0:.*]] = llm.state @kv.0
  // CHECK-DAG: %[[W0:.*]] = qz.use @w0
  // CHECK:     %[[X0:.*]] = call @body.0(%[[X]], %[[B]], %[[S0]], %[[W0]])
  // CHECK-DAG: %[[S1:.*]] = llm.state @kv.1
  // CHECK-DAG: %[[W1:.*]] = qz.use @w1
  // CHECK:     %[[X1:.*]] = call @body.1(%[[X0]], %[[B]], %[[S1]], %[[W1]])
  // CHECK-DAG: %[[S2:.*]] = llm.state @kv.2
  // CHECK-DAG: %[[W2:.*]] = qz.use @w2
  // CHECK:     %[[X2:.*]] = call @body.0(%[[X1]], %[[B]], %[[S2]], %[[W2]])
  // CHECK:     return %[[X2]]
  %x0 = func.call @layer.0(%x, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  %x1 = func.call @layer.1(%x0, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  %x2 = func.call @layer.2(%x1, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  return %x2 : tensor<?x64xf32>
}

// -----

// Equal rotations of an argument are one argument; rotations of the caller's
// batch are made by the caller.

llm.kv_state @kv.0 : !llm.state<1, 2>

// CHECK-LABEL: func private @body.0
// CHECK-SAME:  %{{.*}}: !llm.batch, %{{.*}}: tensor<?x2xf32>, %{{.*}}: !llm.state<1, 2>)
// CHECK-NOT:   llm.rotations
func.func private @layer(%x: tensor<?x6xf32>, %batch: !llm.batch) -> tensor<?x6xf32> {
  %r0 = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  %r1 = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  %s0 = llm.state @kv.0 : !llm.state<1, 2>
  %s1 = llm.state @kv.0 : !llm.state<1, 2>
  %0 = llm.rope_append %x, %r0, %batch, %s0 {scale = 1.0 : f32} : tensor<?x6xf32>, tensor<?x2xf32>, <1, 2> -> tensor<?x2xf32>
  %1 = llm.rope_append %x, %r1, %batch, %s1 {scale = 1.0 : f32} : tensor<?x6xf32>, tensor<?x2xf32>, <1, 2> -> tensor<?x2xf32>
  return %x : tensor<?x6xf32>
}
// CHECK-LABEL: func @step
// CHECK-SAME:  %[[X:.*]]: tensor<?x6xf32>, %[[B:.*]]: !llm.batch
// CHECK-NEXT:  %[[R:.*]] = llm.rotations %[[B]]
// CHECK-NEXT:  %[[S:.*]] = llm.state @kv.0
// CHECK-NEXT:  call @body.0(%[[X]], %[[B]], %[[R]], %[[S]])
func.func @step(%x: tensor<?x6xf32>, %batch: !llm.batch) -> tensor<?x6xf32> {
  %y = func.call @layer(%x, %batch) : (tensor<?x6xf32>, !llm.batch) -> tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// -----

// Layers with other windows, or other constants, are other bodies.

llm.kv_state @kv.0 : !llm.state<1, 64> {window = 0 : i64}
llm.kv_state @kv.1 : !llm.state<1, 64> {window = 512 : i64}

// CHECK-LABEL: func private @body.0
// CHECK:       llm.attend %{{[^{]*}} : tensor
// CHECK-LABEL: func private @body.1
// CHECK:       llm.attend {{.*}} {window = 512 : i64}
func.func private @full(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %s = llm.state @kv.0 : !llm.state<1, 64>
  %y = llm.attend %x, %batch, %s : tensor<?x64xf32>, <1, 64>
  return %y : tensor<?x64xf32>
}
func.func private @sliding(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %s = llm.state @kv.1 : !llm.state<1, 64>
  %y = llm.attend %x, %batch, %s {window = 512 : i64} : tensor<?x64xf32>, <1, 64>
  return %y : tensor<?x64xf32>
}
func.func @step(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %0 = func.call @full(%x, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  %1 = func.call @sliding(%0, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// -----

// A layer that is called twice passes the same weights twice. A name that is
// taken is left out.

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @body.0 : !qz.tensor<64x64, #q4>

// CHECK-NOT: func private @body.0
// CHECK-LABEL: func private @body.1(%{{[^:]*}}: tensor<?x64xf32>, %{{[^:]*}}: !qz.tensor
func.func private @shared(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = qz.use @body.0 : !qz.tensor<64x64, #q4>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %z = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
// CHECK-LABEL: func @step
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[W0:.*]] = qz.use @body.0
  // CHECK: call @body.1(%{{.*}}, %[[W0]])
  // CHECK: %[[W1:.*]] = qz.use @body.0
  // CHECK: call @body.1(%{{.*}}, %[[W1]])
  %0 = func.call @shared(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = func.call @shared(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @w : !qz.tensor<64x64, #q4>

// CHECK-LABEL: func private @no_match_used_elsewhere
func.func private @no_match_used_elsewhere(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: qz.use @w
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %z = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
func.func @other(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = func.call @no_match_used_elsewhere(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: call @no_match_used_elsewhere
  %0 = func.call @no_match_used_elsewhere(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// Running the pass again changes nothing.

// CHECK-LABEL: func private @body.0
func.func private @body.0(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %x : tensor<?x64xf32>
}
// CHECK-LABEL: func @step
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: call @body.0(%{{[^,]*}})
  %0 = func.call @body.0(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
