//===- Driver.cpp - The NVIDIA driver, opened at run time -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Driver.h"

#include <cstring>
#include <dlfcn.h>

namespace qcc::rt::device {

/// Takes the type of the pointer that it fills.
template <typename F>
static bool lookUp(void *library, const char *name, F *&function) {
  function = reinterpret_cast<F *>(dlsym(library, name));
  return function != nullptr;
}

Driver::~Driver() { close(); }

void Driver::close() {
  functions = {};
  version = devices = 0;
  if (handle)
    dlclose(handle);
  handle = nullptr;
}

qcc_status Driver::resolve(const char *library, ErrorText &error) {
#define QCC_LOOK_UP(name, parameters)                                          \
  if (!lookUp(handle, #name, functions.name))                                  \
    return error.set(QCC_E_DEVICE,                                             \
                     "%.120s is no usable NVIDIA driver: it has no function "  \
                     "%s",                                                     \
                     library, #name);
  QCC_DRIVER_FUNCTIONS(QCC_LOOK_UP)
#undef QCC_LOOK_UP
  functions.graphs = true;
#define QCC_LOOK_UP(name, parameters)                                          \
  functions.graphs &= lookUp(handle, #name, functions.name);
  QCC_DRIVER_GRAPH_FUNCTIONS(QCC_LOOK_UP)
#undef QCC_LOOK_UP
#define QCC_LOOK_UP(name, parameters) lookUp(handle, #name, functions.name);
  QCC_DRIVER_PARAMETER_FUNCTIONS(QCC_LOOK_UP)
  QCC_DRIVER_LAUNCH_FUNCTIONS(QCC_LOOK_UP)
#undef QCC_LOOK_UP
  return QCC_OK;
}

qcc_status Driver::open(const DriverOptions &options, ErrorText &error) {
  close();
  // The driver starts threads and registers what runs at exit: its code must
  // stay when our handle is closed.
  handle = dlopen(options.library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) {
    const char *why = dlerror();
    why = why ? why : "unknown reason";
    // The loader's text starts with the name, which is said already.
    size_t name = strlen(options.library);
    if (strncmp(why, options.library, name) == 0 &&
        strncmp(why + name, ": ", 2) == 0)
      why += name + 2;
    return error.set(QCC_E_DEVICE,
                     "no NVIDIA driver: %.80s cannot be opened (%.120s)",
                     options.library, why);
  }
  auto failed = [this](qcc_status status) {
    close();
    return status;
  };
  // Asked first, so that an old driver is called old and not incomplete.
  Result asked = resultSuccess;
  if (lookUp(handle, "cuDriverGetVersion", functions.cuDriverGetVersion))
    asked = functions.cuDriverGetVersion(&version);
  if (asked == resultStub)
    return failed(error.set(QCC_E_DEVICE,
                            "no NVIDIA driver: %.120s is the stub of a CUDA "
                            "toolkit (is its folder in LD_LIBRARY_PATH?)",
                            options.library));
  if (functions.cuDriverGetVersion && asked == resultSuccess &&
      version < options.oldestCuda)
    return failed(error.set(
        QCC_E_DEVICE,
        "the NVIDIA driver is too old: it supports CUDA %d.%d, expected %d.%d "
        "or newer",
        version / 1000, version % 1000 / 10, options.oldestCuda / 1000,
        options.oldestCuda % 1000 / 10));
  if (qcc_status status = resolve(options.library, error))
    return failed(status);
  if (qcc_status status =
          check(asked, "ask the NVIDIA driver for its version", nullptr, error))
    return failed(status);
  Result result = functions.cuInit(0);
  if (result == resultSuccess)
    result = functions.cuDeviceGetCount(&devices);
  if (result == resultNoDevice || (result == resultSuccess && devices < 1))
    return failed(error.set(QCC_E_DEVICE,
                            "the NVIDIA driver finds no GPU that this process "
                            "may use (CUDA_VISIBLE_DEVICES can hide them)"));
  if (qcc_status status =
          check(result, "start the NVIDIA driver", nullptr, error))
    return failed(status);
  return QCC_OK;
}

qcc_status Driver::check(Result result, const char *action, const char *object,
                         ErrorText &error) const {
  if (result == resultSuccess)
    return QCC_OK;
  // Both set the pointer to null for a number that they do not know.
  const char *text = nullptr, *name = nullptr;
  functions.cuGetErrorString(result, &text);
  functions.cuGetErrorName(result, &name);
  char number[32];
  snprintf(number, sizeof number, "error %d", result);
  bool named = object && *object;
  return error.set(result == resultOutOfMemory ? QCC_E_NO_MEMORY : QCC_E_DEVICE,
                   "cannot %.80s%s%.48s%s: %.64s (%.48s)", action,
                   named ? " (" : "", named ? object : "", named ? ")" : "",
                   text ? text : "the driver does not say why",
                   name ? name : number);
}

} // namespace qcc::rt::device
