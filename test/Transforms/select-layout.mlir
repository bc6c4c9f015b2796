// RUN: qcc-opt %s --split-input-file --qcc-select-layout | FileCheck %s
// RUN: qcc-opt %s --split-input-file --qcc-select-layout=layout=plain \
// RUN:   | FileCheck %s --check-prefix=PLAIN

// Weights lie in the order in which the running step uses them, whatever the
// order of declarations: table, then the layers one after another, then the
// norm. Matrices start at multiples of 256, vectors at multiples of 64.

#f16 = #qz.encoding<f16>
#f32 = #qz.encoding<f32>
#q8 = #qz.encoding<bits = 8, zero = 128, group = 32, scale = f16>

// The table: 2 panels (20 rows padded to 32) x 2 units of 8 * 64 + 32 bytes.
// The matrices of layers: 4 panels of that size.
// CHECK: module attributes {qz.weight_bytes = 11264 : i64}
// CHECK: qz.weight @unused : !qz.tensor<16x64, #q8>{{$}}
// CHECK: qz.weight @layer.1 : {{.*}} {bytes = 4352 : i64, layout = #qz.layout<r16k4>, offset = 6656 : i64}
// CHECK: qz.weight @layer.0 : {{.*}} {bytes = 4352 : i64, layout = #qz.layout<r16k4>, offset = 2304 : i64}
// CHECK: qz.weight @norm : {{.*}} {bytes = 256 : i64, layout = #qz.layout<plain>, offset = 11008 : i64}
// CHECK: qz.weight @table : {{.*}} {bytes = 2176 : i64, layout = #qz.layout<r16k4>, offset = 0 : i64}

// PLAIN: module attributes {qz.weight_bytes = 38144 : i64}
// PLAIN: qz.weight @layer.1 : {{.*}} {bytes = 16384 : i64, layout = #qz.layout<plain>, offset = 21504 : i64}
// PLAIN: qz.weight @layer.0 : {{.*}} {bytes = 16384 : i64, layout = #qz.layout<plain>, offset = 5120 : i64}
// PLAIN: qz.weight @table : {{.*}} {bytes = 5120 : i64, layout = #qz.layout<plain>, offset = 0 : i64}
qz.weight @unused : !qz.tensor<16x64, #q8>
qz.weight @layer.1 : !qz.tensor<64x64, #q8>
qz.weight @layer.0 : !qz.tensor<64x64, #q8>
qz.weight @norm : !qz.tensor<64, #f16>
qz.weight @table : !qz.tensor<20x64, #q8>

func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q8>) -> tensor<?x64xf32> {
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q8>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch) -> tensor<?x20xf32> {
  // That a weight is named early does not move it.
  %n = qz.use @norm : !qz.tensor<64, #f16>
  %w1 = qz.use @layer.1 : !qz.tensor<64x64, #q8>
  %t = qz.use @table : !qz.tensor<20x64, #q8>
  %x = llm.embedding %batch, %t : !qz.tensor<20x64, #q8> -> tensor<?x64xf32>
  %w0 = qz.use @layer.0 : !qz.tensor<64x64, #q8>
  %x0 = func.call @body.0(%x, %w0) : (tensor<?x64xf32>, !qz.tensor<64x64, #q8>) -> tensor<?x64xf32>
  %x1 = func.call @body.0(%x0, %w1) : (tensor<?x64xf32>, !qz.tensor<64x64, #q8>) -> tensor<?x64xf32>
  %a = qz.quantize %x1 norm %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f16> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<20x64, #q8>] -> tensor<?x20xf32>
  return %l : tensor<?x20xf32>
}

// -----

// Any description has a layout: 3 bits with a table, groups of 64 and scales of
// one byte. 1 panel x 4 units of 16 + 2 * (128 + 64) bytes. Floats: 1 panel x
// 64 units of 4 x 16 x 2 bytes.

#odd = #qz.encoding<bits = 3, table = [-90, -50, -25, -5, 5, 25, 50, 90], group = 64, scale = u8>
#bf16 = #qz.encoding<bf16>

// CHECK: qz.weight_bytes = 9984
// CHECK: qz.weight @odd : {{.*}} {bytes = 1600 : i64, layout = #qz.layout<r16k4>, offset = 0 : i64}
// CHECK: qz.weight @float : {{.*}} {bytes = 8192 : i64, layout = #qz.layout<r16k4>, offset = 1792 : i64}
qz.weight @odd : !qz.tensor<8x256, #odd>
qz.weight @float : !qz.tensor<16x256, #bf16>
func.func @step(%a: !qz.activation<256>) -> tensor<?x24xf32> {
  %0 = qz.use @odd : !qz.tensor<8x256, #odd>
  %1 = qz.use @float : !qz.tensor<16x256, #bf16>
  %2 = qz.matmul %a, [%0, %1] : <256>, [!qz.tensor<8x256, #odd>, !qz.tensor<16x256, #bf16>] -> tensor<?x24xf32>
  return %2 : tensor<?x24xf32>
}
