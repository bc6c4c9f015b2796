//===- Stream.cpp - Order and time of work on a GPU -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Stream.h"

namespace qcc::rt::device {

//===----------------------------------------------------------------------===//
// Stream
//===----------------------------------------------------------------------===//

qcc_status Stream::create(const Device &device, ErrorText &error) {
  release();
  qcc_status status = device.call(
      "make a stream", device.info().name, error, [&](const DriverApi &driver) {
        return Device::made(driver.cuStreamCreate(&stream, streamNonBlocking),
                            stream);
      });
  owner = stream ? &device : nullptr;
  return status;
}

qcc_status Stream::synchronize(ErrorText &error) const {
  return owner->call("finish the work", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuStreamSynchronize(stream);
                     });
}

void Stream::release() {
  if (stream)
    owner->release([&](const DriverApi &driver) {
      // Destroyed whether or not its work has failed.
      driver.cuStreamSynchronize(stream);
      return driver.cuStreamDestroy_v2(stream);
    });
  stream = nullptr;
  owner = nullptr;
}

//===----------------------------------------------------------------------===//
// Event
//===----------------------------------------------------------------------===//

qcc_status Event::create(const Device &device, Use use, ErrorText &error) {
  release();
  unsigned flags = eventBlocking | (use == Order ? eventNoTiming : 0);
  qcc_status status = device.call(
      "make an event", device.info().name, error, [&](const DriverApi &driver) {
        return Device::made(driver.cuEventCreate(&event, flags), event);
      });
  owner = event ? &device : nullptr;
  return status;
}

qcc_status Event::record(const Stream &stream, ErrorText &error) {
  return owner->call("record an event", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuEventRecord(event, stream.handle());
                     });
}

qcc_status Event::wait(ErrorText &error) const {
  return owner->call("finish the work", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuEventSynchronize(event);
                     });
}

qcc_status Event::secondsSince(const Event &start, double &seconds,
                               ErrorText &error) const {
  if (qcc_status status = wait(error))
    return status;
  float milliseconds = 0;
  qcc_status status = owner->call(
      "read a time", owner->info().name, error, [&](const DriverApi &driver) {
        return driver.cuEventElapsedTime(&milliseconds, start.event, event);
      });
  seconds = double(milliseconds) * 1e-3;
  return status;
}

void Event::release() {
  if (event)
    owner->release([&](const DriverApi &driver) {
      return driver.cuEventDestroy_v2(event);
    });
  event = nullptr;
  owner = nullptr;
}

} // namespace qcc::rt::device
