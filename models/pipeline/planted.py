"""Demo data with planted interests: every user's true topics and every noise click are known.

Each user likes 2 to 4 of 24 topics and now and then clicks something else. The same generator is the demo's data and
the tests' oracle: a good model's interests point at the user's topics and its pruning drops the noise clicks.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

TOPICS: dict[str, tuple[str, ...]] = {
    "Trail running": ("Shoes", "Vest", "Poles", "Gaiters", "Headlamp", "Flask"),
    "Espresso": ("Grinder", "Tamper", "Portafilter", "Beans", "Scale", "Milk Jug"),
    "Home office": ("Desk", "Chair", "Monitor Arm", "Keyboard", "Desk Lamp", "Webcam"),
    "Indoor plants": ("Monstera", "Planter", "Grow Light", "Mister", "Potting Mix", "Plant Stand"),
    "Board games": ("Strategy Game", "Card Game", "Dice Set", "Puzzle", "Party Game", "Game Mat"),
    "Film photography": ("35 mm Film", "Light Meter", "Lens", "Camera Strap", "Tripod", "Darkroom Kit"),
    "Road cycling": ("Helmet", "Bib Shorts", "Pedals", "Bike Computer", "Tyres", "Saddle"),
    "Baking": ("Stand Mixer", "Banneton", "Loaf Tin", "Rolling Pin", "Flour", "Whisk"),
    "Camping": ("Tent", "Sleeping Bag", "Camp Stove", "Hammock", "Cool Box", "Lantern"),
    "Jazz records": ("Quartet LP", "Big Band LP", "Piano Trio LP", "Live LP", "Vocal LP", "Record Sleeve"),
    "Yoga": ("Mat", "Block", "Strap", "Bolster", "Leggings", "Meditation Cushion"),
    "Skincare": ("Serum", "Cleanser", "Sunscreen", "Moisturiser", "Clay Mask", "Lip Balm"),
    "Home studio": ("Microphone", "Audio Interface", "Headphones", "MIDI Keyboard", "Pop Filter", "Monitors"),
    "Fishing": ("Rod", "Reel", "Tackle Box", "Lure Set", "Waders", "Landing Net"),
    "Watercolour": ("Paint Set", "Brush", "Paper Block", "Palette", "Easel", "Masking Fluid"),
    "Smart home": ("Thermostat", "Door Lock", "Light Strip", "Smart Plug", "Speaker", "Motion Sensor"),
    "Dog care": ("Harness", "Leash", "Chew Toy", "Dog Bed", "Kibble", "Grooming Brush"),
    "Knitting": ("Merino Yarn", "Needles", "Stitch Markers", "Pattern Book", "Yarn Bowl", "Project Bag"),
    "Barbecue": ("Charcoal Grill", "Smoker", "Tongs", "Rub", "Meat Thermometer", "Apron"),
    "Science fiction": (
        "Space Opera",
        "Anthology",
        "Time-Travel Novel",
        "Graphic Novel",
        "Box Set",
        "Audiobook",
    ),
    "Climbing": ("Harness Kit", "Chalk Bag", "Rope", "Quickdraws", "Belay Device", "Crash Pad"),
    "Gardening": ("Secateurs", "Raised Bed", "Seed Set", "Watering Can", "Gloves", "Compost Bin"),
    "Toddler": ("Balance Bike", "Stacking Toy", "Picture Book", "High Chair", "Night Light", "Rain Suit"),
    "Wristwatches": ("Field Watch", "Diver", "Chronograph", "Nato Strap", "Watch Roll", "Dress Watch"),
}
MAKES = ("Alder", "Borea", "Cinder", "Dovetail", "Ember", "Fjord", "Gale", "Harbour")
NOISE = 0.15  # share of clicks outside the user's topics
POPULARITY = 0.7  # exponent of the Zipf law by which the items of a topic are clicked
FIRST_EVENT = 1_767_225_600  # 2026-01-01T00:00:00Z


class Planted(NamedTuple):
    """Event log, catalogue and the truth behind them."""

    events: pl.DataFrame  # user, item, timestamp (seconds), is_noise
    items: pl.DataFrame  # item, title, category (the topic)
    interests: pl.DataFrame  # user, topics (list of categories)


def plant(num_users: int = 4000, seed: int = 0) -> Planted:
    """Draw users; each sees an item at most once, items of a topic by a Zipf law."""
    rng = np.random.default_rng(seed)
    items = _catalogue()
    topics = list(TOPICS)
    per_topic = len(items) // len(topics)
    num_topics = rng.integers(2, 5, size=num_users)  # (U,)
    liked = rng.random((num_users, len(topics))).argsort(axis=1)[:, :4]  # (U, 4), the first num_topics count
    lengths = rng.integers(20, 61, size=num_users)
    user = np.repeat(np.arange(num_users), lengths)  # (E,)
    slot = (rng.random(len(user)) * num_topics[user]).astype(int)
    is_noise = rng.random(len(user)) < NOISE
    topic = np.where(is_noise, rng.integers(len(topics), size=len(user)), liked[user, slot])
    own = np.where(np.arange(4) < num_topics[:, None], liked, -1)  # (U, 4)
    popularity = 1 / np.arange(1, per_topic + 1) ** POPULARITY
    rank = np.searchsorted((popularity / popularity.sum()).cumsum(), rng.random(len(user)))
    item = topic * per_topic + np.minimum(rank, per_topic - 1)
    names = np.array([f"user-{number:04d}" for number in range(num_users)])
    events = pl.DataFrame(
        {
            "user": names[user],
            "item": items["item"].gather(item),
            "timestamp": FIRST_EVENT + rng.integers(0, 90 * 86_400, size=len(user)),
            # A click at random is on a topic of the user's own now and then.
            "is_noise": (topic[:, None] != own[user]).all(axis=1),
        }
    ).unique(["user", "item"], keep="first", maintain_order=True)
    interests = pl.DataFrame(
        {
            "user": names,
            "topics": [[topics[t] for t in row[:count]] for row, count in zip(liked, num_topics, strict=True)],
        }
    )
    return Planted(events, items, interests)


def write_planted(planted: Planted, folder: Path) -> tuple[Path, Path]:
    """Write events.csv and items.csv, as a user's own log would come but for `is_noise`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    events, items = folder / "events.csv", folder / "items.csv"
    planted.events.write_csv(events)
    planted.items.write_csv(items)
    return events, items


def _catalogue() -> pl.DataFrame:
    rows = [
        (f"{topic.lower().replace(' ', '-')}-{number:02d}", f"{make} {noun}", topic)
        for topic, nouns in TOPICS.items()
        for number, (make, noun) in enumerate(((make, noun) for make in MAKES for noun in nouns), start=1)
    ]
    return pl.DataFrame(rows, schema=["item", "title", "category"], orient="row")
