# difficult_text.py - Text that tokenizers get wrong, made from a seed.
# SPDX-License-Identifier: Apache-2.0
import random
import unicodedata

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "äöüßéèêñçøåÄÖÜÉÑÇØÅſıİ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖ",
    "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΩάέ",
    "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويًٌٍَُِّْ",
    "अआइईउऊकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौं्",
    "กขคงจฉชซญดตถทธนบปผพภมยรลวศสหอฮะาิีึืุู่้๊๋",
    "一二三四五六七八九十東京北京大学日本語中文漢字",
    "ひらがなカタカナー々〆ヶ",
    "한국어조선말가나다라마바사",
    "ẠạẢảấầẩẫậắằẳẵặ",
]
DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "Ⅷ½²³①⑳㊿𝟘𝟙𞥐"]
SPACES = [" ", "  ", "   ", "       ", "\t", "\t\t", "\n", "\n\n", "\n\n\n",
          "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b",
          " \n", "\n ", " \r\n  ", "\x00", "\x1c", "\ufeff"]
WORDS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Re", "'ſ",
         "’s", "don't", "I'M", "it's", "e.g.", "http://a.b/c?d=e&f#g", "3.14159",
         "1,000,000", "0x1F", "foo_bar", "CamelCaseWord", "HTMLParser2",
         "/*", "*/", "//", "->", "::", "!=", "===", "...", "…", "“”", "«»", "—",
         "{}", "[]", "()", "<div>", "</div>", "<b>", "\\n", "\"", "`", "~", "$",
         "№42", "🙂", "👨‍👩‍👧‍👦", "🇩🇪", "👍🏽", "é", "e\u0301", "\u0301", "ﬁ", "ǅ",
         "\u200d", "\ufe0f", "▁", "▁▁", "Ġ", "Ċ", "<0x0A>", "<s>", "</s>", "<unk>"]
FAMILIAR = set("".join(ALPHABETS + DIGITS + SPACES + WORDS))


def random_code_point(rng):
    """Any scalar value, assigned or not; sometimes from a small block."""
    limit = rng.choice([0x80, 0x800, 0x3000, 0x10000, 0x1F000, 0x32400, 0x110000])
    while True:
        c = rng.randrange(limit)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def piece(rng, names=()):
    kind = rng.randrange(16)
    if kind < 5:
        letters = rng.choice(ALPHABETS)
        return "".join(rng.choice(letters) for _ in range(rng.randrange(1, 12)))
    if kind == 5:
        digits = rng.choice(DIGITS)
        return "".join(rng.choice(digits) for _ in range(rng.randrange(1, 9)))
    if kind < 9:
        return rng.choice(SPACES)
    if kind < 12:
        return rng.choice(WORDS)
    if kind == 12:
        return "".join(random_code_point(rng) for _ in range(rng.randrange(1, 5)))
    if kind == 13:
        return rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") * rng.randrange(1, 5)
    if kind == 14 and names:
        return rng.choice(names)
    return random_code_point(rng) * rng.randrange(1, 40)


def text(rng, pieces, names=()):
    glue = rng.choice(["", "", " "])
    out = glue.join(piece(rng, names) for _ in range(pieces))
    if rng.randrange(8) == 0:
        out = unicodedata.normalize("NFD", out)
    return out


def is_known(c):
    """Whether the character is in Unicode 3.2, which every Python knows, or above."""
    return c in FAMILIAR or unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Co")


def corpus(seed, size, names=(), pieces=40):
    """Texts of together at least `size` bytes."""
    rng = random.Random(seed)
    texts, total = [], 0
    while total < size:
        t = text(rng, rng.randrange(1, pieces), names)
        total += len(t.encode())
        texts.append(t)
    return texts
