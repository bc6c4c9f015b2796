/*===- c_compliance.c - The public headers are C -----------------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "qcc-rt/qcc.h"

int use_header(void);
int use_header(void) {
  qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  return options.struct_size == sizeof options && sampling.top_k == 40;
}
