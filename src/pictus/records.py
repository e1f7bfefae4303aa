"""What crosses a file: frozen records without behaviour. Field names equal the table columns.

`image_id` is always the sha256 of the bytes (64 hex digits); `concept_id` a wnid ("n02099601")
or a custom id; times are UTC, ISO 8601.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Concept:
    """One node of the taxonomy, a DAG. `is_class`: pictures are labelled with it."""

    concept_id: str
    names: tuple[str, ...]
    gloss: str = ""
    parents: tuple[str, ...] = ()
    is_class: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class ConceptUrl:
    """Where people read on about a concept: http or https. A table of its own: that of concepts keeps its columns."""

    concept_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Query:
    """One query for one concept. `because`: "" for a synonym, else the ancestor whose word is appended."""

    concept_id: str
    query: str
    because: str
    language: str = ""  # ISO 639 code of a word that a file of other languages gave; "" for the taxonomy's own names


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why nothing is searched for a concept, or (source `included`) that a person wants it searched all the same."""

    concept_id: str
    reason: str
    source: str  # person | wordnet (calls it a person) | individual | list | above | included


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address that may be a picture of one concept ("" for none claimed), and who said so."""

    address: str
    concept_id: str
    source: str  # a search engine's name, or the address of the web page or sitemap
    query: str
    language: str
    licence: str  # as licences.py writes it: CC-BY-4.0, CC0-1.0, PDM; else in the source's own words
    author: str
    title: str
    page: str  # where people see the picture with its licence
    found_at: str


@dataclass(frozen=True, slots=True)
class Searched:
    """One finished (source, query). `found`: candidates that were new. `cause`: searches.py says which there are."""

    source: str
    query: str  # the words; for web pages the page's address
    concept_id: str
    found: int
    cause: str
    detail: str
    searched_at: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far one class is on the way from queries to labels; all but `queries` and `failed` count pictures."""

    concept_id: str
    name: str
    queries: int
    candidates: int
    fetched: int
    failed: int  # addresses whose latest attempt failed
    kept: int
    dropped: int
    labelled: int
    is_starving: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Where one picture's bytes lie and what its header says. width, height as stored, in px."""

    image_id: str
    shard: str
    offset: int
    size: int
    width: int
    height: int
    format: str
    mode: str
    added_at: str


@dataclass(frozen=True, slots=True)
class Source:
    """One provenance of a picture: the same bytes from two addresses have two of these."""

    image_id: str
    address: str
    kind: str  # folder | archive | url | parquet | video | bucket, or a plugin's word
    concept_id: str  # "" when nothing was claimed
    query: str
    licence: str
    author: str
    found_at: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to take in one address. `cause` is "ok" or why it failed (dns, robots, 404 …)."""

    address: str
    kind: str
    cause: str
    detail: str
    image_id: str  # "" when it failed
    concept_id: str
    status: int  # HTTP status, 0 where there is none
    tries: int
    size: int  # bytes read
    elapsed_s: float
    etag: str
    last_modified: str
    attempted_at: str


@dataclass(frozen=True, slots=True)
class Check:
    """One picture measured in one decode pass. `cause` is "" or why it cannot be decoded."""

    image_id: str
    cause: str
    width: int  # px, upright (EXIF orientation applied)
    height: int
    entropy: float  # bits per grey level, 0..8
    sharpness: float  # variance of the Laplacian at a fixed scale
    brightness: float  # mean luma, 0..255
    contrast: float  # standard deviation of luma
    grey_frac: float  # share of pixels without colour, 0..1
    aspect: float  # long side / short side, >= 1
    is_animated: bool
    pixel_sha256: str  # equal only for pictures with equal pixels (pixels.same_pixels_sha256)
    phash: int  # 64-bit DCT hash, unsigned
    dhash: int  # 64-bit gradient hash, unsigned
    pdq: bytes  # 256-bit PDQ hash, 32 bytes
    pdq_quality: int  # 0..100
    border_frac: float = 0.0  # share of the picture in plain bars at its edges, 0..1
    text_frac: float = 0.0  # share of its lines of pixels that look like lines of text or a user interface, 0..1
    overlay: float = 0.0  # how much speaks for writing laid over the photograph, 0..1
    jpeg_quality: int = 0  # 1..100 from the quantisation table, 0 for no JPEG
    metadata: tuple[str, ...] = ()  # of exif, gps, iptc, xmp, c2pa, icc
    creator: str = ""  # as the file's metadata names it
    rights: str = ""
    data_mining: str = ""  # "" or what the file's metadata says: "prohibited-aimltraining"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One member of a duplicate group and why it is in it."""

    image_id: str
    group_id: str  # = image_id of the keeper
    is_keeper: bool
    relation: str  # to evidence_id: pixels | near | turned | edit | crop | collage; of the keeper, its group's loosest
    distance: int  # Hamming distance to evidence_id, bits; 0 for equal pixels and where hashes are not the evidence
    evidence_id: str  # the member it was matched with; "" for the keeper
    reason: str  # why the keeper is kept, why this one is not
    similarity: float = 1.0  # to evidence_id, 0..1
    detail: str = ""  # JSON: how the two lie in each other


@dataclass(frozen=True, slots=True)
class Leak:
    """A picture that is, or is near, one of an evaluation set."""

    image_id: str
    set: str
    item: str  # what the set calls it: an id, a file, a line
    relation: str  # bytes | pixels | near
    distance: int  # bits
    reason: str


@dataclass(frozen=True, slots=True)
class Features:
    """What of one picture can be found again in a part or a turned copy of it. `cause`: why it cannot be decoded."""

    image_id: str
    cause: str
    width: int  # of the view that points lie in, px
    height: int
    points: bytes  # u16[n, 2]: x, y in 64ths of a px, the strongest first
    codes: bytes  # u8[n, 32]
    mirrored_points: bytes  # of the view's mirror image
    mirrored_codes: bytes
    turns: bytes  # u8[8, 32]: the PDQ hashes of its eight positions (hashes.TURNS); b"" without a decode
    quality: int  # PDQ's, 0..100


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two pictures of which one was made from the other, proved on their pixels. `other_id` was added before."""

    image_id: str
    other_id: str
    relation: str  # turned | crop | edit
    similarity: float  # 0..1, mean correlation of what both show
    detail: str  # JSON: how the one lies in the other, and the same in words


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep or drop, by which rule, from which value against which threshold."""

    image_id: str
    verdict: str  # keep | drop
    rule: str  # "" | broken | tiny | blank | blurred | dark | bright | … | duplicate | restored
    reason: str
    value: float
    threshold: float
    decided_at: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """How well one picture fits one concept, and what says so. Scores only: nothing is dropped by them."""

    image_id: str
    concept_id: str  # the settled label, else a claim
    outlier: float  # 0..1, 1 = least typical of its concept
    suspect_id: str  # another concept its neighbours speak for; "" when they speak for its own
    margin: float  # (other - own) / (other + own) of the shares that speak for each, -1..1
    twin_id: str  # the picture that stays if one of two alike goes; "" when this one has no such twin
    similarity: float  # cosine to the twin, 0 without one
    model: str  # what made the vectors


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces found in one picture. `cause`: "" or why it could not be looked at."""

    image_id: str
    cause: str
    n_faces: int
    boxes: str  # JSON: [[x, y, width, height, score], …] in px of the upright picture
    detector: str


@dataclass(frozen=True, slots=True)
class Safety:
    """What a classifier that you plugged in said of one picture. `cause`: "" or why it could not be asked."""

    image_id: str
    cause: str
    label: str
    score: float
    classifier: str


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer of one annotator. `question` = concept asked with yes/no/unsure, or "" for "which?"."""

    image_id: str
    annotator: str
    question: str
    answer: str  # a concept_id when question is "", else yes | no | unsure
    source: str  # where it was read from, for "why"
    voted_at: str


@dataclass(frozen=True, slots=True)
class Label:
    """What the votes settle on. `status`: accepted | rejected | unsettled."""

    image_id: str
    concept_id: str
    posterior: float
    n_votes: int
    status: str
    method: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a picture shows a concept that was asked about it. `status`: accepted | rejected | unsettled."""

    image_id: str
    concept_id: str
    posterior: float  # P(it shows it)
    n_votes: int  # persons who answered, unsure ones included; folders and lists of labels are no persons
    n_yes: int
    selection: float  # n_yes / n_votes, 0 where nobody answered
    status: str
    method: str  # "ruling" where a reviewer decided
    settled_at: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that a model doubts."""

    image_id: str
    given_id: str
    suggested_id: str
    quality: float  # of the given label, 0..1, 0 the worst
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Box:
    """One box that somebody drew, or that several people's were merged into. Sides in px of the upright picture."""

    image_id: str
    concept_id: str
    mark_id: int  # the mark it is; of a merged one the first
    x1: float
    y1: float
    x2: float
    y2: float
    spread: float  # standard deviation of a side, px; 0 where only one person drew it
    posterior: float  # P(it is good), or that there is such a thing
    n_good: int  # what verifiers said
    n_bad: int
    n_drew: int
    n_looked: int
    drawn_by: tuple[str, ...]
    verified_by: tuple[str, ...]
    status: str  # accepted | rejected | unsettled
    method: str  # loop | consensus | ruling
    reason: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class BoxCoverage:
    """Whether all instances of a concept on a picture have their boxes."""

    image_id: str
    concept_id: str
    coverage: str  # covered | missing | undecided | open
    n_boxes: int  # accepted
    n_covered: int  # people who found no further one after the last box
    n_missing: int
    reason: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask, of one person or merged. `counts`: COCO's compressed run lengths."""

    image_id: str
    concept_id: str
    mark_id: int
    height: int
    width: int
    counts: str
    area: int  # px
    x1: float  # the box around it
    y1: float
    x2: float
    y2: float
    agreement: float  # mean IoU of what was drawn with the mask, 1 for one person's
    n_drew: int
    drawn_by: tuple[str, ...]
    status: str  # accepted | unsettled | rejected
    method: str  # drawn | staple | ruling
    reason: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The points of one thing, of one person or merged."""

    image_id: str
    concept_id: str
    mark_id: int
    skeleton: str
    points: tuple[float, ...]  # x1, y1, v1, x2, …; v 0 not there, 1 hidden, 2 seen
    spreads: tuple[float, ...]  # standard deviation of each point, px; 0 for one person's
    agreement: float  # mean likeness of what was drawn with the points, 1 for one person's
    n_drew: int
    drawn_by: tuple[str, ...]
    status: str  # accepted | unsettled | rejected
    method: str  # drawn | mean | ruling
    reason: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class Split:
    """Which part of the next release a picture belongs to. `group_id` is never cut in two."""

    image_id: str
    split: str  # train | val | test
    concept_id: str
    group_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the project's history: who did what, when, to what."""

    event_id: int
    at: str
    stage: str
    event: str  # past tense: labels_settled
    subject: str
    data: dict[str, Any]
