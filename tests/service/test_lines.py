import io
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from service.lines import batches


@given(
    parts=st.lists(st.text("ab\r", max_size=12).map(str.encode), max_size=20),
    size=st.integers(1, 200),
)
def test_cutting_a_stream_gives_its_lines_or_none_for_those_that_are_too_long(
    parts: list[bytes], size: int
) -> None:
    limit = 8
    cut = batches(partial(io.BytesIO(b"\n".join(parts)).read, size), limit)
    expected = parts if parts and parts[-1] else parts[:-1]
    assert [line for batch in cut for line in batch] == [
        part if len(part) <= limit else None for part in expected
    ]
