import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from training.fit import TopicsOrNone

# Three features: one of the first topic, one of the second, and one of neither.
FEATURES = csr_matrix(
    np.repeat([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], 5, axis=0), dtype=float
)
LABELS = np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], 5, axis=0)


@pytest.fixture(scope="module")
def fitted() -> TopicsOrNone:
    return TopicsOrNone(LogisticRegression()).fit(FEATURES, LABELS)


def test_topics_are_told_apart(fitted: TopicsOrNone) -> None:
    np.testing.assert_array_equal(fitted.predict(FEATURES), LABELS.astype(bool))


def test_a_paragraph_that_seems_to_carry_none_is_doubted_for_every_topic(
    fitted: TopicsOrNone,
) -> None:
    alone = np.column_stack([topic.decision_function(FEATURES) for topic in fitted.topics_])
    doubt = alone - fitted.decision_function(FEATURES)
    none = ~LABELS.any(axis=1)
    assert (doubt[none] > 0).all()
    np.testing.assert_allclose(doubt[none, 0], doubt[none, 1])
    np.testing.assert_array_equal(doubt[~none], 0)
