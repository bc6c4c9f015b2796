//===- Api.h - The table that applications call through ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_API_H
#define QCC_RUNTIME_CORE_API_H

#include "qcc-rt/qcc.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The one symbol that a shared library exports: for another prefix the
/// packager makes `<prefix>_query` an alias of it.
__attribute__((visibility("default"))) const qcc_api_v1 *
qcc_model_query(uint32_t max_version);

#ifdef __cplusplus
}
#endif

#endif // QCC_RUNTIME_CORE_API_H
