// RUN: qcc-opt %s --canonicalize --cse | FileCheck %s

// What writes or reads states stays, in order, used or not, however equal.
// CHECK-LABEL: func @state_is_memory
func.func @state_is_memory(%batch: !llm.batch, %qkv: tensor<?x96xf32>, %r: tensor<?x2xf32>, %s: !llm.state<1, 32>) {
  // CHECK:      llm.rope_append
  // CHECK:      llm.attend
  // CHECK:      llm.rope_append
  // CHECK:      llm.attend
  // CHECK-NEXT: llm.attention
  // CHECK-NEXT: llm.attention
  %q0 = llm.rope_append %qkv, %r, %batch, %s {scale = 1.0 : f32} : tensor<?x96xf32>, tensor<?x2xf32>, <1, 32> -> tensor<?x32xf32>
  %y0 = llm.attend %q0, %batch, %s : tensor<?x32xf32>, <1, 32>
  %q1 = llm.rope_append %qkv, %r, %batch, %s {scale = 1.0 : f32} : tensor<?x96xf32>, tensor<?x2xf32>, <1, 32> -> tensor<?x32xf32>
  %y1 = llm.attend %q0, %batch, %s : tensor<?x32xf32>, <1, 32>
  %a0 = llm.attention %q0, %q0, %q0, %batch, %s {scale = 1.0 : f32} : tensor<?x32xf32>, tensor<?x32xf32>, <1, 32>
  %a1 = llm.attention %q0, %q0, %q0, %batch, %s {scale = 1.0 : f32} : tensor<?x32xf32>, tensor<?x32xf32>, <1, 32>
  return
}

// Everything else is a function of its operands.
// CHECK-LABEL: func @pure
func.func @pure(%batch: !llm.batch, %x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xf32>) {
  // CHECK-NEXT: %[[S:.*]] = llm.add
  // CHECK-NEXT: %[[R:.*]] = llm.rotations
  // CHECK-NEXT: return %[[S]], %[[S]], %[[R]], %[[R]]
  %s0 = llm.add %x, %y : tensor<?x64xf32>
  %s1 = llm.add %y, %x : tensor<?x64xf32>
  %r0 = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  %r1 = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  %unused = llm.glu %x, %y {activation = #llm.activation<silu>} : tensor<?x64xf32>
  return %s0, %s1, %r0, %r1 : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xf32>
}
