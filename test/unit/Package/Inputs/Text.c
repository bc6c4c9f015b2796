/*===- Text.c - Stands in for the text archive -----------------------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

__attribute__((visibility("hidden"))) int fixture_text(void) { return 0; }
