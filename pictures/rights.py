"""Whether a picture's plus:DataMining lets captioners be trained on it."""

VOCABULARY = "http://ns.useplus.org/ldf/vocab/"

# IPTC Photo Metadata Standard 2023.1, property "Data Mining", whose values the PLUS Coalition keeps. To train
# a captioner is machine learning and, as it generates text, generative machine learning too. So of all
# values only these two leave it open.
MAY_TRAIN = {"DMI-UNSPECIFIED", "DMI-ALLOWED"}


def prohibits_training(data_mining: str) -> bool:
    """Whether this value of plus:DataMining forbids it; one that nobody knows does, to be on the safe side.

    The value is the term's address in VOCABULARY, as the standard asks, or the term alone.
    """
    term = data_mining.strip().rpartition("/")[2]
    return term.upper() not in MAY_TRAIN
