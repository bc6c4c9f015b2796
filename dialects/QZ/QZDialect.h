//===- QZDialect.h - The quantization dialect -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef DIALECTS_QZ_QZDIALECT_H
#define DIALECTS_QZ_QZDIALECT_H

#include "qcc/Formats/Encoding.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/QZ/QZDialect.h.inc"
#include "dialects/QZ/QZEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/QZ/QZAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/QZ/QZTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/QZ/QZOps.h.inc"

#endif // DIALECTS_QZ_QZDIALECT_H
