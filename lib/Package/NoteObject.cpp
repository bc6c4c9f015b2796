//===- NoteObject.cpp - The object file that holds the payload note -------===//
// SPDX-License-Identifier: Apache-2.0
//
// Written by hand rather than compiled, so that sections have exactly these
// types and alignments whatever compiler built qcc: they decide that the linker
// gives the ELF note a program header of its own.
//===----------------------------------------------------------------------===//

#include "NoteObject.h"

#include "qcc-rt/qcc_payload.h"

#include <cstring>
#include <vector>

using namespace qcc;

namespace {

/// A section header and its bytes.
struct Section {
  Elf64_Shdr header = {};
  std::string content;
};

} // namespace

/// Appends `name` to a string table; its offset.
static uint32_t addName(std::string &table, const char *name) {
  uint32_t offset = static_cast<uint32_t>(table.size());
  table.append(name);
  table.push_back('\0');
  return offset;
}

template <typename T>
static void appendStruct(std::string &bytes, const T &value) {
  bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
}

static qcc_payload_note_t emptyNote() {
  qcc_payload_note_t note = {};
  note.name_size = sizeof note.name;
  note.desc_size = sizeof note - offsetof(qcc_payload_note_t, magic);
  note.type = QCC_PAYLOAD_NOTE_TYPE;
  std::memcpy(note.name, QCC_PAYLOAD_NOTE_NAME, sizeof note.name);
  std::memcpy(note.magic, QCC_PAYLOAD_MAGIC, sizeof note.magic);
  note.version = QCC_PAYLOAD_VERSION;
  return note;
}

std::string qcc::makeNoteObject() {
  enum { Null, Payload, Note, Stack, Symbols, Strings, Names, Count };
  std::vector<Section> sections(Count);
  std::string names(1, '\0'), strings(1, '\0');

  auto describe = [&](int index, const char *name, uint32_t type,
                      uint64_t align) -> Section & {
    Section &section = sections[index];
    section.header.sh_name = addName(names, name);
    section.header.sh_type = type;
    section.header.sh_addralign = align;
    return section;
  };

  // 8 as the record's 64-bit fields need, and unlike the 4-aligned notes of the
  // C library's start files.
  Section &payload = describe(Payload, QCC_PAYLOAD_SECTION, SHT_PROGBITS, 8);
  payload.header.sh_flags = SHF_ALLOC | SHF_GNU_RETAIN;
  appendStruct(payload.content, emptyNote());
  Section &note = describe(Note, QCC_NOTE_SECTION, SHT_NOTE, 8);
  note.header.sh_flags = SHF_ALLOC;
  note.content = payload.content;

  describe(Stack, ".note.GNU-stack", SHT_PROGBITS, 1);

  Section &symbols = describe(Symbols, ".symtab", SHT_SYMTAB, 8);
  symbols.header.sh_entsize = sizeof(Elf64_Sym);
  symbols.header.sh_link = Strings;
  symbols.header.sh_info = 1; // first global symbol
  appendStruct(symbols.content, Elf64_Sym{});
  Elf64_Sym symbol = {};
  symbol.st_name = addName(strings, QCC_PAYLOAD_SYMBOL);
  symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
  symbol.st_other = STV_HIDDEN;
  symbol.st_shndx = Payload;
  symbol.st_size = sizeof(qcc_payload_note_t);
  appendStruct(symbols.content, symbol);

  describe(Strings, ".strtab", SHT_STRTAB, 1).content = strings;
  Section &nameTable = describe(Names, ".shstrtab", SHT_STRTAB, 1);
  nameTable.content = names;

  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = Count;
  header.e_shstrndx = Names;

  std::string file(sizeof header, '\0');
  for (Section &section : sections) {
    file.resize((file.size() + 7) & ~size_t(7), '\0');
    section.header.sh_offset = section.header.sh_type ? file.size() : 0;
    section.header.sh_size = section.content.size();
    file += section.content;
  }
  file.resize((file.size() + 7) & ~size_t(7), '\0');
  header.e_shoff = file.size();
  for (const Section &section : sections)
    appendStruct(file, section.header);
  std::memcpy(file.data(), &header, sizeof header);
  return file;
}
