"""Three ways to cut captions into words: two to learn from, one to score with."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from model.errors import RecipeError

Tokenize = Callable[[str], list[str]]


def spacy_words(caption: str) -> list[str]:
    """Lowercased words of a caption to train on: no punctuation, hyphenated words kept whole.

    spaCy splits "t-shirt" in three and the scorer does not, so what a hyphen joins is joined again.
    """
    words: list[str] = []
    join = False
    for token in _blank_english()(caption.lower()):
        text = token.text.strip()
        hyphen = text == "-" and bool(words) and not token.whitespace_
        if (join and text) or (hyphen and not token.nbor(-1).whitespace_):
            words[-1] += text
        elif any(character.isalnum() for character in text):
            words.append(text)
        join = bool(words) and words[-1].endswith("-") and not token.whitespace_
    return [word.strip("-") for word in words]


def nltk_words(caption: str) -> list[str]:
    """Lowercased words of a caption to train on, by NLTK's Treebank rules; no punctuation, no corpus needed.

    These rules take a caption for one sentence and leave stops inside it on their words: they come off here,
    but for those of "u.s.".
    """
    tokens = _treebank_tokenizer().tokenize(caption.lower().replace("\u2019", "'"))
    words = (token.removesuffix(".") if token.count(".") == 1 else token for token in tokens)
    return [word.strip("-") for word in words if any(character.isalnum() for character in word)]


TOKENIZERS: dict[str, Tokenize] = {"spacy": spacy_words, "nltk": nltk_words}


@cache
def _blank_english() -> Any:
    # Imported here: captioning needs no spaCy, and loading it takes a second.
    try:
        import spacy
    except ImportError as error:
        raise _missing("spacy", error) from error
    return spacy.blank("en")


@cache
def _treebank_tokenizer() -> Any:
    # Imported here for the same reason.
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError as error:
        raise _missing("nltk", error) from error
    return NLTKWordTokenizer()


def _missing(name: str, error: ImportError) -> RecipeError:
    others = " or ".join(f"data.tokenizer={other}" for other in TOKENIZERS if other != name)
    return RecipeError(
        f"data.tokenizer={name} needs the package {name} ({error}); install it, or set {others}"
    )


# Abbreviations that keep their stop, whatever follows.
_ABBREVIATIONS = r"""
    mr mrs ms drs? profs? sen rep ste? ave blvd rd ct sq mt ft lt col gen maj sgt cpl pvt capt adm cmdr
    rev hon pres govs? atty messrs mme mlle asst assoc insp supt det pfc jr sr esq inc cos? corp ltd plc
    bros assn dept univ natl intl etc vs cf al est ext tel bldg mfg mtg elec wm jos pty cie ph\.d jan feb
    mar apr jun jul aug sept? oct nov dec mon tues? wed thu(?:rs)? fri ala ariz calif colo conn fla ga ind
    kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? wyo
"""
# These are words as well, and abbreviations only with a capital, or only before a number.
_CAPITAL_ABBREVIATIONS = "Ark Del Ill La Mass Miss Ore Pa Tex Wash"
_NUMBER_ABBREVIATIONS = "nos? figs? pp art ca op"
# After "B." one of these begins a sentence: the stop is then no part of the letter.
_SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More
    Now Once One Other Our She Since So Some Such That The Their Then There These They This We What When
    While Yet You
"""


def _any_of(words: str) -> str:
    return "|".join(words.split())


_MARK = "\u0300-\u036f"
_NUMERAL = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209c\u2150-\u218b\u2460-\u24ff"
_LETTER = rf"[^\W\d_{_NUMERAL}]"
_ALNUM = rf"(?:[^\W_{_NUMERAL}]|[{_MARK}])"
_WORD = rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*"
_APOSTROPHE = "['\u2019]"
# A curly one cuts whatever follows.
_CLITIC = rf"(?:'(?:[msd]|re|ve|ll)(?!{_LETTER})|\u2019(?:[msd]|re|ve|ll))"
_SLASHED = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"

# In this order: the first that fits is also the longest that does. What fits none is dropped, as the scorer
# drops it: quotes, commas, colons, single stops and marks, and what its tokeniser does not know.
_PTB_RULES = (
    r"[a-z]+(?=\s|$)",
    rf"(?P<straight>(?i:{_CLITIC}|n{_APOSTROPHE}t(?!{_LETTER})))",
    r"(?P<dropped>--+|\.\.+)",
    # Addresses, names and tags of the net.
    r"""https?://[^\s<>|`"()\[\]{}]*[^\s<>|`"()\[\]{}.!?,;:&'*-]""",
    rf"""(?:www\.(?:[^\s`<>|.!?,()'"]+\.)+[a-zA-Z]{{2,4}}|(?:[^\s`<>|.!?,:/$()'"]+\.)+(?:com|net|org|edu))"""
    rf"(?!{_LETTER})(?:/[^\s`<>|()]+[^\s`<>|().!?,;:&-])?",
    r"""[a-zA-Z0-9][^\s"<>|(){}]{0,63}@(?:[^\s"<>|(){}.]+\.)*[^\s"<>|(){}\[\].,;:]+""",
    rf"@[A-Za-z_]\w*|\#{_LETTER}(?:{_ALNUM}|_)*",
    r"</?[A-Za-z!?][^<>]*>",
    r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]](?![A-Za-z0-9])",
    # What an apostrophe cuts, and what it does not: did|n't, 'em, '90s, o'clock, T'ai, ma'am.
    rf"(?i:[a-z]*[a-mo-z](?=n{_APOSTROPHE}t))",
    rf"(?i:'tis|'twas|{_APOSTROPHE}(?:em|till?|cause|[1-9]0s|\d\d(?=\s|$)|n(?:{_APOSTROPHE}|(?!{_LETTER})))|\u2019n)",
    rf"(?i:ol{_APOSTROPHE}|c{_APOSTROPHE}mon|li{_APOSTROPHE}l|nor{_APOSTROPHE}easter|s{_APOSTROPHE}mores)",
    rf"(?!.(?i:{_CLITIC}))(?:(?i:[dol]){_APOSTROPHE}{_ALNUM}{{2,}}|[A-HJ-XZn]{_APOSTROPHE}{_LETTER}{{2,}})",
    rf"{_LETTER}+[aeiouyAEIOUY](?!(?i:{_CLITIC})){_APOSTROPHE}[aeiouA-Z]{_LETTER}*",
    rf"(?!.(?i:{_CLITIC}))(?i:[yldj]){_APOSTROPHE}",
    # and/or and 1/2; U.S.-based and 1,000-foot; well-known; AT&T; C++.
    rf"\d+-\d+/\d+|{_SLASHED}(?:/{_SLASHED}){{1,2}}",
    rf"[A-Za-z0-9][A-Za-z0-9.,]{{0,63}}(?:[-_](?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9]+))+(?!-?{_ALNUM})",
    rf"{_ALNUM}+(?:-{_ALNUM}+)+",
    r"[A-Z]+(?:[+&][A-Z]+)+|(?i:c\+\+|[cf]\#)|[A-Z]*\$",
    # Stops that belong to their word.
    rf"(?:[A-Za-z](?:\.[A-Za-z])+|(?i:{_any_of(_ABBREVIATIONS)})|{_any_of(_CAPITAL_ABBREVIATIONS)})\.(?!{_LETTER})",
    rf"(?i:{_any_of(_NUMBER_ABBREVIATIONS)})\.(?=\s?\d)",
    rf"[A-Za-z]\.(?!{_LETTER}|\s(?:{_any_of(_SENTENCE_STARTS)})\b)",
    # Words, also those that a missing space has glued; 3rd and 2x4; 5:30 and -1,000.5.
    _WORD,
    rf"\d+{_LETTER}{_ALNUM}*",
    r"[-+]?(?:\d+(?:[.,:]\d+)*|(?:[.,]\d+)+)",
    r"[?!]{2,}|\*+|\#+|@+|_+|<<|>>",
    r"[%&()+/<=>\[\\\]^{|}~\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bf\u00d7\u00f7]",
    r"[\u2016\u201a\u201e\u2020-\u2023\u2030-\u2038\u203b\u203e-\u2044\u2070-\u208e\u20ac\u2100-\u2bff]",
    r"[\u3001\u3002\uff01-\uff65]",
)
_PTB_TOKEN = re.compile("|".join(_PTB_RULES))

# The scorer drops "-LRB-" in capitals only, after its tokeniser has put all in small letters: brackets count.
_BRACKETS = str.maketrans(
    {"(": "-lrb-", ")": "-rrb-", "{": "-lcb-", "}": "-rcb-", "[": "-lsb-", "]": "-rsb-"}
)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " "}
_REWRITTEN = {
    "\u00a3": "#",
    "\u20ac": "$",
    "\u00a4": "$",
    "\u00a2": "cents",
    "\u00bd": "1/2",
    "\u00bc": "1/4",
    "\u00be": "3/4",
    "\u2153": "1/3",
    "\u2154": "2/3",
    "cannot": "can not",
    "gonna": "gon na",
    "wanna": "wan na",
    "gotta": "got ta",
    "gimme": "gim me",
    "lemme": "lem me",
    "'tis": "'t is",
    "'twas": "'t was",
}


def ptb_words(caption: str) -> list[str]:
    """Lowercased Penn Treebank words without punctuation, as the COCO caption scorer compares them.

    They are those of the Stanford tokeniser, release 3.4.1, with the scorer's options: clitics are cut off
    ("dog's" -> "dog 's", "don't" -> "do n't"), hyphenated words stay whole, "(" is the word "-lrb-". Known
    differences: that one keeps "3 1/2" and a telephone number with brackets in one piece.
    """
    for entity, character in _ENTITIES.items():
        caption = caption.replace(entity, character)
    words: list[str] = []
    for match in _PTB_TOKEN.finditer(caption):
        word = match.group().lower()
        if match["straight"]:
            word = word.replace("\u2019", "'")
        if not match["dropped"]:
            words += _REWRITTEN.get(word, word.translate(_BRACKETS)).split()
    return words
