// Attention to latents: what qcc-merge-projections makes of it, and what it
// leaves alone.
// RUN: qcc-opt %s --qcc-fuse-matmuls --cse --qcc-merge-projections | FileCheck %s
// RUN: qcc-opt %s --qcc-fuse-matmuls --cse --qcc-merge-projections --qcc-plan-schedule \
// RUN:   | FileCheck %s --check-prefix=SCHEDULE

#f32 = #qz.encoding<f32>

qz.weight @query : !qz.tensor<24x64, #f32>
qz.weight @rest : !qz.tensor<48x64, #f32>
qz.weight @key : !qz.tensor<8x64, #f32>
qz.weight @latent : !qz.tensor<16x64, #f32>
qz.weight @norm : !qz.tensor<16, #f32>
qz.weight @heads : !qz.tensor<3x10x16, #f32>
llm.kv_state @kv : !llm.state<1, 24, 16>

// The key's parts are one product, and its norm part of the append. The way from
// latents to values is a matrix for each head, which every row has.
// CHECK-LABEL: func @latents
// CHECK-DAG:   %[[A:.*]] = qz.quantize %arg0
// CHECK-DAG:   %[[N:.*]] = qz.use @norm
// CHECK-DAG:   %[[Q:.*]] = qz.matmul %[[A]], [%{{.*}}] : <64>, [!qz.tensor<24x64
// CHECK-DAG:   %[[L:.*]] = qz.matmul %[[A]], [%{{.*}}] : <64>, [!qz.tensor<48x64
// CHECK:       %[[K:.*]] = qz.matmul %[[A]], [%{{.*}}, %{{.*}}] : <64>, [!qz.tensor<8x64, #{{.*}}>, !qz.tensor<16x64
// CHECK:       %[[R:.*]] = llm.rotations %arg1 {frequencies = array<f32: 1.000000e+00, 5.000000e-01, 2.500000e-01, 1.250000e-01>} : tensor<?x8xf32>
// CHECK:       %[[H:.*]] = llm.latent_append %[[Q]], %[[L]], %[[K]], %[[R]], %arg1, %{{.*}} norm %[[N]] {adjacent, eps = 9.99999997E-7 : f32, scale = 2.500000e-01 : f32}
// CHECK:       %[[Y:.*]] = llm.attend %[[H]], %arg1, %{{.*}} : tensor<?x72xf32>, <1, 24, 16>
// CHECK:       %[[E:.*]] = llm.route_all %arg1 : tensor<?x6xf32>
// CHECK:       %[[B:.*]] = qz.quantize %[[Y]] experts %[[E]] : tensor<?x48xf32> experts tensor<?x6xf32> -> <16, 3>
// CHECK:       qz.matmul %[[B]], [%{{.*}}] experts %[[E]] : <16, 3>, [!qz.tensor<3x10x16
// CHECK-NOT:   llm.rms_norm
// CHECK-NOT:   llm.concat_heads
// CHECK:       return

// A unit for each of 3 heads and the key.
// SCHEDULE-LABEL: func @latents
// SCHEDULE:    llm.latent_append {{.*}}unit_count = 4 : i64, units = "row_heads"
// SCHEDULE:    llm.attend {{.*}}unit_count = 1 : i64, units = "row_kv_heads"
// SCHEDULE:    llm.route_all {{.*}}generate_replicated, units = "rows"
func.func @latents(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x30xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %n, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  %wh = qz.use @heads : !qz.tensor<3x10x16, #f32>
  %fh = qz.dequantize %wh : !qz.tensor<3x10x16, #f32> -> tensor<3x10x16xf32>
  %e = llm.route_all %batch : tensor<?x6xf32>
  %z = llm.expert_linear %y, %fh experts %e : tensor<?x48xf32>, tensor<3x10x16xf32> experts tensor<?x6xf32> -> tensor<?x30xf32>
  return %z : tensor<?x30xf32>
}

// The value is not the latent of the key.
// CHECK-LABEL: func @other_value
// CHECK:       llm.attention
func.func @other_value(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %c, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  return %y : tensor<?x48xf32>
}

// Queries and keys turn differently.
// CHECK-LABEL: func @other_rotation
// CHECK:       llm.attention
func.func @other_rotation(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %n, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  return %y : tensor<?x48xf32>
}

// A part of the latent turns.
// CHECK-LABEL: func @rotated_latent
// CHECK:       llm.attention
func.func @rotated_latent(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125, 0.1>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125, 0.1>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %n, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  return %y : tensor<?x48xf32>
}

// The latent comes of other rows than the key.
// CHECK-LABEL: func @other_rows
// CHECK:       llm.attention
func.func @other_rows(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %x2 = llm.add %x, %x : tensor<?x64xf32>
  %c = llm.linear %x2, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %n, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  return %y : tensor<?x48xf32>
}

// The normed latent has another use.
// CHECK-LABEL: func @used_latent
// CHECK:       llm.attention
func.func @used_latent(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %n = llm.rms_norm %c, %fn {eps = 1.0e-6 : f32} : tensor<?x16xf32>, tensor<16xf32>
  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %n {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %n, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  %z = llm.concat_heads %y, %n {heads = 1 : i64} : tensor<?x48xf32>, tensor<?x16xf32> -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// The latent is not normed.
// CHECK-LABEL: func @without_norm
// CHECK:       llm.attention
func.func @without_norm(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %wq = qz.use @query : !qz.tensor<24x64, #f32>
  %fq = qz.dequantize %wq : !qz.tensor<24x64, #f32> -> tensor<24x64xf32>
  %wr = qz.use @rest : !qz.tensor<48x64, #f32>
  %fr = qz.dequantize %wr : !qz.tensor<48x64, #f32> -> tensor<48x64xf32>
  %wk = qz.use @key : !qz.tensor<8x64, #f32>
  %fk = qz.dequantize %wk : !qz.tensor<8x64, #f32> -> tensor<8x64xf32>
  %wl = qz.use @latent : !qz.tensor<16x64, #f32>
  %fl = qz.dequantize %wl : !qz.tensor<16x64, #f32> -> tensor<16x64xf32>
  %wn = qz.use @norm : !qz.tensor<16, #f32>
  %fn = qz.dequantize %wn : !qz.tensor<16, #f32> -> tensor<16xf32>
  %s = llm.state @kv : !llm.state<1, 24, 16>
  %q = llm.linear %x, %fq : tensor<?x64xf32>, tensor<24x64xf32> -> tensor<?x24xf32>
  %l = llm.linear %x, %fr : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x48xf32>
  %k = llm.linear %x, %fk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %c = llm.linear %x, %fl : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>

  %qc = llm.concat_heads %q, %l {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %qr = llm.rope %qc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x72xf32>
  %kc = llm.concat_heads %k, %c {heads = 1 : i64} : tensor<?x8xf32>, tensor<?x16xf32> -> tensor<?x24xf32>
  %kr = llm.rope %kc, %batch {adjacent, head_dim = 24 : i64, frequencies = array<f32: 1.0, 0.5, 0.25, 0.125>} : tensor<?x24xf32>
  %y = llm.attention %qr, %kr, %c, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  return %y : tensor<?x48xf32>
}
