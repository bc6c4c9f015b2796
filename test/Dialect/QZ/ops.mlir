// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --emit-bytecode | qcc-opt | FileCheck %s

// Each kind of encoding prints as it was read, defaults left out.
// CHECK-DAG: #bf16 = #qz.encoding<bf16>
// CHECK-DAG: #q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
// CHECK-DAG: #q5 = #qz.encoding<bits = 5, group = 32, scale = f16, min = f16>
// CHECK-DAG: #q3 = #qz.encoding<bits = 3, table = [-90, -50, -25, -5, 5, 25, 50, 90], group = 64, scale = u8>
// CHECK-DAG: #q2 = #qz.encoding<bits = 2, group = 16, scale = f16, min = f16, super_block = 256, sub_bits = 4, sub_min_bits = 4>
// CHECK-DAG: #q{{.*}} = #qz.encoding<bits = 8, group = 16, scale = ue4m3, scale_exponent = -1>
// CHECK-DAG: #q7 = #qz.encoding<bits = 7, zero = 1, zero_bits = 7, group = 128, scale = f16>
// CHECK-DAG: #[[VALUES:.*]] = #qz.encoding<bits = 2, values = [-1.000000e+00, -0.000000e+00, 0.0795802995, 1.401300e-45], group = 64, scale = f32>
// CHECK-DAG: #[[E4M3:.*]] = #qz.encoding<bits = 8, float = e4m3fn, group = 64, scale = bf16>
// CHECK-DAG: #[[E5M2:.*]] = #qz.encoding<bits = 8, float = e5m2, group = 32, scale = f32, min = f16>
// CHECK-DAG: #q6 = #qz.encoding<bits = 6, zero = 32, group = 16, scale = f16, super_block = 256, sub_bits = 8, sub_signed = 1>
// CHECK-DAG: #q1 = #qz.encoding<bits = 1, group = 32, scale = e8m0, super_block = 256, sub_bits = 6, sub_zero = 32>
// CHECK-DAG: #q_spans = #qz.encoding<spans = {{\[}}[64, 5, 16, 32], [96, 4, 8, 96]], scale = f16, scale_exponent = -8, common_scale = 1, sub_bits = 4, sub_zero = -1, sub_squared = 1>
// CHECK-DAG: #[[NESTED:.*]] = #qz.encoding<bits = 4, zero = 8, group = 64, scale = f32, super_block = 256, sub_bits = 1, sub_values = [-1.000000e+00, 5.000000e-01], offset = f32>
// CHECK-DAG: #[[SPLIT:.*]] = #qz.encoding<bits = 4, group = 64, scale = f32, split_scale = 1, super_block = 192, sub_bits = 8, sub_float = e5m2>
// CHECK-DAG: #[[SCALED:.*]] = #qz.encoding<bits = 4, group = 64, scale = f16, min = bf16, scaled_min = 1>
#float = #qz.encoding<bf16>
#symmetric = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#asymmetric = #qz.encoding<bits = 5, group = 32, scale = f16, min = f16>
#table = #qz.encoding<bits = 3, table = [-90, -50, -25, -5, 5, 25, 50, 90], group = 64, scale = u8>
#two_level = #qz.encoding<bits = 2, group = 16, scale = f16, min = f16, super_block = 256, sub_bits = 4, sub_min_bits = 4>
#signed = #qz.encoding<bits = 6, zero = 32, group = 16, scale = f16, super_block = 256, sub_bits = 8, sub_signed = 1>
#sub_zero = #qz.encoding<bits = 1, group = 32, scale = e8m0, super_block = 256, sub_bits = 6, sub_zero = 32>

// CHECK: qz.weight @vector : !qz.tensor<64, #bf16>
qz.weight @vector : !qz.tensor<64, #float>
// CHECK: qz.weight @"a name.with/anything" : !qz.tensor<96x64, #q4>
qz.weight @"a name.with/anything" : !qz.tensor<96x64, #symmetric>
// CHECK: qz.weight @placed : !qz.tensor<96x64, #q5> {bytes = 4608 : i64, layout = #qz.layout<r16k4>, offset = 64 : i64}
qz.weight @placed : !qz.tensor<96x64, #asymmetric> {layout = #qz.layout<r16k4>, offset = 64 : i64, bytes = 4608 : i64}
// CHECK: qz.weight @part : !qz.tensor<96x64, #q4> {rows = #qz.rows<"all of them", first = 32, run = 32, stride = 96>}
qz.weight @part : !qz.tensor<96x64, #symmetric> {rows = #qz.rows<"all of them", first = 32, run = 32, stride = 96>}
qz.weight @table : !qz.tensor<8x64, #table>
qz.weight @two_level : !qz.tensor<8x256, #two_level>
qz.weight @signed : !qz.tensor<8x256, #signed>
qz.weight @sub_zero : !qz.tensor<8x256, #sub_zero>
// CHECK-DAG: qz.weight @values : !qz.tensor<8x64, #[[VALUES]]>
qz.weight @values : !qz.tensor<8x64, #qz.encoding<bits = 2, values = [-1.0, -0.0, 0.07958029955625534, 1.4e-45], group = 64, scale = f32>>
// CHECK-DAG: qz.weight @e4m3 : !qz.tensor<8x64, #[[E4M3]]>
qz.weight @e4m3 : !qz.tensor<8x64, #qz.encoding<bits = 8, float = e4m3fn, group = 64, scale = bf16>>
// CHECK-DAG: qz.weight @e5m2 : !qz.tensor<8x64, #[[E5M2]]>
qz.weight @e5m2 : !qz.tensor<8x64, #qz.encoding<bits = 8, float = e5m2, group = 32, scale = f32, min = f16>>
// CHECK: qz.weight @halved : !qz.tensor<8x64, #q8{{.*}}>
qz.weight @halved : !qz.tensor<8x64, #qz.encoding<bits = 8, group = 16, scale = ue4m3, scale_exponent = -1>>
// CHECK-DAG: qz.weight @spans : !qz.tensor<8x160, #q_spans>
qz.weight @spans : !qz.tensor<8x160, #qz.encoding<spans = [[64, 5, 16, 32], [96, 4, 8, 96]], scale = f16, scale_exponent = -8, common_scale = 1, sub_bits = 4, sub_zero = -1, sub_squared = 1>>
// CHECK-DAG: qz.weight @split : !qz.tensor<8x192, #[[SPLIT]]>
qz.weight @split : !qz.tensor<8x192, #qz.encoding<bits = 4, group = 64, scale = f32, split_scale = 1, super_block = 192, sub_bits = 8, sub_float = e5m2>>
// CHECK-DAG: qz.weight @scaled : !qz.tensor<8x64, #[[SCALED]]>
qz.weight @scaled : !qz.tensor<8x64, #qz.encoding<bits = 4, group = 64, scale = f16, min = bf16, scaled_min = 1>>
// CHECK-DAG: qz.weight @nested : !qz.tensor<8x256, #[[NESTED]]>
qz.weight @nested : !qz.tensor<8x256, #qz.encoding<bits = 4, zero = 8, group = 64, scale = f32, super_block = 256, sub_bits = 1, sub_values = [-1.0, 0.5], offset = f32>>
qz.weight @zeros : !qz.tensor<8x256, #qz.encoding<bits = 7, zero = 1, zero_bits = 7, group = 128, scale = f16>>

// CHECK-LABEL: func @operations
func.func @operations(%x: tensor<?x64xf32>, %o: !qz.tensor<64, #qz.encoding<f32>>, %r: tensor<?x96xf32>, %bias: !qz.tensor<96, #qz.encoding<f32>>) -> tensor<?x96xf32> {
  // CHECK: %[[N:.*]] = qz.use @vector : <64, #bf16>
  %n = qz.use @vector : !qz.tensor<64, #float>
  // CHECK: %[[V:.*]] = qz.use @"a name.with/anything" : <96x64, #q4>
  %v = qz.use @"a name.with/anything" : !qz.tensor<96x64, #symmetric>
  // CHECK: %[[W:.*]] = qz.use @placed : <96x64, #q5>
  %w = qz.use @placed : !qz.tensor<96x64, #asymmetric>
  // CHECK: qz.dequantize %[[W]] : <96x64, #q5> -> tensor<96x64xf32>
  %f = qz.dequantize %w : !qz.tensor<96x64, #asymmetric> -> tensor<96x64xf32>
  // CHECK: %[[A:.*]] = qz.quantize %{{.*}} : tensor<?x64xf32> -> <64>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  // CHECK: %[[B:.*]] = qz.quantize %{{.*}} norm %[[N]] {eps = 9.99999974E-6 : f32, generate = #qz.activations<a16>, prompt = #qz.activations<a8g16>, sum_group = 16 : i64} : tensor<?x64xf32>, !qz.tensor<64, #bf16> -> <64>
  %b = qz.quantize %x norm %n {eps = 1.0e-5 : f32, generate = #qz.activations<a16>, prompt = #qz.activations<a8g16>, sum_group = 16 : i64} : tensor<?x64xf32>, !qz.tensor<64, #float> -> <64>
  // CHECK: %[[P:.*]] = qz.permute %{{.*}} by %[[O:.*]] : tensor<?x64xf32>, <64, #f32>
  %p = qz.permute %x by %o : tensor<?x64xf32>, !qz.tensor<64, #qz.encoding<f32>>
  // CHECK: qz.quantize %[[P]] order %[[O]] : tensor<?x64xf32> by !qz.tensor<64, #f32> -> <64>
  %c = qz.quantize %p order %o : tensor<?x64xf32> by !qz.tensor<64, #qz.encoding<f32>> -> <64>
  // CHECK: qz.quantize %[[P]] norm %[[N]] order %[[O]] {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #bf16> by !qz.tensor<64, #f32> -> <64>
  %d = qz.quantize %p norm %n order %o {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #float> by !qz.tensor<64, #qz.encoding<f32>> -> <64>
  // CHECK: qz.quantize %[[P]] norm %[[N]] bias %[[O]] order %[[O]] {centered, eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #bf16> bias !qz.tensor<64, #f32> by !qz.tensor<64, #f32> -> <64>
  %e = qz.quantize %p norm %n bias %o order %o {centered, eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #float> bias !qz.tensor<64, #qz.encoding<f32>> by !qz.tensor<64, #qz.encoding<f32>> -> <64>
  // CHECK: qz.matmul %[[A]], [%[[V]], %[[W]]] {epilogue = #qz.epilogue<gelu_erf>} : <64>
  %5 = qz.matmul %a, [%v, %w] {epilogue = #qz.epilogue<gelu_erf>} : <64>, [!qz.tensor<96x64, #symmetric>, !qz.tensor<96x64, #asymmetric>] -> tensor<?x192xf32>
  // CHECK: qz.matmul %[[A]], [%[[V]], %[[W]]] : <64>, [!qz.tensor<96x64, #q4>, !qz.tensor<96x64, #q5>] -> tensor<?x192xf32>
  %0 = qz.matmul %a, [%v, %w] : <64>, [!qz.tensor<96x64, #symmetric>, !qz.tensor<96x64, #asymmetric>] -> tensor<?x192xf32>
  // CHECK: qz.matmul %[[B]], [%[[V]], %[[W]]] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<96x64, #q4>, !qz.tensor<96x64, #q5>] -> tensor<?x96xf32>
  %1 = qz.matmul %b, [%v, %w] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<96x64, #symmetric>, !qz.tensor<96x64, #asymmetric>] -> tensor<?x96xf32>
  // CHECK: qz.matmul %[[B]], [%[[W]]] residual %{{.*}} {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<96x64, #q5>], tensor<?x96xf32> -> tensor<?x96xf32>
  %2 = qz.matmul %b, [%w] residual %r {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<96x64, #asymmetric>], tensor<?x96xf32> -> tensor<?x96xf32>
  // CHECK: qz.matmul %[[A]], [%[[V]], %[[W]]] bias[%[[BIAS:.*]]] {bias_of = array<i64: 1>} : <64>, [!qz.tensor<96x64, #q4>, !qz.tensor<96x64, #q5>] bias[!qz.tensor<96, #f32>] -> tensor<?x192xf32>
  %3 = qz.matmul %a, [%v, %w] bias[%bias] {bias_of = array<i64: 1>} : <64>, [!qz.tensor<96x64, #symmetric>, !qz.tensor<96x64, #asymmetric>] bias[!qz.tensor<96, #qz.encoding<f32>>] -> tensor<?x192xf32>
  // CHECK: qz.matmul %[[A]], [%[[W]]] bias[%[[BIAS]]] residual %{{.*}} {bias_of = array<i64: 0>, epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<96x64, #q5>] bias[!qz.tensor<96, #f32>], tensor<?x96xf32> -> tensor<?x96xf32>
  %4 = qz.matmul %a, [%w] bias[%bias] residual %r {bias_of = array<i64: 0>, epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<96x64, #asymmetric>] bias[!qz.tensor<96, #qz.encoding<f32>>], tensor<?x96xf32> -> tensor<?x96xf32>
  return %2 : tensor<?x96xf32>
}
