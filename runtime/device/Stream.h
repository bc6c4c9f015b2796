//===- Stream.h - Order and time of work on a GPU ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Work put into one stream runs in order; streams run beside each other. Our
// streams do not wait for the legacy default stream, which belongs to the host
// program.
//
// Threads: one thread at a time uses a Stream or an Event. Both go before their
// Device. A Stream goes before what its work uses (declare it after the buffers
// and modules): it waits for that work, also where an error ends a function
// early.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_STREAM_H
#define QCC_RUNTIME_DEVICE_STREAM_H

#include "Device.h"

namespace qcc::rt::device {

class Stream {
public:
  Stream() = default;
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  ~Stream() { release(); }

  qcc_status create(const Device &device, ErrorText &error);

  /// Waits for all work that was put in. Failures of kernels and copies are
  /// found here at the latest.
  qcc_status synchronize(ErrorText &error) const;

  /// Waits for the work, which may use memory that the caller frees next, and
  /// destroys the stream.
  void release();

  /// Null: not created.
  const Device *device() const { return owner; }
  StreamHandle handle() const { return stream; }

private:
  const Device *owner = nullptr;
  StreamHandle stream = nullptr;
};

/// A point in a stream.
class Event {
public:
  enum Use {
    Timing, // for secondsSince()
    Order,  // only to wait for; cheaper
  };

  Event() = default;
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  ~Event() { release(); }

  qcc_status create(const Device &device, Use use, ErrorText &error);

  /// Moves the point behind all work that is in the stream now.
  qcc_status record(const Stream &stream, ErrorText &error);

  /// Waits until the GPU has passed the point; at once if never recorded. The
  /// thread sleeps meanwhile.
  qcc_status wait(ErrorText &error) const;

  /// Waits for this event and sets `seconds` to the time since `start`, to
  /// about half a microsecond. Both are for timing and were recorded.
  qcc_status secondsSince(const Event &start, double &seconds,
                          ErrorText &error) const;

  void release();

private:
  const Device *owner = nullptr;
  EventHandle event = nullptr;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_STREAM_H
