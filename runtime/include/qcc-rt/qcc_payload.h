/*===- qcc_payload.h - Where a compiled model keeps its weights --*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * Contract between the packager and the runtime; standalone C.
 *
 * The packager links code and runtime into a small ELF file and then appends
 * the weights as one read-only PT_LOAD segment (page-aligned), so that the
 * loader maps them without relocating or reading them.
 * Code finds them through a record, the payload note, in a read-only section
 * of its own (`.qcc.payload`) under the hidden symbol `qcc_payload_note`. A
 * copy of it is a real ELF note (`.note.qcc`), for tools that look at files:
 * those are free to move notes about. Every linked artefact has one of each.
 *
 * All integers are little-endian. Nothing here allocates, blocks or keeps
 * state: every function may be called from any thread at any time.
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RT_QCC_PAYLOAD_H
#define QCC_RT_QCC_PAYLOAD_H

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define QCC_PAYLOAD_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
extern "C" {
#else
#define QCC_PAYLOAD_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

#define QCC_PAYLOAD_SECTION ".qcc.payload"
#define QCC_NOTE_SECTION ".note.qcc"
#define QCC_PAYLOAD_SYMBOL "qcc_payload_note"
#define QCC_WEIGHTS_SECTION ".qcc.weights"

#define QCC_PAYLOAD_NOTE_NAME "QCC" /* with its NUL: four bytes */
#define QCC_PAYLOAD_NOTE_TYPE 1u
#define QCC_PAYLOAD_MAGIC "QCCPAYLD" /* eight bytes, no NUL */
#define QCC_PAYLOAD_VERSION 1u

/* Alignment of embedded weights, in the file and in memory. */
#define QCC_PAYLOAD_ALIGNMENT (UINT64_C(1) << 12)
/* Their address and their file offset are congruent modulo this, so that all
 * huge pages but the first and the last can be mapped from the file; aligning
 * both to it would put up to 2 MiB of zeros into each file. */
#define QCC_PAYLOAD_CONGRUENCE (UINT64_C(1) << 21)

/* flags: the weights are in `file_name`, in the artefact's own folder. */
#define QCC_PAYLOAD_EXTERNAL 1u

typedef struct qcc_payload_note_t {
  /* ELF note header. */
  uint32_t name_size; /* 4 */
  uint32_t desc_size; /* bytes from `magic` to the end of the struct */
  uint32_t type;      /* QCC_PAYLOAD_NOTE_TYPE */
  char name[4];       /* QCC_PAYLOAD_NOTE_NAME */
  /* Descriptor. */
  char magic[8];    /* QCC_PAYLOAD_MAGIC */
  uint32_t version; /* QCC_PAYLOAD_VERSION */
  uint32_t flags;
  int64_t delta;       /* embedded: address of the first weight byte minus the
                          address of this struct; 0: none embedded */
  uint64_t bytes;      /* size of the weights; 0: the model has none */
  uint8_t hash[32];    /* BLAKE3 of those bytes */
  char file_name[256]; /* external: base name, NUL-terminated; else zeros */
} qcc_payload_note_t;

QCC_PAYLOAD_STATIC_ASSERT(sizeof(qcc_payload_note_t) == 336, "layout is ABI");
QCC_PAYLOAD_STATIC_ASSERT(offsetof(qcc_payload_note_t, magic) == 16,
                          "the descriptor follows an aligned name");
QCC_PAYLOAD_STATIC_ASSERT(offsetof(qcc_payload_note_t, delta) == 32,
                          "layout is ABI");
QCC_PAYLOAD_STATIC_ASSERT(offsetof(qcc_payload_note_t, hash) == 48,
                          "layout is ABI");

/* What follows the weights, in the artefact's segment as well as in an external
   file (where the weights start at offset 0 and this ends the file): zero bytes
   up to a multiple of 64, then this. Comparing it with the note tells erased,
   stale, cut and foreign weights from the right ones by reading one page. */
typedef struct qcc_payload_footer_t {
  char magic[8]; /* QCC_PAYLOAD_MAGIC */
  uint32_t version;
  uint32_t reserved; /* 0 */
  uint64_t bytes;    /* as in the note */
  uint8_t hash[32];  /* as in the note */
  uint8_t zeros[8];
} qcc_payload_footer_t;

QCC_PAYLOAD_STATIC_ASSERT(sizeof(qcc_payload_footer_t) == 64, "layout is ABI");

/* The artefact's own note. */
extern const qcc_payload_note_t qcc_payload_note
    __attribute__((visibility("hidden")));

/* Nonzero when `note` is one that this header describes. */
static inline int qcc_payload_valid(const qcc_payload_note_t *note) {
  return memcmp(note->magic, QCC_PAYLOAD_MAGIC, sizeof note->magic) == 0 &&
         note->version == QCC_PAYLOAD_VERSION;
}

/* Bytes that `bytes` bytes of weights take with their footer: the size of the
   segment, or of an external file. */
static inline uint64_t qcc_payload_external_size(uint64_t bytes) {
  return ((bytes + 63) & ~UINT64_C(63)) + sizeof(qcc_payload_footer_t);
}

/* The footer of `bytes` bytes of weights mapped at `weights`. */
static inline const qcc_payload_footer_t *
qcc_payload_footer(const void *weights, uint64_t bytes) {
  return (const qcc_payload_footer_t *)((const char *)weights +
                                        ((bytes + 63) & ~UINT64_C(63)));
}

/* Nonzero when `footer` closes the weights that `note` asks for. */
static inline int qcc_payload_footer_matches(const qcc_payload_footer_t *footer,
                                             const qcc_payload_note_t *note) {
  return memcmp(footer->magic, QCC_PAYLOAD_MAGIC, sizeof footer->magic) == 0 &&
         footer->version == QCC_PAYLOAD_VERSION &&
         footer->bytes == note->bytes &&
         memcmp(footer->hash, note->hash, sizeof footer->hash) == 0;
}

#ifdef _GNU_SOURCE /* for dl_iterate_phdr; C++ compilers define it */

typedef struct qcc_payload_search_t {
  const qcc_payload_note_t *note;
  uint64_t file_offset;
  int found;
} qcc_payload_search_t;

/* Looks into one loaded file: nonzero when it is the one that holds the note.
 */
static inline int qcc_payload_search(struct dl_phdr_info *file, size_t size,
                                     void *opaque) {
  qcc_payload_search_t *search = (qcc_payload_search_t *)opaque;
  const qcc_payload_note_t *note = search->note;
  uint64_t at = (uint64_t)(uintptr_t)note - file->dlpi_addr;
  uint64_t first = at + (uint64_t)note->delta;
  int own = 0, i;
  (void)size;
  for (i = 0; i < file->dlpi_phnum; ++i) {
    const Elf64_Phdr *p = &file->dlpi_phdr[i];
    uint64_t skip = first - p->p_vaddr;
    if (p->p_type != PT_LOAD)
      continue;
    if (at >= p->p_vaddr && at - p->p_vaddr < p->p_memsz)
      own = 1;
    if (!(p->p_flags & PF_R) || first < p->p_vaddr || skip > p->p_filesz ||
        p->p_filesz - skip < note->bytes)
      continue;
    search->file_offset = p->p_offset + skip;
    search->found = 1;
  }
  search->found = search->found && own;
  return own;
}

/* First byte of the embedded weights, or NULL when the artefact maps none: a
   tool that drops the segment leaves the note behind, so the program headers as
   loaded are what counts. When `file_offset` is not NULL it receives the place
   in the file. A caller goes on to check, in this order,
     1. that the file has *file_offset + qcc_payload_external_size(bytes) bytes:
        it may have been cut, and touching what is not there raises SIGBUS;
     2. qcc_payload_footer_matches(): a tool that was told to remove the section
        may keep the segment and fill it with zeros. */
static inline const void *qcc_payload_embedded(const qcc_payload_note_t *note,
                                               uint64_t *file_offset) {
  qcc_payload_search_t search = {note, 0, 0};
  if (!qcc_payload_valid(note) || (note->flags & QCC_PAYLOAD_EXTERNAL) ||
      note->delta == 0 || note->bytes == 0)
    return 0;
  dl_iterate_phdr(qcc_payload_search, &search);
  if (!search.found)
    return 0;
  if (file_offset)
    *file_offset = search.file_offset;
  return (const char *)note + note->delta;
}

#endif /* _GNU_SOURCE */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QCC_RT_QCC_PAYLOAD_H */
