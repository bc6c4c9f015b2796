//===- NoteObject.h - The object file that holds the payload note -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_PACKAGE_NOTEOBJECT_H
#define QCC_LIB_PACKAGE_NOTEOBJECT_H

#include <string>

namespace qcc {

/// A relocatable x86-64 ELF file with a payload note that names no weights yet:
/// in the section QCC_PAYLOAD_SECTION, under the hidden global symbol
/// QCC_PAYLOAD_SYMBOL, and again as an ELF note in QCC_NOTE_SECTION.
std::string makeNoteObject();

} // namespace qcc

#endif // QCC_LIB_PACKAGE_NOTEOBJECT_H
