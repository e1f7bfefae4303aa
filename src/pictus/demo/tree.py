"""The concepts of the demo world: 28 ILSVRC classes and the WordNet 3.0 nodes above them.

Ids, names, glosses and "is a kind of" are facts of WordNet 3.0; some levels between are left out.
"""

from __future__ import annotations

from pictus.records import Concept

_INNER = (
    ("n00001740", "entity", "", "that which is perceived or known or inferred to have its own distinct existence"),
    ("n07555863", "food, solid food", "n00001740", "any solid substance that is used as a source of nourishment"),
    ("n07705711", "produce", "n07555863", "fresh fruits and vegetable grown for the market"),
    ("n07705931", "edible fruit", "n07705711", "edible reproductive body of a seed plant"),
    ("n07747055", "citrus, citrus fruit", "n07705931", "any of numerous fruits of the genus Citrus"),
    ("n07707451", "vegetable, veggie", "n07705711", "edible seeds or roots or stems or leaves or bulbs or tubers"),
    ("n00004475", "organism, being", "n00001740", "a living thing that can act or function independently"),
    ("n00017222", "plant, flora", "n00004475", "a living organism lacking the power of locomotion"),
    ("n00015388", "animal, beast, fauna", "n00004475", "a living organism characterized by voluntary movement"),
    ("n02512053", "fish", "n00015388", "any of various mostly cold-blooded aquatic vertebrates"),
    ("n01905661", "invertebrate", "n00015388", "any animal lacking a backbone or notochord"),
    ("n02159955", "insect", "n01905661", "small air-breathing arthropod"),
    ("n00021939", "artifact", "n00001740", "a man-made object taken as a whole"),
    ("n04341686", "structure, construction", "n00021939", "a thing constructed"),
    ("n03122748", "covering", "n00021939", "an artifact that covers something else"),
    ("n03575240", "instrumentality", "n00021939", "an artifact that is instrumental in accomplishing some end"),
    ("n03563967", "implement", "n03575240", "instrumentation used to effect an end"),
    ("n03183080", "device", "n03575240", "an instrumentality invented for a particular purpose"),
    ("n03294048", "equipment", "n03575240", "an instrumentality needed for an undertaking"),
    ("n03094503", "container", "n03575240", "any object that can be used to hold things"),
    ("n04531098", "vessel", "n03094503", "an object used as a container (especially for liquids)"),
    ("n03100490", "conveyance, transport", "n03575240", "something that serves as a means of transportation"),
    ("n04524313", "vehicle", "n03100490", "a conveyance that transports people or objects"),
    ("n04576211", "wheeled vehicle", "n04524313", "a vehicle that moves on wheels"),
    (
        "n03125870",
        "craft",
        "n04524313",
        "a vehicle designed for navigation in or on water or air or through outer space",
    ),
)

_CLASSES = (
    ("n07753592", "banana", "n07705931", "elongated crescent-shaped yellow fruit with soft sweet flesh"),
    ("n07747607", "orange", "n07747055", "round yellow to orange fruit of any of several citrus trees"),
    ("n07749582", "lemon", "n07747055", "yellow oval fruit with juicy acidic flesh"),
    ("n07745940", "strawberry", "n07705931", "sweet fleshy red fruit"),
    ("n07753275", "pineapple, ananas", "n07705931",
     "large sweet fleshy tropical fruit with a terminal tuft of stiff leaves"),
    ("n07742313", "Granny Smith", "n07705931", "apple with a green skin and hard tart flesh"),
    ("n07734744", "mushroom", "n07707451", "fleshy body of any of numerous edible fungi"),
    ("n11939491", "daisy", "n00017222",
     "any of numerous composite plants having flower heads with well-developed ray flowers"),
    ("n01443537", "goldfish, Carassius auratus", "n02512053",
     "small golden or orange-red freshwater fishes of Eurasia"),
    ("n02165456", "ladybug, ladybird", "n02159955", "small round bright-colored and spotted beetle"),
    ("n02279972", "monarch, monarch butterfly", "n02159955",
     "large migratory American butterfly having deep orange wings"),
    ("n01944390", "snail", "n01905661", "gastropod mollusk usually having an external enclosing spiral shell"),
    ("n02317335", "starfish, sea star", "n01905661",
     "echinoderms characterized by five arms extending from a central disk"),
    ("n04398044", "teapot", "n03563967", "pot for brewing tea; usually has a spout and handle"),
    ("n03063599", "coffee mug", "n04531098", "a mug intended for serving coffee"),
    ("n04591713", "wine bottle", "n04531098", "a bottle for holding wine"),
    ("n04522168", "vase", "n04531098", "an open jar of glass or porcelain used as an ornament or to hold flowers"),
    ("n04146614", "school bus", "n03100490", "a bus used to transport children to or from school"),
    ("n04285008", "sports car, sport car", "n04576211",
     "a small low car with a high-powered engine; usually seats two persons"),
    ("n03792782", "mountain bike, all-terrain bike", "n04576211", "a bicycle with a sturdy frame and fat tires"),
    ("n02782093", "balloon", "n03125870", "large tough nonrigid bag filled with gas or heated air"),
    ("n04147183", "schooner", "n03125870", "sailing vessel used in former times"),
    ("n03481172", "hammer", "n03563967", "a hand tool with a heavy rigid head and a handle"),
    ("n04507155", "umbrella", "n03122748", "a lightweight handheld collapsible canopy"),
    ("n02676566", "acoustic guitar", "n03183080", "sound is not amplified by electrical means"),
    ("n02708093", "analog clock", "n03183080",
     "a clock that displays the time of day by the position of hands on a dial"),
    ("n04254680", "soccer ball", "n03294048", "an inflated ball used in playing soccer"),
    ("n02814860", "beacon, lighthouse", "n04341686",
     "a tower with a light that gives warning of shoals to passing ships"),
)  # fmt: skip


def _concept(row: tuple[str, str, str, str], *, is_class: bool) -> Concept:
    concept_id, names, parent, gloss = row
    return Concept(concept_id, tuple(names.split(", ")), gloss, (parent,) if parent else (), is_class, "WordNet 3.0")


CONCEPTS: tuple[Concept, ...] = (
    *(_concept(row, is_class=False) for row in _INNER),
    *(_concept(row, is_class=True) for row in _CLASSES),
)
"""The whole tree, parents before children."""

CLASSES: tuple[str, ...] = tuple(row[0] for row in _CLASSES)
"""The ids that pictures are labelled with, in the order of the sheets."""

NAMES: dict[str, str] = {concept.concept_id: concept.names[0] for concept in CONCEPTS}
