"""The other computer that the tests of remote work share: a process that knows nothing of the caller's folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from Agg2ExpLib.serving.remote import Remote
from support.served import SERVER, channel


@pytest.fixture(scope="session")
def there(tmp_path_factory: pytest.TempPathFactory, warm_python: str) -> Iterator[tuple[Remote, Path]]:
    """The other computer, and its temporary folder."""
    folder = tmp_path_factory.mktemp("there")
    remote = Remote("there", lambda: channel({"TMPDIR": str(folder)}, [warm_python, *SERVER[1:]]))
    yield remote, folder
    remote.close()
    assert not list(folder.iterdir()), "something stayed on the other computer"
