//===- QZAttrs.cpp - Attributes and types of qz ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/QZ/QZDialect.h"

#include "mlir/IR/DialectImplementation.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::qz;

#include "dialects/QZ/QZEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/QZ/QZAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/QZ/QZTypes.cpp.inc"

void QZDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/QZ/QZAttrs.cpp.inc"
      >();
}

void QZDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/QZ/QZTypes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// EncodingAttr
//===----------------------------------------------------------------------===//

/// The attribute holds bits, so that equal attributes mean the same.
static std::vector<float> valuesOf(ArrayRef<uint32_t> bits) {
  std::vector<float> values;
  for (uint32_t value : bits)
    values.push_back(llvm::bit_cast<float>(value));
  return values;
}

static SmallVector<uint32_t> bitsOf(ArrayRef<float> values) {
  SmallVector<uint32_t> bits;
  for (float value : values)
    bits.push_back(llvm::bit_cast<uint32_t>(value));
  return bits;
}

/// Four numbers for each span.
static SmallVector<unsigned> numbersOf(ArrayRef<Encoding::Span> spans) {
  SmallVector<unsigned> numbers;
  for (const Encoding::Span &span : spans)
    numbers.append({span.columns, span.bits, unsigned(span.zero), span.group});
  return numbers;
}

static std::vector<Encoding::Span> spansOf(ArrayRef<unsigned> numbers) {
  std::vector<Encoding::Span> spans;
  for (; numbers.size() >= 4; numbers = numbers.drop_front(4))
    spans.push_back({numbers[0], numbers[1], int(numbers[2]), numbers[3]});
  return spans;
}

Encoding EncodingAttr::toEncoding() const {
  Encoding e;
  e.element = ScalarType(getElement());
  e.bits = getBits();
  e.zero = getZero();
  e.zeroBits = getZeroBits();
  e.table.assign(getTable().begin(), getTable().end());
  e.values = valuesOf(getValues());
  e.minifloat = Minifloat(getMinifloat());
  e.group = getGroup();
  e.scale = ScalarType(getScale());
  e.scaleExponent = getScaleExponent();
  e.min = ScalarType(getMin());
  e.scaledMin = getScaledMin();
  e.commonScale = getCommonScale();
  e.splitScale = getSplitScale();
  e.superBlock = getSuperBlock();
  e.subBits = getSubBits();
  e.subZero = getSubZero();
  e.subSigned = getSubSigned();
  e.subSquared = getSubSquared();
  e.subValues = valuesOf(getSubValues());
  e.subMinifloat = Minifloat(getSubMinifloat());
  e.offset = ScalarType(getOffset());
  e.subMinBits = getSubMinBits();
  e.spans = spansOf(getSpans());
  return e;
}

EncodingAttr EncodingAttr::fromEncoding(MLIRContext *context,
                                        const Encoding &e) {
  return EncodingAttr::get(
      context, unsigned(e.element), e.bits, e.zero, e.zeroBits,
      ArrayRef<int8_t>(e.table), bitsOf(e.values), unsigned(e.minifloat),
      e.group, unsigned(e.scale), e.scaleExponent, unsigned(e.min), e.scaledMin,
      e.commonScale, e.splitScale, e.superBlock, e.subBits, e.subZero,
      e.subSigned, e.subSquared, bitsOf(e.subValues), unsigned(e.subMinifloat),
      unsigned(e.offset), e.subMinBits, numbersOf(e.spans));
}

LogicalResult EncodingAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, unsigned element,
    unsigned bits, int zero, unsigned zeroBits, ArrayRef<int8_t> table,
    ArrayRef<uint32_t> values, unsigned minifloat, unsigned group,
    unsigned scale, int scaleExponent, unsigned min, bool scaledMin,
    bool commonScale, bool splitScale, unsigned superBlock, unsigned subBits,
    int subZero, bool subSigned, bool subSquared, ArrayRef<uint32_t> subValues,
    unsigned subMinifloat, unsigned offset, unsigned subMinBits,
    ArrayRef<unsigned> spans) {
  Encoding e{ScalarType(element),
             bits,
             zero,
             zeroBits,
             {table.begin(), table.end()},
             valuesOf(values),
             Minifloat(minifloat),
             group,
             ScalarType(scale),
             scaleExponent,
             ScalarType(min),
             scaledMin,
             commonScale,
             splitScale,
             superBlock,
             subBits,
             subZero,
             subSigned,
             subSquared,
             valuesOf(subValues),
             Minifloat(subMinifloat),
             ScalarType(offset),
             subMinBits,
             spansOf(spans)};
  std::string problem = e.check();
  if (!problem.empty())
    return emitError() << "inconsistent encoding: " << problem;
  return success();
}

static ParseResult parseScalar(AsmParser &parser, ScalarType &type) {
  StringRef name;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return failure();
  if (!parseScalarType(name.str(), type))
    return parser.emitError(loc) << "unknown scalar type '" << name << "'";
  return success();
}

static ParseResult parseSpan(AsmParser &parser,
                             std::vector<Encoding::Span> &spans) {
  Encoding::Span &span = spans.emplace_back();
  if (parser.parseLSquare() || parser.parseInteger(span.columns) ||
      parser.parseComma() || parser.parseInteger(span.bits) ||
      parser.parseComma() || parser.parseInteger(span.zero) ||
      parser.parseComma() || parser.parseInteger(span.group) ||
      parser.parseRSquare())
    return failure();
  return success();
}

Attribute EncodingAttr::parse(AsmParser &parser, Type) {
  Encoding e;
  if (parser.parseLess())
    return {};
  auto parseEntry = [&]() -> ParseResult {
    StringRef key;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&key))
      return failure();
    // A lone scalar type is a float weight.
    if (key != "scale" && key != "min" && parseScalarType(key.str(), e.element))
      return success();
    if (parser.parseEqual())
      return failure();
    if (key == "scale")
      return parseScalar(parser, e.scale);
    if (key == "min")
      return parseScalar(parser, e.min);
    if (key == "offset")
      return parseScalar(parser, e.offset);
    if (key == "table")
      return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                            [&]() -> ParseResult {
                                              int8_t value;
                                              if (parser.parseInteger(value))
                                                return failure();
                                              e.table.push_back(value);
                                              return success();
                                            });
    if (key == "values" || key == "sub_values") {
      std::vector<float> &values = key == "values" ? e.values : e.subValues;
      return parser.parseCommaSeparatedList(
          AsmParser::Delimiter::Square, [&]() -> ParseResult {
            APFloat value(APFloat::IEEEsingle());
            if (parser.parseFloat(value.getSemantics(), value))
              return failure();
            values.push_back(value.convertToFloat());
            return success();
          });
    }
    if (key == "float" || key == "sub_float") {
      StringRef name;
      SMLoc nameLoc = parser.getCurrentLocation();
      if (parser.parseKeyword(&name))
        return failure();
      if (!parseMinifloat(name.str(),
                          key == "float" ? e.minifloat : e.subMinifloat))
        return parser.emitError(nameLoc)
               << "unknown minifloat '" << name << "'";
      return success();
    }
    bool *flag = llvm::StringSwitch<bool *>(key)
                     .Case("scaled_min", &e.scaledMin)
                     .Case("common_scale", &e.commonScale)
                     .Case("split_scale", &e.splitScale)
                     .Case("sub_signed", &e.subSigned)
                     .Case("sub_squared", &e.subSquared)
                     .Default(nullptr);
    if (flag) {
      unsigned value;
      if (parser.parseInteger(value))
        return failure();
      *flag = value != 0;
      return success();
    }
    if (key == "spans")
      return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parseSpan(parser, e.spans);
      });
    if (key == "zero")
      return parser.parseInteger(e.zero);
    if (key == "scale_exponent")
      return parser.parseInteger(e.scaleExponent);
    if (key == "sub_zero")
      return parser.parseInteger(e.subZero);
    unsigned *field = llvm::StringSwitch<unsigned *>(key)
                          .Case("bits", &e.bits)
                          .Case("zero_bits", &e.zeroBits)
                          .Case("group", &e.group)
                          .Case("super_block", &e.superBlock)
                          .Case("sub_bits", &e.subBits)
                          .Case("sub_min_bits", &e.subMinBits)
                          .Default(nullptr);
    if (!field)
      return parser.emitError(loc) << "unknown encoding key '" << key << "'";
    return parser.parseInteger(*field);
  };
  if (parser.parseCommaSeparatedList(parseEntry) || parser.parseGreater())
    return {};
  return parser.getChecked<EncodingAttr>(
      parser.getContext(), unsigned(e.element), e.bits, e.zero, e.zeroBits,
      ArrayRef<int8_t>(e.table), bitsOf(e.values), unsigned(e.minifloat),
      e.group, unsigned(e.scale), e.scaleExponent, unsigned(e.min), e.scaledMin,
      e.commonScale, e.splitScale, e.superBlock, e.subBits, e.subZero,
      e.subSigned, e.subSquared, bitsOf(e.subValues), unsigned(e.subMinifloat),
      unsigned(e.offset), e.subMinBits, numbersOf(e.spans));
}

void EncodingAttr::print(AsmPrinter &printer) const {
  Encoding e = toEncoding();
  if (e.isFloat()) {
    printer << "<" << scalarName(e.element) << ">";
    return;
  }
  printer << "<";
  if (e.spans.empty()) {
    printer << "bits = " << e.bits;
  } else {
    printer << "spans = [";
    llvm::interleaveComma(e.spans, printer, [&](const Encoding::Span &span) {
      printer << "[" << span.columns << ", " << span.bits << ", " << span.zero
              << ", " << span.group << "]";
    });
    printer << "]";
  }
  auto number = [&](StringRef key, int64_t value) {
    if (value)
      printer << ", " << key << " = " << value;
  };
  number("zero", e.zero);
  number("zero_bits", e.zeroBits);
  if (!e.table.empty()) {
    printer << ", table = [";
    llvm::interleaveComma(e.table, printer,
                          [&](int8_t v) { printer << int(v); });
    printer << "]";
  }
  auto values = [&](StringRef key, ArrayRef<float> list) {
    if (list.empty())
      return;
    printer << ", " << key << " = [";
    llvm::interleaveComma(list, printer,
                          [&](float v) { printer.printFloat(APFloat(v)); });
    printer << "]";
  };
  values("values", e.values);
  if (e.minifloat != Minifloat::None)
    printer << ", float = " << minifloatName(e.minifloat);
  number("group", e.group);
  printer << ", scale = " << scalarName(e.scale);
  number("scale_exponent", e.scaleExponent);
  if (e.hasMin())
    printer << ", min = " << scalarName(e.min);
  number("scaled_min", e.scaledMin);
  number("common_scale", e.commonScale);
  number("split_scale", e.splitScale);
  number("super_block", e.superBlock);
  number("sub_bits", e.subBits);
  number("sub_zero", e.subZero);
  number("sub_signed", e.subSigned);
  number("sub_squared", e.subSquared);
  values("sub_values", e.subValues);
  if (e.subMinifloat != Minifloat::None)
    printer << ", sub_float = " << minifloatName(e.subMinifloat);
  if (e.hasOffset())
    printer << ", offset = " << scalarName(e.offset);
  number("sub_min_bits", e.subMinBits);
  printer << ">";
}

//===----------------------------------------------------------------------===//
// RowsAttr
//===----------------------------------------------------------------------===//

LogicalResult RowsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               StringRef tensor, int64_t first, int64_t run,
                               int64_t stride, bool turned) {
  constexpr int64_t kMax = int64_t(1) << 31;
  if (first < 0 || first > kMax || run < 1 || run > stride || stride > kMax)
    return emitError() << "expected runs of at least one row, no further apart "
                          "than 2^31 and not overlapping, got "
                       << run << " rows each " << stride << " from " << first;
  return success();
}

//===----------------------------------------------------------------------===//
// QTensorType
//===----------------------------------------------------------------------===//

LogicalResult QTensorType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  ArrayRef<int64_t> shape,
                                  EncodingAttr encoding) {
  if (shape.empty() || shape.size() > 3)
    return emitError() << "expected 1 to 3 dimensions, got " << shape.size();
  constexpr int64_t kMax = int64_t(1) << 31;
  for (int64_t size : shape)
    if (size <= 0 || size > kMax)
      return emitError() << "expected dimensions of 1 to 2^31, got " << size;
  if (shape.size() == 3 && shape[0] * shape[1] > kMax)
    return emitError() << "expected at most 2^31 rows of all experts, got "
                       << shape[0] * shape[1];
  Encoding e = encoding.toEncoding();
  if (e.takesColumns(uint64_t(shape.back())))
    return success();
  InFlightDiagnostic error = emitError();
  error << "expected the last dimension to be ";
  if (e.spans.empty())
    error << "a multiple of the group size " << e.group;
  else
    error << "the sum of the spans' columns";
  return error << ", got " << shape.back();
}

LogicalResult
QActivationType::verify(function_ref<InFlightDiagnostic()> emitError,
                        int64_t columns, int64_t slots) {
  constexpr int64_t kMax = int64_t(1) << 31;
  if (columns < 1 || columns > kMax || slots < 1 || slots > kMax)
    return emitError() << "expected 1 to 2^31 columns and slots, got "
                       << columns << " and " << slots;
  return success();
}

Type QTensorType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  EncodingAttr encoding;
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/false,
                                /*withTrailingX=*/false) ||
      parser.parseComma() || parser.parseAttribute(encoding) ||
      parser.parseGreater())
    return {};
  return parser.getChecked<QTensorType>(parser.getContext(), shape, encoding);
}

void QTensorType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  printer << ", ";
  printer.printAttribute(getEncoding());
  printer << ">";
}
