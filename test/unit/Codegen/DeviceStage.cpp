//===- DeviceStage.cpp - A matmul stage through the CUDA driver -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceStage.h"

#include "device/Buffer.h"
#include "device/Image.h"
#include "device/Module.h"
#include "device/Upload.h"

#include <deque>
#include <stdexcept>

using namespace qcc;
using namespace qcc::test;
namespace device = qcc::rt::device;

DeviceStage::DeviceStage(const char *library) {
  device::DriverOptions options;
  if (library)
    options.library = library;
  if (driver.open(options, error) || device.open(driver, 0, error))
    reason = error.get();
}

void DeviceStage::require(qcc_status status) const {
  if (status)
    throw std::runtime_error(error.get());
}

std::vector<std::vector<float>> DeviceStage::run(const EmulatedStage &stage,
                                                 const StageRows &in,
                                                 unsigned index) {
  const GpuKernel &kernel = stage.kernel(index);
  std::string ptx = stage.ptx();
  const device::Image image = {device::Image::Ptx, 80, 0, 11000, ptx.c_str(),
                               ptx.size() + 1};
  device::Module module;
  device::Kernel code;
  device::Stream stream;
  std::vector<char> log(8192);
  require(module.load(device, image, error, log.data(), log.size()));
  require(module.kernel(kernel.name.c_str(), code, error));
  require(stream.create(device, error));

  size_t rows = in.x->size(), stride = size_t(kernel.outputStride);
  DeviceMemory input = placeRows(in.x, rows, size_t(kernel.inputStride));
  DeviceMemory output = placeRows(in.residual, rows, stride);
  // Weights take the way of a large mapped file.
  device::Uploader uploader;
  require(uploader.create(device, error, 64 << 10));
  std::deque<device::Buffer> buffers;
  auto upload = [&](const void *from, size_t bytes, const char *what) {
    device::Buffer &buffer = buffers.emplace_back();
    require(buffer.allocate(device, bytes, what, error));
    require(uploader.upload(buffer, 0, from, bytes, stream, error));
    return buffer.address();
  };
  StageOperands<device::DevicePointer> at{};
  at.rows = uint32_t(rows);
  at.rowsPerBlock = uint32_t(in.rowsPerBlock);
  at.input = upload(input.as<void>(), input.bytes(), "the rows");
  at.output = upload(output.as<void>(), output.bytes(), "the results");
  device::Buffer &result = buffers.back();
  at.hasNorm = in.norm;
  if (in.norm)
    at.norm = upload(in.norm->data(), in.norm->size() * 4, "the norm");
  for (const DeviceMemory *weight : in.weights)
    at.weights.push_back(
        upload(weight->as<void>(), weight->bytes(), "the weights"));

  device::LaunchShape shape;
  shape.grid[0] = kernel.units;
  shape.grid[1] = (at.rows + at.rowsPerBlock - 1) / at.rowsPerBlock;
  shape.block[0] = kernel.threads;
  shape.sharedBytes =
      kernel.sharedBytes + at.rowsPerBlock * kernel.sharedBytesPerRow;
  require(code.allowSharedBytes(shape.sharedBytes, error));
  require(code.launch(shape, at.arguments(kernel).data(), stream, error));
  require(result.read(0, output.as<void>(), output.bytes(), stream, error));
  require(stream.synchronize(error));
  return takeRows(output, rows, stride, in.columns);
}
