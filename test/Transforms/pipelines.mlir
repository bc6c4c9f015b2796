// RUN: qcc-opt %s --qcc-fuse | FileCheck %s --check-prefix=FUSE
// RUN: qcc-opt %s --qcc-fuse --qcc-fuse | FileCheck %s --check-prefix=FUSE
// RUN: qcc-opt %s --qcc-fuse --qcc-layout | FileCheck %s --check-prefix=LAYOUT
// RUN: qcc-opt %s --qcc-fuse --qcc-layout --qcc-schedule \
// RUN:   | FileCheck %s --check-prefix=SCHEDULE

// A layer of a gated unit, from the imported form through all stages. Fusing
// what is fused changes nothing.

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// FUSE-NOT:   qz.dequantize
// FUSE-LABEL: func private @body.0
// FUSE-SAME:  %[[X:.*]]: tensor<?x64xf32>, %{{.*}}: !llm.batch, %[[N:.*]]: !qz.tensor<64, #f32>, %[[G:.*]]: !qz.tensor<96x64, #q4>, %[[U:.*]]: !qz.tensor<96x64, #q4>, %[[D:.*]]: !qz.tensor<64x96, #q4>)
// FUSE-NEXT:  %[[A:.*]] = qz.quantize %[[X]] norm %[[N]]
// FUSE-NEXT:  %[[H:.*]] = qz.matmul %[[A]], [%[[G]], %[[U]]] {epilogue = #qz.epilogue<glu_silu>}
// FUSE-NEXT:  %[[B:.*]] = qz.quantize %[[H]]
// FUSE-NEXT:  %[[Y:.*]] = qz.matmul %[[B]], [%[[D]]] residual %[[X]]
// FUSE-NEXT:  return %[[Y]]
// FUSE-LABEL: func @step
// FUSE:       llm.embedding
// FUSE:       call @body.0
// FUSE:       call @body.0
// FUSE:       llm.select_outputs
// FUSE-NEXT:  qz.quantize
// FUSE-NEXT:  qz.matmul

// LAYOUT: qz.weight_bytes
// LAYOUT: qz.weight @table : {{.*}} {bytes = {{[0-9]+}} : i64, layout = #qz.layout<r16k4>, offset = 0 : i64}

// SCHEDULE: llm.arena_bytes
// SCHEDULE: qz.quantize {{.*}} {buffer = {{.*}} generate = #qz.activations<a16>, generate_replicated, prompt = #qz.activations<a8>
// SCHEDULE: qz.matmul {{.*}} {buffer = {{.*}} stride = 384 : i64, unit_count = 6 : i64, units = "panels"}
// SCHEDULE: func @step
// SCHEDULE: qz.quantize {{.*}} prompt = #qz.activations<a16>

qz.weight @table : !qz.tensor<96x64, #q4>
qz.weight @n.0 : !qz.tensor<64, #f32>
qz.weight @g.0 : !qz.tensor<96x64, #q4>
qz.weight @u.0 : !qz.tensor<96x64, #q4>
qz.weight @d.0 : !qz.tensor<64x96, #q4>
qz.weight @n.1 : !qz.tensor<64, #f32>
qz.weight @g.1 : !qz.tensor<96x64, #q4>
qz.weight @u.1 : !qz.tensor<96x64, #q4>
qz.weight @d.1 : !qz.tensor<64x96, #q4>

func.func private @layer.0(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %n = qz.use @n.0 : !qz.tensor<64, #f32>
  %nf = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %x, %nf {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %g = qz.use @g.0 : !qz.tensor<96x64, #q4>
  %gf = qz.dequantize %g : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %gate = llm.linear %h, %gf : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %u = qz.use @u.0 : !qz.tensor<96x64, #q4>
  %uf = qz.dequantize %u : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %up = llm.linear %h, %uf : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %a = llm.glu %gate, %up {activation = #llm.activation<silu>} : tensor<?x96xf32>
  %d = qz.use @d.0 : !qz.tensor<64x96, #q4>
  %df = qz.dequantize %d : !qz.tensor<64x96, #q4> -> tensor<64x96xf32>
  %y = llm.linear %a, %df : tensor<?x96xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  %z = llm.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
func.func private @layer.1(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %n = qz.use @n.1 : !qz.tensor<64, #f32>
  %nf = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %x, %nf {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %g = qz.use @g.1 : !qz.tensor<96x64, #q4>
  %gf = qz.dequantize %g : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %gate = llm.linear %h, %gf : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %u = qz.use @u.1 : !qz.tensor<96x64, #q4>
  %uf = qz.dequantize %u : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %up = llm.linear %h, %uf : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %a = llm.glu %gate, %up {activation = #llm.activation<silu>} : tensor<?x96xf32>
  %d = qz.use @d.1 : !qz.tensor<64x96, #q4>
  %df = qz.dequantize %d : !qz.tensor<64x96, #q4> -> tensor<64x96xf32>
  %y = llm.linear %a, %df : tensor<?x96xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  %z = llm.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch) -> tensor<?x96xf32> {
  %t = qz.use @table : !qz.tensor<96x64, #q4>
  %tf = qz.dequantize %t : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %x = llm.embedding %batch, %tf : tensor<96x64xf32> -> tensor<?x64xf32>
  %x0 = func.call @layer.0(%x, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  %x1 = func.call @layer.1(%x0, %batch) : (tensor<?x64xf32>, !llm.batch) -> tensor<?x64xf32>
  %s = llm.select_outputs %x1, %batch : tensor<?x64xf32>
  %l = llm.linear %s, %tf : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}
