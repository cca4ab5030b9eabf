from collections.abc import Sequence

import pytest
from scipy.special import expit

from service.classifier import LISTED_CONTRIBUTIONS, Classifier
from service.errors import ModelError
from service.topics import TOPICS
from training.corpus import Paragraph

TARIFFS = "Exports of copper and soybeans fell after customs doubled the import duty on steel."
SHELLING = "Troops shelled the town with howitzers overnight and the army lost two tanks."
FOOTBALL = "The striker scored twice in the second half and the goalkeeper saved a late penalty."


def test_paragraphs_get_the_topics_that_they_carry(classifier: Classifier) -> None:
    tariffs, shelling, football = classifier.classify([TARIFFS, SHELLING, FOOTBALL])
    assert (tariffs.topics, tariffs.primary) == (("trade",), "trade")
    assert (shelling.topics, shelling.primary) == (("defense",), "defense")
    assert (football.topics, football.primary) == ((), None)


def test_topics_are_those_above_their_thresholds_best_first(
    classifier: Classifier, paragraphs: Sequence[Paragraph]
) -> None:
    thresholds = classifier.manifest.thresholds
    for result in classifier.classify([paragraph.text for paragraph in paragraphs]):
        above = [topic for topic in TOPICS if result.scores[topic] >= thresholds[topic]]
        assert list(result.topics) == sorted(above, key=lambda topic: -result.scores[topic])
        assert result.primary == (result.topics[0] if result.topics else None)


def test_contributions_bias_and_the_rest_add_up_to_the_logit(
    classifier: Classifier, paragraphs: Sequence[Paragraph]
) -> None:
    texts = [*(paragraph.text for paragraph in paragraphs[:50]), "", "zzzz", "<b>Tariffs</b> &amp;"]
    for result in classifier.classify(texts, explain=True):
        assert result.explanation is not None
        for topic, explanation in result.explanation.items():
            listed = sum(contribution.value for contribution in explanation.contributions)
            total = explanation.bias + listed + explanation.other
            assert total == pytest.approx(explanation.logit, abs=1e-5)
            assert result.scores[topic] == pytest.approx(expit(explanation.logit), abs=1e-6)


def test_contributions_are_strongest_first_and_point_into_the_text(classifier: Classifier) -> None:
    text = f"<p>Zürich &ndash; {TARIFFS} {SHELLING}</p>"
    [result] = classifier.classify([text], explain=True)
    assert result.explanation is not None
    contributions = result.explanation["trade"].contributions
    assert len(contributions) == LISTED_CONTRIBUTIONS
    sizes = [abs(contribution.value) for contribution in contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert all(found.text == text[found.start : found.end] for found in contributions)
    assert {"Exports", "import duty", "duty"} & {found.text for found in contributions[:5]}


def test_explaining_changes_no_score(classifier: Classifier) -> None:
    [plain] = classifier.classify([TARIFFS])
    [explained] = classifier.classify([TARIFFS], explain=True)
    assert explained._replace(explanation=None) == plain


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "Suomen hallitus ilmoitti tiistaina, että se aikoo lisätä puolustusmenoja ensi vuonna.",
            id="Finnish",
        ),
        pytest.param(
            "Le gouvernement a annoncé mardi une hausse des droits de douane sur l'acier chinois.",
            id="French",
        ),
        pytest.param(
            "for (const x of rows) { total += x.price * x.count; log.debug(`row ${x.id}`); }",
            id="source code",
        ),
        pytest.param("asdkjh qwoeiu zxmcnb lkjasd poiqwe mnbzxc qpwoei", id="gibberish"),
        pytest.param("外交部发言人星期二表示，中国坚决反对美国对台军售。", id="Chinese"),
        pytest.param("!!! ??? ...", id="no word"),
        pytest.param("", id="nothing"),
    ],
)
def test_text_that_is_no_english_prose_is_not_reliable(classifier: Classifier, text: str) -> None:
    [result] = classifier.classify([text])
    assert not result.reliable


def test_a_text_that_repeats_one_word_thousands_of_times_gets_a_probability(
    classifier: Classifier,
) -> None:
    [result] = classifier.classify(["helmets " * 2500])
    assert all(0 <= score <= 1 for score in result.scores.values())


def test_english_news_is_reliable(classifier: Classifier, paragraphs: Sequence[Paragraph]) -> None:
    results = classifier.classify([paragraph.text for paragraph in paragraphs])
    assert sum(result.reliable for result in results) > 0.995 * len(results)


def test_an_article_carries_what_a_good_part_of_it_carries(classifier: Classifier) -> None:
    article = classifier.classify_article("\n\n".join([TARIFFS, TARIFFS, FOOTBALL]))
    assert (article.topics, article.primary) == (("trade",), "trade")
    assert [result.topics for _, result in article.paragraphs] == [("trade",), ("trade",), ()]


def test_a_long_article_is_not_about_what_one_paragraph_mentions(classifier: Classifier) -> None:
    article = classifier.classify_article("\n\n".join([TARIFFS, *[FOOTBALL] * 5]))
    assert (article.topics, article.primary) == ((), None)
    assert article.paragraphs[0][1].topics == ("trade",)


def test_paragraphs_of_an_article_come_with_their_offsets(classifier: Classifier) -> None:
    text = f"  {TARIFFS}\n\n{SHELLING}\n"
    article = classifier.classify_article(text)
    assert [text[start:end] for (start, end), _ in article.paragraphs] == [TARIFFS, SHELLING]


def test_an_article_without_a_paragraph_carries_nothing(classifier: Classifier) -> None:
    article = classifier.classify_article(" \n ")
    assert article.topics == ()
    assert article.scores == dict.fromkeys(TOPICS, 0.0)


def test_loading_without_a_model_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ModelError, match="make train"):
        Classifier.load(tmp_path_factory.mktemp("empty"))
