"""The topics a paragraph can carry, as the codebook (``training/codebook.md``) defines them."""

import re
from dataclasses import dataclass

TOPICS: tuple[str, ...] = ("defense", "trade", "territorial-dispute", "diplomacy")


@dataclass(frozen=True)
class Topic:
    """One topic's row of the codebook.

    Attributes
    ----------
    name : str
        One of `TOPICS`.
    carries : str
        What a paragraph says if it carries the topic.
    does_not_carry : str
        What comes near and does not count.
    codes : tuple of str
        The nearest published codes, each with the scheme that it is from.
    """

    name: str
    carries: str
    does_not_carry: str
    codes: tuple[str, ...]

    @property
    def media_topics(self) -> list[tuple[str, str]]:
        """Codes of the IPTC's Media Topics among `codes`, each with its label."""
        return [
            (code, label)
            for codes in self.codes
            if codes.startswith("IPTC ")
            for code, label in re.findall(r"(\d{8}) ([^,]+)", codes)
        ]


DEFINITIONS: tuple[Topic, ...] = (
    Topic(
        name="defense",
        carries=(
            "Armed forces and what they do or need: combat, raids, air strikes, insurgency fought "
            "by organised armed groups and the armed answer to it, deployments, bases, exercises, "
            "patrols; weapons, missiles, nuclear arms and arms control, procurement, arms sales, "
            "defence budgets, conscription; deterrence, alliances as security guarantees, "
            "peacekeeping forces, military cyber and space, military intelligence"
        ),
        does_not_carry=(
            "Crime and ordinary policing, a lone attacker, disaster relief by civilians, a court's "
            "defence lawyer, sport"
        ),
        codes=(
            "CAP 16",
            "PLOVER military and cbrn contexts",
            "IPTC 20000056 armed conflict, 20000598 national security",
        ),
    ),
    Topic(
        name="trade",
        carries=(
            "Commerce that crosses a border and the rules for it: tariffs, quotas, trade balances, "
            "exports and imports of goods, energy, grain or minerals; trade agreements and the "
            "talks for them, trade bodies and their panels; sanctions, embargoes and export "
            "controls; cross-border investment screening, supply chains between countries, "
            "transit, shipping lanes and pipelines as routes of commerce"
        ),
        does_not_carry=(
            "Domestic prices, jobs, one company's earnings or sales, stock markets, oil prices and "
            "currencies unless the paragraph ties them to foreign trade"
        ),
        codes=(
            "CAP 18",
            "PLOVER economic and resource contexts, SANCTION",
            "IPTC 20000374 trade agreements, 20000377 trade policy, 20000642 economic sanction",
        ),
    ),
    Topic(
        name="territorial-dispute",
        carries=(
            "Rival claims to land, sea, islands, airspace or to statehood itself: sovereignty "
            "claims, contested borders and their demarcation, annexation, occupation as a claim, "
            "settlement building on or withdrawal from contested land, secession and contested "
            "independence, incursions into waters or airspace that both sides claim, maritime "
            "boundaries and exclusive economic zones, court rulings on any of these"
        ),
        does_not_carry=(
            "War in which the paragraph names no contested claim, migration across an agreed "
            "border, domestic land or planning quarrels"
        ),
        codes=(
            "CAP 1900s",
            "ICOW territorial, maritime and identity claims",
        ),
    ),
    Topic(
        name="diplomacy",
        carries=(
            "What governments and international bodies do with each other by word and not by "
            "force: visits, summits, calls, talks, mediation, peace negotiations and ceasefire "
            "deals, notes of protest, summoning or expelling envoys, recognition, treaties and "
            "their ratification, votes and resolutions of international bodies, aid pledged "
            "between governments, statements and demands of one government to or about another, "
            "alliances as political relations, foreign-policy doctrine"
        ),
        does_not_carry=(
            "Domestic politics, elections at home (unless another state acts in them), corporate "
            "deals, celebrity visits"
        ),
        codes=(
            "CAP 19",
            "PLOVER diplomatic context, CONSULT, AGREE, SUPPORT",
            "IPTC 20000638 international relations, 20000639 diplomacy",
        ),
    ),
)
