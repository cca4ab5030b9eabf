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


def test_no_topic_is_likelier_than_that_there_is_any(fitted: TopicsOrNone) -> None:
    strange = csr_matrix([[5.0, 0, 0], [5, 0, 10], [0, 0, 5]])
    decisions = fitted.decision_function(strange)
    any_topic = fitted.any_topic_.decision_function(strange)
    assert (decisions <= any_topic[:, None]).all()
    own = np.column_stack([topic.decision_function(strange) for topic in fitted.topics_])
    assert ((decisions == own) | (decisions == any_topic[:, None])).all()
    assert own[1, 0] > 0 > decisions[1, 0]
