//===- Payload.cpp - Adds a weights segment to a linked ELF file ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Payload.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cstring>
#include <vector>

using namespace qcc;

static llvm::Error malformed(const llvm::Twine &what) {
  return llvm::createStringError("cannot add the weights: " + what);
}

namespace {

/// The tables of a linked image, copied out of it.
struct ElfTables {
  Elf64_Ehdr header;
  std::vector<Elf64_Phdr> segments;
  std::vector<Elf64_Shdr> sections;
  llvm::StringRef names;
};

} // namespace

/// Copies `count` structs at `offset`; false when they leave the image.
template <typename T>
static bool readTable(llvm::StringRef image, uint64_t offset, uint64_t count,
                      std::vector<T> &table) {
  if (offset > image.size() || (image.size() - offset) / sizeof(T) < count)
    return false;
  table.resize(count);
  std::memcpy(table.data(), image.data() + offset, count * sizeof(T));
  return true;
}

static llvm::Expected<ElfTables> readTables(llvm::StringRef image) {
  ElfTables tables;
  std::vector<Elf64_Ehdr> header;
  if (!readTable(image, 0, 1, header) ||
      std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0 ||
      header[0].e_ident[EI_CLASS] != ELFCLASS64 ||
      header[0].e_ident[EI_DATA] != ELFDATA2LSB)
    return malformed("expected a 64-bit little-endian ELF file");
  tables.header = header[0];
  if (!readTable(image, tables.header.e_phoff, tables.header.e_phnum,
                 tables.segments) ||
      !readTable(image, tables.header.e_shoff, tables.header.e_shnum,
                 tables.sections) ||
      tables.header.e_shstrndx >= tables.sections.size())
    return malformed("a header table lies outside of the file");
  const Elf64_Shdr &names = tables.sections[tables.header.e_shstrndx];
  if (names.sh_offset > image.size() ||
      image.size() - names.sh_offset < names.sh_size || names.sh_size == 0 ||
      image[names.sh_offset + names.sh_size - 1] != '\0')
    return malformed("the section names lie outside of the file");
  tables.names = image.substr(names.sh_offset, names.sh_size);
  return tables;
}

/// The header of the one section `wanted`, which holds a payload note.
static llvm::Expected<Elf64_Shdr> findNote(const ElfTables &tables,
                                           llvm::StringRef image,
                                           llvm::StringRef wanted) {
  const Elf64_Shdr *note = nullptr;
  for (const Elf64_Shdr &section : tables.sections) {
    if (section.sh_name >= tables.names.size() ||
        llvm::StringRef(tables.names.data() + section.sh_name) != wanted)
      continue;
    if (note)
      return malformed("expected one section '" + wanted + "', got several");
    note = &section;
  }
  if (!note)
    return malformed("expected a section '" + wanted + "', got none");
  // A second one, from an object that brought its own, would make it longer.
  if (note->sh_size != sizeof(qcc_payload_note_t))
    return malformed("expected " + llvm::Twine(sizeof(qcc_payload_note_t)) +
                     " bytes in section '" + wanted + "', got " +
                     llvm::Twine(note->sh_size));
  if (note->sh_offset > image.size() ||
      image.size() - note->sh_offset < sizeof(qcc_payload_note_t))
    return malformed("section '" + wanted + "' lies outside of the file");
  return *note;
}

/// Replaces the program header of the note at `noteAddress` by one that maps
/// `bytes` bytes at file offset `offset`; the address they get.
static llvm::Expected<uint64_t> addSegment(std::vector<Elf64_Phdr> &segments,
                                           uint64_t noteAddress,
                                           uint64_t offset, uint64_t bytes) {
  uint64_t end = 0;
  for (const Elf64_Phdr &segment : segments)
    if (segment.p_type == PT_LOAD)
      end = std::max<uint64_t>(end, segment.p_vaddr + segment.p_memsz);
  auto note = llvm::find_if(segments, [&](const Elf64_Phdr &segment) {
    return segment.p_type == PT_NOTE && noteAddress >= segment.p_vaddr &&
           noteAddress - segment.p_vaddr < segment.p_memsz;
  });
  if (note == segments.end())
    return malformed("expected a program header for the note, got none");
  segments.erase(note);

  Elf64_Phdr weights = {};
  weights.p_type = PT_LOAD;
  weights.p_flags = PF_R;
  weights.p_offset = offset;
  weights.p_vaddr = weights.p_paddr = llvm::alignTo(
      end, QCC_PAYLOAD_CONGRUENCE, offset % QCC_PAYLOAD_CONGRUENCE);
  weights.p_filesz = weights.p_memsz = bytes;
  weights.p_align = QCC_PAYLOAD_CONGRUENCE;
  // Loaders want ascending addresses among PT_LOAD.
  auto last = std::find_if(
      segments.rbegin(), segments.rend(),
      [](const Elf64_Phdr &segment) { return segment.p_type == PT_LOAD; });
  segments.insert(last.base(), weights);
  return weights.p_vaddr;
}

llvm::Expected<PayloadImage> PayloadImage::create(llvm::StringRef image,
                                                  uint64_t weightBytes) {
  llvm::Expected<ElfTables> tables = readTables(image);
  if (!tables)
    return tables.takeError();
  auto record = findNote(*tables, image, QCC_PAYLOAD_SECTION);
  if (!record)
    return record.takeError();
  auto note = findNote(*tables, image, QCC_NOTE_SECTION);
  if (!note)
    return note.takeError();

  PayloadImage result;
  result.recordOffset = record->sh_offset;
  result.noteOffset = note->sh_offset;
  result.headBytes = image.str();
  result.payload = image.size();
  if (weightBytes == 0)
    return result;

  // LLD ends the file with the section headers, which the new ones replace.
  Elf64_Ehdr header = tables->header;
  std::vector<Elf64_Shdr> &sections = tables->sections;
  if (header.e_shoff + sections.size() * sizeof(Elf64_Shdr) == image.size())
    result.headBytes.resize(header.e_shoff);
  for (uint64_t end :
       {header.e_phoff + tables->segments.size() * sizeof(Elf64_Phdr),
        record->sh_offset + sizeof(qcc_payload_note_t),
        note->sh_offset + sizeof(qcc_payload_note_t)})
    if (end > result.headBytes.size())
      return malformed("the section headers overlap what is before them");
  result.embedded = qcc_payload_external_size(weightBytes);
  result.payload =
      llvm::alignTo(result.headBytes.size(), QCC_PAYLOAD_ALIGNMENT);

  std::vector<Elf64_Phdr> &segments = tables->segments;
  llvm::Expected<uint64_t> address =
      addSegment(segments, note->sh_addr, result.payload, result.embedded);
  if (!address)
    return address.takeError();
  result.delta = static_cast<int64_t>(*address - record->sh_addr);

  // The tail: section names, then section headers, each 8-aligned.
  auto alignTail = [&] {
    uint64_t end = result.fileSize();
    result.tailBytes.append(llvm::alignTo(end, 8) - end, '\0');
  };
  Elf64_Shdr weights = {};
  weights.sh_name = static_cast<uint32_t>(tables->names.size());
  weights.sh_type = SHT_PROGBITS;
  weights.sh_flags = SHF_ALLOC;
  weights.sh_addr = *address;
  weights.sh_offset = result.payload;
  weights.sh_size = result.embedded;
  weights.sh_addralign = QCC_PAYLOAD_ALIGNMENT;

  alignTail();
  Elf64_Shdr &names = sections[header.e_shstrndx];
  names.sh_offset = result.fileSize();
  names.sh_size = tables->names.size() + sizeof(QCC_WEIGHTS_SECTION);
  result.tailBytes += tables->names;
  result.tailBytes.append(QCC_WEIGHTS_SECTION, sizeof(QCC_WEIGHTS_SECTION));

  alignTail();
  sections.push_back(weights);
  if (sections.size() >= SHN_LORESERVE)
    return malformed("expected fewer than " + llvm::Twine(SHN_LORESERVE) +
                     " sections, got " + llvm::Twine(sections.size()));
  header.e_shoff = result.fileSize();
  header.e_shnum = static_cast<Elf64_Half>(sections.size());
  result.tailBytes.append(reinterpret_cast<const char *>(sections.data()),
                          sections.size() * sizeof(Elf64_Shdr));

  char *head = result.headBytes.data();
  std::memcpy(head, &header, sizeof header);
  std::memcpy(head + header.e_phoff, segments.data(),
              segments.size() * sizeof(Elf64_Phdr));
  return result;
}

void PayloadImage::describe(uint64_t bytes, const WeightHash &hash,
                            llvm::StringRef fileName) {
  qcc_payload_note_t note;
  std::memcpy(&note, headBytes.data() + recordOffset, sizeof note);
  note.bytes = bytes;
  note.delta = delta;
  note.flags = fileName.empty() ? 0 : QCC_PAYLOAD_EXTERNAL;
  std::memcpy(note.hash, hash.data(), sizeof note.hash);
  std::memset(note.file_name, 0, sizeof note.file_name);
  std::memcpy(note.file_name, fileName.data(),
              std::min(fileName.size(), sizeof note.file_name - 1));
  std::memcpy(headBytes.data() + recordOffset, &note, sizeof note);
  // The copy's delta is from the payload note too: readers of files use the
  // section of the weights.
  std::memcpy(headBytes.data() + noteOffset, &note, sizeof note);
}
