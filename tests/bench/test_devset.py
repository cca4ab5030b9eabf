import json
from pathlib import Path

import numpy as np
import pytest

from service.topics import TOPICS
from tests.bench import devset


@pytest.fixture
def sample(tmp_path: Path) -> devset.Sample:
    items = [
        {"text": "one", "topics": [*TOPICS], "uncertain": [], "primary": "trade"},
        {"text": "two", "topics": [], "uncertain": ["defense"], "primary": None},
        {"text": "three", "topics": [], "uncertain": [], "primary": None},
    ]
    lines = "\n".join(json.dumps(item) for item in items)
    (tmp_path / "some.jsonl").write_text(lines, "utf-8")
    return devset.read(tmp_path)["some"]


def test_a_wrong_tag_does_not_count_where_readers_differed(sample: devset.Sample) -> None:
    tags = sample.labels.copy()
    tags[1, TOPICS.index("defense")] = True
    np.testing.assert_array_equal(devset.score(sample, tags.astype(float), tags), 1)


def test_a_wrong_tag_counts_where_readers_agreed(sample: devset.Sample) -> None:
    tags = sample.labels.copy()
    tags[1, TOPICS.index("trade")] = True
    micro, precision, *per_topic = devset.score(sample, tags.astype(float), tags)
    assert micro == pytest.approx(8 / 9)
    assert precision == pytest.approx((3 + 1 / 2) / 4)
    assert per_topic[TOPICS.index("trade")] == pytest.approx(2 / 3)
