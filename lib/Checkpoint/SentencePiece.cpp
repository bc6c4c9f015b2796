//===- SentencePiece.cpp - tokenizer.model --------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SentencePiece.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string>

using namespace qcc;

namespace {

/// One field of a message: its number and what it holds.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;    ///< of a varint or a fixed number
  std::string_view text; ///< of a text, bytes or message
  enum class Kind { Varint, Fixed64, Text, Fixed32 } kind = Kind::Varint;

  bool isText() const { return kind == Kind::Text; }
  bool isTrue() const { return kind == Kind::Varint && value != 0; }
};

/// Goes through the fields of a message.
class Message {
public:
  explicit Message(std::string_view bytes) : bytes(bytes) {}

  /// False at the end, or when the rest is none (`isBroken`).
  bool next(Field &field) {
    if (at == bytes.size())
      return false;
    uint64_t tag = 0, size = 0;
    field = Field();
    isBroken = true;
    if (!varint(tag))
      return false;
    field.number = tag >> 3;
    switch (tag & 7) {
    case 0:
      field.kind = Field::Kind::Varint;
      isBroken = !varint(field.value);
      break;
    case 1:
      field.kind = Field::Kind::Fixed64;
      isBroken = !fixed(8, field.value);
      break;
    case 2:
      field.kind = Field::Kind::Text;
      isBroken = !varint(size) || size > bytes.size() - at;
      if (!isBroken)
        field.text = bytes.substr(at, size_t(size));
      if (!isBroken)
        at += size_t(size);
      break;
    case 5:
      field.kind = Field::Kind::Fixed32;
      isBroken = !fixed(4, field.value);
      break;
    default:
      break;
    }
    return !isBroken;
  }

  bool isBroken = false;
  size_t at = 0;

private:
  bool varint(uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
      auto byte = uint8_t(bytes[at++]);
      value |= uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80)
        return true;
    }
    return false;
  }

  bool fixed(size_t size, uint64_t &value) {
    if (bytes.size() - at < size)
      return false;
    std::memcpy(&value, bytes.data() + at, size);
    at += size;
    return true;
  }

  std::string_view bytes;
};

class ModelReader {
public:
  explicit ModelReader(size_t maxPieces) : maxPieces(maxPieces) {}

  Result<SentencePieceModel> read(std::string_view bytes) {
    bool isRead = each(bytes, "the model", [&](const Field &field) {
      if (!field.isText())
        return true;
      if (field.number == 1)
        return readPiece(field.text);
      if (field.number == 2)
        return readTrainer(field.text);
      return field.number != 3 || readNormalizer(field.text);
    });
    if (isRead && model.pieces.empty())
      isRead = fail("expected pieces, got none");
    if (!isRead)
      return std::move(error);
    return std::move(model);
  }

private:
  bool fail(const std::string &message) {
    error = Error(message);
    return false;
  }

  template <typename Function>
  bool each(std::string_view bytes, const char *what, Function function) {
    Message message(bytes);
    Field field;
    while (message.next(field))
      if (!function(field))
        return false;
    if (message.isBroken)
      return fail("expected a protobuf field at byte " +
                  std::to_string(message.at) + " of " + what);
    return true;
  }

  bool readPiece(std::string_view bytes) {
    if (model.pieces.size() == maxPieces)
      return fail("expected at most " + std::to_string(maxPieces) + " pieces");
    SentencePieceModel::Piece piece;
    std::string what = "piece " + std::to_string(model.pieces.size());
    bool isRead = each(bytes, what.c_str(), [&](const Field &field) {
      if (field.number == 1 && field.isText())
        piece.text = field.text;
      else if (field.number == 2 && field.kind == Field::Kind::Fixed32)
        piece.score = std::bit_cast<float>(uint32_t(field.value));
      else if (field.number == 3 && field.kind == Field::Kind::Varint)
        piece.type = int32_t(std::min<uint64_t>(field.value, 99));
      return true;
    });
    if (!isRead)
      return false;
    if (std::isnan(piece.score) || piece.type < 1 || piece.type > 6)
      return fail(what + ": expected a score and a type of 1 to 6, got type " +
                  std::to_string(piece.type));
    model.pieces.push_back(piece);
    return true;
  }

  bool readTrainer(std::string_view bytes) {
    auto id = [](const Field &field) { return int64_t(int32_t(field.value)); };
    return each(bytes, "trainer_spec", [&](const Field &field) {
      if (field.kind != Field::Kind::Varint)
        return true;
      if (field.number == 3 && field.value != 1 && field.value != 2)
        return fail("a model of type " + std::to_string(field.value) +
                    " is not supported (supported: 1, Unigram, and 2, BPE)");
      if (field.number == 3)
        model.isUnigram = field.value == 1;
      if (field.number == 24 && field.isTrue())
        return fail("treat_whitespace_as_suffix is not supported");
      if (field.number == 40)
        model.unknown = id(field);
      if (field.number == 41)
        model.bos = id(field);
      if (field.number == 42)
        model.eos = id(field);
      if (field.number == 43)
        model.pad = id(field);
      return true;
    });
  }

  bool readNormalizer(std::string_view bytes) {
    return each(bytes, "normalizer_spec", [&](const Field &field) {
      if (field.number == 2 && field.isText())
        model.charsmap = field.text;
      if (field.kind != Field::Kind::Varint)
        return true;
      if (field.number == 3)
        model.addsSpacePrefix = field.isTrue();
      if (field.number == 4)
        model.removesExtraSpaces = field.isTrue();
      if (field.number == 5 && !field.isTrue())
        return fail("a model without escape_whitespaces is not supported");
      return true;
    });
  }

  size_t maxPieces;
  SentencePieceModel model;
  Error error;
};

} // namespace

Result<SentencePieceModel>
qcc::readSentencePiece(std::span<const uint8_t> bytes, size_t maxPieces) {
  return ModelReader(maxPieces).read(
      {reinterpret_cast<const char *>(bytes.data()), bytes.size()});
}
